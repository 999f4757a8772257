/**
 * Does things at the times of cron expressions. Once a second it looks which of the seconds since the last look are
 * due. The wall clock may jump, and the machine may sleep. A step of more than `MAX_CATCH_UP_S` forward is
 *
 *   a pause, when the process stood still as long, or the clock was known to be right before: then the machine slept.
 *     Schedules that ask for it (`missed: once`) make up for it with one run, the others skip it
 *   the clock being set, otherwise: what lies between never was, and nobody makes up for it
 *
 * and back, the clock being set. What the process was not running for is not made up for either. A run that
 * is due while the last one of the same schedule still goes on is skipped. Local times that the change to summer time
 * leaves out do not come that day; those that the change back repeats come twice; `timezone: UTC` has neither.
 */
import type { Clock, ClockSync, Timer } from '../kernel/clock.ts'
import type { CronTimes } from './cron.ts'
import type { Schedule } from './ports.ts'

/** Longest pause in s after which missed runs are made up for, once each: a busy moment, not a clock that was set. */
export const MAX_CATCH_UP_S = 60

/** Longest pause in s that `missed: once` looks back over: a day, 1440 questions to the matcher, some 20 ms. */
export const MAX_MISSED_S = 86_400

const SECOND_MS = 1000
const SECONDS_PER_MINUTE = 60

interface Job {
  readonly schedule: Schedule
  readonly times: CronTimes
  /** From the time of a run until its end. */
  isRunning: boolean
  /** Waits for the run, which comes a little later. */
  jitter: Timer | undefined
}

export interface SchedulesOptions {
  schedules: readonly Schedule[]
  clock: Clock
  /** Whether the wall clock can be believed; absent: always. */
  sync?: ClockSync | undefined
  /** From 0 to 1, for `jitter`. */
  random?: (() => number) | undefined
  /** Must not reject. */
  run: (schedule: Schedule) => Promise<void>
  /** Told of a run that did not happen: `why` ends a sentence that begins with the schedule. */
  onSkipped: (schedule: Schedule, why: string) => void
}

export class Schedules {
  readonly #schedules: readonly Schedule[]
  readonly #clock: Clock
  readonly #sync: ClockSync
  readonly #random: () => number
  readonly #run: (schedule: Schedule) => Promise<void>
  readonly #onSkipped: (schedule: Schedule, why: string) => void
  #jobs: Job[] = []
  #timer: Timer | undefined
  /** The last second that was looked at, and when that was in monotonic ms. */
  #seen = 0
  #seenAt = 0
  /** Whether the clock could be believed then. */
  #wasSynced = false

  constructor(options: SchedulesOptions) {
    this.#schedules = options.schedules
    this.#clock = options.clock
    this.#sync = options.sync ?? { isSynced: () => true }
    this.#random = options.random ?? Math.random
    this.#run = options.run
    this.#onSkipped = options.onSkipped
  }

  /** Rejects when an expression or a time zone is wrong. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#schedules.length === 0) return
    const { cronTimes } = await import('./cron.ts')
    signal.throwIfAborted()
    try {
      for (const schedule of this.#schedules) {
        const times = cronTimes(schedule.cron, schedule.timezone)
        this.#jobs.push({ schedule, times, isRunning: false, jitter: undefined })
      }
    } catch (error) {
      this.stop()
      throw error
    }
    this.#remember(this.#second())
    this.#later()
  }

  /** Starts no more runs. One that is going on is left to end by itself. */
  stop(): void {
    this.#timer?.cancel()
    for (const { times, jitter } of this.#jobs) {
      jitter?.cancel()
      times.release()
    }
    this.#jobs = []
  }

  #second(): number {
    return Math.floor(this.#clock.wall() / SECOND_MS)
  }

  #remember(second: number): void {
    this.#seen = second
    this.#seenAt = this.#clock.monotonic()
    this.#wasSynced = this.#sync.isSynced()
  }

  #later(): void {
    this.#timer = this.#clock.after(SECOND_MS - (this.#clock.wall() % SECOND_MS), () => {
      this.#look()
      if (this.#jobs.length > 0) this.#later()
    })
  }

  #look(): void {
    const now = this.#second()
    const passed = now - this.#seen
    // Set back a little, as network time does it: what is done is not done again.
    if (passed <= 0 && -passed <= MAX_CATCH_UP_S) return
    const isStep = passed <= 0 || passed > MAX_CATCH_UP_S
    const wasPause = isStep && passed > 0 && this.#wasPause(passed)
    const from = isStep ? now : this.#seen + 1
    const before = this.#seen
    this.#remember(now)
    for (const job of this.#jobs) {
      const isDue = isAnySecond(job.times, from, now)
      const isMissed = wasPause && job.schedule.missed === 'once' && isAnyMinute(job.times, before, now)
      if (isDue || isMissed) this.#fire(job)
    }
  }

  /** Whether `passed` seconds of wall time really passed. */
  #wasPause(passed: number): boolean {
    const lived = (this.#clock.monotonic() - this.#seenAt) / SECOND_MS
    // Monotonic time stands still while the machine sleeps; that looks as if the clock was set, which nobody does to a right one.
    return passed - lived <= MAX_CATCH_UP_S || this.#wasSynced
  }

  #fire(job: Job): void {
    const { schedule } = job
    if (job.isRunning) {
      this.#onSkipped(schedule, 'is still busy with its last run; this one is skipped')
      return
    }
    if (schedule.whenSynced === true && !this.#sync.isSynced()) {
      this.#onSkipped(
        schedule,
        'waits until the clock is known to be right (store.trust_clock: always says that it is)',
      )
      return
    }
    job.isRunning = true
    const { jitter = 0 } = schedule
    if (jitter === 0) this.#begin(job)
    else job.jitter = this.#clock.after(Math.floor(this.#random() * jitter), () => this.#begin(job))
  }

  #begin(job: Job): void {
    void this.#run(job.schedule).finally(() => {
      job.isRunning = false
    })
  }
}

function isAnySecond(times: CronTimes, from: number, to: number): boolean {
  for (let second = from; second <= to; second++) if (times.matches(second)) return true
  return false
}

/** Whether there was a time after `from`, by whole minutes, and not before the longest that is looked back over. */
function isAnyMinute(times: CronTimes, from: number, to: number): boolean {
  const first = Math.max(from, to - MAX_MISSED_S)
  const firstMinute = first + SECONDS_PER_MINUTE - (first % SECONDS_PER_MINUTE)
  for (let minute = firstMinute; minute < to; minute += SECONDS_PER_MINUTE) if (times.matchesMinute(minute)) return true
  return false
}
