/**
 * A clock that only moves when a test says so. Wall and monotonic time are apart, as in life: `advance`
 * moves both, `jumpWall` is the moment when the network time arrives on a machine without a clock battery.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts'

interface Alarm {
  due: number
  readonly period: number | undefined
  readonly fire: () => void
}

export class ManualClock implements Clock {
  #wall: number
  #monotonic = 0
  readonly #alarms = new Set<Alarm>()

  /** `wall` is the wall time to begin with, in ms since 1970. */
  constructor(wall = Date.UTC(2026, 0, 1)) {
    this.#wall = wall
  }

  /** Timers that have neither fired nor been cancelled: what a stopped part must have brought to 0. */
  get pending(): number {
    return this.#alarms.size
  }

  wall(): number {
    return this.#wall
  }

  monotonic(): number {
    return this.#monotonic
  }

  after(delay: number, fire: () => void): Timer {
    return this.#add({ due: this.#monotonic + Math.max(0, delay), period: undefined, fire })
  }

  every(period: number, fire: () => void): Timer {
    return this.#add({ due: this.#monotonic + period, period, fire })
  }

  /** Moves the wall time alone by `by` ms (negative: back). No timer may care. */
  jumpWall(by: number): void {
    this.#wall += by
  }

  /**
   * Moves time by `by` ms. Each timer fires at its own moment, in order, and what was waiting for it gets
   * its turn before the next one: promises and already finished input and output, not a disk or a socket.
   */
  async advance(by: number): Promise<void> {
    const end = this.#monotonic + by
    await turn()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#moveTo(next.due)
      if (next.period === undefined) this.#alarms.delete(next)
      else next.due += next.period
      next.fire()
      await turn()
    }
    this.#moveTo(end)
  }

  #add(alarm: Alarm): Timer {
    this.#alarms.add(alarm)
    return { cancel: () => void this.#alarms.delete(alarm) }
  }

  #next(end: number): Alarm | undefined {
    let first: Alarm | undefined
    for (const alarm of this.#alarms) {
      if (alarm.due <= end && (first === undefined || alarm.due < first.due)) first = alarm
    }
    return first
  }

  #moveTo(monotonic: number): void {
    const by = Math.max(0, monotonic - this.#monotonic)
    this.#monotonic += by
    this.#wall += by
  }
}

/** One turn of the event loop. */
function turn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}
