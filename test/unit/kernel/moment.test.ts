import { expect, test } from 'vitest'
import { Moment } from '../../../src/kernel/moment.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const POWER_CUT = Date.UTC(2026, 0, 1)

test('a moment keeps its wall time while nobody sets the clock', async () => {
  const clock = new ManualClock(POWER_CUT)
  const moment = new Moment(clock)
  await clock.advance(90_000)
  clock.jumpWall(3)
  expect([moment.wall, moment.age]).toEqual([POWER_CUT, 90_000])
})

test('a clock that is set puts right what was before, and once for all', async () => {
  const clock = new ManualClock(POWER_CUT)
  await clock.advance(1_000)
  const moment = new Moment(clock)
  await clock.advance(60_000)
  clock.jumpWall(86_400_000)
  expect(moment.wall).toBe(POWER_CUT + 86_400_000 + 1_000)
  await clock.advance(60_000)
  clock.jumpWall(2)
  expect([moment.wall, moment.age]).toEqual([POWER_CUT + 86_400_000 + 1_000, 120_000])
  clock.jumpWall(-86_400_000)
  expect(moment.wall).toBe(POWER_CUT + 1_002)
})

test('a moment may have been some time ago', () => {
  const moment = new Moment(new ManualClock(POWER_CUT), 5_000)
  expect([moment.wall, moment.age]).toEqual([POWER_CUT - 5_000, 5_000])
})
