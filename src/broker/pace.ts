/**
 * Holds a client to its publish rate. Each PUBLISH takes a token, and tokens come back with time; a client without one
 * is not read until there is one again. Nothing is lost and nobody else waits; pings of that client wait behind its
 * messages, and its keep alive does not run while it is not read.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Limits } from './limits.ts'

/** Milliseconds for which a client is not read at least: at high rates, a timer for each message would cost more than the message. */
const MIN_HOLD = 10

export class Pace {
  readonly #limits: Pick<Limits, 'maxPublishRate' | 'publishBurst'>
  readonly #clock: Clock
  readonly #onReady: () => void
  #tokens: number
  #countedAt: number
  #timer: Timer | null = null
  /** A message is being dealt with, and whoever does that goes on. */
  #isPending = false

  /** `onReady` is called when the client may be read again. */
  constructor(deps: { limits: Pick<Limits, 'maxPublishRate' | 'publishBurst'>; clock: Clock; onReady: () => void }) {
    this.#limits = deps.limits
    this.#clock = deps.clock
    this.#onReady = deps.onReady
    this.#tokens = deps.limits.publishBurst
    this.#countedAt = deps.clock.monotonic()
  }

  /** A PUBLISH has come; `isDone` when it has been dealt with. Returns whether the next packet may be read now. */
  take(isDone: boolean): boolean {
    const { maxPublishRate, publishBurst } = this.#limits
    const now = this.#clock.monotonic()
    const perMs = maxPublishRate / 1000
    // What comes in while the client is held must have room.
    const room = Math.max(publishBurst, 2 * MIN_HOLD * perMs)
    this.#tokens = Math.min(room, this.#tokens + (now - this.#countedAt) * perMs) - 1
    this.#countedAt = now
    if (this.#tokens >= 1) return isDone
    this.#isPending = !isDone
    this.#timer = this.#clock.after(Math.max(MIN_HOLD, (1 - this.#tokens) / perMs), () => {
      this.#timer = null
      if (!this.#isPending) this.#onReady()
    })
    return false
  }

  /** What was being dealt with is done: true when the client may still not be read. */
  holds(): boolean {
    this.#isPending = false
    return this.#timer !== null
  }

  /** The connection has ended. */
  close(): void {
    this.#timer?.cancel()
    this.#timer = null
  }
}
