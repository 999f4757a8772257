/**
 * When the messages of one topic leave: only what says something new, never more often than the shortest
 * interval, never more seldom than the longest. What comes too early is held, and the latest of it goes out when
 * the time has come, so that the last value always gets out. What is renewed is the latest value, also one that had
 * not moved far enough. While the device is away nothing is renewed: nobody knows whether it is still true.
 */
import type { Clock, Timer } from '../kernel/clock.ts'

export class Pace<T> {
  readonly #clock: Clock
  readonly #min: number
  readonly #max: number
  readonly #hasMoved: (before: T, now: T) => boolean
  readonly #publish: (latest: T) => void
  #latest: T | undefined
  #published: T | undefined
  #publishedAt = Number.NEGATIVE_INFINITY
  #held: Timer | undefined
  #renewal: Timer | undefined
  #isResting = false

  /** Intervals in ms; `max`, if there is one, must not be shorter than `min`. */
  constructor(options: {
    clock: Clock
    min?: number | undefined
    max?: number | undefined
    hasMoved: (before: T, now: T) => boolean
    publish: (latest: T) => void
  }) {
    this.#clock = options.clock
    this.#min = options.min ?? 0
    this.#max = options.max ?? Number.POSITIVE_INFINITY
    this.#hasMoved = options.hasMoved
    this.#publish = options.publish
  }

  offer(latest: T): void {
    this.#latest = latest
    this.#isResting = false
    if (this.#held !== undefined) return
    if (this.#published !== undefined && !this.#hasMoved(this.#published, latest)) {
      this.#renewLater()
      return
    }
    const wait = this.#publishedAt + this.#min - this.#clock.monotonic()
    if (wait <= 0) this.#send(latest)
    else this.#held = this.#clock.after(wait, () => this.#release())
  }

  /** The device is away: nothing is renewed before it speaks again. What is held still goes out. */
  rest(): void {
    this.#isResting = true
    this.#renewal?.cancel()
    this.#renewal = undefined
  }

  /** What is held goes out now, and then nothing any more. */
  stop(): void {
    this.rest()
    this.#release()
  }

  #release(): void {
    if (this.#held === undefined) return
    this.#send(this.#latest as T)
  }

  #send(latest: T): void {
    this.#held?.cancel()
    this.#held = undefined
    this.#published = latest
    this.#publishedAt = this.#clock.monotonic()
    this.#renewLater()
    this.#publish(latest)
  }

  /** One timer, however many messages: when it fires it looks how old the last one is. */
  #renewLater(): void {
    if (this.#max === Number.POSITIVE_INFINITY || this.#isResting || this.#renewal !== undefined) return
    const wait = Math.max(0, this.#publishedAt + this.#max - this.#clock.monotonic())
    this.#renewal = this.#clock.after(wait, () => {
      this.#renewal = undefined
      if (this.#clock.monotonic() - this.#publishedAt < this.#max) this.#renewLater()
      else this.#send(this.#latest as T)
    })
  }
}
