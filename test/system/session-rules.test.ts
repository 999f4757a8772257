/**
 * The rules of MQTT 3.1.1 that can only be seen by a client that decides itself what it sends and when:
 * keepalive, take-over, overlapping subscriptions, the in-flight window, repeats, and protocol errors.
 */
import { createConnection } from 'node:net'
import type { IPublishPacket } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, REFERENCE, startBroker } from '../support/broker.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until, within } from '../support/wait.ts'

/** The window that this file's broker is configured with. */
const WINDOW = 10

let broker: Broker
let port: number
beforeAll(async () => {
  broker = await startBroker({ maxInflight: WINDOW })
  port = broker.port
})
afterAll(() => broker?.[Symbol.asyncDispose]())

describe('keepalive', () => {
  test('a client that falls silent is closed after one and a half times its keepalive, and its will is sent', async () => {
    await using watch = await RawClient.connect({ port })
    await watch.subscribe({ topic: 'silent/will', qos: 1 })
    const start = performance.now()
    await using silent = await RawClient.connect({
      port,
      keepalive: 1,
      will: { topic: 'silent/will', payload: 'lost', qos: 1 },
    })
    const closed = await within(silent.closed, { what: 'the end of the silent client' })
    expect(closed - start).toBeGreaterThan(1_490) // [MQTT-3.1.2-24]; ten ms for the rounding of two clocks
    if (!REFERENCE) expect(closed - start).toBeLessThan(4_000) // Mosquitto looks every five seconds only
    await watch.received(1)
    expect(watch.payloads).toEqual(['lost'])
  })

  test('any packet keeps a client alive, and a keepalive of 0 never ends', async () => {
    await using quiet = await RawClient.connect({ port, keepalive: 0 })
    await using pinging = await RawClient.connect({ port, keepalive: 1 })
    await using publishing = await RawClient.connect({ port, keepalive: 1 })
    await using silent = await RawClient.connect({ port, keepalive: 1 })
    const beat = setInterval(() => {
      if (!silent.open) return
      pinging.send({ cmd: 'pingreq' })
      publishing.publish('beat', 'x')
    }, 250)
    try {
      await within(silent.closed, { what: 'the end of the silent client' })
    } finally {
      clearInterval(beat)
    }
    await Promise.all([quiet.ping(), pinging.ping(), publishing.ping()])
  })
})

describe('connections', () => {
  test('a second connection with the same client identifier closes the first [MQTT-3.1.4-2]', async () => {
    await using first = await RawClient.connect({ port, clientId: 'twin' })
    await using second = await RawClient.connect({ port, clientId: 'twin' })
    await within(first.closed, { what: 'the end of the first' })
    await second.ping()
  })

  test('a session that is taken over goes on without a loss', async () => {
    const session = { port, clientId: 'twin-session', clean: false, acknowledging: false }
    await using first = await RawClient.connect(session)
    await first.subscribe({ topic: 'taken', qos: 1 })
    await using pub = await RawClient.connect({ port })
    for (const payload of ['1', '2', '3']) await pub.publish('taken', payload, { qos: 1 })
    await first.received(3)
    first.acknowledge(1)
    await first.ping()
    await using second = await RawClient.connect({ ...session, acknowledging: true })
    expect(second.sessionPresent).toBe(true)
    await second.received(2)
    await pub.publish('taken', '4', { qos: 1 })
    await second.received(3)
    expect(second.publishes.map(packet => [packet.payload.toString(), packet.dup])).toEqual([
      ['2', true],
      ['3', true],
      ['4', false],
    ])
  })

  test('a client without an identifier is given a session of its own, if it asks for a clean one [MQTT-3.1.3-6]', async () => {
    await using one = await RawClient.open({ port, clientId: '' })
    await using two = await RawClient.open({ port, clientId: '' })
    expect((await one.handshake({ clean: true })).returnCode).toBe(0)
    expect((await two.handshake({ clean: true })).returnCode).toBe(0)
    await one.ping()
    await using refused = await RawClient.open({ port, clientId: '' })
    // By hand, because no encoder makes it: Clean Session 0 and no identifier.
    refused.socket.write(Buffer.from([0x10, 0x0c, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 0, 0, 0, 0, 0]))
    expect(await refused.next('connack')).toMatchObject({ returnCode: 2 }) // [MQTT-3.1.3-8]
    await within(refused.closed, { what: 'the end of the refused client' })
  })

  // Bytes by hand, because no encoder makes them: what is sent, and why the broker must close.
  const CONNECT = [0x10, 0x0d, 0, 4, 0x4d, 0x51, 0x54, 0x54, 4, 2, 0, 0, 0, 1, 0x78]
  test.each<[string, number[]]>([
    ['a first packet that is not CONNECT [MQTT-3.1.0-1]', [0xc0, 0]],
    ['a second CONNECT [MQTT-3.1.0-2]', [...CONNECT, ...CONNECT]],
    ['the reserved flag of CONNECT [MQTT-3.1.2-3]', CONNECT.map((byte, index) => (index === 9 ? 3 : byte))],
    ['QoS 3 [MQTT-3.3.1-4]', [...CONNECT, 0x36, 5, 0, 1, 0x61, 0, 1]],
    ['a wildcard in a topic name [MQTT-3.3.2-2]', [...CONNECT, 0x30, 3, 0, 1, 0x23]],
    ['wrong flags of SUBSCRIBE [MQTT-3.8.1-1]', [...CONNECT, 0x80, 6, 0, 1, 0, 1, 0x61, 0]],
    ['SUBSCRIBE without a filter [MQTT-3.8.3-3]', [...CONNECT, 0x82, 2, 0, 1]],
    ['U+0000 in a topic name [MQTT-1.5.3-2]', [...CONNECT, 0x30, 5, 0, 3, 0x61, 0, 0x62]],
    ['a remaining length of five bytes (§2.2.3)', [...CONNECT, 0x30, 0xff, 0xff, 0xff, 0xff, 1]],
    ['packet type 0 (§2.2.1)', [...CONNECT, 0, 0]],
  ])('is closed on %s', async (_, bytes) => {
    const socket = createConnection(port, '127.0.0.1')
    const closed = new Promise<void>(resolve => socket.on('close', () => resolve()))
    socket.on('error', () => {})
    socket.resume()
    socket.write(Buffer.from(bytes))
    await within(closed, { what: 'the end of the connection' })
    await using other = await RawClient.connect({ port }) // and nobody else is harmed
    await other.ping()
  })

  test('a protocol level that is not known is refused with return code 1 [MQTT-3.1.2-2]', async () => {
    await using client = await RawClient.open({ port })
    client.socket.write(Buffer.from(CONNECT.map((byte, index) => (index === 8 ? 9 : byte))))
    const connack = await client.next('connack')
    expect(connack).toMatchObject({ returnCode: 1 })
    await within(client.closed, { what: 'the end of the refused client' })
  })
})

