/**
 * A `SessionQueue` in memory that keeps the contract of `broker/ports.ts` to the letter, and throws when
 * its user does not: removing twice, or taking while nobody is attached.
 */
import type { Delivery, Message, SessionQueue } from '../../src/broker/ports.ts'

export class MemoryQueue implements SessionQueue {
  readonly clientId: string
  onReady: (() => void) | null = null
  /** Everything removed, in order of removal. */
  readonly removed: Message[] = []
  attached = false
  /** Nothing can be taken now, as while the disk is read. */
  isReading = false
  /** Replaced by tests in which the disk takes its time. */
  onRelease: (done: () => void) => void = done => done()
  readonly #waiting = new Map<number, Message>()
  readonly #taken = new Set<number>()
  readonly #released = new Map<number, number>()
  readonly #packetIds = new Map<number, number>()
  #nextIndex = 0
  #cursor = 0

  constructor(clientId = 'memory') {
    this.clientId = clientId
  }

  get count(): number {
    return this.#waiting.size
  }

  /** Puts a message at the end, as the hub would. */
  push(fields: Partial<Message> & { topic: string; acceptedAt?: number }): void {
    const message = {
      cmd: 'publish',
      payload: Buffer.alloc(0),
      qos: 1,
      retain: false,
      dup: false,
      ...fields,
    } as unknown as Message
    this.#waiting.set(this.#nextIndex++, message)
    this.onReady?.()
  }

  /** The next message will have this place. */
  skipTo(index: number): void {
    this.#nextIndex = index
  }

  attach(onReady: () => void): void {
    if (this.attached) throw new Error('attached twice')
    this.attached = true
    this.onReady = onReady
    this.rewind()
  }

  detach(): void {
    if (!this.attached) throw new Error('detached twice')
    this.attached = false
    this.onReady = null
  }

  take(): Delivery | undefined {
    if (!this.attached) throw new Error('taken from while detached')
    if (this.isReading) return undefined
    while (this.#cursor < this.#nextIndex) {
      const index = this.#cursor++
      const message = this.#waiting.get(index)
      if (message === undefined) continue
      const dup = this.#taken.has(index)
      this.#taken.add(index)
      return this.#delivery(index, message, dup)
    }
    return undefined
  }

  async *all(): AsyncGenerator<Delivery> {
    for (const [index, message] of this.#waiting) yield this.#delivery(index, message, this.#taken.has(index))
  }

  #delivery(index: number, message: Message, dup: boolean): Delivery {
    const fixed = { retain: false, subscriptionIdentifiers: undefined, isShared: false } as const
    const { acceptedAt } = message as { acceptedAt?: number }
    const packetId = this.#packetIds.get(index)
    const released = this.#released.get(index)
    return { index, message, dup, qos: message.qos === 2 ? 2 : 1, released, packetId, acceptedAt, ...fixed }
  }

  remove(delivery: Delivery): void {
    const message = this.#waiting.get(delivery.index)
    if (message === undefined) throw new Error(`removed twice: ${delivery.index}`)
    this.#waiting.delete(delivery.index)
    this.#taken.delete(delivery.index)
    this.removed.push(message)
  }

  assign(delivery: Delivery, packetId: number, done: () => void): void {
    this.#packetIds.set(delivery.index, packetId)
    this.onRelease(done)
  }

  release(delivery: Delivery, done: () => void): void {
    this.#released.set(delivery.index, this.#released.size)
    this.onRelease(done)
  }

  rewind(): void {
    this.#cursor = 0
  }
}
