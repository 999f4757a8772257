import { describe, expect, test } from 'vitest'
import { expiryWarning } from '../../../src/listen/expiry.ts'

const DAY = 86_400_000
const END = Date.UTC(2026, 5, 1)

describe('the warning about a certificate that runs out', () => {
  test.each<[number, ReturnType<typeof expiryWarning>]>([
    [90, undefined],
    [30.001, undefined],
    [30, 30],
    [14.001, 30],
    [14, 14],
    [7.001, 14],
    [7, 7],
    [1.001, 7],
    [1, 1],
    [0.001, 1],
    [0, 0],
    [-400, 0],
  ])('with %d days left', (days, step) => {
    expect(expiryWarning(END, END - days * DAY)).toBe(step)
  })
})
