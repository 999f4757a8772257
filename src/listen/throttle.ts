/** Log lines about what strangers do come at most once in a while: a flood must not fill the log (and the card) too. */
import type { Clock } from '../kernel/clock.ts'

export class Throttle {
  readonly #clock: Clock
  readonly #interval: number
  #loggedAt = Number.NEGATIVE_INFINITY
  #count = 0

  /** `interval` in ms between two lines. */
  constructor(deps: { clock: Clock; interval: number }) {
    this.#clock = deps.clock
    this.#interval = deps.interval
  }

  /** Counts an event, and calls `write` if it is time for a line: with how many there were since the last. */
  note(write: (count: number) => void): void {
    this.#count++
    const now = this.#clock.monotonic()
    if (now - this.#loggedAt < this.#interval) return
    this.#loggedAt = now
    const count = this.#count
    this.#count = 0
    write(count)
  }
}
