/** `limits.memory`: what all connections together may make the gateway hold, and who has to go beyond it. */
import { describe, expect, onTestFinished, test } from 'vitest'
import { type Limited, startLimited } from '../support/limited.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { until, within } from '../support/wait.ts'
import { Attacker, frame, properties, uint16, utf8 } from './attacks/attacker.ts'

const QUOTA_EXCEEDED = 0x97
const KIB = 1024
const MIB = 1024 * KIB

async function connect(options: RawClientOptions): Promise<RawClient> {
  const client = await RawClient.connect(options)
  onTestFinished(() => client[Symbol.asyncDispose]())
  return client
}

/** Bytes that all sessions together hold now. */
function held({ gateway }: Limited): number {
  const clients = Object.values(gateway.hub.clients) as unknown as { held: number }[]
  return clients.reduce((sum, client) => sum + client.held, 0)
}

describe('beyond it the one that holds most is closed, and nobody else', () => {
  test('a subscriber that does not read', async () => {
    const limited = await startLimited({ memory: '4MiB', max_unsent: '1GiB' })
    const { port, warnings } = limited
    const frozen = await connect({ port, clientId: 'frozen' })
    await frozen.subscribe({ topic: 'flood', qos: 0 })
    const reader = await connect({ port })
    await reader.subscribe({ topic: 'flood', qos: 0 }, { topic: 'end', qos: 1 })
    const publisher = await connect({ port })
    frozen.socket.pause()
    let most = 0
    const isClosed = () => limited.gateway.hub.clients.frozen === undefined
    // The kernel takes some megabytes before the gateway has to hold any.
    await until(
      async () => {
        await publisher.publish('flood', Buffer.alloc(64 * KIB))
        await publisher.ping()
        most = Math.max(most, held(limited))
        return isClosed()
      },
      { what: () => `the end of the frozen subscriber; ${held(limited)} bytes are held`, every: 0, timeout: 30_000 },
    )
    // What was moved between two looks comes on top.
    expect(most).toBeGreaterThan(2 * MIB)
    expect(most).toBeLessThan(5 * MIB)
    expect(warnings('limits.memory')).toMatchObject([{ fields: { client: 'frozen', ended: 1, max: 4 * MIB } }])
    await publisher.publish('end', 'x', { qos: 1 })
    await until(() => reader.payloads.at(-1) === 'x', { what: 'the last message at the reader' })
    expect([reader.open, publisher.open]).toEqual([true, true])
  })

  test('a clean session that does not acknowledge', async () => {
    const limited = await startLimited({ memory: '4MiB', max_inflight: 10 })
    const { port } = limited
    const idle = await connect({ port, clientId: 'idle', protocolVersion: 5, acknowledging: false })
    await idle.subscribe({ topic: 'flood', qos: 1 })
    const slow = await connect({ port, acknowledging: false })
    await slow.subscribe({ topic: 'drip', qos: 1 })
    const publisher = await connect({ port })
    for (let i = 0; i < 20; i++) await publisher.publish('drip', Buffer.alloc(32 * KIB), { qos: 1 })
    for (let i = 0; i < 40; i++) await publisher.publish('flood', Buffer.alloc(64 * KIB), { qos: 1 })
    expect(idle.open).toBe(true)
    for (let i = 0; i < 60; i++) await publisher.publish('flood', Buffer.alloc(64 * KIB), { qos: 1 })
    await within(idle.closed, { what: 'the end of the session that holds most' })
    expect(idle.others.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: QUOTA_EXCEEDED })
    await slow.ping()
    slow.acknowledge(10)
    await slow.received(20)
    expect(held(limited)).toBeLessThan(4 * MIB)
  })

  test('a packet that does not come whole', async () => {
    const limited = await startLimited({ memory: '4MiB' })
    const { port } = limited
    const senders: Attacker[] = []
    for (let i = 0; i < 5; i++) senders.push(await Attacker.connect(port, 5, { keepalive: 0 }))
    onTestFinished(async () => {
      for (const sender of senders) await sender[Symbol.asyncDispose]()
    })
    const whole = frame(0x30, utf8('a'), [0], Buffer.alloc(1.5 * MIB))
    const [first, second, third, fourth, fifth] = senders as [Attacker, Attacker, Attacker, Attacker, Attacker]
    // The third sends more of it than the others, and before them: else one of them might hold most for a moment.
    third.raw(whole.subarray(0, 1_400 * KIB))
    await until(() => held(limited) >= 1_400 * KIB, { what: 'most of the packet of the third' })
    const others = [first, second, fourth, fifth]
    for (const sender of others) sender.raw(whole.subarray(0, 800 * KIB))
    await third.thrownOut(QUOTA_EXCEEDED)
    for (const sender of others) {
      sender.raw(whole.subarray(800 * KIB))
      await sender.ping()
    }
  })

  test('but not for what has not come of a packet', async () => {
    const limited = await startLimited({ memory: '4MiB' })
    const whole = frame(0x30, utf8('a'), [0], Buffer.alloc(1.5 * MIB))
    const senders: Attacker[] = []
    onTestFinished(async () => {
      for (const sender of senders) await sender[Symbol.asyncDispose]()
    })
    for (let i = 0; i < 10; i++) {
      const sender = await Attacker.connect(limited.port, 5, { keepalive: 0 })
      senders.push(sender)
      sender.raw(whole.subarray(0, 300 * KIB))
    }
    await until(() => held(limited) >= 3_000 * KIB, { what: 'the beginnings of all packets' })
    for (const sender of senders) {
      sender.raw(whole.subarray(300 * KIB))
      await sender.ping()
    }
    expect(limited.warnings('limits.memory')).toEqual([])
  })
})

test('the topics of aliases count for the client that gave them', async () => {
  const limited = await startLimited({ memory: '4MiB' })
  const aliases = await Attacker.connect(limited.port, 5, { keepalive: 0 })
  const other = await Attacker.connect(limited.port, 5, { keepalive: 0 })
  onTestFinished(async () => {
    for (const each of [aliases, other]) await each[Symbol.asyncDispose]()
  })
  const topic = 'x'.repeat(60_000)
  for (let alias = 1; alias <= 64; alias++) {
    // The other gives its one alias another meaning each time.
    for (const [client, number] of [[other, 1] as const, [aliases, alias] as const]) {
      await client.flood(frame(0x30, utf8(`${alias}/${topic}`), properties([0x23], uint16(number))))
    }
  }
  await aliases.thrownOut(QUOTA_EXCEEDED)
  await other.ping()
})

test('a message to many at once is dropped at QoS 0 where it would take too much, and nobody is closed', async () => {
  const limited = await startLimited({ memory: '1MiB' })
  const { port, gateway } = limited
  const readers: RawClient[] = []
  for (let i = 0; i < 200; i++) {
    const reader = await connect({ port })
    await reader.subscribe({ topic: 'all', qos: 0 })
    readers.push(reader)
  }
  const publisher = await connect({ port })
  // 200 copies of 15 KiB are 3 MB in one turn.
  await publisher.publish('all', Buffer.alloc(15 * KIB))
  await publisher.ping()
  expect(gateway.hub.stats.dropped).toBeGreaterThan(50)
  expect(gateway.hub.stats.sent).toBeGreaterThan(50)
  for (const reader of readers) await reader.ping()
  // And the next small one comes to everybody.
  const before = readers.map(({ publishes }) => publishes.length)
  await publisher.publish('all', 'small')
  for (const [i, reader] of readers.entries()) await reader.received((before[i] ?? 0) + 1)
})
