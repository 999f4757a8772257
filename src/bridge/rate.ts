/** How fast messages may go, and how fast they went. */
import type { Clock } from '../kernel/clock.ts'

/** ms of full rate that may go at once, after a rest. */
const BURST = 1_000
/** ms over which a rate is taken. */
const SPAN = 60_000
/** Counts kept of that time. */
const COUNTS = 12

/** A bucket that fills with `rate` tokens a second. Each message takes one; a debt is paid before the next. */
export class RateLimit {
  readonly #clock: Clock
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #at: number

  /** `rate` in messages a second; Infinity for any. */
  constructor(deps: { clock: Clock; rate: number }) {
    this.#clock = deps.clock
    this.#rate = deps.rate
    this.#burst = Math.max(1, (deps.rate * BURST) / 1_000)
    this.#tokens = this.#burst
    this.#at = deps.clock.monotonic()
  }

  /** ms until a message may go; 0 for now. */
  get pause(): number {
    if (this.#rate === Number.POSITIVE_INFINITY) return 0
    this.#fill()
    const missing = 1 - this.#tokens
    // A token that is there but for a rounding error is there.
    return missing < 1e-6 ? 0 : Math.ceil((missing * 1_000) / this.#rate)
  }

  /** A message goes. */
  spend(): void {
    if (this.#rate === Number.POSITIVE_INFINITY) return
    this.#fill()
    this.#tokens--
  }

  #fill(): void {
    const now = this.#clock.monotonic()
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#rate) / 1_000)
    this.#at = now
  }
}

/** The rate of something that is counted, over the last minute. */
export class RateMeter {
  readonly #clock: Clock
  readonly #total: () => number
  /** Counts and the monotonic times at which they were taken, `SPAN / COUNTS` apart. */
  #counts: { readonly at: number; readonly total: number }[] = []

  constructor(deps: { clock: Clock; total: () => number }) {
    this.#clock = deps.clock
    this.#total = deps.total
  }

  /** To be called now and then. */
  look(): void {
    const at = this.#clock.monotonic()
    const last = this.#counts.at(-1)
    if (last !== undefined && at - last.at < SPAN / COUNTS) return
    this.#counts.push({ at, total: this.#total() })
    if (this.#counts.length > COUNTS) this.#counts.shift()
  }

  /** A second. */
  get perSecond(): number {
    const at = this.#clock.monotonic()
    const first = this.#counts.find(each => at - each.at <= SPAN)
    if (first === undefined || at - first.at < 1_000) return 0
    return Math.round(((this.#total() - first.total) * 10_000) / (at - first.at)) / 10
  }
}
