/** Edges to pulses: whatever bounces and spikes there are, the pulses are counted, each once. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Pulses } from '../../../device/gpio/pulses.ts'
import { PulseRate } from '../../../device/gpio/rate.ts'

const DEBOUNCE = 20
const HOUR = 3_600_000

/** Edges around one that is meant, each less than the debounce time after the one before; there and back, so they change nothing. */
const bounces = fc.array(fc.tuple(fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 9 })), { maxLength: 6 })
const stands = fc.integer({ min: DEBOUNCE, max: 1_000 })

test('bounces and spikes neither make a pulse nor split one', () => {
  const pulse = fc.record({
    on: stands,
    off: stands,
    atOn: bounces,
    atOff: bounces,
    spike: fc.integer({ min: 0, max: 19 }),
  })
  fc.assert(
    fc.property(fc.array(pulse, { maxLength: 30 }), fc.boolean(), (pulses, isInverted) => {
      const filter = new Pulses({ debounce: DEBOUNCE, edge: isInverted ? 'falling' : 'rising', level: isInverted })
      let now = 0
      let count = 0
      const go = (level: boolean) => {
        count += filter.edge(level !== isInverted, now)
      }
      const turn = (level: boolean, around: [number, number][]) => {
        go(level)
        for (const [there, back] of around) {
          now += there
          go(!level)
          now += back
          go(level)
        }
      }
      for (const { on, off, atOn, atOff, spike } of pulses) {
        now += off
        turn(true, atOn)
        now += on
        turn(false, atOff)
        now += DEBOUNCE
        go(true)
        now += spike
        go(false)
      }
      count += filter.settle(now + DEBOUNCE)
      expect(count).toBe(pulses.length)
    }),
  )
})

test('what stands at the end is known when it is asked for, once', () => {
  const filter = new Pulses({ debounce: DEBOUNCE, edge: 'rising', level: false })
  expect(filter.edge(true, 100)).toBe(0)
  expect(filter.settle(119)).toBe(0)
  expect(filter.settle(120)).toBe(1)
  expect(filter.settle(500)).toBe(0)
  expect(filter.edge(false, 600)).toBe(0)
})

test('a level that stands to begin with is no pulse', () => {
  const filter = new Pulses({ debounce: DEBOUNCE, edge: 'rising', level: true })
  expect(filter.settle(1_000)).toBe(0)
  expect(filter.edge(false, 1_000)).toBe(0)
})

test('without debouncing each edge of its kind is a pulse, also when the other is not told', () => {
  const count = (edge: 'rising' | 'falling' | 'both') => {
    const filter = new Pulses({ debounce: 0, edge, level: false })
    return [true, true, true, false, true].reduce((sum, level, at) => sum + filter.edge(level, at), 0)
  }
  expect([count('rising'), count('falling'), count('both')]).toEqual([4, 1, 5])
})

test('the rate of even pulses is theirs, however reports fall between them', () => {
  const gaps = fc.integer({ min: 10, max: 600_000 })
  fc.assert(
    fc.property(
      gaps,
      fc.integer({ min: 1_000, max: 60_000 }),
      fc.integer({ min: 2, max: 50 }),
      (gap, every, pulses) => {
        const rate = new PulseRate()
        let highest = 0
        let next = every
        for (let pulse = 1; pulse <= pulses; pulse++) {
          for (; next < pulse * gap; next += every) {
            highest = Math.max(highest, rate.report(next))
          }
          rate.add(1, pulse * gap)
        }
        // Between pulses it may only fall.
        expect(highest).toBeLessThanOrEqual((HOUR / gap) * (1 + 1e-9))
        expect(rate.report(pulses * gap)).toBeCloseTo(HOUR / gap, 6)
      },
    ),
  )
})
