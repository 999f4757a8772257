/**
 * One limit on connections for all listeners together: file descriptors and memory are the process's,
 * not a listener's. Who comes in excess is closed at once, counted, and logged in intervals.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'

/** Milliseconds between two log lines about refused connections: a flood must not fill the log (and the card) too. */
const LOG_INTERVAL = 60_000

export class ConnectionLimit {
  readonly #max: number
  readonly #clock: Clock
  readonly #log: Log
  #open = 0
  #refused = 0
  #refusedAtLog = 0
  #loggedAt = Number.NEGATIVE_INFINITY

  constructor(deps: { max: number; clock: Clock; log: Log }) {
    this.#max = deps.max
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** Connections that entered and did not leave yet. */
  get open(): number {
    return this.#open
  }

  /** Connections closed because there were too many, since the start. */
  get refused(): number {
    return this.#refused
  }

  /** Counts a new connection in. False when there are as many as may be: close it, and do not call `leave`. */
  enter(): boolean {
    if (this.#open < this.#max) {
      this.#open++
      return true
    }
    this.#refused++
    this.#report()
    return false
  }

  leave(): void {
    this.#open--
  }

  #report(): void {
    const now = this.#clock.monotonic()
    if (now - this.#loggedAt < LOG_INTERVAL) return
    this.#loggedAt = now
    const refused = this.#refused - this.#refusedAtLog
    this.#refusedAtLog = this.#refused
    this.#log.warn(
      { refused, max: this.#max },
      'connections refused: as many are open as limits.max_connections allows',
    )
  }
}
