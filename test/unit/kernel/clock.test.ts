import { expect, test } from 'vitest'
import { systemClock } from '../../../src/kernel/clock.ts'

const PERIOD = 20

/** The turns of the event loop in which timers with these periods have fired, `times` times the slowest; each is begun at another moment. */
async function turnsOf(periods: readonly number[], times: number): Promise<number[][]> {
  const turns = periods.map((): number[] => [])
  let turn = 0
  let looking: NodeJS.Immediate
  const look = () => {
    turn++
    looking = setImmediate(look)
  }
  look()
  const timers = []
  for (const [i, period] of periods.entries()) {
    timers.push(systemClock.every(period, () => turns[i]?.push(turn)))
    await new Promise(resolve => setTimeout(resolve, 7))
  }
  await new Promise<void>(resolve => {
    const slowest = turns.at(-1) as number[]
    timers.push(systemClock.every(PERIOD, () => slowest.length >= times && resolve()))
  })
  for (const timer of timers) timer.cancel()
  clearImmediate(looking!)
  return turns
}

test('timers whose periods go into each other fire together, whenever they were begun', async () => {
  const [often, ...others] = await turnsOf([PERIOD, 2 * PERIOD, 4 * PERIOD], 10)
  for (const turns of others) {
    const together = turns.filter(turn => often?.includes(turn)).length
    // A millisecond may end between two of them.
    expect(together).toBeGreaterThan(turns.length / 2)
  }
})

test('fires once a period, and not after it was cancelled, by itself either', async () => {
  const began = systemClock.monotonic()
  const times: number[] = []
  await new Promise<void>(resolve => {
    const timer = systemClock.every(PERIOD, () => {
      times.push(systemClock.monotonic() - began)
      if (times.length < 20) return
      timer.cancel()
      timer.cancel()
      resolve()
    })
  })
  expect(times[0]).toBeLessThan(times[19] as number)
  // Sooner would be too often: later it may be, on a machine that has more to do.
  expect(times[19]).toBeGreaterThan(18 * PERIOD)
  await new Promise<void>(resolve => {
    const others = systemClock.every(PERIOD, () => {
      others.cancel()
      resolve()
    })
  })
  expect(times.length).toBe(20)
})
