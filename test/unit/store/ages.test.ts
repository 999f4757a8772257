/** How long the oldest message has waited, and what keeps a store from writing, as others are told. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { SessionQueue } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import type { StoreDependencies } from '../../../src/store/store.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

/** ms between two rounds. */
const ROUND = 10_000

let folder: string
let clock: ManualClock
let store: LevelPersistence

async function open(deps: Partial<StoreDependencies> = {}): Promise<void> {
  clock = new ManualClock()
  store = testStore(folder, {}, { clock, ...deps })
  await store.setup({ id: 'broker' })
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-ages-'))
})

afterEach(async () => {
  await store.destroy()
  await rm(folder, { recursive: true, force: true })
})

function put(queue: SessionQueue): Promise<void> {
  const targets = [{ queue, grants: grantsOf([{ topic: 'bread', qos: 1 }]), isShared: false }]
  const message = Message.of({ topic: 'bread', payload: Buffer.from('x'), qos: 1, retain: false })
  return new Promise((resolve, reject) =>
    store.queues.accept(message, targets, { settled: resolve, refused: () => reject(new Error('refused')) }),
  )
}

const age = () => store.oldest(() => true)

/** Waits until the oldest message is said to have waited so many ms. */
function isOld(ms: number): Promise<true> {
  return until(() => age() === ms, { what: () => `an age of ${ms} ms; it is ${age()}` })
}

test('the oldest message tells, and the next when it has gone', async () => {
  await open()
  const away = await store.queues.open('away')
  expect(age()).toBe(0)
  await put(away)
  await clock.advance(4_000)
  await put(away)
  await clock.advance(ROUND - 4_000)
  await isOld(ROUND)
  expect(store.oldest(clientId => clientId === 'other')).toBe(0)
  // It goes on by itself between the rounds.
  await clock.advance(1_000)
  expect(age()).toBe(11_000)
  for await (const delivery of away.all()) {
    away.remove(delivery as Parameters<SessionQueue['remove']>[0])
    break
  }
  await clock.advance(ROUND - 1_000)
  await isOld(16_000)
  for await (const delivery of away.all()) away.remove(delivery as Parameters<SessionQueue['remove']>[0])
  expect(age()).toBe(0)
})

test('a message that an earlier run left is as old as it is', async () => {
  await open()
  await put(await store.queues.open('away'))
  await clock.advance(3_000)
  await store.destroy()
  await open()
  const begun = store.time.now()
  await clock.advance(ROUND)
  await until(() => age() > 0, { what: 'an age' })
  // Time that the gateway was off does not count where no clock can be believed.
  expect(age()).toBe(store.time.now() - begun + 3_000)
})

test('a disk that refuses is a trouble until it takes things again', async () => {
  let isBroken = false
  await open({
    writer: disk => ({
      write: (operations, sync) => (isBroken ? Promise.reject(new Error('broken')) : disk.write(operations, sync)),
    }),
  })
  const away = await store.queues.open('away')
  expect(store.trouble).toBeUndefined()
  const { count } = store.stats.latency
  expect(count).toBe(store.stats.commits)
  isBroken = true
  const settled = put(away)
  await until(() => store.trouble, { what: 'the trouble' })
  expect(store.trouble).toBe('the store cannot write')
  isBroken = false
  await clock.advance(1_000)
  await settled
  expect(store.trouble).toBeUndefined()
})

test('a disk that does not answer is one, too', async () => {
  let release = () => {}
  let isStuck = false
  await open({
    writer: disk => ({
      async write(operations, sync) {
        if (isStuck) await new Promise<void>(resolve => (release = resolve))
        await disk.write(operations, sync)
      },
    }),
  })
  const away = await store.queues.open('away')
  isStuck = true
  const settled = put(away)
  await clock.advance(30_000)
  expect(store.trouble).toBeUndefined()
  await clock.advance(1)
  expect(store.trouble).toBe('the disk does not answer')
  isStuck = false
  release()
  await settled
  expect(store.trouble).toBeUndefined()
})
