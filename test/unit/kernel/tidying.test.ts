import { expect, test } from 'vitest'
import { Tidying } from '../../../src/kernel/tidying.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const MIB = 1024 * 1024
const PERIOD = 10_000

function gateway() {
  const clock = new ManualClock()
  const state = { heap: 12 * MIB, processor: 0, looks: 0, freed: 0 }
  const tidying = new Tidying({
    clock,
    heap: () => state.heap,
    processor: () => state.processor,
    collect: () => {
      state.looks++
      state.heap -= state.freed
      // As long as it takes on a slow board.
      state.processor += 200
    },
  })
  tidying.start()
  const pass = async (milliseconds: number, processor: number) => {
    for (let passed = 0; passed < milliseconds; passed += PERIOD) {
      state.processor += processor
      await clock.advance(PERIOD)
    }
  }
  return { state, tidying, clock, busy: () => pass(PERIOD, 5_000), rest: (ms = PERIOD) => pass(ms, 20) }
}

test('the heap that clients have left large is looked at when the gateway is at rest, twice', async () => {
  const { state, busy, rest } = gateway()
  state.heap = 40 * MIB
  await busy()
  expect(state.looks).toBe(0)
  await rest()
  expect(state.looks).toBe(1)
  await rest()
  expect(state.looks).toBe(2)
  await rest(600_000)
  expect(state.looks).toBe(2)
})

test('one look is enough that makes it small again', async () => {
  const { state, busy, rest } = gateway()
  state.heap = 40 * MIB
  state.freed = 27 * MIB
  await busy()
  await rest(600_000)
  expect(state.looks).toBe(1)
})

test('what stays is not looked at again after each bit of work', async () => {
  const { state, busy, rest } = gateway()
  state.heap = 40 * MIB
  await busy()
  await rest(600_000)
  for (let i = 0; i < 10; i++) {
    await busy()
    state.heap += 1000
    await rest(30_000)
  }
  expect(state.looks).toBe(2)
  state.heap += 8 * MIB
  await rest()
  expect(state.looks).toBe(3)
})

test('nobody is held up while there is work', async () => {
  const { state, busy } = gateway()
  for (let i = 0; i < 100; i++) {
    state.heap += MIB
    await busy()
  }
  expect(state.looks).toBe(0)
})

test('a stop leaves no timer', () => {
  const { tidying, clock } = gateway()
  tidying.stop()
  expect(clock.pending).toBe(0)
})
