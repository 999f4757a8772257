/**
 * What may wait, how long and how well, as an owner sets it and as clients see it: `limits.max_queued_…`,
 * `max_total_…`, `overflow`, `store.queue_qos0`, `store.durability_for`, and message expiry of a queue that nobody
 * comes for.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Level } from 'level'
import type { IPubackPacket, IPublishPacket, QoS } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createGateway, type Gateway } from '../../src/index.ts'
import type { StoreStats } from '../../src/store/store.ts'
import { startGateway } from '../support/gateway.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { Process } from '../support/process.ts'
import { type LogLine, recordLog } from '../support/record-log.ts'
import { until } from '../support/wait.ts'

const QUOTA_EXCEEDED = 0x97
const KIB = 1024

let folder: string
let gateway: Gateway | undefined
let lines: LogLine[] = []

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-limits-'))
})

afterEach(async () => {
  await gateway?.stop()
  gateway = undefined
  await rm(folder, { recursive: true, force: true })
})

/** A gateway in this process. Returns its port. */
async function start(settings: Record<string, unknown>, clock?: ManualClock): Promise<number> {
  const recorded = recordLog()
  lines = recorded.lines
  gateway = createGateway(
    { data_dir: folder, listeners: ['mqtt://127.0.0.1:0'], ...settings },
    { log: recorded.log, ...(clock === undefined ? {} : { clock }) },
  )
  await gateway.start()
  return Number(new URL(gateway.addresses()[0] as string).port)
}

const stats = (): StoreStats => ((gateway as Gateway).hub.persistence as unknown as { stats: StoreStats }).stats

/** Makes sessions that wait for everything below `shelf/`, and leaves them. */
async function leave(port: number, ...clientIds: string[]): Promise<void> {
  for (const clientId of clientIds) {
    await using client = await RawClient.connect({ port, clientId, clean: false })
    await client.subscribe({ topic: `shelf/${clientId}/#`, qos: 1 }, { topic: 'shelf/all', qos: 1 })
    await client.disconnect()
  }
}

/** What a session is sent when it comes back, and that is all. */
async function fetch(port: number, clientId: string): Promise<string[]> {
  await using client = await RawClient.connect({ port, clientId, clean: false })
  await until(() => gateway?.hub.persistence.queues.find(clientId)?.count === 0, {
    what: () => `an empty queue of ${clientId}; it was sent ${client.publishes.length}`,
  })
  await client.ping()
  await client.disconnect()
  return client.payloads.map(payload => payload.trimEnd())
}

const numbers = (from: number, until: number): string[] => Array.from({ length: until - from }, (_, i) => `${from + i}`)

interface Publishing {
  topic: string
  qos?: QoS
  /** Bytes of each payload. */
  size?: number
  properties?: IPublishPacket['properties']
}

/** Publishes numbers and gives the reason codes of their acknowledgements. */
async function publish(
  client: RawClient,
  payloads: string[],
  { topic, qos = 1, size = 0, properties }: Publishing,
): Promise<number[]> {
  const ids = payloads.map(payload => {
    const messageId = client.nextPacketId()
    const padded = payload.padEnd(size)
    const packet = { cmd: 'publish', topic, payload: padded, qos, messageId, retain: false, dup: false } as const
    client.send(properties === undefined ? packet : { ...packet, properties })
    return messageId
  })
  const codes: number[] = []
  for (const id of ids) codes.push(((await client.next('puback', id)) as IPubackPacket).reasonCode ?? 0)
  return codes
}

const fullLines = () => lines.filter(({ message }) => message.startsWith('the queue of a session is full'))

