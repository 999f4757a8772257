/** The short form of `scripts/torture kill`: what was acknowledged is there, whenever the gateway is killed. */
import { expect, test } from 'vitest'
import { runScenario } from '../torture/scenario.ts'
import { gatewayVictim } from '../torture/victim.ts'

const KILLS = 25

test('25 kills lose nothing that was acknowledged', { timeout: 120_000 }, async () => {
  const seed = Date.now() % 2 ** 32
  console.log(`seed ${seed}`)
  await using victim = await gatewayVictim()
  const { books, verdict, starts } = await runScenario({ victim, seed, kills: KILLS })
  expect(verdict.faults).toEqual([])
  // It was a test at all.
  expect(books.lives).toHaveLength(KILLS + 1)
  expect(starts.length).toBeGreaterThan(KILLS / 2)
  expect(books.acknowledged).toBeGreaterThan(1_000)
  for (const subscriber of books.subscribers.values()) expect(subscriber.delivered).toBeGreaterThan(0)
  expect(books.repeated).toBeGreaterThan(0)
  expect(books.sightings.length).toBeGreaterThan(0)
})
