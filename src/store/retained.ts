/**
 * Retained messages: all in memory, by topic level; on disk for the next start. Only the last value of
 * a topic is ever written. One of QoS 1 or 2 goes into the next commit; one of QoS 0 waits for the
 * interval or for the stop, so that a sensor which reports every second does not wear the card.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Message } from '../mqtt/message.ts'
import { NameTree } from '../mqtt/name-tree.ts'
import type { Operation } from './committer.ts'
import { nameKey, nameOfKey } from './keys.ts'
import { decodeBody, encodeBody } from './records.ts'

export class RetainedMessages {
  readonly #clock: Clock
  readonly #messages = new NameTree<Message>()
  readonly #urgent = new Set<string>()
  readonly #lazy = new Set<string>()

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  get count(): number {
    return this.#messages.size
  }

  /** Takes up a record as it is on disk. Throws a RangeError when it is damaged. */
  load(key: Buffer, value: Buffer): void {
    this.#messages.set(nameOfKey(key), decodeBody(value).message)
  }

  /** Makes `message` the retained one of its topic; an empty payload removes it [MQTT-3.3.1-10, -11]. */
  set(message: Message): void {
    const { topic } = message
    if (message.payload.length > 0) this.#messages.set(topic, message.detached())
    else if (!this.#messages.delete(topic)) return
    if (message.qos > 0) {
      this.#urgent.add(topic)
      this.#lazy.delete(topic)
    } else if (!this.#urgent.has(topic)) {
      this.#lazy.add(topic)
    }
  }

  /** Those whose topics match. One whose time is over is removed when it is met [MQTT-3.3.2-5]. */
  *matching(filter: string): Generator<Message> {
    const now = this.#clock.wall()
    for (const message of this.#messages.matching(filter)) {
      if (message.expiresAt === undefined || message.expiresAt > now) yield message
      else if (this.#messages.delete(message.topic)) this.#lazy.add(message.topic)
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

  #take(topics: Set<string>): Operation[] {
    const operations: Operation[] = []
    for (const topic of topics) {
      const key = nameKey('r', topic)
      const message = this.#messages.get(topic)
      if (message === undefined) operations.push({ type: 'del', key })
      else operations.push({ type: 'put', key, value: encodeBody(message, []) })
    }
    topics.clear()
    return operations
  }
}
