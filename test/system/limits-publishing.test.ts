/** `limits` on what one client publishes and is sent: the rate, user properties, bytes in flight, retained messages. */
import type { IConnackPacket, Packet, UserProperties } from 'mqtt-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startLimited } from '../support/limited.ts'
import { ManualClock } from '../support/manual-clock.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { until, within } from '../support/wait.ts'
import { Attacker, connectPacket } from './attacks/attacker.ts'

const QUOTA_EXCEEDED = 0x97
const RETAIN_NOT_SUPPORTED = 0x9a
const KEEP_ALIVE_TIMEOUT = 0x8d

async function connect(options: RawClientOptions): Promise<RawClient> {
  const client = await RawClient.connect(options)
  onTestFinished(() => client[Symbol.asyncDispose]())
  return client
}

async function attack(port: number, version: 4 | 5): Promise<Attacker> {
  const attacker = await Attacker.open(port, version)
  onTestFinished(() => attacker[Symbol.asyncDispose]())
  return attacker
}

function publish(client: RawClient, from: number, to: number): void {
  for (let i = from; i < to; i++) void client.publish('rate', `${i}`)
}

const numbers = (until: number) => Array.from({ length: until }, (_, i) => `${i}`)

describe('max_publish_rate', () => {
  test('a client beyond it is read later: nothing is lost, its pings wait, and others do not', async () => {
    const clock = new ManualClock()
    const { port } = await startLimited({ max_publish_rate: 10, publish_burst: 20 }, { clock })
    const listener = await connect({ port })
    await listener.subscribe({ topic: '#', qos: 0 })
    const eager = await connect({ port })
    publish(eager, 0, 60)
    eager.send({ cmd: 'pingreq' })
    await listener.received(20)
    const modest = await connect({ port })
    await modest.publish('modest', 'x')
    await listener.received(21)
    for (let i = 0; i < 3; i++) await listener.ping()
    expect(listener.publishes).toHaveLength(21)
    await clock.advance(1_000)
    await listener.received(31)
    await listener.ping()
    expect(listener.publishes).toHaveLength(31)
    expect(eager.others.map(({ cmd }) => cmd)).toEqual(['connack'])
    // The ping waits for its turn behind the last message.
    await clock.advance(3_100)
    await eager.next('pingresp')
    await listener.received(61)
    expect(listener.payloads.filter(payload => payload !== 'x')).toEqual(numbers(60))
    // Silence brings the burst back, and no more.
    await clock.advance(60_000)
    publish(eager, 60, 100)
    await listener.received(81)
    await listener.ping()
    expect(listener.publishes).toHaveLength(81)
  })

  test.each([1, 2] as const)('QoS %i is acknowledged no sooner than it is read, in order', async qos => {
    const clock = new ManualClock()
    const { port } = await startLimited({ max_publish_rate: 10, publish_burst: 5 }, { clock })
    const client = await connect({ port })
    for (let messageId = 1; messageId <= 15; messageId++) {
      client.send({ cmd: 'publish', topic: 'a', payload: '', qos, messageId, retain: false, dup: false })
    }
    const answers = () => client.others.flatMap(({ cmd, messageId }) => (cmd === 'connack' ? [] : [messageId]))
    await until(() => answers().length === 5, { what: () => `5 answers, ${answers().length} came` })
    await until(
      async () => {
        await clock.advance(100)
        return answers().length === 15
      },
      { what: () => `15 answers, ${answers().length} came` },
    )
    expect(answers()).toEqual(Array.from({ length: 15 }, (_, i) => i + 1))
  })

  test('the keep alive does not run while the client is not read, and does again after', async () => {
    const clock = new ManualClock()
    const { port } = await startLimited({ max_publish_rate: 1, publish_burst: 1 }, { clock })
    const client = await connect({ port, protocolVersion: 5, keepalive: 5 })
    const listener = await connect({ port })
    await listener.subscribe({ topic: '#', qos: 0 })
    publish(client, 0, 30)
    await listener.received(1)
    for (let second = 0; second < 29; second++) await clock.advance(1_000)
    await listener.received(30)
    expect(client.open).toBe(true)
    await clock.advance(7_400)
    await listener.ping()
    expect(client.open).toBe(true)
    await clock.advance(1_200)
    await within(client.closed, { what: 'the end of a silent client' })
    expect(client.others.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: KEEP_ALIVE_TIMEOUT })
  })

  test('is none by default, and a reload sets and lifts it', async () => {
    const clock = new ManualClock()
    const { port, reload } = await startLimited({}, { clock })
    const listener = await connect({ port })
    await listener.subscribe({ topic: '#', qos: 0 })
    const eager = await connect({ port })
    publish(eager, 0, 500)
    await listener.received(500)
    await reload({ max_publish_rate: 10, publish_burst: 10 })
    publish(eager, 500, 600)
    await listener.received(510)
    await listener.ping()
    expect(listener.publishes).toHaveLength(510)
    await reload({})
    await clock.advance(100)
    await listener.received(600)
    expect(listener.payloads).toEqual(numbers(600))
  })
})

