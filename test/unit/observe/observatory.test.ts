/** What the observatory adds to the figures: the process, and an event loop that is behind. */
import { readdirSync } from 'node:fs'
import { expect, test } from 'vitest'
import type { Clock } from '../../../src/kernel/clock.ts'
import { type LogTopics, silentLog } from '../../../src/kernel/log.ts'
import { Observatory } from '../../../src/observe/observatory.ts'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { figures } from './figures.ts'

function observatory(clock: Clock, more: Partial<ConstructorParameters<typeof Observatory>[0]> = {}) {
  const topics: string[] = []
  const { process: _, ...gathered } = figures({ troubles: ['the disk is nearly full'] })
  const made = new Observatory({
    settings: { sysInterval: 10_000 },
    clock,
    log: silentLog,
    gather: () => gathered,
    doorkeeper: () => Promise.reject(new Error('there are no users here')),
    certificateFiles: () => [],
    publish: topic => void topics.push(topic),
    ...more,
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
    expect(made.look().troubles).toEqual(['the disk is nearly full', 'the event loop is 8 s behind'])
    // The beat that comes late still tells of it, the next does not.
    await clock.advance(500)
    expect(made.look().troubles).toHaveLength(2)
    await clock.advance(500)
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
  const { open = 0, most = 0 } = made.look().process.files ?? {}
  expect(Math.abs(open - readdirSync('/proc/self/fd').length)).toBeLessThan(5)
  expect(most).toBeGreaterThan(open)
})

test('an event loop that nobody watches yet is not behind', () => {
  const clock = new ManualClock()
  const { made } = observatory({ ...clock, wall: () => 0, monotonic: () => 1e9 } as unknown as Clock)
  expect(made.look().troubles).toEqual(['the disk is nearly full'])
})

test('what time it was at the start of the process is corrected when the clock is set', () => {
  const clock = new ManualClock()
  const { made } = observatory(clock)
  const first = made.look().process.startedAt
  expect(Math.abs(first - clock.wall() + process.uptime() * 1000)).toBeLessThan(5_000)
  clock.jumpWall(86_400_000)
  expect(made.look().process.startedAt).toBe(first + 86_400_000)
})

test('lines of the log are published while it runs, and not kept', async () => {
  const said: unknown[] = []
  const logTopics: LogTopics = { send: null }
  const publish = (...message: unknown[]) => void said.push(message)
  const { made } = observatory(new ManualClock(), { settings: { sysInterval: 0 }, logTopics, publish })
  expect(logTopics.send).toBeNull()
  await made.start(new AbortController().signal)
  logTopics.send?.('$SYS/broker/log/W', '1: x')
  expect(said).toEqual([['$SYS/broker/log/W', '1: x', false]])
  await made.stop()
  expect(logTopics.send).toBeNull()
})

test('settings that are given up leave nothing behind', async () => {
  const { made } = observatory(new ManualClock())
  await made.start(new AbortController().signal)
  const port = await freePort()
  const settings = { sysInterval: 0, listen: { host: '127.0.0.1', port } }
  try {
    {
      await using _ = await made.prepare(settings)
      expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(503)
    }
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow('fetch failed')
    await expect(made.prepare({ ...settings, passwordFile: '/nobody' })).rejects.toThrow('there are no users here')
    // It can be had later.
    const prepared = await made.prepare(settings)
    await prepared.commit()
    await prepared[Symbol.asyncDispose]()
    expect((await fetch(`http://127.0.0.1:${port}/healthz`)).status).toBe(503)
  } finally {
    await made.stop()
  }
})
