/** What the clients of a soak share: the way to the gateway, the time until the end, and how much was done. */
import { setMaxListeners } from 'node:events'
import { setTimeout as timer } from 'node:timers/promises'
import type { IConnackPacket, IConnectPacket, Packet } from 'mqtt-packet'
import { RawClient } from '../support/mqtt-client.ts'
import type { Random } from '../torture/random.ts'

export interface Counts {
  connections: number
  published: number
  delivered: number
  /** Sessions that their owners left for good, with an expiry. */
  abandoned: number
  /** Times that the upstream of the bridge went away. */
  outages: number
}

export interface Guest {
  clientId: string
  version: 4 | 5
  clean: boolean
  /** Seconds, MQTT 5. */
  expiry?: number
  will?: IConnectPacket['will']
}

/** ms for a CONNACK on a machine that is busy. */
const PATIENCE = 20_000

export class Household {
  readonly port: number
  readonly counts: Counts = { connections: 0, published: 0, delivered: 0, abandoned: 0, outages: 0 }
  /** Seconds of the run. */
  readonly seconds: number
  readonly #end: AbortController

  constructor(fields: { port: number; seconds: number }) {
    this.port = fields.port
    this.seconds = fields.seconds
    this.#end = new AbortController()
    setMaxListeners(0, this.#end.signal)
  }

  get isOver(): boolean {
    return this.#end.signal.aborted
  }

  end(): void {
    this.#end.abort()
  }

  /** So long as `random` chooses, in ms; not longer than until the end. */
  async pause(random: Random, low: number, high: number): Promise<void> {
    await timer(random.between(low, high), undefined, { signal: this.#end.signal }).catch(() => {})
  }

  /** Connects, and says whether there was a session. Counts what comes. */
  async enter(guest: Guest): Promise<{ client: RawClient; resumed: boolean }> {
    const { clientId, version, clean, expiry, will } = guest
    const client = await RawClient.open({
      port: this.port,
      clientId,
      protocolVersion: version,
      keeping: false,
      patience: PATIENCE,
    })
    client.onPacket = packet => this.hear(packet)
    client.send({
      cmd: 'connect',
      protocolId: 'MQTT',
      protocolVersion: version,
      clientId,
      clean,
      keepalive: 0,
      ...(version === 5 && expiry !== undefined ? { properties: { sessionExpiryInterval: expiry } } : {}),
      ...(will === undefined ? {} : { will }),
    })
    const connack = (await client.next('connack', undefined, PATIENCE)) as IConnackPacket
    const code = connack.reasonCode ?? connack.returnCode
    if (code !== 0) throw new Error(`${clientId} was refused with ${code}`)
    this.counts.connections++
    return { client, resumed: connack.sessionPresent }
  }

  hear(packet: Packet): void {
    if (packet.cmd === 'publish') this.counts.delivered++
  }
}
