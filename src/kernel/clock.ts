/**
 * Time is a port, and it is two different things. Wall time is what a person reads and may jump by
 * years (a Pi has no clock battery); monotonic time only ever goes forward and is what keepalive,
 * retry, delays and expiry are measured with. Timers run on monotonic time.
 */

/** Milliseconds that wall time gains or loses on monotonic time only when somebody sets it. */
export const CLOCK_STEP_MS = 60_000

/** A running timer. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970-01-01T00:00:00Z. May jump. */
  wall(): number
  /** Milliseconds since some fixed point in this process; never goes back. */
  monotonic(): number
  /** Runs `fire` once after `delay` milliseconds. The timer does not keep the process alive. */
  after(delay: number, fire: () => void): Timer
  /**
   * Runs `fire` every `period` milliseconds until cancelled, the first time perhaps sooner: the machine's clock has all with the
   * same period, or a multiple of it, fire at the same time, which wakes an idle Pi once. The timer does not keep the process alive.
   */
  every(period: number, fire: () => void): Timer
}

/** Whether wall time can be believed. */
export interface ClockSync {
  isSynced(): boolean
}

/** The machine's own clock. */
export const systemClock: Clock = {
  wall: () => Date.now(),
  monotonic: () => performance.now(),
  after(delay, fire) {
    const timer = setTimeout(fire, delay).unref()
    return { cancel: () => clearTimeout(timer) }
  },
  every(period, fire) {
    let due = nextMultiple(period)
    let timer: NodeJS.Timeout
    const wait = () => {
      timer = setTimeout(beat, due - loopTime()).unref()
    }
    const beat = () => {
      // It may have been called a moment early; and where the process was held up, what was missed is not made up for.
      due = Math.max(due + period, nextMultiple(period))
      wait()
      fire()
    }
    wait()
    return { cancel: () => clearTimeout(timer) }
  },
}

/** Whole milliseconds of the time by which Node's timers run: others that are due in the same one fire in the same turn. */
function loopTime(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1_000 + Math.floor(nanoseconds / 1_000_000)
}

/** The next of the moments, a whole period apart, that all timers with this period have in common. */
function nextMultiple(period: number): number {
  return (Math.floor(loopTime() / period) + 1) * period
}