describe('subscriptions', () => {
  // Mosquitto sends one for each subscription, which the standard allows too (§3.3.5).
  test.skipIf(REFERENCE)('overlapping ones bring a message once, at the highest QoS [MQTT-3.3.5-1]', async () => {
    await using sub = await RawClient.connect({ port })
    const granted = await sub.subscribe(
      { topic: 'over/#', qos: 0 },
      { topic: 'over/lap', qos: 2 },
      { topic: 'over/+', qos: 1 },
      { topic: '+/lap', qos: 0 },
    )
    expect(granted).toEqual([0, 2, 1, 0])
    await using pub = await RawClient.connect({ port })
    await pub.publish('over/lap', 'two', { qos: 2 })
    await pub.publish('over/lap', 'one', { qos: 1 })
    await pub.publish('over/lap', 'none', { qos: 0 })
    await pub.publish('over/there', 'two', { qos: 2 })
    await pub.publish('over/lap', 'fence', { qos: 2 })
    await until(() => sub.payloads.includes('fence'), { what: 'the fence' })
    expect(sub.publishes.map(packet => [packet.payload.toString(), packet.qos])).toEqual([
      ['two', 2],
      ['one', 1],
      ['none', 0],
      ['two', 1],
      ['fence', 2],
    ])
  })

  test('a subscription made again replaces the old one, and brings the retained message again [MQTT-3.8.4-3]', async () => {
    await using client = await RawClient.connect({ port })
    await client.publish('again', 'kept', { qos: 1, retain: true })
    await client.subscribe({ topic: 'again', qos: 0 })
    await client.received(1)
    await client.subscribe({ topic: 'again', qos: 1 })
    await client.received(2)
    await client.publish('again', 'live', { qos: 1 })
    await client.received(3)
    expect(client.publishes.map(packet => [packet.payload.toString(), packet.qos, packet.retain])).toEqual([
      ['kept', 0, true],
      ['kept', 1, true],
      ['live', 1, false],
    ])
    await client.publish('again', '', { qos: 1, retain: true })
  })

  test('SUBACK answers each filter in order', async () => {
    await using client = await RawClient.connect({ port })
    const filters = Array.from({ length: 100 }, (_, index) => ({
      topic: `many/${index}`,
      qos: (index % 3) as 0 | 1 | 2,
    }))
    expect(await client.subscribe(...filters)).toEqual(filters.map(filter => filter.qos))
  })
})

