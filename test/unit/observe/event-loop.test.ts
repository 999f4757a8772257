import { expect, test } from 'vitest'
import { EventLoop } from '../../../src/observe/event-loop.ts'
import { ManualClock } from '../../support/manual-clock.ts'

test('tells how late beats came, in the middle and at worst, and forgets what is long ago', async () => {
  const clock = new ManualClock()
  let late = 0
  const loop = new EventLoop({
    clock: {
      ...clock,
      wall: () => clock.wall(),
      monotonic: () => clock.monotonic() + late,
      after: clock.after.bind(clock),
      every: clock.every.bind(clock),
    },
  })
  loop.start()
  expect(loop.delays).toEqual({ median: 0, p99: 0, worst: 0 })
  await clock.advance(5_000)
  late = 300
  await clock.advance(500)
  expect(loop.delays).toEqual({ median: 0, p99: 300, worst: 300 })
  expect(loop.late).toBe(300)
  await clock.advance(60_000)
  expect(loop.delays).toEqual({ median: 0, p99: 0, worst: 0 })
  // Nothing beats while the loop is stuck.
  late += 7_000
  expect(loop.late).toBe(6_500)
  loop.stop()
})
