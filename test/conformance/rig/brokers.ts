/**
 * The brokers that the tables are run against: the built gateway; with LARDER_TEST_BROKER=mosquitto Debian's Mosquitto,
 * which shows that a case asks for what the standard says; with LARDER_CONFORMANCE_PORT (and LARDER_CONFORMANCE_WS_PORT for
 * the WebSocket cases) any broker that already runs there, without the cases that need a process of their own.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REFERENCE } from '../../support/broker.ts'
import { freePort } from '../../support/free-port.ts'
import { startGateway } from '../../support/gateway.ts'
import { startMosquitto } from '../../support/mosquitto.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import type { Case, OwnBroker } from './format.ts'

const EXTERNAL_PORT = Number(process.env.LARDER_CONFORMANCE_PORT ?? 0)
const EXTERNAL_WS_PORT = Number(process.env.LARDER_CONFORMANCE_WS_PORT ?? 0)
/** Characters of a broker's own log in a failure message. */
const LOG_TAIL = 3_000

interface Server {
  ports: { tcp: number; ws: number }
  restart(how: 'kill' | 'stop'): Promise<void>
  log(): string
  stop(): Promise<void>
}

/** A running broker, and a bystander that must be served whatever the cases do to it. */
export class ConformanceBroker {
  readonly #server: Server
  readonly #hasBystander: boolean
  #bystander: RawClient | undefined

  constructor(server: Server, hasBystander = true) {
    this.#server = server
    this.#hasBystander = hasBystander
  }

  get ports(): { tcp: number; ws: number } {
    return this.#server.ports
  }

  /** Rejects when the broker does not serve a client that did nothing wrong. */
  async witness(): Promise<void> {
    if (!this.#hasBystander) return
    const { tcp } = this.#server.ports
    this.#bystander ??= await RawClient.connect({ port: tcp })
    if (!this.#bystander.open) throw new Error('the broker closed the connection of a bystander')
    await this.#bystander.ping()
  }

  async restart(how: 'kill' | 'stop'): Promise<void> {
    await this.#server.restart(how)
    this.#bystander = undefined
  }

  log(): string {
    return this.#server.log().slice(-LOG_TAIL)
  }

  async stop(): Promise<void> {
    await this.#bystander?.[Symbol.asyncDispose]()
    await this.#server.stop()
  }
}

/** Why a case cannot be run against the broker chosen by the environment; undefined when it can. */
export function obstacle({ broker, steps }: Case): string | undefined {
  const usesWs = JSON.stringify(steps).includes('"via":"ws"')
  if (EXTERNAL_PORT !== 0) {
    if (broker !== undefined) return 'it needs a broker process of its own'
    return usesWs && EXTERNAL_WS_PORT === 0 ? 'LARDER_CONFORMANCE_WS_PORT is not set' : undefined
  }
  if (!REFERENCE || typeof broker !== 'object') return undefined
  return broker.mosquitto === undefined ? 'the reference cannot be configured so' : undefined
}

/** Starts the broker that all cases share, or one for a single case. */
export async function startBroker(own: OwnBroker = {}): Promise<ConformanceBroker> {
  if (EXTERNAL_PORT !== 0) return new ConformanceBroker(external())
  const folder = await mkdtemp(join(tmpdir(), 'larder-conformance-'))
  for (const [name, content] of Object.entries(own.files ?? {})) await writeFile(join(folder, name), content)
  const server = REFERENCE ? await reference(own, folder) : await larder(own, folder)
  const stop = async (): Promise<void> => {
    await server.stop()
    await rm(folder, { recursive: true, force: true })
  }
  return new ConformanceBroker({ ...server, stop }, own.bystander)
}

async function larder(own: OwnBroker, folder: string): Promise<Server> {
  const gateway = await startGateway({ config: `name: Conformance\n${(own.larder ?? '').replaceAll('{dir}', folder)}` })
  return {
    ports: { tcp: gateway.port, ws: gateway.wsPort },
    async restart(how) {
      await gateway[how]()
      await gateway.start()
    },
    log: () => gateway.log,
    stop: () => gateway[Symbol.asyncDispose](),
  }
}

async function reference(own: OwnBroker, folder: string): Promise<Server> {
  const ws = await freePort()
  const mosquitto = await startMosquitto({
    config: [
      'set_tcp_nodelay true',
      'persistence true',
      'persistence_location {dir}/',
      ...(own.mosquitto ?? []).map(line => line.replaceAll('{dir}', folder)),
      `listener ${ws} 127.0.0.1`,
      'protocol websockets',
    ],
  })
  return {
    ports: { tcp: mosquitto.port, ws },
    async restart(how) {
      await mosquitto[how]()
      await mosquitto.restart()
    },
    log: () => mosquitto.logs(),
    stop: () => mosquitto.remove(),
  }
}

function external(): Server {
  return {
    ports: { tcp: EXTERNAL_PORT, ws: EXTERNAL_WS_PORT },
    restart: () => Promise.reject(new Error('this broker is not ours to restart')),
    log: () => '',
    stop: () => Promise.resolve(),
  }
}
