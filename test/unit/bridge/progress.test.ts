/** How fast messages went, and when a backlog will be worked off. */
import { expect, test } from 'vitest'
import { Progress } from '../../../src/bridge/progress.ts'
import { RateLimit, RateMeter } from '../../../src/bridge/rate.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordLog } from '../../support/record-log.ts'

test('a backlog tells its progress every 30 s, when it will end, and its end', async () => {
  const clock = new ManualClock()
  const { log, lines } = recordLog()
  let waiting = 50_000
  let sent = 7
  const progress = new Progress({ clock, log, waiting: () => waiting, sent: () => sent })
  progress.begin()
  expect(progress.state).toEqual({ done: 0, of: 50_000, endsAt: undefined })
  for (let second = 0; second < 99; second++) {
    await clock.advance(1_000)
    // 600 go, and 100 come.
    sent += 600
    waiting -= 500
    progress.look()
  }
  expect(progress.state).toEqual({ done: 59_400, of: 59_900, endsAt: clock.wall() + 1_000 })
  await clock.advance(1_000)
  sent += 500
  waiting = 0
  progress.look()
  expect(progress.state).toBeUndefined()
  expect(lines.map(({ message, fields }) => [message, fields])).toEqual([
    ['bridge sends its backlog', { done: 18_000, of: 53_000, secondsLeft: 70 }],
    ['bridge sends its backlog', { done: 36_000, of: 56_000, secondsLeft: 40 }],
    ['bridge sends its backlog', { done: 54_000, of: 59_000, secondsLeft: 10 }],
    ['bridge has sent its backlog', { messages: 59_900, seconds: 100 }],
  ])
})

test('a backlog that grows has no end; a few messages are none', async () => {
  const clock = new ManualClock()
  const { log, lines } = recordLog()
  let waiting = 999
  const progress = new Progress({ clock, log, waiting: () => waiting, sent: () => 0 })
  progress.begin()
  expect(progress.state).toBeUndefined()
  waiting = 1_000
  progress.begin()
  waiting = 2_000
  await clock.advance(40_000)
  progress.look()
  expect(progress.state).toEqual({ done: 0, of: 2_000, endsAt: undefined })
  expect(lines[0]?.fields).toEqual({ done: 0, of: 2_000, secondsLeft: undefined })
  progress.end()
  expect(progress.state).toBeUndefined()
})

test('a rate is that of the last minute', async () => {
  const clock = new ManualClock()
  let total = 0
  const meter = new RateMeter({ clock, total: () => total })
  const run = async (seconds: number, perSecond: number) => {
    for (let second = 0; second < seconds; second++) {
      meter.look()
      await clock.advance(1_000)
      total += perSecond
    }
  }
  expect(meter.perSecond).toBe(0)
  await run(10, 5)
  expect(meter.perSecond).toBe(5)
  await run(90, 50)
  expect(meter.perSecond).toBe(50)
  await run(30, 0)
  expect(meter.perSecond).toBeGreaterThan(20)
  expect(meter.perSecond).toBeLessThan(30)
  await run(60, 0)
  expect(meter.perSecond).toBe(0)
})

test('a limit lets a second’s worth go at once, and a debt is paid first', async () => {
  const clock = new ManualClock()
  const limit = new RateLimit({ clock, rate: 4 })
  for (let i = 0; i < 4; i++) {
    expect(limit.pause).toBe(0)
    limit.spend()
  }
  expect(limit.pause).toBe(250)
  limit.spend()
  expect(limit.pause).toBe(500)
  await clock.advance(500)
  expect(limit.pause).toBe(0)
  limit.spend()
  await clock.advance(3_600_000)
  for (let i = 0; i < 4; i++) limit.spend()
  expect(limit.pause).toBe(250)
})
