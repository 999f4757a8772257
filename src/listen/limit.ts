/**
 * A limit on connections: one for all listeners together, because file descriptors and memory are the process's, and
 * one of a listener's own where it is given. Who comes in excess is closed at once, counted, and logged in intervals.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { Throttle } from './throttle.ts'

/** Milliseconds between two log lines about refused connections. */
const LOG_INTERVAL = 60_000

export class ConnectionLimit {
  readonly #max: () => number
  readonly #log: Log
  readonly #setting: string
  readonly #throttle: Throttle
  #open = 0
  #refused = 0

  /** `setting` is named in the log as what allows so many. */
  constructor(deps: { max: () => number; clock: Clock; log: Log; setting?: string }) {
    this.#max = deps.max
    this.#log = deps.log
    this.#setting = deps.setting ?? 'limits.max_connections'
    this.#throttle = new Throttle({ clock: deps.clock, interval: LOG_INTERVAL })
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
    const max = this.#max()
    if (this.#open < max) {
      this.#open++
      return true
    }
    this.#refused++
    this.#throttle.note(refused =>
      this.#log.warn({ refused, max }, `connections refused: as many are open as ${this.#setting} allows`),
    )
    return false
  }

  leave(): void {
    this.#open--
  }
}
