/**
 * A publisher that keeps books. It publishes numbered messages with QoS 1, several in flight, and
 * notes which of them were acknowledged. When the connection breaks it behaves as a client must
 * (MQTT 3.1.1 §4.4): on the next one it first sends again what was not acknowledged, with the same
 * packet identifiers, in order and marked DUP, and then goes on.
 */
import type { Packet } from 'mqtt-packet'
import { RawClient } from './mqtt-client.ts'

export interface LedgerOptions {
  clientId: string
  /** How many messages to publish, numbered from 0. */
  count: number
  /** Messages in flight at most. */
  window: number
  topicOf: (number: number) => string
  payloadOf?: (number: number) => string
  /** QoS 0 messages, which nobody acknowledges, may be mixed in. */
  qosOf?: (number: number) => 0 | 1
}

export class Ledger {
  /** Numbers whose PUBACK came, in the order in which it came. */
  readonly acknowledged = new Set<number>()
  /** Called after each acknowledgement. */
  onAcknowledged: ((count: number) => void) | undefined
  readonly #options: LedgerOptions
  /** Packet identifier to number, oldest first. */
  readonly #inFlight = new Map<number, number>()
  readonly #sent = new Set<number>()
  #next = 0

  constructor(options: LedgerOptions) {
    this.#options = options
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Publishes until everything is acknowledged (true) or the connection breaks (false). */
  async run(port: number): Promise<boolean> {
    await using client = await RawClient.connect({ port, clientId: this.#options.clientId, clean: false })
    return await new Promise<boolean>(resolve => {
      const settle = (): void => {
        if (this.#next === this.#options.count && this.#inFlight.size === 0) resolve(true)
      }
      client.onPacket = packet => {
        if (!this.#settle(packet)) return
        this.#fill(client)
        settle()
      }
      client.closed.then(() => resolve(false))
      for (const [messageId, number] of this.#inFlight) this.#send(client, number, messageId)
      this.#fill(client)
      settle()
    })
  }

  #settle(packet: Packet): boolean {
    if (packet.cmd !== 'puback' || packet.messageId === undefined) return false
    const number = this.#inFlight.get(packet.messageId)
    if (number === undefined) return false
    this.#inFlight.delete(packet.messageId)
    this.acknowledged.add(number)
    this.onAcknowledged?.(this.acknowledged.size)
    return true
  }

  #fill(client: RawClient): void {
    while (client.open && this.#next < this.#options.count && this.#inFlight.size < this.#options.window) {
      const number = this.#next++
      if (this.#options.qosOf?.(number) === 0) {
        this.#send(client, number, undefined)
        continue
      }
      let messageId = client.nextPacketId()
      while (this.#inFlight.has(messageId)) messageId = client.nextPacketId()
      this.#inFlight.set(messageId, number)
      this.#send(client, number, messageId)
    }
  }

  #send(client: RawClient, number: number, messageId: number | undefined): void {
    const topic = this.#options.topicOf(number)
    const payload = this.#options.payloadOf?.(number) ?? String(number)
    const packet = { cmd: 'publish', topic, payload, retain: false } as const
    if (messageId === undefined) client.send({ ...packet, qos: 0, dup: false })
    else client.send({ ...packet, qos: 1, dup: this.#sent.has(number), messageId })
    this.#sent.add(number)
  }
}

/**
 * The faults of what a QoS 1 subscriber got, as sentences: a number that never came, or whose first
 * occurrence came before that of a lower number on its topic. Repeats are no fault (MQTT 3.1.1 §4.3.2).
 */
export function faultsOfDelivery(
  got: readonly { topic: string; number: number }[],
  expected: Iterable<number>,
  topicOf: (number: number) => string,
): string[] {
  const faults: string[] = []
  const seen = new Set<number>()
  const highest = new Map<string, number>()
  for (const { topic, number } of got) {
    if (seen.has(number)) continue
    seen.add(number)
    if (topic !== topicOf(number)) faults.push(`${number} came on ${topic}, was published on ${topicOf(number)}`)
    const before = highest.get(topic) ?? -1
    if (number < before) faults.push(`${number} came after ${before} on ${topic}`)
    else highest.set(topic, number)
  }
  const missing = [...expected].filter(number => !seen.has(number))
  if (missing.length > 0) faults.push(`${missing.length} are missing: ${missing.slice(0, 20).join(' ')}`)
  return faults
}
