import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isoTime } from '../../../src/kernel/iso-time.ts'

/** The last millisecond that a calendar has, on both sides of 1970. */
const LAST = 8.64e15

test('a time is written as V8 writes it', () => {
  const near = fc.integer({ min: Date.UTC(1000, 0, 1) - 10, max: Date.UTC(10_000, 0, 1) + 10 })
  const any = fc.integer({ min: -LAST, max: LAST })
  fc.assert(
    fc.property(fc.oneof(near, any), time => {
      expect(isoTime(time)).toBe(new Date(time).toISOString())
    }),
  )
})

test.each([Date.UTC(1000, 0, 1), Date.UTC(10_000, 0, 1), 0, 0.5, -0.5])('%d ms and its neighbours as well', time => {
  for (const near of [time - 1, time, time + 1]) expect(isoTime(near)).toBe(new Date(near).toISOString())
})

test.each([Number.NaN, LAST + 1, Number.POSITIVE_INFINITY])('%d is no time', time => {
  expect(() => isoTime(time)).toThrow(RangeError)
})
