/**
 * A store that the first version wrote, opened by this one. The fixture holds the records that the code of schema 1
 * left on the disk (keys in hexadecimal, values in base64) after this life: `kitchen` was sent ten messages and
 * acknowledged three of them, one out of turn; of its two of QoS 2 one has had its PUBREC; `hall` has waited all along;
 * `attic` has a shared subscription; `leaver` was discarded; `baker` owes two PUBRELs.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Delivery, SessionQueue } from '../../../src/broker/ports.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { forwardedProperties } from '../../../src/mqtt/publish-properties.ts'
import type { Operation } from '../../../src/store/committer.ts'
import { Disk } from '../../../src/store/disk.ts'
import { nameKey, SCHEMA_VERSION } from '../../../src/store/keys.ts'
import { migrate } from '../../../src/store/migrations.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import { numberValue } from '../../../src/store/sessions.ts'
import { FIRST_TIME } from '../../../src/store/time.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

interface Fixture {
  /** Wall time of its writing, in ms. */
  wall: number
  records: [key: string, value: string][]
}

const FIXTURE = new URL('../../fixtures/store-schema-1.json', import.meta.url)
const fixture = JSON.parse(await readFile(FIXTURE, 'utf8')) as Fixture
/** ms from its writing to its migration: one message that waits has expired, another not. */
const LATER = 120_000
const MINUTE = 60_000

let folder: string
let clock: ManualClock

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-migrations-'))
  clock = new ManualClock(fixture.wall + LATER)
})

afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Puts records into a new LevelDB, as they are. */
async function lay(dataDir: string, records: [key: Buffer, value: Buffer][]): Promise<void> {
  const database = await openRaw(dataDir)
  await database.batch(records.map(([key, value]) => ({ type: 'put', key, value })))
  await database.close()
}

