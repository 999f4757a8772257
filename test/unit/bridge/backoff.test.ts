import { describe, expect, test } from 'vitest'
import { Backoff } from '../../../src/bridge/backoff.ts'

describe('back-off', () => {
  test('draws between min and three times the last pause, up to max', () => {
    const draws = [0.5, 1, 0, 1, 1, 1]
    const backoff = new Backoff({ min: 100, max: 2_000, random: () => draws.shift() ?? 1 })
    expect([1, 2, 3, 4, 5, 6].map(() => backoff.next())).toEqual([200, 600, 100, 300, 900, 2_000])
  })

  test('begins again after a reset', () => {
    const backoff = new Backoff({ min: 100, max: 10_000, random: () => 1 })
    expect([backoff.next(), backoff.next()]).toEqual([300, 900])
    backoff.reset()
    expect(backoff.next()).toBe(300)
  })

  test('stays within its limits whatever is drawn', () => {
    const backoff = new Backoff({ min: 50, max: 1_000, random: Math.random })
    const pauses = Array.from({ length: 1_000 }, () => backoff.next())
    expect(Math.min(...pauses)).toBeGreaterThanOrEqual(50)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(1_000)
    expect(new Set(pauses).size).toBeGreaterThan(100)
  })
})
