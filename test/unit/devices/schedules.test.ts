import { describe, expect, it } from 'vitest'
import type { Schedule } from '../../../src/devices/ports.ts'
import { MAX_CATCH_UP_S, Schedules } from '../../../src/devices/schedules.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const DAY = 24 * 60 * MINUTE
const never = new AbortController().signal

async function started(crons: string[], run: (schedule: Schedule) => Promise<void> = async () => {}) {
  const clock = new ManualClock(Date.UTC(2026, 0, 1, 12, 0, 0, 250))
  const ran: string[] = []
  const skipped: string[] = []
  const schedules = new Schedules({
    schedules: crons.map(cron => ({ name: cron, cron, timezone: 'UTC', poll: 'x' })),
    clock,
    run: schedule => {
      ran.push(`${schedule.name} at ${new Date(clock.wall()).toISOString().slice(11, 19)}`)
      return run(schedule)
    },
    onSkipped: schedule => skipped.push(schedule.cron),
  })
  await schedules.start(never)
  return { clock, ran, skipped, schedules }
}

describe('Schedules', () => {
  it('runs at the times of each expression, once', async () => {
    const { clock, ran, schedules } = await started(['*/2 * * * *', '*/20 * * * * *'])
    await clock.advance(2 * MINUTE)
    expect(ran).toEqual([
      '*/20 * * * * * at 12:00:20',
      '*/20 * * * * * at 12:00:40',
      '*/20 * * * * * at 12:01:00',
      '*/20 * * * * * at 12:01:20',
      '*/20 * * * * * at 12:01:40',
      '*/2 * * * * at 12:02:00',
      '*/20 * * * * * at 12:02:00',
    ])
    schedules.stop()
    expect(clock.pending).toBe(0)
    await clock.advance(DAY / 24)
    expect(ran).toHaveLength(7)
  })

  it('does not make up for what lies between when the clock jumps ahead by half a year', async () => {
    const { clock, ran, schedules } = await started(['* * * * * *', '*/2 * * * *'])
    await clock.advance(SECOND)
    ran.length = 0
    clock.jumpWall(180 * DAY + 30 * SECOND)
    const begun = performance.now()
    await clock.advance(2 * SECOND)
    expect(performance.now() - begun).toBeLessThan(1000)
    expect(ran.map(line => line.slice(0, 11))).toEqual(['* * * * * *', '* * * * * *'])
    schedules.stop()
  })

  it('goes on at once when the clock is set back by a year', async () => {
    const { clock, ran, schedules } = await started(['*/2 * * * *'])
    clock.jumpWall(-365 * DAY)
    await clock.advance(3 * MINUTE)
    expect(ran).toHaveLength(1)
    schedules.stop()
  })

  it('does nothing twice when network time sets the clock back by a second', async () => {
    const { clock, ran, schedules } = await started(['*/10 * * * * *'])
    await clock.advance(10 * SECOND)
    clock.jumpWall(-SECOND)
    await clock.advance(5 * SECOND)
    expect(ran).toHaveLength(1)
    schedules.stop()
  })

  it('makes up for what a busy moment held up', async () => {
    const { clock, ran, schedules } = await started(['*/2 * * * *'])
    await clock.advance(1 * MINUTE + 50 * SECOND)
    clock.jumpWall((MAX_CATCH_UP_S - 2) * SECOND)
    await clock.advance(SECOND)
    expect(ran).toHaveLength(1)
    schedules.stop()
  })

  it('skips a run that is due while the last one goes on, and others do not wait', async () => {
    let finish = () => {}
    const { clock, ran, skipped, schedules } = await started(['*/10 * * * * *', '*/15 * * * * *'], schedule =>
      schedule.cron.startsWith('*/10')
        ? new Promise(resolve => {
            finish = resolve
          })
        : Promise.resolve(),
    )
    await clock.advance(35 * SECOND)
    expect(skipped).toEqual(['*/10 * * * * *', '*/10 * * * * *'])
    expect(ran.filter(line => line.startsWith('*/15'))).toHaveLength(2)
    finish()
    await clock.advance(6 * SECOND)
    expect(ran.filter(line => line.startsWith('*/10'))).toHaveLength(2)
    schedules.stop()
  })

  it('does not start with a wrong expression and leaves no timer', async () => {
    const clock = new ManualClock()
    const schedules = new Schedules({
      schedules: [{ cron: '* * * * *' }, { cron: 'often' }],
      clock,
      run: async () => {},
      onSkipped: () => {},
    })
    await expect(schedules.start(never)).rejects.toThrow('fields')
    expect(clock.pending).toBe(0)
  })

  it('has no timer when there is nothing to do', async () => {
    const { clock } = await started([])
    expect(clock.pending).toBe(0)
  })
})