function openRaw(dataDir: string): Promise<Level<Buffer, Buffer>> {
  const database = new Level<Buffer, Buffer>(join(dataDir, 'store'), { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  return database.open().then(() => database)
}

/** Every record, as it lies there. */
async function dump(dataDir: string): Promise<string[]> {
  const database = await openRaw(dataDir)
  const records = await database.iterator().all()
  await database.close()
  return records.map(([key, value]) => `${key.toString('hex')} ${value.toString('hex')}`)
}

function ofFixture(): [Buffer, Buffer][] {
  return fixture.records.map(([key, value]) => [Buffer.from(key, 'hex'), Buffer.from(value, 'base64')])
}

describe('a store of schema 1 that is opened', () => {
  let store: LevelPersistence

  beforeEach(async () => {
    await lay(folder, ofFixture())
    store = testStore(folder, {}, { clock })
    await store.setup({ id: 'new-broker' })
  })

  afterEach(async () => {
    await store.destroy()
  })

  const queueOf = (clientId: string) => store.queues.find(clientId) as SessionQueue

  async function waitingFor(clientId: string): Promise<Delivery[]> {
    const found: Delivery[] = []
    for await (const delivery of queueOf(clientId).all()) found.push(delivery)
    return found
  }

  const seenOf = ({ index, message, qos, retain, dup }: Delivery) => [
    index,
    message.topic,
    message.payload.toString(),
    { qos, retain, dup },
  ]

  test('is whole, and has every record sealed', () => {
    expect(store.opening).toEqual({ state: 'whole' })
    expect(store.stats).toMatchObject({ damaged: 0, dangling: 0, retained: 4 })
  })

  test('has its sessions, with their expiry', () => {
    expect([...store.queues.clientIds()].sort()).toEqual(['attic', 'hall', 'kitchen'])
    expect(store.queues.expiryOf('kitchen')).toEqual({ interval: undefined, leftAt: undefined })
    expect(store.queues.expiryOf('attic')).toEqual({ interval: 100, leftAt: undefined })
    const { interval, leftAt } = store.queues.expiryOf('hall')
    expect({ interval, ago: store.time.now() - (leftAt ?? 0) }).toEqual({ interval: 7_200, ago: 10 * MINUTE + LATER })
  })

  test('has its subscriptions, with their options', async () => {
    const of = async (id: string) =>
      (await store.subscriptionsByClient({ id })).sort((a, b) => (a.topic < b.topic ? -1 : 1))
    expect(await of('kitchen')).toEqual([
      { topic: 'bread/#', qos: 2 },
      { topic: 'milk', qos: 1, nl: true, rap: true, rh: 2, subscriptionIdentifier: 7 },
    ])
    expect(await of('hall')).toEqual([{ topic: 'bread/rye', qos: 1 }])
    expect(await of('attic')).toEqual([{ topic: '$share/cooks/bread/+', qos: 2 }])
  })

  test('has what waits, in order, with its places, QoS and flags', async () => {
    const sent = { qos: 1, retain: false, dup: true }
    expect((await waitingFor('kitchen')).map(seenOf)).toEqual([
      [2, 'bread/rye', 'loaf 2', sent],
      [4, 'bread/rye', 'loaf 4', sent],
      [5, 'bread/rye', 'loaf 5', sent],
      [6, 'bread/rye', 'loaf 6', sent],
      [7, 'bread/rye', 'loaf 7', sent],
      [8, 'milk', 'with properties', { qos: 1, retain: true, dup: true }],
      [9, 'bread/rye', 'exactly once', { qos: 2, retain: false, dup: true }],
      [10, 'bread/rye', 'exactly once, too', { qos: 2, retain: false, dup: false }],
      [11, 'bread/rye', 'expires in an hour', { qos: 1, retain: false, dup: false }],
    ])
    expect((await waitingFor('attic')).map(seenOf)).toEqual([
      [0, 'bread/rye', 'exactly once, too', { qos: 2, retain: false, dup: false }],
    ])
    expect((await waitingFor('attic'))[0]?.isShared).toBe(true)
    expect([queueOf('kitchen').count, queueOf('hall').count, queueOf('attic').count]).toEqual([9, 9, 1])
  })

  test('has the properties of messages, and their subscription identifiers', async () => {
    const milk = (await waitingFor('kitchen'))[5]
    expect(milk?.subscriptionIdentifiers).toEqual([7])
    const { contentType, userProperties } = forwardedProperties(milk?.message.forwarded as Buffer)
    expect({ contentType, userProperties }).toEqual({
      contentType: 'text/plain',
      userProperties: [
        ['from', 'cow'],
        ['from', 'goat'],
      ],
    })
  })

  test('has the state of QoS 2 in both directions, and packet identifiers that were given', async () => {
    const waiting = await waitingFor('kitchen')
    const released = waiting.filter(delivery => delivery.released !== undefined)
    expect(released.map(({ index }) => index)).toEqual([9])
    expect(waiting.map(({ packetId }) => packetId).filter(id => id !== undefined)).toEqual([777])
    const owed = store.queues.received('baker')
    expect([owed.size, owed.has(11), owed.has(12)]).toEqual([2, true, true])
    const kept = (await store.incomingGetPacket({ id: 'plugin' }, { messageId: 42 })) as {
      topic: string
      payload: Buffer
    }
    expect([kept.topic, kept.payload.toString()]).toEqual(['kept/by/contract', 'kept'])
  })

  test('lets messages expire when they would have: the time since they came counts', async () => {
    const [last] = (await waitingFor('kitchen')).slice(-1)
    expect((last?.message.expiresAt as number) - store.time.now()).toBe(60 * MINUTE - LATER)
    const hall = queueOf('hall')
    hall.attach(() => {})
    const taken: string[] = []
    await until(
      () => {
        for (let next = hall.take(); next !== undefined; next = hall.take()) taken.push(next.message.payload.toString())
        return taken.length === 8 && hall.count === 8
      },
      { what: () => `eight messages; got ${taken}` },
    )
    expect(taken).toEqual(Array.from({ length: 8 }, (_, i) => `loaf ${i}`))
    expect(store.stats.expired).toBe(1)
  })

  test('has its retained messages and wills', async () => {
    const retained = [...store.queues.retained('#')].map(({ topic, payload, qos, expiresAt }) => [
      topic,
      payload.toString(),
      qos,
      expiresAt === undefined ? undefined : expiresAt - store.time.now(),
    ])
    expect(retained.sort()).toEqual([
      ['milk', 'with properties', 1, undefined],
      ['shelf/door', 'open', 1, 60 * MINUTE - LATER],
      ['shelf/light', 'off', 0, undefined],
      ['shelf/temperature', '21.5', 1, undefined],
    ])
    expect(await store.getWill({ id: 'hall' })).toMatchObject({
      topic: 'hall/gone',
      payload: Buffer.from('goodbye'),
      qos: 1,
      retain: true,
      willDelayInterval: 30,
      messageExpiryInterval: 60,
      brokerId: 'old-broker',
    })
  })

  test('is of this version from then on, and takes new messages behind the old ones', async () => {
    await store.outgoingEnqueue(
      { clientId: 'hall' },
      {
        topic: 'bread/rye',
        payload: Buffer.from('new'),
        qos: 1,
        retain: false,
      },
    )
    await store.destroy()
    store = testStore(folder, {}, { clock })
    await store.setup({ id: 'new-broker' })
    const hall = (await waitingFor('hall')).map(({ index, message }) => [index, message.payload.toString()])
    expect(hall.at(-1)).toEqual([9, 'new'])
    expect(hall).toHaveLength(10)
    expect(store.stats).toMatchObject({ damaged: 0, dangling: 0 })
  })
})

/** A disk that gives up after so many writes; `reported`: the last of them is done, but said not to be. */
class CutDisk extends Disk {
  readonly #lastIsDone: boolean
  #left: number

  constructor(location: string, options: { writes: number; lastIsDone: boolean }) {
    super(location, { log: silentLog })
    this.#left = options.writes
    this.#lastIsDone = options.lastIsDone
  }

  get isCut(): boolean {
    return this.#left < 0
  }

  override async write(operations: Operation[], sync: boolean): Promise<void> {
    this.#left--
    if (this.#left >= 0 || (this.#left === -1 && this.#lastIsDone)) await super.write(operations, sync)
    if (this.#left < 0) throw new Error('IO error: Input/output error')
  }
}

describe('a migration that is cut off', () => {
  /** More than two batches of a migration. */
  const MORE = 1_100

  /** The fixture, and many retained messages. */
  function many(): [Buffer, Buffer][] {
    const records = ofFixture()
    for (let i = 0; i < MORE; i++) {
      const topic = `shelf/${i}`
      const value = Buffer.concat([Buffer.from([0, 0, 0, 0, 5, 0, topic.length]), Buffer.from(`${topic}jar ${i}`)])
      records.push([nameKey('r', topic), value])
    }
    return records
  }

  /** Migrates as far as the disk goes. Returns false when it was cut off. */
  async function migrateWith(dataDir: string, disk: Disk): Promise<boolean> {
    await disk.open()
    try {
      await migrate(disk, { clock, log: silentLog })
      return true
    } catch (error) {
      if (disk instanceof CutDisk && disk.isCut) return false
      throw error
    } finally {
      await disk.close()
      expect((await dump(dataDir)).length).toBeGreaterThan(MORE)
    }
  }

  test.each([
    ['before each of its batches in turn', false],
    ['after each of its batches in turn', true],
  ])('%s and begun again comes to the same end', async (_, lastIsDone) => {
    const whole = join(folder, 'whole')
    await lay(whole, many())
    expect(await migrateWith(whole, new Disk(join(whole, 'store'), { log: silentLog }))).toBe(true)
    const expected = await dump(whole)
    expect(expected.filter(record => record.startsWith(nameKey('m', 'migrating').toString('hex')))).toEqual([])

    let cuts = 0
    for (let writes = 0; ; writes++) {
      const dataDir = join(folder, `cut-${writes}`)
      await lay(dataDir, many())
      const location = join(dataDir, 'store')
      const isDone = await migrateWith(dataDir, new CutDisk(location, { writes, lastIsDone }))
      if (isDone) break
      cuts++
      expect(await migrateWith(dataDir, new Disk(location, { log: silentLog }))).toBe(true)
      expect(await dump(dataDir), `cut off at write ${writes}`).toEqual(expected)
    }
    // Three batches and the number of the schema.
    expect(cuts).toBe(4)
  })

  test('again and again, at every batch, comes to the same end', async () => {
    const whole = join(folder, 'whole')
    await lay(whole, many())
    await migrateWith(whole, new Disk(join(whole, 'store'), { log: silentLog }))
    const dataDir = join(folder, 'cut')
    await lay(dataDir, many())
    let attempts = 1
    for (
      ;
      !(await migrateWith(dataDir, new CutDisk(join(dataDir, 'store'), { writes: 0, lastIsDone: true })));
      attempts++
    ) {
      expect(attempts).toBeLessThan(10)
    }
    expect(attempts).toBeGreaterThan(3)
    expect(await dump(dataDir)).toEqual(await dump(whole))
  })
})

test('a store of a newer schema is refused with a clear sentence, and not touched', async () => {
  await lay(folder, ofFixture())
  const disk = new Disk(join(folder, 'store'), { log: silentLog })
  await disk.open()
  const schema = SCHEMA_VERSION + 1
  await disk.write([{ type: 'put', key: nameKey('m', 'schema'), value: numberValue(schema) }], true)
  await disk.close()
  const before = await dump(folder)
  await expect(testStore(folder, {}, { clock }).setup({ id: 'new-broker' })).rejects.toMatchObject({
    code: 'STORE_FAILED',
    message: `the store was written by another version (schema ${schema}).`,
    hint: `This version reads schemas up to ${SCHEMA_VERSION}.`,
  })
  expect(await dump(folder)).toEqual(before)
})

test('a new store has the schema of this version at once, and begins at the first time', async () => {
  const store = testStore(folder, {}, { clock })
  await store.setup({ id: 'broker' })
  expect(store.time.now()).toBe(FIRST_TIME.elapsed)
  await store.destroy()
  const key = nameKey('m', 'schema').toString('hex')
  const record = (await dump(folder)).find(found => found.startsWith(`${key} `))
  expect(Number.parseInt(record?.slice(key.length + 1, key.length + 13) ?? '', 16)).toBe(SCHEMA_VERSION)
})
