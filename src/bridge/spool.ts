/**
 * One of the queues in which messages wait for a bridge, as the drain has it. What is taken comes in order, again after a
 * connection has ended, and stays until it is removed.
 */
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import { type Lane, offsetOf, PACKET_IDS } from './lanes.ts'

/** A message that was taken out of a spool to be sent. */
export interface Taken {
  readonly spool: Spool
  readonly delivery: Delivery
}

export class Spool {
  readonly lane: Lane
  readonly queue: SessionQueue
  /** Messages taken on this connection and not removed yet. */
  taken = 0
  /** Something of it is on its way to the connection: nothing may overtake. */
  holds = 0
  /** Its first message on this connection is being read: what is less urgent waits that long. */
  isAwaited = false
  /** It was asked for its next message, has none now, and has not said since that it may have one: a page is being read. */
  isAsked = false
  /** It said so, and had none again: there is no use in waiting for it. */
  #isVain = false
  /** Taken to be looked at. */
  #next: Delivery | undefined

  constructor(lane: Lane, queue: SessionQueue) {
    this.lane = lane
    this.queue = queue
  }

  /** The packet identifier of a message: the same after a restart, and seldom that of another spool's message in flight. */
  packetIdOf({ index, packetId }: Delivery): number {
    return packetId ?? ((index + offsetOf(this.lane)) % PACKET_IDS) + 1
  }

  /** It has messages that are not taken yet. */
  get hasMore(): boolean {
    return this.queue.count > this.taken
  }

  attach(onReady: () => void): void {
    this.taken = 0
    this.holds = 0
    this.#next = undefined
    this.isAwaited = true
    this.isAsked = false
    this.#isVain = false
    this.queue.attach(() => {
      this.isAwaited = false
      if (this.isAsked) this.#isVain = true
      this.isAsked = false
      onReady()
    })
  }

  /** The next message, which stays; undefined when there is none now. */
  peek(): Delivery | undefined {
    if (this.holds > 0) return undefined
    this.#next ??= this.queue.take()
    this.isAsked = this.#next === undefined && !this.#isVain
    if (this.#next !== undefined) this.#isVain = false
    return this.#next
  }

  take(): Taken | undefined {
    const delivery = this.peek()
    if (delivery === undefined) return undefined
    this.#next = undefined
    this.isAwaited = false
    this.taken++
    return { spool: this, delivery }
  }

  /** It is done with, or given up. */
  remove(delivery: Delivery): void {
    this.taken = Math.max(0, this.taken - 1)
    this.queue.remove(delivery)
  }
}
