/**
 * A moment that has passed, for a person to be told of, by the wall clock as it is set now. A Pi has no clock battery and
 * learns the time after its clients have come: when they came is then known by how long ago it is.
 */
import type { Clock } from './clock.ts'

/** Milliseconds that its wall time may be off before it is put right: clocks that nobody sets differ by less, and what is told should not tremble. */
const CLOCK_WAS_SET_MS = 5_000

export class Moment {
  readonly #clock: Clock
  readonly #at: number
  #wall: number

  /** So many milliseconds ago. */
  constructor(clock: Clock, ago = 0) {
    this.#clock = clock
    this.#at = clock.monotonic() - ago
    this.#wall = Math.round(clock.wall() - ago)
  }

  /** Milliseconds that have passed since. */
  get age(): number {
    return this.#clock.monotonic() - this.#at
  }

  /** Milliseconds since 1970. */
  get wall(): number {
    const now = this.#clock.wall() - this.age
    if (Math.abs(now - this.#wall) > CLOCK_WAS_SET_MS) this.#wall = Math.round(now)
    return this.#wall
  }
}
