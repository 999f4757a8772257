/** The time of the store: over restarts, and over clocks that jump by years. */
import { expect, test } from 'vitest'
import { decodeTime, encodeTime, FIRST_TIME, StoreTime, type TimeRecord } from '../../../src/store/time.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR

/** A machine: its clock, and whether that can be believed. */
function machine(options: { wall?: number; isSynced?: boolean } = {}) {
  const clock = new ManualClock(options.wall)
  const sync = { synced: options.isSynced ?? true, isSynced: () => sync.synced }
  return { clock, sync, time: new StoreTime({ clock, sync }) }
}

/** What is found on the disk after it was written there. */
const stored = (record: TimeRecord | undefined): TimeRecord => decodeTime(encodeTime(record as TimeRecord))

test('begins at the first time and goes by the monotonic clock, whatever the wall clock does', async () => {
  const { clock, time } = machine()
  expect(time.now()).toBe(FIRST_TIME.elapsed)
  await clock.advance(HOUR)
  clock.jumpWall(40 * YEAR)
  clock.jumpWall(-56 * YEAR)
  expect(time.now()).toBe(FIRST_TIME.elapsed + HOUR)
})

test('goes on after a restart, the time off included, when the clock could be believed before and after', async () => {
  const before = machine()
  await before.clock.advance(HOUR)
  const record = stored(before.time.record(0))
  const after = machine({ wall: before.clock.wall() + 5 * HOUR })
  after.time.load(record)
  expect(after.time.now()).toBe(FIRST_TIME.elapsed + 6 * HOUR)
})

test.each([
  ['before', { isSynced: false }, { isSynced: true }],
  ['after', { isSynced: true }, { isSynced: false }],
])('leaves the time off out when the clock could not be believed %s', (_, first, second) => {
  const before = machine(first)
  const record = stored(before.time.record(0))
  const after = machine({ ...second, wall: before.clock.wall() + 20 * YEAR })
  after.time.load(record)
  expect(after.time.now()).toBe(FIRST_TIME.elapsed)
})

test('adds the time off, once, when the clock is set while it runs', async () => {
  const before = machine()
  const record = stored(before.time.record(0))
  const after = machine({ wall: 0, isSynced: false })
  after.time.load(record)
  await after.clock.advance(HOUR)
  expect(after.time.now()).toBe(FIRST_TIME.elapsed + HOUR)
  // It was off for two hours and has run for one.
  after.clock.jumpWall(before.clock.wall() + 3 * HOUR - after.clock.wall())
  after.sync.synced = true
  after.time.catchUp()
  after.time.catchUp()
  expect(after.time.now()).toBe(FIRST_TIME.elapsed + 3 * HOUR)
})

test('does not forget the time off when it is stopped again before the clock is set', async () => {
  const first = machine()
  const record = stored(first.time.record(0))
  const second = machine({ wall: 0, isSynced: false })
  second.time.load(record)
  await second.clock.advance(HOUR)
  const again = stored(second.time.record(0))
  // Ten hours after the first was stopped.
  const third = machine({ wall: first.clock.wall() + 10 * HOUR })
  third.time.load(again)
  expect(third.time.now()).toBe(FIRST_TIME.elapsed + 10 * HOUR)
})

test('never goes back, though the wall clock did', () => {
  const before = machine()
  const record = stored(before.time.record(0))
  const after = machine({ wall: before.clock.wall() - YEAR })
  after.time.load(record)
  expect(after.time.now()).toBe(FIRST_TIME.elapsed)
})

test('is written no more often than asked', async () => {
  const { clock, time } = machine()
  expect(time.record(10_000)).toEqual({ elapsed: FIRST_TIME.elapsed, wall: clock.wall() })
  await clock.advance(9_999)
  expect(time.record(10_000)).toBeUndefined()
  await clock.advance(1)
  expect(time.record(10_000)?.elapsed).toBe(FIRST_TIME.elapsed + 10_000)
  expect(time.record(0)).toBeDefined()
})

test('is written at once when the clock was set: a crash must not take the leap for time off', async () => {
  const { clock, time } = machine()
  clock.jumpWall(-6 * YEAR)
  time.record(10_000)
  clock.jumpWall(6 * YEAR)
  const before = stored(time.record(10_000))
  const after = machine({ wall: clock.wall() + HOUR })
  after.time.load(before)
  expect(after.time.now()).toBe(FIRST_TIME.elapsed + HOUR)
})
