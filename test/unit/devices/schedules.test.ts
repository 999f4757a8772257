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
    // Fifteen million seconds lie between: looking at each would take longer than a test may.
    await clock.advance(2 * SECOND)
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

describe('a schedule', () => {
  async function one(more: Partial<Schedule>, { random = 0.5, synced = true } = {}) {
    const clock = new ManualClock(Date.UTC(2026, 0, 1, 12))
    const state = { synced }
    const ran: string[] = []
    const skipped: string[] = []
    const schedules = new Schedules({
      schedules: [{ cron: '0 * * * *', timezone: 'UTC', poll: 'x', ...more }],
      clock,
      sync: { isSynced: () => state.synced },
      random: () => random,
      run: async () => void ran.push(new Date(clock.wall()).toISOString().slice(8, 19)),
      onSkipped: (_, why) => skipped.push(why),
    })
    await schedules.start(never)
    return { clock, state, ran, skipped, schedules }
  }

  it('with jitter runs a little later, once', async () => {
    const { clock, ran, schedules } = await one({ jitter: 30_000 }, { random: 0.7 })
    await clock.advance(2 * 60 * MINUTE + MINUTE)
    expect(ran).toEqual(['01T13:00:21', '01T14:00:21'])
    await clock.advance(59 * MINUTE + SECOND)
    schedules.stop()
    await clock.advance(MINUTE)
    expect(ran).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })

  it('that waits for a clock that is right says so, and runs from then on', async () => {
    const { clock, ran, skipped, state, schedules } = await one({ whenSynced: true }, { synced: false })
    await clock.advance(60 * MINUTE)
    expect(ran).toEqual([])
    expect(skipped).toEqual([expect.stringContaining('waits until the clock is known to be right')])
    state.synced = true
    await clock.advance(60 * MINUTE)
    expect(ran).toEqual(['01T14:00:00'])
    schedules.stop()
  })

  it.each<[string, Schedule['missed'], boolean, string[]]>([
    ['makes up for a sleep with one run when it is to', 'once', true, ['01T17:30:00', '01T18:00:00']],
    ['skips what fell into a sleep otherwise', undefined, true, ['01T18:00:00']],
    ['makes up for nothing when the clock may have been set', 'once', false, ['01T18:00:00']],
  ])('%s', async (_, missed, synced, expected) => {
    const { clock, ran, schedules } = await one(missed === undefined ? {} : { missed }, { synced })
    await clock.advance(30 * MINUTE - SECOND)
    // Monotonic time stands still while the machine sleeps.
    clock.jumpWall(5 * 60 * MINUTE)
    await clock.advance(30 * MINUTE + SECOND)
    expect(ran).toEqual(expected)
    schedules.stop()
  })

  it('makes up for a process that stood still, whatever the clock', async () => {
    const { clock, ran, schedules } = await one({ missed: 'once' }, { synced: false })
    const after = clock.after.bind(clock)
    // The timer of the next look comes hours late.
    clock.after = (_, fire) => after(3 * 60 * MINUTE, fire)
    await clock.advance(SECOND)
    clock.after = after
    await clock.advance(4 * 60 * MINUTE)
    expect(ran[0]).toBe('01T15:00:01')
    schedules.stop()
  })

  it('makes up for a time of six fields, and not for one of more than a day ago', async () => {
    const noon = { cron: '17 5 13 * * *', missed: 'once' } as const
    const { clock, ran, schedules } = await one(noon)
    await clock.advance(MINUTE)
    clock.jumpWall(2 * 60 * MINUTE)
    await clock.advance(MINUTE)
    expect(ran).toEqual(['01T14:01:01'])
    clock.jumpWall(22 * 60 * MINUTE)
    await clock.advance(MINUTE)
    expect(ran).toEqual(['01T14:01:01'])
    schedules.stop()
    const { clock: later, ran: runs, schedules: weekly } = await one({ cron: '0 13 1 1 *', missed: 'once' })
    await later.advance(MINUTE)
    later.jumpWall(3 * DAY)
    await later.advance(MINUTE)
    expect(runs).toEqual([])
    weekly.stop()
  })
})
