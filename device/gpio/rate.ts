/**
 * How fast pulses come, from the times of the pulses themselves: a window of fixed length would show a slow meter as
 * nothing, nothing, a leap. What has no pulse for a time runs at most at one pulse in that time. Pure.
 */

/** ms in the hour that rates are given for. */
const HOUR = 3_600_000

/** A rate that falls is told each time it has halved: else it would have to be told for ever. */
const WORTH_TELLING = 0.5

/** ms without a pulse after which nothing runs. */
const STANDSTILL = HOUR

export class PulseRate {
  /** Time of the last pulse of the last report that had one. */
  #from: number | undefined
  /** Pulses since then, and the time of the last of them. */
  #pulses = 0
  #last: number | undefined
  /** The rate as it was reported last, in pulses an hour. */
  #told = 0

  /** `pulses` came, the last of them at `at` ms. */
  add(pulses: number, at: number): void {
    if (this.#from === undefined) {
      // The first pulse begins an interval; there is none before it.
      this.#from = at
      this.#last = at
      return
    }
    this.#pulses += pulses
    this.#last = at
  }

  /** Pulses an hour. To be asked once a report; `now` in ms on the clock of the pulses. */
  report(now: number): number {
    if (this.#from === undefined || this.#last === undefined) return 0
    if (this.#pulses > 0 && this.#last > this.#from) {
      this.#told = (this.#pulses * HOUR) / (this.#last - this.#from)
      this.#from = this.#last
      this.#pulses = 0
    }
    if (now - this.#last >= STANDSTILL) this.#told = 0
    else if (HOUR / (now - this.#last) <= this.#told * WORTH_TELLING) this.#told = HOUR / (now - this.#last)
    return this.#told
  }
}