describe('max_user_properties', () => {
  const MAX = 5
  const some = (count: number): UserProperties => ({ device: Array(count).fill('x') })

  const PACKETS: [string, (userProperties: UserProperties) => Packet][] = [
    [
      'PUBLISH',
      userProperties => ({
        cmd: 'publish',
        topic: 'a',
        payload: '',
        qos: 0,
        retain: false,
        dup: false,
        properties: { userProperties },
      }),
    ],
    [
      'SUBSCRIBE',
      userProperties => ({
        cmd: 'subscribe',
        messageId: 1,
        subscriptions: [{ topic: 'a', qos: 0 }],
        properties: { userProperties },
      }),
    ],
    [
      'UNSUBSCRIBE',
      userProperties => ({ cmd: 'unsubscribe', messageId: 1, unsubscriptions: ['a'], properties: { userProperties } }),
    ],
    ['PUBACK', userProperties => ({ cmd: 'puback', messageId: 1, reasonCode: 0, properties: { userProperties } })],
    ['PUBREL', userProperties => ({ cmd: 'pubrel', messageId: 1, reasonCode: 0, properties: { userProperties } })],
  ]

  test.each(PACKETS)('%s may have so many, and one more ends the connection', async (_name, packet) => {
    const { port } = await startLimited({ max_user_properties: MAX })
    const attacker = await attack(port, 5)
    attacker.send(connectPacket(5))
    await attacker.next('connack')
    attacker.send(packet(some(MAX)))
    await attacker.ping()
    attacker.send(packet(some(MAX + 1)))
    await attacker.thrownOut(QUOTA_EXCEEDED)
  })

  test('DISCONNECT and AUTH too', async () => {
    const { port } = await startLimited({ max_user_properties: MAX })
    const properties = { authenticationMethod: 'x', userProperties: some(MAX + 1) }
    for (const packet of [
      { cmd: 'disconnect', reasonCode: 0, properties: { userProperties: some(MAX + 1) } },
      { cmd: 'auth', reasonCode: 0x19, properties },
    ] as const) {
      const attacker = await Attacker.connect(port, 5)
      onTestFinished(() => attacker[Symbol.asyncDispose]())
      attacker.send(packet)
      await attacker.thrownOut(QUOTA_EXCEEDED)
    }
  })

  test('CONNECT and its will are refused', async () => {
    const { port } = await startLimited({ max_user_properties: MAX })
    const will = (count: number) => ({
      topic: 'will',
      payload: Buffer.from('x'),
      qos: 0 as const,
      retain: false,
      properties: { userProperties: some(count) },
    })
    const lucky = await attack(port, 5)
    lucky.send(connectPacket(5, { properties: { userProperties: some(MAX) }, will: will(MAX) }))
    expect(await lucky.next('connack')).toMatchObject({ reasonCode: 0 })
    for (const options of [{ properties: { userProperties: some(MAX + 1) } }, { will: will(MAX + 1) }]) {
      const attacker = await attack(port, 5)
      attacker.send(connectPacket(5, options))
      await attacker.thrownOut(QUOTA_EXCEEDED)
    }
  })
})