describe('a session may hold so many messages', () => {
  const limits = (overflow: string) => ({ limits: { max_queued_messages: 20, overflow } })

  test('drop-oldest: the last ones are there, and it is said once', async () => {
    const port = await start(limits('drop-oldest'))
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    await publish(publisher, numbers(0, 100), { topic: 'shelf/hall/x' })
    expect(await fetch(port, 'hall')).toEqual(numbers(80, 100))
    expect(stats().dropped).toBe(80)
    expect(fullLines()).toHaveLength(1)
  })

  test('drop-oldest spares what was sent and is not acknowledged', async () => {
    const port = await start(limits('drop-oldest'))
    await leave(port, 'hall')
    await using reader = await RawClient.connect({ port, clientId: 'hall', clean: false, acknowledging: false })
    await using publisher = await RawClient.connect({ port })
    await publish(publisher, numbers(0, 60), { topic: 'shelf/hall/x' })
    await reader.received(60)
    expect(reader.payloads).toEqual(numbers(0, 60))
    expect([stats().dropped, stats().messages]).toEqual([0, 60])
    reader.acknowledge(60)
    await until(() => stats().messages === 0, { what: () => `an empty queue; ${stats().messages} wait` })
  })

  test('drop-newest: the first ones are there, and their publisher hears nothing of it', async () => {
    const port = await start(limits('drop-newest'))
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port, protocolVersion: 5 })
    const codes = await publish(publisher, numbers(0, 100), { topic: 'shelf/hall/x' })
    expect(new Set(codes)).toEqual(new Set([0]))
    expect(await fetch(port, 'hall')).toEqual(numbers(0, 20))
    expect(stats().dropped).toBe(80)
    expect(fullLines()).toHaveLength(1)
  })

  test('reject: an MQTT 5 publisher is told, and may go on when the queue has drained', async () => {
    const port = await start(limits('reject'))
    await leave(port, 'hall', 'attic')
    await using publisher = await RawClient.connect({ port, protocolVersion: 5 })
    const codes = await publish(publisher, numbers(0, 30), { topic: 'shelf/hall/x' })
    expect(codes).toEqual([...Array(20).fill(0), ...Array(10).fill(QUOTA_EXCEEDED)])
    // Nobody gets a message that one of its sessions has no room for.
    expect(await publish(publisher, ['everybody'], { topic: 'shelf/all' })).toEqual([QUOTA_EXCEEDED])
    expect(await fetch(port, 'hall')).toEqual(numbers(0, 20))
    expect(await publish(publisher, ['again'], { topic: 'shelf/all' })).toEqual([0])
    expect([await fetch(port, 'hall'), await fetch(port, 'attic')]).toEqual([['again'], ['again']])
  })

  test('reject: an MQTT 3.1.1 publisher waits, and is acknowledged in order when the queue has drained', async () => {
    const port = await start(limits('reject'))
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    const running = publish(publisher, numbers(0, 35), { topic: 'shelf/hall/x' })
    const acknowledged = () => publisher.others.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId)
    await until(() => acknowledged().length === 20, { what: () => `20 acknowledgements; got ${acknowledged().length}` })
    for (let i = 0; i < 20; i++) await publisher.ping()
    expect(acknowledged()).toHaveLength(20)
    const first = await fetch(port, 'hall')
    await running
    expect(acknowledged()).toEqual(Array.from({ length: 35 }, (_, i) => i + 1))
    expect(first.concat(await fetch(port, 'hall'))).toEqual(numbers(0, 35))
  })
})

describe('bytes count as well', () => {
  test('of one session', async () => {
    const port = await start({ limits: { max_queued_bytes: '16KiB' } })
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    await publish(publisher, numbers(0, 50), { topic: 'shelf/hall/x', size: KIB })
    expect(stats().messageBytes).toBeLessThanOrEqual(16 * KIB)
    expect(await fetch(port, 'hall')).toEqual(numbers(35, 50))
  })

  test('of all together: the session that holds most gives way', async () => {
    const port = await start({ limits: { max_total_bytes: '32KiB' } })
    await leave(port, 'hall', 'attic')
    await using publisher = await RawClient.connect({ port })
    await publish(publisher, numbers(0, 5), { topic: 'shelf/attic/x', size: KIB })
    await publish(publisher, numbers(0, 60), { topic: 'shelf/hall/x', size: KIB })
    await until(() => stats().messageBytes <= 32 * KIB, { what: () => `room; ${stats().messageBytes} bytes wait` })
    expect(await fetch(port, 'attic')).toEqual(numbers(0, 5))
    const hall = await fetch(port, 'hall')
    expect(hall.length).toBeGreaterThan(20)
    expect(hall).toEqual(numbers(60 - hall.length, 60))
  })

  test('of all together, with reject: publishers are told whoever they publish for', async () => {
    const port = await start({ limits: { max_total_bytes: '8KiB', overflow: 'reject' } })
    await leave(port, 'hall', 'attic')
    await using publisher = await RawClient.connect({ port, protocolVersion: 5 })
    const codes = await publish(publisher, numbers(0, 20), { topic: 'shelf/hall/x', size: KIB })
    expect(codes).toEqual([...Array(7).fill(0), ...Array(13).fill(QUOTA_EXCEEDED)])
    expect(await publish(publisher, ['x'], { topic: 'shelf/attic/x', size: KIB })).toEqual([QUOTA_EXCEEDED])
    // Who is not stored for is not concerned.
    expect(await publish(publisher, ['x'], { topic: 'nobody' })).not.toContain(QUOTA_EXCEEDED)
  })
})

