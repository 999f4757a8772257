/**
 * Cron expressions, read by `node-cron`; the only file that knows it. Only its parser and matcher are used: its own
 * timers follow the wall clock, which on a Pi without a clock battery jumps. Forward by a day, it walks
 * through every second in between and holds up the whole process for seconds; back, it is silent until
 * the clock has caught up. `schedules.ts` keeps the time instead.
 * Importing this takes 11 to 14 ms, so the gateway does it only when there are schedules.
 */
import { createTask, validateDetailed } from 'node-cron'

/** The times of one cron expression. */
export interface CronTimes {
  /** True when `second` (whole seconds since 1970) is one of the times. */
  matches(second: number): boolean
  /** True when one of the times lies in the minute that begins at `second`. */
  matchesMinute(second: number): boolean
  /** Gives back what node-cron keeps of it. */
  release(): void
}

const SECONDS_PER_MINUTE = 60

/** What is wrong with an expression of five or six fields (or `@daily` and the like) or with a time zone, or undefined. */
export function cronFault(expression: string, timezone?: string): string | undefined {
  const fault = validateDetailed(expression).errors[0]
  if (fault !== undefined) return fault.message
  if (timezone === undefined) return undefined
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
    return undefined
  } catch {
    return `${JSON.stringify(timezone)} is not a time zone; write one such as Europe/Berlin`
  }
}

/** Throws when `cronFault` has something to say. */
export function cronTimes(expression: string, timezone?: string): CronTimes {
  const fault = cronFault(expression, timezone)
  if (fault !== undefined) throw new Error(fault)
  const matcher = (of: string) => createTask(of, () => {}, timezone === undefined ? {} : { timezone })
  const task = matcher(expression)
  // Without a field for seconds only whole minutes can match (time zones differ by whole minutes), and to ask costs 10 µs.
  const fields = expression.trim().split(/\s+/)
  const bySecond = fields.length === 6
  const minutes = bySecond ? matcher(fields.slice(1).join(' ')) : task
  return {
    matches: second => (bySecond || second % SECONDS_PER_MINUTE === 0) && task.match(new Date(second * 1000)),
    matchesMinute: second => minutes.match(new Date(second * 1000)),
    release: () => {
      void task.destroy()
      if (minutes !== task) void minutes.destroy()
    },
  }
}