describe('max_inflight_bytes', () => {
  test.each([
    ['4KiB', 4],
    ['1KiB', 1],
    // One is always sent.
    ['100', 1],
    [0, 20],
  ])('%s: of messages of 1 KB so many are sent at a time: %i', async (limit, atOnce) => {
    const { port } = await startLimited({ max_inflight_bytes: limit, max_inflight: 20 })
    for (const [clean, clientId] of [
      [true, 'clean'],
      [false, 'kept'],
    ] as const) {
      const reader = await connect({ port, clean, clientId, acknowledging: false })
      await reader.subscribe({ topic: clientId, qos: 1 })
      const publisher = await connect({ port })
      for (let i = 0; i < 30; i++) await publisher.publish(clientId, `${i}`.padEnd(1_020), { qos: 1 })
      await reader.ping()
      expect(reader.publishes).toHaveLength(atOnce)
      for (let sent = atOnce; sent < 30; sent++) {
        reader.acknowledge(1)
        await reader.received(sent + 1)
      }
      expect(reader.payloads.map(payload => payload.trimEnd())).toEqual(numbers(30))
    }
  })
})

describe('retain_available: false', () => {
  const retained = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: true, dup: false } as const

  test('MQTT 5 is told at CONNECT, and thrown out with 0x9A', async () => {
    const { port } = await startLimited({ retain_available: false })
    const attacker = await attack(port, 5)
    attacker.send(connectPacket(5))
    expect(await attacker.next('connack')).toMatchObject({ properties: { retainAvailable: false } })
    attacker.send(retained)
    await attacker.thrownOut(RETAIN_NOT_SUPPORTED)
  })

  test('MQTT 3.1.1 is closed, as by Mosquitto', async () => {
    const { port } = await startLimited({ retain_available: false })
    const attacker = await Attacker.connect(port, 4)
    onTestFinished(() => attacker[Symbol.asyncDispose]())
    attacker.send(retained)
    await attacker.thrownOut()
  })

  test.each([4, 5] as const)('a will that is to be retained is refused: version %i', async version => {
    const { port } = await startLimited({ retain_available: false })
    const attacker = await attack(port, version)
    const will = { topic: 'will', payload: Buffer.from('x'), qos: 0, retain: true } as const
    attacker.send(connectPacket(version, { will }))
    await attacker.thrownOut(RETAIN_NOT_SUPPORTED)
    expect(attacker.packets).toHaveLength(version === 5 ? 1 : 0)
  })

  test('what is retained from before is not sent, and nothing of the gateway’s own is retained', async () => {
    const { port, gateway, reload } = await startLimited({})
    const before = await connect({ port })
    await before.publish('a', 'old', { qos: 1, retain: true })
    await reload({ retain_available: false })
    await gateway.publish('b', 'own', { retain: true })
    const after = await connect({ port })
    await after.subscribe({ topic: '+', qos: 1 })
    await after.publish('c', 'live', { qos: 1 })
    await after.received(1)
    expect(after.payloads).toEqual(['live'])
    await reload({})
    const again = await connect({ port })
    await again.subscribe({ topic: '+', qos: 1 })
    await again.received(1)
    await again.ping()
    expect(again.payloads).toEqual(['old'])
  })

  test('nothing is said of it when they are taken', async () => {
    const { port } = await startLimited({})
    const attacker = await attack(port, 5)
    attacker.send(connectPacket(5))
    const { properties } = (await attacker.next('connack')) as IConnackPacket
    expect(properties).not.toHaveProperty('retainAvailable')
  })
})