describe.each([
  ['clean', true],
  ['persistent', false],
])('the in-flight window of a %s session', (kind, clean) => {
  test.each([1, 2] as const)('at QoS %i is never exceeded, and the rest follows in order', async qos => {
    await using sub = await RawClient.connect({ port, clientId: `window-${kind}-${qos}`, clean, acknowledging: false })
    const topic = `window/${kind}/${qos}`
    await sub.subscribe({ topic, qos })
    await using pub = await RawClient.connect({ port })
    const count = 5 * WINDOW
    for (let number = 0; number < count; number++) await pub.publish(topic, String(number), { qos })
    await sub.received(WINDOW)
    await sub.ping()
    expect(sub.publishes).toHaveLength(WINDOW)

    // One that is done makes room for exactly one.
    finish(sub, 0, qos)
    if (qos === 2) await sub.next('pubrel')
    finishRelease(sub, 0, qos)
    await sub.received(WINDOW + 1)
    await sub.ping()
    if (!REFERENCE) expect(sub.publishes).toHaveLength(WINDOW + 1) // Mosquitto 2.0.11 sends a second window

    const identifiers = sub.publishes.slice(1).map(packet => packet.messageId)
    expect(new Set(identifiers).size).toBe(identifiers.length)

    sub.onPacket = packet => {
      if (packet.cmd === 'publish') finish(sub, sub.publishes.length - 1, qos)
      if (packet.cmd === 'pubrel') sub.send({ cmd: 'pubcomp', messageId: packet.messageId as number })
    }
    for (let index = 1; index <= WINDOW; index++) finish(sub, index, qos)
    await sub.received(count)
    await sub.ping()
    expect(sub.payloads).toEqual(Array.from({ length: count }, (_, number) => String(number)))
  })

  function finish(sub: RawClient, index: number, qos: 1 | 2): void {
    const messageId = (sub.publishes[index] as IPublishPacket).messageId as number
    sub.send({ cmd: qos === 1 ? 'puback' : 'pubrec', messageId })
  }

  function finishRelease(sub: RawClient, index: number, qos: 1 | 2): void {
    if (qos === 2) sub.send({ cmd: 'pubcomp', messageId: (sub.publishes[index] as IPublishPacket).messageId as number })
  }
})

describe('repeats', () => {
  test('what was not acknowledged comes again, in order, with DUP and the same identifiers [MQTT-4.4.0-1]', async () => {
    const session = { port, clientId: 'repeats', clean: false, acknowledging: false }
    const first = await RawClient.connect(session)
    await first.subscribe({ topic: 'repeats', qos: 1 })
    await using pub = await RawClient.connect({ port })
    for (const payload of ['a', 'b', 'c', 'd']) await pub.publish('repeats', payload, { qos: 1 })
    await first.received(4)
    first.acknowledge(2)
    await first.ping()
    const identifiers = first.publishes.map(packet => packet.messageId)
    await first.cut()
    await pub.publish('repeats', 'e', { qos: 1 })
    await using second = await RawClient.connect({ ...session, acknowledging: true })
    await second.received(3)
    expect(second.publishes.map(packet => [packet.payload.toString(), packet.dup])).toEqual([
      ['c', true],
      ['d', true],
      ['e', false],
    ])
    expect(second.publishes.slice(0, 2).map(packet => packet.messageId)).toEqual(identifiers.slice(2))
  })

  test('a QoS 2 PUBLISH that is sent twice before PUBREL is delivered once [MQTT-4.3.3-2]', async () => {
    await using sub = await RawClient.connect({ port })
    await sub.subscribe({ topic: 'exactly', qos: 2 })
    await using pub = await RawClient.connect({ port })
    const packet = { cmd: 'publish', topic: 'exactly', payload: 'once', qos: 2, retain: false, messageId: 77 } as const
    pub.send({ ...packet, dup: false })
    await pub.next('pubrec', 77)
    pub.send({ ...packet, dup: true })
    await pub.next('pubrec', 77)
    pub.send({ cmd: 'pubrel', messageId: 77 })
    await pub.next('pubcomp', 77)
    pub.send({ cmd: 'pubrel', messageId: 77 }) // as if PUBCOMP had been lost
    await pub.next('pubcomp', 77)
    pub.send({ ...packet, payload: 'the identifier is free again', dup: false })
    await pub.next('pubrec', 77)
    pub.send({ cmd: 'pubrel', messageId: 77 })
    await pub.next('pubcomp', 77)
    await sub.received(2)
    await sub.ping()
    expect(sub.payloads).toEqual(['once', 'the identifier is free again'])
  })

  test('a QoS 2 delivery that stopped after PUBREC goes on with PUBREL, not with PUBLISH (§4.3.3)', async () => {
    const session = { port, clientId: 'released', clean: false, acknowledging: false }
    const first = await RawClient.connect(session)
    await first.subscribe({ topic: 'released', qos: 2 })
    await using pub = await RawClient.connect({ port })
    await pub.publish('released', 'once', { qos: 2 })
    await first.received(1)
    const messageId = first.publishes[0]?.messageId as number
    first.send({ cmd: 'pubrec', messageId })
    await first.next('pubrel', messageId)
    await first.cut()
    await using second = await RawClient.connect(session)
    await second.next('pubrel', messageId)
    second.send({ cmd: 'pubcomp', messageId })
    await pub.publish('released', 'next', { qos: 2 })
    await second.received(1)
    expect(second.payloads).toEqual(['next'])
  })
})
