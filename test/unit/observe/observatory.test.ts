/** What the observatory adds to the figures: the process, and an event loop that is behind. */
import { expect, test } from 'vitest'
import type { Clock } from '../../../src/kernel/clock.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { Observatory } from '../../../src/observe/observatory.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { figures } from './figures.ts'

function observatory(clock: Clock) {
  const topics: string[] = []
  const { process: _, ...gathered } = figures({ troubles: ['the disk is nearly full'] })
  const made = new Observatory({
    settings: { sysInterval: 10_000 },
    clock,
    log: silentLog,
    gather: () => gathered,
    publish: topic => void topics.push(topic),
  })
  return { made, topics }
}

test('an event loop that is far behind is a trouble until it beats again', async () => {
  const clock = new ManualClock()
  let stalled = 0
  // Time goes on and no timer fires: what a stuck loop looks like to whoever is let in between.
  const { made } = observatory({
    wall: () => clock.wall() + stalled,
    monotonic: () => clock.monotonic() + stalled,
    after: (delay, fire) => clock.after(delay, fire),
    every: (period, fire) => clock.every(period, fire),
  })
  await made.start(new AbortController().signal)
  try {
    await clock.advance(3_000)
    expect(made.look().troubles).toEqual(['the disk is nearly full'])
    stalled = 8_000
    expect(made.look().troubles).toEqual(['the disk is nearly full', 'the event loop is 7 s behind'])
    // The beat that comes late still tells of it, the next does not.
    await clock.advance(1_000)
    expect(made.look().troubles).toHaveLength(2)
    await clock.advance(1_000)
    expect(made.look().troubles).toEqual(['the disk is nearly full'])
  } finally {
    await made.stop()
  }
  expect(clock.pending).toBe(0)
})

test('the process is looked at as it is', async () => {
  const { made, topics } = observatory(new ManualClock())
  await made.start(new AbortController().signal)
  const { heap, heapMost, resident, processor } = made.look().process
  await made.stop()
  expect(resident).toBeGreaterThan(heap)
  expect(heapMost).toBeGreaterThanOrEqual(heap)
  expect(processor).toBeGreaterThan(0)
  expect(processor).toBeLessThan(process.uptime() * 1000 * 16)
  expect(topics).toContain('$SYS/broker/heap/current')
})
