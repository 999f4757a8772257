/** Expired messages of sessions that are away go by themselves, a bounded number at a time. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SessionQueue } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

/** Messages that one step looks at, and ms between two. */
const STEP = 2_000
const INTERVAL = 1_000
/** ms after which messages expire. */
const LIFE = 60_000

let folder: string
let clock: ManualClock
let store: LevelPersistence

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-sweeper-'))
  clock = new ManualClock()
  store = testStore(folder, {}, { clock })
  await store.setup({ id: 'broker' })
})

afterEach(async () => {
  await store.destroy()
  await rm(folder, { recursive: true, force: true })
})

/** Puts messages into queues, every one into all of them. */
async function fill(
  queues: SessionQueue[],
  count: number,
  options: { expires: boolean; retain?: boolean },
): Promise<void> {
  const { expires, retain = false } = options
  const grants = grantsOf([{ topic: 'bread', qos: 1 }])
  const targets = queues.map(queue => ({ queue, grants, isShared: false }))
  let settled = 0
  const settlement = { settled: () => void settled++, refused() {} }
  for (let i = 0; i < count; i++) {
    const expiresAt = expires ? store.time.now() + LIFE : undefined
    const topic = retain ? `bread/${i}` : 'bread'
    store.queues.accept(
      Message.of({ topic, payload: Buffer.from('x'), qos: 1, retain, expiresAt }),
      targets,
      settlement,
    )
  }
  await until(() => settled === count, { what: () => `${count} settled; ${settled} are` })
}

/** Lets so many steps pass, and what each sets going. */
async function steps(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    await clock.advance(INTERVAL)
    let before = -1
    await until(
      () => {
        const isStill = store.stats.expired === before
        before = store.stats.expired
        return isStill
      },
      { what: 'the end of a step', every: 30 },
    )
  }
}

test('a queue is gone through a part at a time, and what has not expired stays', async () => {
  const away = await store.queues.open('away')
  await fill([away], 10, { expires: false })
  await fill([away], 2 * STEP, { expires: true })
  await fill([away], 10, { expires: false })
  await clock.advance(LIFE - 1)
  expect(store.stats.expired).toBe(0)
  const seen = [0]
  for (let step = 0; step < 4; step++) {
    await steps(1)
    seen.push(store.stats.expired)
  }
  for (const [i, expired] of seen.entries()) expect(expired - (seen[i - 1] ?? 0)).toBeLessThanOrEqual(STEP)
  expect(seen.at(-1)).toBe(2 * STEP)
  expect(away.count).toBe(20)
})

test('queues after queues, and a body that several wait for goes with the last', async () => {
  const queues = [await store.queues.open('hall'), await store.queues.open('attic'), await store.queues.open('away')]
  await fill(queues, 300, { expires: true })
  await clock.advance(LIFE)
  await steps(4)
  expect(queues.map(({ count }) => count)).toEqual([0, 0, 0])
  expect(store.stats).toMatchObject({ expired: 900, messages: 0, messageBytes: 0 })
})

test('retained messages go, too', async () => {
  await fill([], 50, { expires: true, retain: true })
  expect(store.stats.retained).toBe(50)
  await clock.advance(LIFE)
  await steps(2)
  expect(store.stats.retained).toBe(0)
})

test('nothing goes while the clock only jumps', async () => {
  const away = await store.queues.open('away')
  await fill([away], 10, { expires: true })
  clock.jumpWall(50 * 365 * 86_400_000)
  await steps(2)
  clock.jumpWall(-100 * 365 * 86_400_000)
  await steps(2)
  expect(away.count).toBe(10)
})
