/** The short form of `scripts/torture plug`: what was acknowledged is on the disk when the power goes. */
import { expect, test } from 'vitest'
import { buildGuest, guestMissing } from '../torture/guest/guest.ts'
import { runScenario } from '../torture/scenario.ts'
import { TORTURE_LIMITS } from '../torture/victim.ts'

const CUTS = 2
/** Milliseconds from readiness to a cut, at most. */
const LIVE_UP_TO = 4_000

const missing = await guestMissing()
if (missing !== undefined) process.stderr.write(`skipped: the pulled plug, because ${missing}\n`)

test.skipIf(missing !== undefined)('cuts lose nothing that was acknowledged', { timeout: 240_000 }, async () => {
  const seed = Date.now() % 2 ** 32
  console.log(`seed ${seed}`)
  await using guest = await buildGuest(TORTURE_LIMITS)
  const { books, verdict } = await runScenario({ victim: guest, seed, kills: CUTS, liveUpTo: LIVE_UP_TO })
  expect([...verdict.faults, ...guest.faults]).toEqual([])
  // It was a test at all.
  expect(books.lives).toHaveLength(CUTS + 1)
  expect(books.acknowledged).toBeGreaterThan(50)
  expect(guest.replays).toBeGreaterThan(0)
})
