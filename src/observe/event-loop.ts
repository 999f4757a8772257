/**
 * How late the event loop is: a timer that ought to fire every so often says how often it did not. Told of whole
 * intervals, so that one bad moment stands for ten seconds and not for ever; and, for whoever asks whether the loop
 * is stuck, of the moment.
 */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { ProcessFigures } from './ports.ts'

/** Milliseconds between two looks of the monitor: finer would wake an idle Pi more often than it is worth. */
const RESOLUTION = 50
/** Milliseconds of an interval. */
const INTERVAL = 10_000
/** Milliseconds between two beats. */
const BEAT = 1_000
const NANOSECONDS = 1_000_000

export class EventLoop {
  readonly #clock: Clock
  #monitor: IntervalHistogram | undefined
  #timers: Timer[] = []
  #last: ProcessFigures['loop'] = { median: 0, p99: 0, worst: 0 }
  #beatAt = 0
  #late = 0

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  start(): void {
    const monitor = monitorEventLoopDelay({ resolution: RESOLUTION })
    monitor.enable()
    this.#monitor = monitor
    this.#beatAt = this.#clock.monotonic()
    this.#timers = [this.#clock.every(INTERVAL, () => this.#turn(monitor)), this.#clock.every(BEAT, () => this.#beat())]
  }

  stop(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#monitor?.disable()
  }

  /** Milliseconds, of the last whole interval; of the first, while it lasts. */
  get delays(): ProcessFigures['loop'] {
    return this.#last
  }

  /** Milliseconds that the loop was, or is, behind at its last beat. */
  get late(): number {
    return Math.max(this.#late, this.#clock.monotonic() - this.#beatAt - BEAT)
  }

  #beat(): void {
    const now = this.#clock.monotonic()
    this.#late = Math.max(0, now - this.#beatAt - BEAT)
    this.#beatAt = now
  }

  #turn(monitor: IntervalHistogram): void {
    // What the monitor counts is the time between two looks.
    const beyond = (nanoseconds: number) => Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION)
    this.#last = {
      median: beyond(monitor.percentile(50)),
      p99: beyond(monitor.percentile(99)),
      worst: beyond(monitor.max),
    }
    monitor.reset()
  }
}
