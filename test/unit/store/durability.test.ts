/** What an acknowledgement promises, by topic; and that what is promised is written in time though nothing else is. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SessionQueue } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import type { QoS } from '../../../src/mqtt/packets.ts'
import { grantsOf } from '../../../src/mqtt/subscription.ts'
import type { Operation } from '../../../src/store/committer.ts'
import { Durability, delayOf } from '../../../src/store/durability.ts'
import type { LevelPersistence } from '../../../src/store/persistence.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

const NONE = Number.POSITIVE_INFINITY

test('of the rules that match, the first counts; where none does, the setting', () => {
  const rules = [
    { filter: '/Home/+/alarm', window: 0 },
    { filter: '/Home/#', window: 5_000 },
    { filter: '/Home/Kitchen/#', window: NONE },
  ]
  const durability = new Durability({ window: 1_000, rules })
  const topics = ['/Home/Kitchen/alarm', '/Home/Kitchen/Thermometer', '/Garden/Thermometer', '/Home/Kitchen/alarm']
  expect(topics.map(topic => durability.windowOf(topic))).toEqual([0, 5_000, 1_000, 0])
})

test('a message is given to the disk well before its window is over', () => {
  expect([delayOf(0), delayOf(5_000), delayOf(NONE)]).toEqual([0, 2_500, 1_000])
})

describe('a store', () => {
  const clock = new ManualClock()
  let folder: string
  let store: LevelPersistence
  let away: SessionQueue
  let batches: { operations: Operation[]; sync: boolean }[]

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-durability-'))
  })

  afterEach(async () => {
    await store.destroy()
    await rm(folder, { recursive: true, force: true })
  })

  /** Opens a store whose first message has been written, so that the next has nothing to take along. */
  async function open(window: number): Promise<void> {
    batches = []
    store = testStore(
      folder,
      { durability: { window, rules: [] } },
      {
        clock,
        writer: disk => ({
          async write(operations, sync) {
            await disk.write(operations, sync)
            batches.push({ operations, sync })
          },
        }),
      },
    )
    await store.setup({ id: 'broker' })
    away = await store.queues.open('away')
    publish('first', 2)
    await written('q')
    batches = []
  }

  function publish(topic: string, qos: QoS, options: { retain?: boolean; waits?: boolean; packetId?: number } = {}) {
    const { retain = false, waits = true, packetId } = options
    const settlement = {
      isSettled: false,
      settled: () => void Object.assign(settlement, { isSettled: true }),
      refused() {},
    }
    const grants = grantsOf([{ topic, qos: 2 }])
    store.queues.accept(
      Message.of({ topic, payload: Buffer.alloc(PAYLOAD), qos, retain }),
      waits ? [{ queue: away, grants, isShared: false }] : [],
      settlement,
      packetId === undefined ? undefined : { clientId: 'publisher', packetId },
    )
    return settlement
  }

  const keysOf = (batch: { operations: Operation[] }): string =>
    batch.operations.map(({ key }) => key.toString('latin1', 0, 1)).join('')
  const written = (family: string) =>
    until(() => batches.find(batch => keysOf(batch).includes(family)), { what: `a record of family ${family}` })

  /** Large, so that a few do not fit one batch. */
  const PAYLOAD = 1_500_000

  test('acknowledges after the disk with ack', async () => {
    await open(0)
    const message = publish('bread', 1)
    expect(message.isSettled).toBe(false)
    expect((await written('q')).sync).toBe(true)
    await until(() => message.isSettled, { what: 'the acknowledgement' })
  })

  test.each([
    [5_000, 2_500, true],
    [NONE, 1_000, false],
  ])(
    'with a window of %d ms acknowledges at once and writes after %d ms, forced to the disk: %s',
    async (window, delay, sync) => {
      await open(window)
      expect(publish('bread', 1).isSettled).toBe(true)
      await clock.advance(delay - 1)
      expect(batches).toEqual([])
      await clock.advance(1)
      expect((await written('q')).sync).toBe(sync)
    },
  )

  test('writes a retained message that nobody waits for within its window, though nothing else is written', async () => {
    await open(5_000)
    expect(publish('bread', 1, { retain: true, waits: false }).isSettled).toBe(true)
    await clock.advance(2_500)
    await written('r')
  })

  test('waits for the disk with QoS 2, whatever was set', async () => {
    await open(NONE)
    const message = publish('bread', 2)
    expect(message.isSettled).toBe(false)
    expect((await written('q')).sync).toBe(true)
  })

  test('records the identifier of a message of QoS 2 in the batch of the message, also when they do not all fit one', async () => {
    await open(0)
    const messages = [1, 2, 3, 4, 5, 6].map(packetId => publish('bread', 2, { packetId }))
    await until(() => messages.every(({ isSettled }) => isSettled), { what: 'all acknowledgements' })
    const counts = batches.map(batch => [...'iq'].map(family => keysOf(batch).split(family).length - 1))
    expect(counts.length).toBeGreaterThan(1)
    for (const [identifiers, places] of counts) expect(identifiers).toBe(places)
  })
})
