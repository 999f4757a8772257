/** What the store was given and what it promised, as plain data. */
import type { Delivery, SessionQueue } from '../../../../src/broker/ports.ts'
import type { QoS } from '../../../../src/mqtt/packets.ts'

/** One value over time, and from when on each is known to survive a pulled plug. */
export class History<T> {
  readonly #states: { readonly value: T; sureAt: number }[]

  constructor(first: T) {
    this.#states = [{ value: first, sureAt: Number.NEGATIVE_INFINITY }]
  }

  /** Sets it. Call what is returned when the value is known to be on the disk at a time. */
  set(value: T): (sureAt: number) => void {
    const state = { value, sureAt: Number.POSITIVE_INFINITY }
    this.#states.push(state)
    return sureAt => {
      state.sureAt = Math.min(state.sureAt, sureAt)
    }
  }

  get last(): T {
    return (this.#states.at(-1) as { value: T }).value
  }

  /** What may be found after a plug was pulled at `now`. */
  possible(now: number): T[] {
    const from = this.#states.findLastIndex(({ sureAt }) => sureAt <= now)
    return this.#states.slice(from).map(({ value }) => value)
  }
}

/** A message that was published. Times are those of the clock, but for `expiresAt`. */
export interface Sent {
  readonly number: number
  readonly topic: string
  readonly payload: string
  readonly qos: QoS
  readonly retain: boolean
  /** In the time of the store; Infinity when it does not expire. */
  readonly expiresAt: number
  readonly packetId: number | undefined
  readonly size: number
  settledAt: number | undefined
}

/** A message in the queue of a session. */
export interface Item {
  readonly index: number
  readonly message: Sent
  readonly qos: QoS
  /** It is the retained message of a new subscription: nobody waits for its settlement. */
  readonly isCopy: boolean
  /** When it was sent first. */
  takenAt: number | undefined
  /** It was sent on this connection. */
  delivery: Delivery | undefined
  release: 'no' | 'asked' | 'done'
  removed: boolean
}

/** A session from its making to its end. */
export class Life {
  readonly queue: SessionQueue
  /** The store's own number of it. */
  readonly number: number
  readonly items: Item[] = []
  readonly filters = new Map<string, History<QoS | null>>()
  isAttached = false
  /** Everything below was taken on this connection. */
  cursor = 0
  /** Its end was asked for. */
  isEnding = false

  constructor(queue: SessionQueue, number: number) {
    this.queue = queue
    this.number = number
  }

  get waiting(): Item[] {
    return this.items.filter(item => !item.removed)
  }

  filter(filter: string): History<QoS | null> {
    let history = this.filters.get(filter)
    if (history === undefined) {
      history = new History<QoS | null>(null)
      this.filters.set(filter, history)
    }
    return history
  }

  /** The highest QoS of the subscriptions that match; undefined when none does. */
  grantOf(topic: string): QoS | undefined {
    let granted: QoS | undefined
    for (const [filter, { last }] of this.filters) {
      if (last !== null && matches(filter, topic)) granted = Math.max(granted ?? 0, last) as QoS
    }
    return granted
  }
}

/** A session's queue has one more message. */
export function append(life: Life, message: Sent, qos: QoS, isCopy: boolean): void {
  const index = life.items.length
  life.items.push({
    index,
    message,
    qos,
    isCopy,
    takenAt: undefined,
    delivery: undefined,
    release: 'no',
    removed: false,
  })
}

export function matches(filter: string, topic: string): boolean {
  return filter === '#' || filter === topic || (filter.endsWith('/#') && topic.startsWith(filter.slice(0, -1)))
}
