/**
 * A disk that is full, for real: the gateway's data on a small file system of its own. Above its limit of free space
 * the gateway serves everybody; below it refuses what would have to be stored and goes on with the rest; on a disk
 * with no byte left it loses nothing that it acknowledged; and it recovers by itself when there is room again.
 */
import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { IPubackPacket, QoS } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

const MIB = 1024 * 1024
const SIZE = 96 * MIB
/** What must stay free: LevelDB needs some 25 MiB to rewrite its tables, or it fills the disk itself. */
const LIMIT = '32MiB'
/** What another program has on the disk at first. */
const BALLAST = 36 * MIB
const PAYLOAD = 64 * 1024
/** Reason code Quota exceeded (MQTT 5 §3.4.2.1). */
const QUOTA_EXCEEDED = 0x97
/** ms in which the gateway looks at the free space at least twice. */
const TWO_LOOKS = 15_000
/** ms between two messages that a slow session takes, longer than a deletion waits for company. */
const ONE_A_SECOND = 1_000
/** Deadline in ms of a test. */
const LONG = 120_000

/** A file system of SIZE bytes, unmounted at the end. Undefined where mounting is not permitted. */
class SmallDisk implements Disposable {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static mount(): SmallDisk | undefined {
    const folder = mkdtempSync(join(tmpdir(), 'larder-disk-'))
    const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}`, 'tmpfs', folder], { stdio: 'ignore' })
    if (status === 0) return new SmallDisk(folder)
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }

  get free(): number {
    const { bavail, bsize } = statfsSync(this.folder)
    return bavail * bsize
  }

  get dataDir(): string {
    return join(this.folder, 'data')
  }

  /** Another program writes a file of so many bytes, or as many as there is room for, in no time. */
  fill(name: string, bytes = SIZE): void {
    const file = openSync(join(this.folder, name), 'a')
    try {
      let left = bytes
      for (let size = 64 * 1024; size >= 1 && left > 0; ) {
        const written = writeOrNothing(file, Buffer.alloc(Math.min(size, left), 1))
        left -= written
        if (written === 0) size = Math.floor(size / 2)
      }
    } finally {
      closeSync(file)
    }
  }

  clear(name: string): void {
    rmSync(join(this.folder, name))
  }

  [Symbol.dispose](): void {
    if (spawnSync('umount', [this.folder]).status !== 0) spawnSync('umount', ['-l', this.folder])
    rmSync(this.folder, { recursive: true, force: true })
  }
}

/** Returns 0 when there is no room. */
function writeOrNothing(file: number, bytes: Buffer): number {
  try {
    return writeSync(file, bytes)
  } catch {
    return 0
  }
}

const canMount = ((): boolean => {
  using disk = SmallDisk.mount()
  if (disk === undefined)
    process.stderr.write('skipped: tests of a full disk, because mounting is not permitted (run as root)\n')
  return disk !== undefined
})()

const topicOf = (number: number): string => `flood/${number % 3}`
/** Nothing that could be compressed. */
const payloadOf = (number: number): string => `${number} ${randomBytes((PAYLOAD * 3) / 4).toString('base64')}`
const numberOf = (payload: Buffer | string): number => Number.parseInt(payload.toString(), 10)

const on = (disk: SmallDisk, minFree: string) =>
  startGateway({ config: `name: Test\nstore: { min_free: ${minFree} }\n`, dataDir: disk.dataDir })

/** Makes a session that waits for the flood, and leaves. */
async function leaveSession(port: number, clientId = 'away'): Promise<void> {
  await using client = await RawClient.connect({ port, clientId, clean: false })
  await client.subscribe({ topic: 'flood/#', qos: 1 })
  await client.disconnect()
}

/** Publishes at QoS 1, a handful at a time, until the gateway has no room. Returns the numbers that it took. */
async function floodUntilRefused(port: number, from = 0): Promise<number[]> {
  await using client = await RawClient.connect({ port, protocolVersion: 5 })
  const taken: number[] = []
  for (let number = from; ; ) {
    const sent = Array.from({ length: 10 }, () => number++)
    const ids = new Map(sent.map(each => [client.nextPacketId(), each]))
    for (const [messageId, each] of ids) send(client, { messageId, number: each, qos: 1 })
    let isRefused = false
    for (const [messageId, each] of ids) {
      const { reasonCode } = (await client.next('puback', messageId)) as IPubackPacket
      if (reasonCode === QUOTA_EXCEEDED) isRefused = true
      else {
        expect(isRefused, `${each} was taken after another was refused`).toBe(false)
        taken.push(each)
      }
    }
    if (isRefused) return taken
    expect(number, 'nothing is refused').toBeLessThan((2 * SIZE) / PAYLOAD)
  }
}

function send(client: RawClient, { messageId, number, qos }: { messageId: number; number: number; qos: QoS }): void {
  client.send({
    cmd: 'publish',
    topic: topicOf(number),
    payload: payloadOf(number),
    qos,
    messageId,
    retain: false,
    dup: false,
  })
}

/** The reason code with which a message of an MQTT 5 client is answered. */
async function answerTo(client: RawClient, fields: { topic: string; qos: 1 | 2; retain?: boolean }): Promise<number> {
  const messageId = client.nextPacketId()
  client.send({ cmd: 'publish', payload: 'for later', messageId, dup: false, retain: false, ...fields })
  const answer = await client.next(fields.qos === 1 ? 'puback' : 'pubrec', messageId)
  return (answer as IPubackPacket).reasonCode ?? 0
}

/** Takes everything that waits for the session, and gives the faults of it. */
async function drain(port: number, expected: Iterable<number>, clientId = 'away'): Promise<string[]> {
  await using client = await RawClient.connect({ port, clientId, clean: false })
  const numbers = () => client.publishes.map(({ topic, payload }) => ({ topic, number: numberOf(payload) }))
  const wanted = new Set(expected)
  await until(
    () => {
      const got = new Set(numbers().map(({ number }) => number))
      return [...wanted].every(number => got.has(number))
    },
    { what: () => `${wanted.size} messages; got ${client.publishes.length}`, timeout: 30_000, every: 50 },
  ).catch(() => {})
  // What follows in a round trip was not expected, and is looked at, too.
  await client.ping()
  await client.disconnect()
  return faultsOfDelivery(numbers(), wanted, topicOf)
}

/**
 * How often the store was rewritten because the gateway had it done, by LevelDB's own log (and the one before, of
 * a store that was opened again since): not what LevelDB does by itself, which goes on for a while after a flood.
 */
function rewritings(disk: SmallDisk): number {
  const store = join(disk.dataDir, 'store')
  const logs = readdirSync(store).filter(name => name.startsWith('LOG'))
  return logs.flatMap(name => readFileSync(join(store, name), 'utf8').match(/Manual compaction/g) ?? []).length
}

const times = (gateway: Gateway, text: string): number => gateway.stderr.split(text).length - 1
const LOW = 'the disk is nearly full'
const ROOM = 'the disk has room again'

describe.skipIf(!canMount)('below its limit of free space the gateway', { timeout: LONG }, () => {
  test('refuses what must be stored, goes on with the rest, and takes up again when a file is deleted', async () => {
    using disk = SmallDisk.mount() as SmallDisk
    disk.fill('ballast', BALLAST)
    await using gateway = await on(disk, LIMIT)
    const { port } = gateway
    await leaveSession(port)
    const taken = await floodUntilRefused(port)
    expect(taken.length).toBeGreaterThan(20)
    expect(disk.free, 'the limit is kept, roughly').toBeGreaterThan(16 * MIB)

    await using five = await RawClient.connect({ port, protocolVersion: 5 })
    expect(await answerTo(five, { topic: 'flood/0', qos: 1 })).toBe(QUOTA_EXCEEDED)
    expect(await answerTo(five, { topic: 'flood/0', qos: 2 })).toBe(QUOTA_EXCEEDED)
    expect(await answerTo(five, { topic: 'anywhere', qos: 1, retain: true })).toBe(QUOTA_EXCEEDED)
    expect(await answerTo(five, { topic: 'nobody/waits', qos: 1 })).not.toBe(QUOTA_EXCEEDED)

    // MQTT 3.1.1: no answer, and nothing else is amiss.
    await using older = await RawClient.connect({ port })
    const waiting = [0, 1, 2, 3, 4].map(i => ({ messageId: older.nextPacketId(), number: 10_000 + i, qos: 1 as const }))
    for (const each of waiting) send(older, each)
    for (let i = 0; i < 10; i++) await older.ping()
    expect(older.others.filter(({ cmd }) => cmd === 'puback')).toEqual([])

    // Who is here is served: QoS 0, and QoS 1 without the disk.
    await using online = await RawClient.connect({ port, clientId: 'online', clean: false })
    await online.subscribe({ topic: 'news/#', qos: 1 })
    await using other = await RawClient.connect({ port })
    await other.publish('news/0', 'at once', { qos: 0 })
    for (let i = 1; i <= 50; i++) await other.publish('news/1', `news ${i}`, { qos: 1 })
    await online.received(51)
    expect(online.payloads).toEqual(['at once', ...Array.from({ length: 50 }, (_, i) => `news ${i + 1}`)])
    expect(times(gateway, LOW)).toBe(1)

    disk.clear('ballast')
    await until(() => older.others.filter(({ cmd }) => cmd === 'puback').length === waiting.length, {
      what: () => `the acknowledgements of what waited\n${gateway.log}`,
      timeout: TWO_LOOKS,
    })
    const answered = older.others.filter(({ cmd }) => cmd === 'puback').map(({ messageId }) => messageId)
    expect(answered).toEqual(waiting.map(({ messageId }) => messageId))
    expect(older.open).toBe(true)
    expect(await answerTo(five, { topic: 'anywhere', qos: 2, retain: true })).toBe(0)
    expect([times(gateway, LOW), times(gateway, ROOM)]).toEqual([1, 1])

    expect(await drain(port, [...taken, ...waiting.map(({ number }) => number)])).toEqual([])
    await gateway.stop()
  })

  test('has room again when the session that everything waits for comes back', async () => {
    using disk = SmallDisk.mount() as SmallDisk
    await using gateway = await on(disk, LIMIT)
    const { port } = gateway
    await leaveSession(port)
    const taken = await floodUntilRefused(port)
    const after = (first: number) =>
      new Ledger({
        clientId: 'older',
        count: 50,
        window: 20,
        topicOf: number => topicOf(first + number),
        payloadOf: number => payloadOf(first + number),
      })
    const numbers = (first: number) => Array.from({ length: 50 }, (_, i) => first + i)

    // What waits at an MQTT 3.1.1 publisher goes past the disk to the session that is back, behind what was stored.
    const waiting = after(10_000)
    const running = waiting.run(port)
    await until(() => waiting.inFlight === 20, { what: 'a publisher that waits' })
    expect(await drain(port, [...taken, ...numbers(10_000)])).toEqual([])
    expect(await running).toBe(true)

    // What was taken is gone from the disk, too.
    await until(() => times(gateway, ROOM) === 1, {
      what: () => `room on the disk; ${disk.free} bytes are free\n${gateway.log}`,
      timeout: TWO_LOOKS,
    })
    expect(rewritings(disk)).toBeGreaterThan(0)
    expect(await after(20_000).run(port)).toBe(true)
    expect(await drain(port, numbers(20_000))).toEqual([])
  })

  test('does not rewrite what waits for the few messages that another session takes', async () => {
    using disk = SmallDisk.mount() as SmallDisk
    await using gateway = await on(disk, LIMIT)
    const { port } = gateway
    await leaveSession(port)
    await using few = await RawClient.connect({ port, clientId: 'few', clean: false, acknowledging: false })
    await few.subscribe({ topic: 'few', qos: 1 })
    await using publisher = await RawClient.connect({ port })
    for (let i = 0; i < 10; i++) await publisher.publish('few', `${i}`, { qos: 1 })
    await few.received(10)
    await floodUntilRefused(port)
    for (let i = 0; i < 6; i++) {
      few.acknowledge(1)
      await pause(ONE_A_SECOND)
    }
    expect(rewritings(disk), gateway.log).toBe(0)
  })
})

describe.skipIf(!canMount)('another program fills the disk to the last byte', { timeout: LONG }, () => {
  /** More than the disk takes beside the other program's file, less than it takes without. */
  const COUNT = 400

  /** Publishes, has the disk filled after some acknowledgements, and waits until there are no more. */
  async function publishOnto(disk: SmallDisk, gateway: Gateway) {
    const ledger = new Ledger({ clientId: 'publisher', count: COUNT, window: 20, topicOf, payloadOf })
    ledger.onAcknowledged = count => {
      if (count === 50) disk.fill('other')
    }
    const running = ledger.run(gateway.port)
    await until(() => times(gateway, LOW) > 0, { what: () => `a word about the full disk\n${gateway.log}` })
    await using client = await RawClient.connect({ port: gateway.port })
    await client.ping()
    expect(ledger.acknowledged.size).toBeLessThan(COUNT)
    return { ledger, running }
  }

  async function finish(disk: SmallDisk, gateway: Gateway, ledger: Ledger, running: Promise<boolean>): Promise<void> {
    disk.clear('other')
    await until(() => ledger.acknowledged.size === COUNT, {
      what: () => `all acknowledgements; ${ledger.acknowledged.size} came\n${gateway.log}`,
      timeout: 60_000,
    })
    expect(await running).toBe(true)
    expect(await drain(gateway.port, ledger.acknowledged)).toEqual([])
    await gateway.stop()
  }

  test.each([LIMIT, '0'])('with min_free: %s it goes on by itself when there is room again', async minFree => {
    using disk = SmallDisk.mount() as SmallDisk
    await using gateway = await on(disk, minFree)
    await leaveSession(gateway.port)
    const { ledger, running } = await publishOnto(disk, gateway)
    // Long enough for everything that tries again to have done so.
    await pause(12_000)
    expect(times(gateway, LOW), gateway.log).toBe(1)
    expect(gateway.stderr.split('\n').length, gateway.log).toBeLessThan(10)
    await finish(disk, gateway, ledger, running)
    expect(times(gateway, ROOM), gateway.log).toBe(1)
  })

  test('with a reserve it starts again after a kill, and nothing acknowledged is lost', async () => {
    using disk = SmallDisk.mount() as SmallDisk
    await using gateway = await on(disk, LIMIT)
    await leaveSession(gateway.port)
    const { ledger, running } = await publishOnto(disk, gateway)
    await gateway.kill()
    expect(await running).toBe(false)
    await gateway.start()
    await finish(disk, gateway, ledger, ledger.run(gateway.port))
  })

  test('without one it says that the disk is full, and nothing acknowledged is lost', async () => {
    using disk = SmallDisk.mount() as SmallDisk
    await using gateway = await on(disk, '0')
    await leaveSession(gateway.port)
    const { ledger, running } = await publishOnto(disk, gateway)
    await gateway.kill()
    expect(await running).toBe(false)
    disk.fill('other')
    await expect(gateway.start()).rejects.toThrow(/DATA_DIR_UNUSABLE: .*The disk is full: make room on it\./)
    disk.clear('other')
    await gateway.start()
    disk.fill('other', 1)
    await finish(disk, gateway, ledger, ledger.run(gateway.port))
  })
})
