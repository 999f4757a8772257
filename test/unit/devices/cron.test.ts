import { getTasks } from 'node-cron'
import { describe, expect, it } from 'vitest'
import { cronFault, cronTimes } from '../../../src/devices/cron.ts'

const second = (iso: string) => Date.parse(iso) / 1000

describe('cronFault', () => {
  it.each(['* * * * *', '*/5 * * * *', '0 7 * * 1-5', '30 0 7 * * *', '@daily', '0 0 1 JAN *'])(
    'accepts %s',
    expression => expect(cronFault(expression)).toBeUndefined(),
  )

  it.each([
    ['* * * *', 'expected 5 or 6 fields but got 4'],
    ['61 * * * *', '61'],
    ['* 25 * * *', '25'],
    ['0 0 31 2 *', 'impossible'],
    ['every day', 'fields'],
    ['', 'illegal'],
    ['* * * * * ; rm', 'illegal'],
  ])('says what is wrong with %j', (expression, fault) => expect(cronFault(expression)).toContain(fault))

  it('knows time zones', () => {
    expect(cronFault('* * * * *', 'Europe/Berlin')).toBeUndefined()
    expect(cronFault('* * * * *', 'Europe/Berln')).toContain('"Europe/Berln" is not a time zone')
  })
})

describe('cronTimes', () => {
  it('matches whole minutes when there is no field for seconds', () => {
    const times = cronTimes('0 7 * * *', 'UTC')
    expect(times.matches(second('2026-03-01T07:00:00Z'))).toBe(true)
    expect(times.matches(second('2026-03-01T07:00:01Z'))).toBe(false)
    expect(times.matches(second('2026-03-01T08:00:00Z'))).toBe(false)
    times.release()
  })

  it('matches seconds, in the time zone', () => {
    const times = cronTimes('15 30 7 * * *', 'Asia/Kolkata')
    expect(times.matches(second('2026-03-01T02:00:15Z'))).toBe(true)
    expect(times.matches(second('2026-03-01T02:00:14Z'))).toBe(false)
    times.release()
  })

  it('leaves nothing in the registry of node-cron', () => {
    const before = getTasks().size
    const times = cronTimes('* * * * *')
    expect(getTasks().size).toBe(before + 1)
    times.release()
    expect(getTasks().size).toBe(before)
  })

  it('refuses what has a fault', () => expect(() => cronTimes('* * *')).toThrow('fields'))
})
