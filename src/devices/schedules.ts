/**
 * Does things at the times of cron expressions. Once a second it looks which of the seconds since the last look are
 * due. The wall clock may jump: a step of more than `MAX_CATCH_UP_S` either way is taken as the clock having
 * been set, and what lies between is not made up for. A run that is due while the last one of the
 * same schedule still goes on is skipped. Local times that the change to summer time leaves out do not
 * come that day; those that the change back repeats come twice; `timezone: UTC` has neither.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { CronTimes } from './cron.ts'
import type { Schedule } from './ports.ts'

/** Longest pause in s after which missed runs are made up for, once each: a busy moment, not a clock that was set. */
export const MAX_CATCH_UP_S = 60

const SECOND_MS = 1000

interface Job {
  readonly schedule: Schedule
  readonly times: CronTimes
  running: boolean
}

export class Schedules {
  readonly #schedules: readonly Schedule[]
  readonly #clock: Clock
  readonly #run: (schedule: Schedule) => Promise<void>
  readonly #onSkipped: (schedule: Schedule) => void
  #jobs: Job[] = []
  #timer: Timer | undefined
  /** The last second that was looked at. */
  #seen = 0

  /** `run` must not reject. `onSkipped` is told of a run that was due while the last one still went on. */
  constructor(options: {
    schedules: readonly Schedule[]
    clock: Clock
    run: (schedule: Schedule) => Promise<void>
    onSkipped: (schedule: Schedule) => void
  }) {
    this.#schedules = options.schedules
    this.#clock = options.clock
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
        this.#jobs.push({ schedule, times: cronTimes(schedule.cron, schedule.timezone), running: false })
      }
    } catch (error) {
      this.stop()
      throw error
    }
    this.#seen = this.#second()
    this.#later()
  }

  /** Starts no more runs. One that is going on is left to end by itself. */
  stop(): void {
    this.#timer?.cancel()
    for (const { times } of this.#jobs) times.release()
    this.#jobs = []
  }

  #second(): number {
    return Math.floor(this.#clock.wall() / SECOND_MS)
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
    const from = passed > 0 && passed <= MAX_CATCH_UP_S ? this.#seen + 1 : now
    this.#seen = now
    for (const job of this.#jobs) {
      for (let second = from; second <= now; second++) {
        if (!job.times.matches(second)) continue
        this.#fire(job)
        break
      }
    }
  }

  #fire(job: Job): void {
    if (job.running) {
      this.#onSkipped(job.schedule)
      return
    }
    job.running = true
    void this.#run(job.schedule).finally(() => {
      job.running = false
    })
  }
}
