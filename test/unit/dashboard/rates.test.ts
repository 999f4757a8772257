import { expect, test } from 'vitest'
import { Rates } from '../../../src/dashboard/rates.ts'
import { ManualClock } from '../../support/manual-clock.ts'

test('what grows steadily has that rate, and what stops has none a few seconds later', async () => {
  const clock = new ManualClock()
  const rates = new Rates({ clock })
  let total = 1_000
  expect(rates.of('a', total)).toBe(0)
  for (let second = 0; second < 20; second++) {
    await clock.advance(1_000)
    total += 5
    expect(rates.of('a', total)).toBe(5)
    expect(rates.of('b', 7)).toBe(0)
  }
  for (let second = 0; second < 7; second++) {
    await clock.advance(1_000)
    rates.of('a', total)
  }
  expect(rates.of('a', total)).toBe(0)
})

test('a pause in looking, or a count that begins anew, is no rate', async () => {
  const clock = new ManualClock()
  const rates = new Rates({ clock })
  rates.of('a', 10)
  await clock.advance(60_000)
  expect(rates.of('a', 1_000)).toBe(0)
  await clock.advance(1_000)
  expect(rates.of('a', 3)).toBe(0)
  await clock.advance(1_000)
  expect(rates.of('a', 4)).toBe(1)
})
