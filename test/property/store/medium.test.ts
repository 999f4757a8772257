/**
 * The store on a disk that fails. One random scenario is played again and again, each time with the fault at another
 * of its writes: refused, written and said not to be, refused by LevelDB itself, very slow, the plug pulled. Whatever
 * was promised must hold: on the spot (order, QoS 2, DUP, what expired), when the fault is over (all is settled, the counts
 * are right) and in the store that is opened next (see medium/promises.ts).
 *
 * LARDER_MEDIUM_RUNS is how many scenarios, LARDER_MEDIUM_SEED repeats a run.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import fc from 'fast-check'
import { Level } from 'level'
import { expect, test } from 'vitest'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import type { LevelQueue } from '../../../src/store/queue.ts'
import { testStore } from '../../support/store.ts'
import type { Fault, FaultKind } from './medium/faults.ts'
import { type End, expectCounts, holdToPromises } from './medium/promises.ts'
import { Rig } from './medium/rig.ts'
import { CLIENTS, type Scenario, scenario } from './medium/steps.ts'

const RUNS = Number(process.env.LARDER_MEDIUM_RUNS ?? 4)
const SEED = Number(process.env.LARDER_MEDIUM_SEED ?? Date.now() % 1_000_000)
/** ms of the clock in which the store must have recovered: some of its retries. */
const RECOVERY = 30_000
/** Starts in which a store must have removed what ended sessions left. */
const RESTARTS = 5

const KINDS: readonly FaultKind[] = ['refuse', 'lie', 'tear', 'delay', 'plug']

/** The fault of a kind at a write; what it is like differs from write to write. */
function faultOf(kind: FaultKind, at: number): Fault {
  const times = 1 + (at % 3)
  switch (kind) {
    case 'refuse':
      return { kind, at, times, code: at % 2 === 0 ? 'ENOSPC' : 'EIO' }
    case 'delay':
      return { kind, at, steps: 1 + (at % 5), early: at % 2 === 0 }
    case 'lie':
    case 'tear':
      return { kind, at, times }
    case 'plug':
      return { kind, at }
    default:
      return { kind: 'none' }
  }
}

/** Plays a scenario with a fault, and holds the store to its promises. Returns false when the fault never came. */
async function playWith(script: Scenario, fault: Fault): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-medium-'))
  const rig = new Rig(script, fault, join(folder, 'first'))
  try {
    await rig.begin()
    await rig.play()
    if (!rig.medium.isPlugged) await recover(rig)
    if (rig.medium.isPlugged) {
      await rig.die()
      // Of what was not forced to the disk, all or nothing is there, or a part from the first.
      const { synced, written } = rig.medium
      const ends: [End, number][] = [
        ['plug', synced],
        ['plug', Math.floor((synced + written) / 2)],
        ['kill', written - 1],
        ['kill', written],
      ]
      for (const [nth, [end, count]] of ends.entries()) {
        const dataDir = join(folder, `replayed-${nth}`)
        await rig.medium.replay(dataDir, count)
        await openNext(rig, dataDir, end)
      }
    } else {
      const { failures } = rig.medium
      await rig.store.destroy()
      // A last write that fails is not tried again.
      const end = rig.medium.isPlugged || rig.medium.failures > failures ? 'kill' : 'stop'
      await openNext(rig, join(folder, 'first'), end)
    }
    return fault.kind !== 'none' && rig.medium.calls > fault.at
  } finally {
    await rig.die().catch(() => {})
    await rm(folder, { recursive: true, force: true })
  }
}

/** The fault is over: the store must see to everything by itself. */
async function recover(rig: Rig): Promise<void> {
  rig.medium.free()
  const unsettled = () => rig.publisher.messages.filter(({ settledAt }) => settledAt === undefined)
  for (let waited = 0; waited < RECOVERY; waited += 500) {
    await rig.advance(500)
    if (rig.medium.isPlugged) return
    if (unsettled().length === 0 && waited > 5_000) break
  }
  expect(unsettled(), 'what is not settled though the fault is over').toEqual([])
  for (const clientId of CLIENTS) {
    const life = rig.usable(clientId)
    expect(life, `${clientId} has a session again`).toBeDefined()
    if (life !== undefined) expectCounts(rig.store, life.queue as LevelQueue, life)
  }
}

async function openNext(rig: Rig, dataDir: string, end: End): Promise<void> {
  await withStore(rig, dataDir, store => holdToPromises(rig, store, end))
  let left = await leftovers(dataDir)
  // What ended sessions left is removed by and by, and begun again at the next start.
  for (let starts = 0; left.length > 0 && starts < RESTARTS; starts++) {
    await withStore(rig, dataDir, () => pause(20))
    left = await leftovers(dataDir)
  }
  expect(left, `left on the disk of an emptied store, after ${end}`).toEqual([])
}

async function withStore(rig: Rig, dataDir: string, use: (store: LevelPersistence) => Promise<void>): Promise<void> {
  const store = testStore(dataDir, { queueQos0: rig.scenario.queueQos0 }, { clock: rig.clock })
  await store.setup({ id: 'rig' })
  try {
    await use(store)
  } finally {
    await store.destroy()
  }
}

/** What is there of messages, their places, identifiers between PUBLISH and PUBREL, and sessions that are being removed. */
async function leftovers(dataDir: string): Promise<string[]> {
  const database = new Level<Buffer, Buffer>(join(dataDir, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const keys = await database.keys().all()
  await database.close()
  return keys.map(key => key.toString('latin1')).filter(key => /^[qbid]/.test(key))
}

test('what the store promised holds, whatever the disk does', { timeout: RUNS * 60_000 }, async () => {
  let played = 0
  await fc.assert(
    fc.asyncProperty(scenario, async script => {
      for (const kind of KINDS) {
        for (let at = 0; ; at++) {
          const fault = faultOf(kind, at)
          try {
            if (!(await playWith(script, fault))) break
          } catch (error) {
            throw new Error(`with ${JSON.stringify(fault)}: ${(error as Error).message}`, { cause: error })
          }
          played++
        }
      }
    }),
    { numRuns: RUNS, seed: SEED, endOnFailure: process.env.LARDER_MEDIUM_SHRINK === undefined },
  )
  process.stdout.write(`medium: ${played} faults in ${RUNS} scenarios, seed ${SEED}\n`)
  expect(played).toBeGreaterThan(RUNS)
})
