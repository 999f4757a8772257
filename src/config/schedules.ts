/** `schedules`: what happens at which time. */
import * as v from 'valibot'
import type { ScheduleConfig } from './schema.ts'
import { likelySpelling } from './spelling.ts'
import { exactlyOne, list, map, type Report } from './structure.ts'
import { topicName } from './topics.ts'
import { choice, duration, flag, payload, type Schema, text } from './values.ts'

/** Whether a cron expression can be read: known to the folder that runs the schedules. */
export interface Checks {
  /** What is wrong with `expression`, as a sentence fragment, or undefined. */
  cron(expression: string, timezone?: string): string | undefined
}

const ACTIONS = ['poll', 'publish', 'set'] as const

export function scheduleList(checks: Checks): Schema<ScheduleConfig[]> {
  return list(schedule(checks), { example: 'cron: "*/5 * * * *"' })
}

function schedule(checks: Checks): Schema<ScheduleConfig> {
  const entries = {
    name: v.exactOptional(text({ example: 'Morning' })),
    cron: text({ example: '"*/5 * * * *"' }),
    timezone: v.exactOptional(text({ example: 'Europe/Berlin', fault: timezoneFault })),
    jitter: v.exactOptional(duration({ min: 0, max: 3_600_000, example: '30s' })),
    when_synced: v.exactOptional(flag()),
    missed: v.exactOptional(choice(['skip', 'once'])),
    poll: v.exactOptional(text({ example: 'Thermometer' })),
    publish: v.exactOptional(
      map(
        {
          topic: topicName('/Home/Kitchen/bell'),
          payload: payload('ring'),
          qos: v.optional(choice([0, 1, 2]), 0),
          retain: v.optional(flag(), false),
        },
        { example: 'topic: /Home/Kitchen/bell' },
      ),
    ),
    set: v.exactOptional(map({ device: text({ example: 'Lamp' }), value: payload('on') }, { example: 'device: Lamp' })),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    exactlyOne(written, ACTIONS, 'a schedule', report)
    const { cron, timezone } = written
    if (typeof cron !== 'string' || cron === '') return
    const isZone = typeof timezone === 'string' && timezoneFault(timezone) === undefined
    const fault = isZone ? checks.cron(cron, timezone) : checks.cron(cron)
    if (fault !== undefined) report(fault, ['cron'])
  }
  return v.pipe(
    map(entries, { example: 'cron: "*/5 * * * *"', present: ACTIONS, check }),
    v.transform(({ poll, publish, set, ...common }): ScheduleConfig => {
      if (poll !== undefined) return { ...common, poll }
      return publish === undefined ? { ...common, set: set! } : { ...common, publish }
    }),
  )
}

function timezoneFault(timezone: string): string | undefined {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
    return undefined
  } catch {
    const likely = likelySpelling(timezone, Intl.supportedValuesOf('timeZone'))
    const hint = likely === undefined ? 'write one such as Europe/Berlin' : `did you mean '${likely}'?`
    return `is not the name of a time zone; ${hint}`
  }
}
