/**
 * Retained messages: all in memory, by topic level; on disk for the next start. Only the last value of
 * a topic is ever written. One of QoS 1 or 2 goes into the next commit; one of QoS 0 waits for the
 * interval or for the stop, so that a sensor which reports every second does not wear the card.
 */
import type { LifeTime } from '../broker/ports.ts'
import type { Message } from '../mqtt/message.ts'
import { NameTree } from '../mqtt/name-tree.ts'
import { hasWildcards } from '../mqtt/topics.ts'
import type { Operation } from './committer.ts'
import { nameKey, nameOfKey } from './keys.ts'
import { decodeRetained, encodeRetained } from './records.ts'

/** What the gateway says of itself is true only while it runs. */
const OWN_TOPICS = '$SYS/'

export class RetainedMessages {
  readonly #time: LifeTime
  readonly #messages = new NameTree<Message>()
  readonly #urgent = new Set<string>()
  readonly #lazy = new Set<string>()
  /** When those expire that do, by topic. */
  readonly #expiring = new Map<string, number>()
  #bytes = 0
  /** Where the last sweep stopped. */
  #sweeping: Iterator<[string, number]> | null = null

  constructor(deps: { time: LifeTime }) {
    this.#time = deps.time
  }

  get count(): number {
    return this.#messages.size
  }

  /** Of their topics, payloads and properties. */
  get bytes(): number {
    return this.#bytes
  }

  /** Takes up a record as it is on disk. Throws a RangeError when it is damaged. */
  load(key: Buffer, value: Buffer): void {
    this.#keep(nameOfKey(key), decodeRetained(value).message)
  }

  /** Makes `message` the retained one of its topic; an empty payload removes it [MQTT-3.3.1-10, -11]. */
  set(message: Message): void {
    const { topic } = message
    if (message.payload.length > 0) this.#keep(topic, message.detached())
    else if (!this.#remove(topic) && !(message.qos > 0 && this.#lazy.has(topic))) return
    if (topic.startsWith(OWN_TOPICS)) return
    if (message.qos > 0) {
      this.#urgent.add(topic)
      this.#lazy.delete(topic)
    } else if (!this.#urgent.has(topic)) {
      this.#lazy.add(topic)
    }
  }

  /** Those whose topics match. One whose time is over is removed when it is met [MQTT-3.3.2-5]. */
  *matching(filter: string): Generator<Message> {
    const now = this.#time.now()
    const found = hasWildcards(filter) ? this.#messages.matching(filter) : this.#exact(filter)
    for (const message of found) {
      if (message.expiresAt === undefined || message.expiresAt > now) yield message
      else if (this.#remove(message.topic)) this.#lazy.add(message.topic)
    }
  }

  /** Removes those whose time is over; looks at no more than `budget` of them, and goes on there the next time. */
  sweep(budget: number): void {
    const now = this.#time.now()
    this.#sweeping ??= this.#expiring[Symbol.iterator]()
    for (let looked = 0; looked < budget; looked++) {
      const next = this.#sweeping.next()
      if (next.done === true) {
        this.#sweeping = null
        return
      }
      const [topic, expiresAt] = next.value
      if (expiresAt <= now && this.#remove(topic)) this.#lazy.add(topic)
    }
  }

  /** The writes that the next commit takes along, once. */
  takeUrgent(): Operation[] {
    return this.#take(this.#urgent)
  }

  /** The writes that could wait, once. */
  takeLazy(): Operation[] {
    return this.#take(this.#lazy)
  }

  #keep(topic: string, message: Message): void {
    const before = this.#messages.set(topic, message)
    this.#bytes += message.size - (before?.size ?? 0)
    if (message.expiresAt === undefined) this.#expiring.delete(topic)
    else this.#expiring.set(topic, message.expiresAt)
  }

  /** Mostly one topic is asked for: that needs no walk. */
  #exact(topic: string): readonly Message[] {
    const message = this.#messages.get(topic)
    return message === undefined ? [] : [message]
  }

  #remove(topic: string): boolean {
    this.#expiring.delete(topic)
    this.#bytes -= this.#messages.get(topic)?.size ?? 0
    return this.#messages.delete(topic)
  }

  #take(topics: Set<string>): Operation[] {
    const operations: Operation[] = []
    for (const topic of topics) {
      const key = nameKey('r', topic)
      const message = this.#messages.get(topic)
      if (message === undefined) operations.push({ type: 'del', key })
      else operations.push({ type: 'put', key, value: encodeRetained(message, this.#time.now()) })
    }
    topics.clear()
    return operations
  }
}
