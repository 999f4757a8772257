/**
 * How long to wait before the next attempt: decorrelated jitter, so that a thousand gateways whose
 * upstream comes back do not all come at once. Each pause is drawn between `min` and three times the last one,
 * and is never longer than `max`.
 */

/** Growth of the range that a pause is drawn from. Mosquitto's too (`restart_timeout`). */
const GROWTH = 3

export class Backoff {
  readonly #min: number
  readonly #max: number
  readonly #random: () => number
  #last: number

  /** `min` and `max` in ms; `random` gives numbers from 0 up to but not including 1. */
  constructor(options: { min: number; max: number; random: () => number }) {
    this.#min = options.min
    this.#max = Math.max(options.min, options.max)
    this.#random = options.random
    this.#last = options.min
  }

  /** The next pause in ms. */
  next(): number {
    const drawn = this.#min + this.#random() * (this.#last * GROWTH - this.#min)
    this.#last = Math.min(this.#max, Math.round(drawn))
    return this.#last
  }

  /** Begins again with short pauses. */
  reset(): void {
    this.#last = this.#min
  }
}
