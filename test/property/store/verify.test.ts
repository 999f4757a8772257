/**
 * A store with random traffic whose records are deleted and altered behind its back: verifying finds and mends it, finds
 * nothing the second time, and the mended store serves every message that was not touched, whole and in order.
 */
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { Level } from 'level'
import { expect, test } from 'vitest'
import { silentLog } from '../../../src/kernel/log.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import { decodeBody, decodeReference, decodeRetained } from '../../../src/store/records.ts'
import { verifyStore } from '../../../src/store/verify.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

const SESSIONS = ['attic', 'cellar', 'hall', 'porch'] as const

interface Traffic {
  to: number[]
  qos: 1 | 2
  retain: boolean
  count: number
}

const traffic: fc.Arbitrary<Traffic> = fc.record({
  to: fc.uniqueArray(fc.nat({ max: SESSIONS.length - 1 }), { minLength: 1 }),
  qos: fc.constantFrom<(1 | 2)[]>(1, 2),
  retain: fc.boolean(),
  count: fc.integer({ min: 1, max: 30 }),
})

/** `at` picks a record, `where` a byte of it. */
type Harm = { how: 'delete' | 'alter' | 'cut'; at: number; where: number }

const harm: fc.Arbitrary<Harm> = fc.record({
  how: fc.constantFrom('delete', 'alter', 'cut'),
  at: fc.nat({ max: 1_000_000 }),
  where: fc.nat({ max: 1_000 }),
})

/** What is in the store by now: by client identifier the messages in order, and the retained ones. */
interface Contents {
  waiting: Map<string, string[]>
  retained: Map<string, string>
}

async function fill(dataDir: string, runs: Traffic[], discards: number[]): Promise<void> {
  const store = testStore(dataDir, { commitDelay: 1 })
  await store.setup({ id: 'rig' })
  const queues = await Promise.all(SESSIONS.map(clientId => store.queues.open(clientId)))
  for (const clientId of SESSIONS) await store.addSubscriptions({ id: clientId }, [{ topic: `to/${clientId}`, qos: 2 }])
  await store.putWill({ id: 'attic' }, { topic: 'will', payload: Buffer.from('gone'), qos: 1, retain: false } as never)
  let number = 0
  const settled: Promise<void>[] = []
  for (const { to, qos, retain, count } of runs) {
    for (let i = 0; i < count; i++) {
      const text = `message ${number++}`
      const message = Message.of({ topic: `topic/${number % 7}`, payload: Buffer.from(text), qos, retain })
      const targets = to.map(index => ({
        queue: queues[index] as (typeof queues)[number],
        grants: grantsOf([{ topic: message.topic, qos }]),
        isShared: false,
      }))
      const received = qos === 2 ? { clientId: SESSIONS[number % 4] as string, packetId: number } : undefined
      settled.push(
        new Promise((resolve, reject) => {
          store.queues.accept(message, targets, { settled: resolve, refused: reject }, received)
        }),
      )
    }
  }
  await Promise.all(settled)
  for (const index of discards) await store.queues.discard(SESSIONS[index] as string)
  await store.destroy()
}

/** Opens the store as a gateway does and takes what there is, without acknowledging it. */
async function contents(dataDir: string): Promise<Contents> {
  const store = testStore(dataDir)
  await store.setup({ id: 'rig' })
  const waiting = new Map<string, string[]>()
  for (const clientId of store.queues.clientIds()) {
    const queue = await store.queues.open(clientId)
    queue.attach(() => {})
    const taken: string[] = []
    while (taken.length < queue.count) {
      const delivery = await until(() => queue.take(), { what: `message ${taken.length} of ${queue.count}`, every: 1 })
      taken.push(delivery.message.payload.toString())
    }
    expect(queue.take()).toBeUndefined()
    queue.detach()
    waiting.set(clientId, taken)
  }
  const retained = new Map(Array.from(store.queues.retained('#'), each => [each.topic, each.payload.toString()]))
  await store.destroy()
  return { waiting, retained }
}

