/**
 * How late the event loop is: a timer that ought to fire every so often says how late it does. What it says of the last
 * half minute is told, so that one bad moment does not stand for ever; and, for whoever asks whether the loop is stuck,
 * of the moment.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { ProcessFigures } from './ports.ts'

/** Milliseconds between two beats: each wakes an idle Pi. */
const BEAT = 500
/** Beats that are remembered: half a minute. */
const REMEMBERED = 60

export class EventLoop {
  readonly #clock: Clock
  #timer: Timer | undefined
  /** Milliseconds, of the last beats in no order. */
  readonly #latenesses: number[] = []
  #beats = 0
  #beatAt = 0
  #late = 0

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  start(): void {
    this.#beatAt = this.#clock.monotonic()
    this.#timer = this.#clock.every(BEAT, () => this.#beat())
  }

  stop(): void {
    this.#timer?.cancel()
  }

  /** Milliseconds. */
  get delays(): ProcessFigures['loop'] {
    const sorted = this.#latenesses.toSorted((a, b) => a - b)
    const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
    return { median: at(0.5), p99: at(0.99), worst: at(1) }
  }

  /** Milliseconds that the loop was, or is, behind at its last beat; 0 while nobody watches. */
  get late(): number {
    if (this.#timer === undefined) return 0
    return Math.max(this.#late, this.#clock.monotonic() - this.#beatAt - BEAT)
  }

  #beat(): void {
    const now = this.#clock.monotonic()
    this.#late = Math.max(0, now - this.#beatAt - BEAT)
    this.#beatAt = now
    this.#latenesses[this.#beats++ % REMEMBERED] = this.#late
  }
}
