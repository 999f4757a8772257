/** Deadband, intervals and windows as state machines: whatever comes and whenever, what goes out keeps the promises. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Channel } from '../../../src/devices/channel.ts'
import { Pace } from '../../../src/devices/pace.ts'
import type { WindowKind } from '../../../src/devices/ports.ts'
import { MAX_MEDIAN_VALUES, MAX_WINDOW_NAMES, Window } from '../../../src/devices/window.ts'
import { ManualClock } from '../../support/manual-clock.ts'

type Step = { wait: number } | { value: number } | 'rest'

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ wait: fc.nat(400) }) },
  { weight: 4, arbitrary: fc.record({ value: fc.integer({ min: -10, max: 10 }) }) },
  { weight: 1, arbitrary: fc.constant<Step>('rest') },
)

const intervals = fc.record({
  min: fc.option(fc.integer({ min: 1, max: 300 }), { nil: undefined }),
  longer: fc.option(fc.nat(300), { nil: undefined }),
  band: fc.integer({ min: -1, max: 5 }),
})

test('a pace is never too fast, never too slow, and the last value gets out', async () => {
  let renewed = 0
  let heldBack = 0
  await fc.assert(
    fc.asyncProperty(
      intervals,
      fc.array(step, { maxLength: 40, size: 'max' }),
      async ({ min, longer, band }, steps) => {
        const max = longer === undefined ? undefined : (min ?? 1) + longer
        const clock = new ManualClock()
        const moved = (a: number, b: number) => Math.abs(a - b) > band
        const sent: { at: number; index: number }[] = []
        const values: number[] = []
        const pace = new Pace<number>({
          clock,
          min,
          max,
          hasMoved: (before, now) => moved(values[before]!, values[now]!),
          publish: index => sent.push({ at: clock.monotonic(), index }),
        })
        /** Since when the device is away. */
        let restedAt: number | undefined
        const due = () => {
          // Never older than the longest interval, unless the device was away since.
          const last = sent.at(-1)
          if (max === undefined || last === undefined) return
          if (restedAt === undefined) expect(clock.monotonic() - last.at).toBeLessThanOrEqual(max)
          // While it is away, only what was held goes out.
          else expect(last.at - restedAt).toBeLessThanOrEqual(min ?? 0)
        }
        let spoke = 0
        for (const one of steps) {
          if (one === 'rest') {
            pace.rest()
            restedAt = clock.monotonic()
          } else if ('wait' in one) {
            await clock.advance(one.wait)
            due()
          } else {
            const before = sent.length
            values.push(one.value)
            restedAt = undefined
            spoke = clock.monotonic()
            pace.offer(values.length - 1)
            const isFree = before === 0 || clock.monotonic() - sent[before - 1]!.at >= (min ?? 0)
            if (before === 0) expect(sent).toHaveLength(1)
            else if (isFree && moved(values[sent[before - 1]!.index]!, one.value)) expect(sent).toHaveLength(before + 1)
          }
        }
        // The last value gets out, or says nothing new.
        await clock.advance(Math.max(0, spoke + (min ?? 0) - clock.monotonic()))
        const latest = values.length - 1
        if (latest >= 0 && sent.at(-1)!.index !== latest) {
          expect(moved(values[sent.at(-1)!.index]!, values[latest]!)).toBe(false)
          heldBack++
        }
        for (const [i, { at, index }] of sent.entries()) {
          if (i === 0) continue
          expect(at - sent[i - 1]!.at).toBeGreaterThanOrEqual(min ?? 0)
          expect(index).toBeGreaterThanOrEqual(sent[i - 1]!.index)
          if (index === sent[i - 1]!.index) renewed++
        }
        pace.stop()
        expect(clock.pending).toBe(0)
      },
    ),
    { numRuns: 300 },
  )
  // Both happened, or the property says little.
  expect(Math.min(renewed, heldBack)).toBeGreaterThan(0)
})

const kinds: WindowKind[] = ['average', 'min', 'max', 'median', 'sum', 'last']

function expected(of: WindowKind, values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const sum = values.reduce((a, b) => a + b, 0)
  const half = Math.floor(values.length / 2)
  const median = values.length % 2 === 1 ? sorted[half]! : (sorted[half - 1]! + sorted[half]!) / 2
  return { average: sum / values.length, min: sorted[0]!, max: sorted.at(-1)!, median, sum, last: values.at(-1)! }[of]
}

const item = (name: string, value: number | string) => ({ name, value, shape: { scale: 1, offset: 0 } })

test('a window comes to what its values come to, each name by itself', () => {
  const values = fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: -1000, max: 1000 })), {
    minLength: 1,
  })
  fc.assert(
    fc.property(fc.constantFrom(...kinds), values, values, (of, ...windows) => {
      const window = new Window({ of })
      for (const each of windows) {
        for (const [name, value] of each) expect(window.add([item(name, value)])).toBe(true)
        const closed = window.close()
        const names = [...new Set(each.map(([name]) => name))]
        expect(closed.map(({ name }) => name)).toEqual(names)
        for (const { name, value } of closed) {
          const own = each.filter(([which]) => which === name).map(([, number]) => number)
          expect(value).toBeCloseTo(expected(of, own), 6)
        }
      }
    }),
  )
})

test('a window is bounded, and takes text as it was last', () => {
  const window = new Window({ of: 'median' })
  for (let i = 0; i < 10 * MAX_MEDIAN_VALUES; i++) window.add([item('n', i < 9 * MAX_MEDIAN_VALUES ? 1e6 : 5)])
  for (const text of ['open', 'closed']) window.add([item('door', text)])
  expect(window.close().map(({ value }) => value)).toEqual([5, 'closed'])
  for (let i = 0; i < MAX_WINDOW_NAMES; i++) expect(window.add([item(`n${i}`, 1)])).toBe(true)
  expect(window.add([item('one more', 1)])).toBe(false)
  expect(window.close()).toHaveLength(MAX_WINDOW_NAMES)
})

test('sums of windows lose nothing, however they are held back', async () => {
  const timeline = fc.array(fc.tuple(fc.nat(300), fc.integer({ min: 0, max: 100 })), { minLength: 1, maxLength: 40 })
  await fc.assert(
    fc.asyncProperty(timeline, fc.integer({ min: 10, max: 1000 }), async (readings, every) => {
      const clock = new ManualClock()
      let total = 0
      const ends: number[] = []
      const channel = new Channel({
        pacing: { window: { every, of: 'sum' } },
        clock,
        publish: ({ items }) => {
          total += items[0]!.value as number
          ends.push(clock.monotonic())
        },
      })
      for (const [wait, value] of readings) {
        await clock.advance(wait)
        channel.offer({ items: [item('', value)], time: undefined })
      }
      const before = ends.length
      for (let i = 1; i < before; i++) expect(ends[i]! - ends[i - 1]!).toBeGreaterThanOrEqual(every)
      channel.stop()
      expect(ends.length - before).toBeLessThanOrEqual(1)
      expect(total).toBe(readings.reduce((sum, [, value]) => sum + value, 0))
      expect(clock.pending).toBe(0)
    }),
  )
})