describe('time', () => {
  /** Advances, with the disk's own time in between. */
  async function pass(clock: ManualClock, ms: number, isOver: () => boolean): Promise<void> {
    await clock.advance(ms)
    await until(
      async () => {
        await clock.advance(1_000)
        return isOver()
      },
      { what: () => `the end of it; ${stats().messages} messages wait` },
    )
  }

  test('max_queued_age: what is older is not sent', async () => {
    const clock = new ManualClock()
    const port = await start({ limits: { max_queued_age: '10m' } }, clock)
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    await publish(publisher, numbers(0, 3), { topic: 'shelf/hall/x' })
    await clock.advance(9 * 60_000)
    await publish(publisher, ['fresh'], { topic: 'shelf/hall/x' })
    await clock.advance(2 * 60_000)
    expect(await fetch(port, 'hall')).toEqual(['fresh'])
    expect(stats().expired).toBe(3)
  })

  test('messages of a session that nobody comes for go when they expire, and leave the disk', async () => {
    const clock = new ManualClock()
    const port = await start({}, clock)
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port, protocolVersion: 5 })
    // Fewer at a time than the gateway takes from one client.
    for (let sent = 0; sent < 5_000; sent += 1_000) {
      const properties = { messageExpiryInterval: 3_600 }
      await publish(publisher, numbers(sent, sent + 1_000), { topic: 'shelf/hall/x', properties })
    }
    await publish(publisher, ['stays'], { topic: 'shelf/hall/x' })
    expect(stats().messages).toBe(5_001)
    await clock.advance(3_599_000)
    expect(stats().messages).toBe(5_001)
    await pass(clock, 2_000, () => stats().messages === 1)
    expect(stats().expired).toBe(5_000)
    expect(await fetch(port, 'hall')).toEqual(['stays'])
    await gateway?.stop()
    gateway = undefined
    const database = new Level(join(folder, 'store'))
    const kept = (await database.keys().all()).filter(key => key.startsWith('q') || key.startsWith('b'))
    await database.close()
    expect(kept).toEqual([])
  })
})

describe('store.queue_qos0', () => {
  test.each([
    [true, ['1', '2']],
    [false, ['2']],
  ])('%s: a session that was away is sent %j', async (queueQos0, expected) => {
    const port = await start({ store: { queue_qos0: queueQos0 } })
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    await publisher.publish('shelf/hall/x', '1', { qos: 0 })
    await publish(publisher, ['2'], { topic: 'shelf/hall/x' })
    expect(await fetch(port, 'hall')).toEqual(expected)
  })
})

describe.skipIf(!needs('strace'))('store.durability_for', () => {
  /** First bytes of PUBACK, as strace prints them. */
  const PUBACK = '"@\\2'
  const SYNC = /\b(fsync|fdatasync)(\(| resumed).*= 0$/

  test('a relaxed topic is acknowledged before it is on the disk, and is there within its window; others wait', async () => {
    const config = "name: Test\nstore: { durability_for: [{ filter: 'shelf/hall/relaxed', durability: 500ms }] }\n"
    await using larder = await startGateway({ config })
    const { port } = larder
    await leave(port, 'hall')
    await using publisher = await RawClient.connect({ port })
    // The first message has a write of its own: the numbers of those that follow.
    await publisher.publish('shelf/hall/x', 'the first', { qos: 1 })
    await publisher.ping()
    const file = join(larder.folder, 'trace')
    const calls = 'trace=read,readv,recvfrom,write,writev,sendto,sendmsg,fsync,fdatasync'
    await using tracer = new Process('strace', ['-f', '-s', '200', '-e', calls, '-o', file, '-p', String(larder.pid)])
    await until(() => tracer.errors.some(line => line.includes('attached')), { what: () => tracer.transcript() })
    const trace = async () => (await readFile(file, 'utf8')).split('\n')
    const seen = async (topic: string, payload: string) => {
      await publisher.publish(topic, payload, { qos: 1 })
      const found = await until(
        async () => {
          const all = await trace()
          const came = all.findIndex(line => line.includes(payload))
          const answered = all.findIndex((line, i) => i > came && line.includes(PUBACK))
          const synced = all.findIndex((line, i) => i > came && SYNC.test(line))
          return came >= 0 && answered > 0 && synced > 0 ? { answered, synced } : undefined
        },
        { what: 'the acknowledgement and a sync in the trace' },
      )
      return found.answered < found.synced ? 'acknowledged, then synced' : 'synced, then acknowledged'
    }
    expect(await seen('shelf/hall/relaxed', 'telemetry')).toBe('acknowledged, then synced')
    expect(await seen('shelf/hall/x', 'the alarm')).toBe('synced, then acknowledged')
  })
})
