import { expect, test } from 'vitest'
import { History, MAX_SERIES, POINTS, SPARK_POINTS, STEP_MS } from '../../../src/dashboard/history.ts'

const WALL = 1_700_000_000_000

function newHistory() {
  let now = 5_000
  const history = new History({ monotonic: () => now, wall: () => WALL + now })
  const begin = now
  return {
    history,
    /** Minutes since the beginning. */
    at: (minute: number) => {
      now = begin + minute * STEP_MS
    },
    look: (value: number, series = 'a') => history.look([{ series, value, unit: '°C' }]),
  }
}

test('a point is the mean of its minute; minutes without a look have none', () => {
  const { history, at, look } = newHistory()
  look(10)
  at(0.5)
  look(20)
  at(3)
  look(7)
  expect(history.of('a')).toEqual({ unit: '°C', start: WALL + 5_000, step: STEP_MS, points: [15, null, null, 7] })
  expect(history.of('b')).toBeUndefined()
})

test('a day is kept', () => {
  const { history, at, look } = newHistory()
  for (let minute = 0; minute < POINTS + 100; minute++) {
    at(minute)
    look(minute)
  }
  const { points, start } = history.of('a')!
  expect([points.length, points[0], points.at(-1)]).toEqual([POINTS, 100, POINTS + 99])
  expect(start).toBe(WALL + 5_000 + 100 * STEP_MS)
  // What was there a round ago is not taken for something new.
  at(POINTS + 100 + POINTS / 2)
  look(1)
  expect(history.of('a')?.points.filter(point => point !== null)).toHaveLength(POINTS / 2)
})

test('a sparkline shows minutes at first and a day at last, and keeps its points while time goes on', () => {
  const { history, at, look } = newHistory()
  look(1)
  expect(history.spark('a')).toEqual({ points: [1], step: STEP_MS })
  let before: (number | null)[] = []
  for (let minute = 0; minute < POINTS; minute++) {
    at(minute)
    look(minute)
    const { points, step } = history.spark('a')!
    expect(points.length).toBeLessThanOrEqual(SPARK_POINTS)
    if (minute > 1_000 && step === 30 * STEP_MS && minute % 30 === 5) {
      if (before.length > 0)
        expect(points.slice(-before.length - 1, -2)).toEqual(before.slice(0, -1).slice(-points.length + 2))
      before = points
    }
  }
  expect(history.spark('a')?.step).toBe(30 * STEP_MS)
  expect(history.spark('a')?.points).toHaveLength(SPARK_POINTS)
  expect(history.spark('a')?.points[0]).toBe(14.51667)
})

test('there is room for so many series; one that has ended gives way', () => {
  const { history, at, look } = newHistory()
  for (let i = 0; i < MAX_SERIES; i++) look(i, `${i}`)
  look(1, 'one more')
  expect(history.of('one more')).toBeUndefined()
  at(POINTS + 1)
  for (let i = 1; i < MAX_SERIES; i++) look(i, `${i}`)
  look(1, 'one more')
  expect(history.of('one more')?.points.at(-1)).toBe(1)
  expect(history.of('0')).toBeUndefined()
})
