/**
 * The queue of a session that ends with its connection: it is kept in memory, and nobody's acknowledgement
 * waits for it. Bounded like the queues of the store: beyond, the oldest goes.
 */
import { Deque } from '../kernel/deque.ts'
import type { Delivery, Message, OutQueue } from './ports.ts'

/** Messages from which on more than a moment's worth waits: then each keeps its own bytes, not the chunk it came in. */
const BACKLOG = 256
/** Bytes of memory that a message takes besides its own. */
const OVERHEAD = 256

export class MemoryQueue implements OutQueue {
  onReady: (() => void) | null = null
  readonly #limits: { maxQueuedMessages: number; maxQueuedBytes: number }
  readonly #memory: { moved(bytes: number): void }
  readonly #stats: { dropped: number }
  readonly #waiting = new Deque<Delivery>()
  #waitingBytes = 0
  #sent = 0
  #tail = 0

  constructor(deps: {
    limits: { maxQueuedMessages: number; maxQueuedBytes: number }
    memory: { moved(bytes: number): void }
    stats: { dropped: number }
  }) {
    this.#limits = deps.limits
    this.#memory = deps.memory
    this.#stats = deps.stats
  }

  get count(): number {
    return this.#waiting.length + this.#sent
  }

  /** Bytes of memory that what waits takes. */
  get bytes(): number {
    return this.#waitingBytes + OVERHEAD * this.#waiting.length
  }

  push(
    published: Message,
    options: {
      qos: 1 | 2
      retain: boolean
      subscriptionIdentifiers: readonly number[] | undefined
      isShared: boolean
    },
  ): void {
    const { qos, retain, subscriptionIdentifiers, isShared } = options
    const message = this.#waiting.length < BACKLOG ? published : published.detached()
    const index = this.#tail++
    this.#waiting.push({
      index,
      message,
      qos,
      retain,
      subscriptionIdentifiers,
      isShared,
      dup: false,
      released: undefined,
      packetId: undefined,
    })
    this.#waitingBytes += message.size
    this.#memory.moved(message.size + OVERHEAD)
    while (this.#waiting.length > this.#limits.maxQueuedMessages || this.#waitingBytes > this.#limits.maxQueuedBytes) {
      if (this.#shift() === undefined) return
      this.#stats.dropped++
    }
  }

  take(): Delivery | undefined {
    const delivery = this.#shift()
    if (delivery !== undefined) this.#sent++
    return delivery
  }

  remove(): void {
    this.#sent--
  }

  /** The session remembers it, and ends with its connection. */
  assign(_delivery: Delivery, _packetId: number, done: () => void): void {
    done()
  }

  release(_delivery: Delivery, done: () => void): void {
    done()
  }

  /** The session ends with its connection, so there is nothing to send again. */
  rewind(): void {}

  #shift(): Delivery | undefined {
    const delivery = this.#waiting.shift()
    if (delivery !== undefined) this.#waitingBytes -= delivery.message.size
    return delivery
  }
}