/** Does the harm; returns the keys that it touched. */
async function harmRecords(dataDir: string, harms: Harm[]): Promise<Set<string>> {
  const database = new Level<Buffer, Buffer>(join(dataDir, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const records = await database.iterator().all()
  const touched = new Set<string>()
  for (const { how, at, where } of harms) {
    const [key, value] = records[at % records.length] as [Buffer, Buffer]
    // Twice altered may be as it was.
    if (touched.has(key.toString('latin1'))) continue
    touched.add(key.toString('latin1'))
    if (how === 'delete') await database.del(key)
    else if (how === 'cut') await database.put(key, value.subarray(0, where % value.length))
    else {
      const altered = Buffer.from(value)
      altered[where % value.length] = (altered[where % value.length] as number) ^ (1 << (where % 8))
      await database.put(key, altered)
    }
  }
  await database.close()
  return touched
}

/** Every message of `before` whose reference, body and session were not touched, by client identifier. */
async function untouched(dataDir: string, touched: Set<string>): Promise<Contents> {
  const database = new Level<Buffer, Buffer>(join(dataDir, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  const waiting = new Map<string, string[]>()
  const retained = new Map<string, string>()
  const isSound = (key: Buffer) => !touched.has(key.toString('latin1'))
  const bySession = new Map<number, string[]>()
  for await (const [key, value] of database.iterator({ gte: Buffer.from('s'), lt: Buffer.from('t') })) {
    if (!isSound(key)) continue
    const taken: string[] = []
    waiting.set(key.toString('utf8', 1), taken)
    bySession.set(value.readUIntBE(0, 6), taken)
  }
  for await (const [key, value] of database.iterator({ gte: Buffer.from('q'), lt: Buffer.from('r') })) {
    const reference = decodeReference(value.subarray(0, -4))
    const bodyKey = Buffer.concat([Buffer.from('b'), value.subarray(0, 6)])
    if (!isSound(key) || (reference.bodyAt === undefined && !isSound(bodyKey))) continue
    const body = reference.bodyAt === undefined ? ((await database.get(bodyKey)) as Buffer) : value
    const { message } = decodeBody(body, reference.bodyAt, body.length - 4)
    bySession.get(key.readUInt32BE(1))?.push(message.payload.toString())
  }
  for await (const [key, value] of database.iterator({ gte: Buffer.from('r'), lt: Buffer.from('s') })) {
    const { message } = decodeRetained(value.subarray(0, -4))
    if (isSound(key)) retained.set(message.topic, message.payload.toString())
  }
  await database.close()
  return { waiting, retained }
}

const verify = async (dataDir: string, dryRun: boolean) => {
  const verified = await verifyStore({ dataDir, dryRun, log: silentLog })
  if (verified === undefined) throw new Error('there is no store')
  return verified
}

test('a store whose records were harmed is mended, and serves what was not touched', { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(traffic, { minLength: 1, maxLength: 8 }),
      fc.uniqueArray(fc.nat({ max: SESSIONS.length - 1 }), { maxLength: 2 }),
      fc.array(harm, { minLength: 1, maxLength: 12 }),
      async (runs, discards, harms) => {
        const dataDir = await mkdtemp(join(tmpdir(), 'larder-verify-'))
        const before = `${dataDir}-before`
        try {
          await fill(dataDir, runs, discards)
          // A stop soon after the end of a session leaves the rest of its removal to the next start.
          expect((await verify(dataDir, false)).faults.filter(fault => !/ended sessions|nobody/.test(fault))).toEqual(
            [],
          )
          expect(await verify(dataDir, true)).toMatchObject({ faults: [], isWhole: true })
          await cp(dataDir, before, { recursive: true })
          const touched = await harmRecords(dataDir, harms)
          const expected = await untouched(before, touched)

          const mended = await verify(dataDir, false)
          expect(mended.isWhole).toBe(true)
          expect(await verify(dataDir, true)).toMatchObject({ faults: [], isWhole: true })
          const served = await contents(dataDir)
          for (const [clientId, messages] of expected.waiting) {
            expect(served.waiting.get(clientId) ?? [], clientId).toEqual(messages)
          }
          expect(served.retained).toEqual(expected.retained)
          expect(await verify(dataDir, true)).toMatchObject({ faults: [], isWhole: true })
        } finally {
          for (const folder of [dataDir, before]) await rm(folder, { recursive: true, force: true })
        }
      },
    ),
    { numRuns: 20 },
  )
})
