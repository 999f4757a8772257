/**
 * The brokers that `scripts/bench` compares, each on core 0 with a folder of its own on a real disk. Larder has its
 * store, and acknowledges what is on the disk; the others hold everything in memory, which is the least that they can do.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Authority } from '../../test/support/certificates.ts'
import { freePort } from '../../test/support/free-port.ts'
import { ROOT } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { Process } from '../../test/support/process.ts'
import { CORE } from './core.ts'
import { untilConnack } from './queue-load.ts'

/** Where the data lies: /tmp may be in memory. */
const DISK = '/var/tmp'
/** ms for a broker to answer. */
const PATIENCE = 60_000
/** More than any scenario has under way for one client. */
const MAX_INFLIGHT = 1_000

export type Transport = 'tcp' | 'ws' | 'tls'

export interface Ports {
  readonly tcp: number
  readonly ws: number
  readonly tls: number
}

export interface Contestant {
  readonly name: string
  readonly about: string
  readonly transports: readonly Transport[]
  /** Speaks MQTT 5. */
  readonly speaks5: boolean
  /** A fresh one that accepts connections. */
  start(): Promise<Running>
}

export interface Running extends AsyncDisposable {
  readonly pid: number
  readonly ports: Ports
  /** Seconds from its start to the first CONNACK; undefined of one that ran before. */
  readonly startTime: number | undefined
}

type Lines = (folder: string, ports: Ports, pair: { cert: string; key: string }) => string[]

/** All that are installed, and the caller's own: `name=port:pid`. */
export function contestants(given: readonly string[]): Contestant[] {
  const mosquitto = findBinary('mosquitto')
  return [larder(), ...(mosquitto === undefined ? [] : [mosquittoOf(mosquitto)]), aedes(), ...given.map(runningAlready)]
}

function larder(): Contestant {
  const lines: Lines = (folder, { tcp, ws, tls }, { cert, key }) => [
    `data_dir: '${folder}/data'`,
    'listeners:',
    `  - mqtt://127.0.0.1:${tcp}`,
    `  - ws://127.0.0.1:${ws}`,
    `  - { url: 'mqtts://127.0.0.1:${tls}', tls: { cert: '${cert}', key: '${key}' } }`,
    'store: { durability: ack }',
    `limits: { max_inflight: ${MAX_INFLIGHT}, max_queued_messages: 10000000, max_total_messages: 10000000, max_subscriptions: 20000, max_connections: 20000 }`,
    'log: { level: warn }',
  ]
  return {
    name: 'larder',
    about: 'store on disk, acknowledged means synced',
    transports: ['tcp', 'ws', 'tls'],
    speaks5: true,
    start: () =>
      launch('larder.yaml', lines, file => [process.execPath, join(ROOT, 'dist/larder.js'), 'start', '-c', file]),
  }
}

function mosquittoOf(binary: string): Contestant {
  const lines: Lines = (_, { tcp, ws, tls }, { cert, key }) => [
    ...['allow_anonymous true', 'log_dest none', 'user root', 'persistence false', 'set_tcp_nodelay true'],
    ...['max_queued_messages 0', `max_inflight_messages ${MAX_INFLIGHT}`],
    `listener ${tcp} 127.0.0.1`,
    ...[`listener ${ws} 127.0.0.1`, 'protocol websockets'],
    ...[`listener ${tls} 127.0.0.1`, `certfile ${cert}`, `keyfile ${key}`],
  ]
  return {
    name: 'mosquitto',
    about: 'Debian’s, persistence false, set_tcp_nodelay true',
    transports: ['tcp', 'ws', 'tls'],
    speaks5: true,
    start: () => launch('mosquitto.conf', lines, file => [binary, '-c', file]),
  }
}

function aedes(): Contestant {
  const command = (_: string, { tcp }: Ports) => [
    process.execPath,
    join(ROOT, 'scripts/benchmarks/aedes-server.mjs'),
    String(tcp),
  ]
  return {
    name: 'aedes',
    about: 'stock, in memory',
    transports: ['tcp'],
    speaks5: false,
    start: () => launch('none', () => [], command),
  }
}

function runningAlready(text: string): Contestant {
  const [, name, port, pid] = /^([^=]+)=(\d+):(\d+)$/.exec(text) ?? []
  if (name === undefined) throw new Error(`a broker is given as name=port:pid, not ${text}`)
  const ports = { tcp: Number(port), ws: 0, tls: 0 }
  return {
    name,
    about: `port ${port}, process ${pid}`,
    transports: ['tcp'],
    speaks5: true,
    start: async () => ({ pid: Number(pid), ports, startTime: undefined, async [Symbol.asyncDispose]() {} }),
  }
}

async function launch(
  fileName: string,
  lines: Lines,
  command: (file: string, ports: Ports) => string[],
): Promise<Running> {
  const folder = await mkdtemp(join(DISK, 'larder-bench-'))
  const [tcp, ws, tls] = await Promise.all([freePort(), freePort(), freePort()])
  const ports = { tcp, ws, tls }
  try {
    await mkdir(join(folder, 'ca'))
    const authority = await Authority.make(join(folder, 'ca'), 'bench')
    const pair = await authority.server()
    const file = join(folder, fileName)
    await writeFile(file, `${lines(folder, ports, pair).join('\n')}\n`)
    const begun = performance.now()
    const broker = new Process('taskset', ['-c', String(CORE), ...command(file, ports)])
    await untilConnack(tcp, PATIENCE).catch(error => {
      throw new Error(`${command(file, ports).join(' ')} does not answer: ${error}\n${broker.transcript()}`)
    })
    return {
      pid: broker.pid,
      ports,
      startTime: (performance.now() - begun) / 1_000,
      async [Symbol.asyncDispose]() {
        await broker[Symbol.asyncDispose]()
        await rm(folder, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(folder, { recursive: true, force: true })
    throw error
  }
}
