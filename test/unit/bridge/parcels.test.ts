/** What a message becomes on its way up: wrapped, in a batch, compressed, expired, set aside. */
import { gunzipSync } from 'node:zlib'
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { Bridge } from '../../../src/bridge/bridge.ts'
import type { DeadLetter } from '../../../src/bridge/dead-letters.ts'
import type { BridgeRule } from '../../../src/bridge/ports.ts'
import { wrapped } from '../../../src/bridge/wrapping.ts'
import type { Message } from '../../../src/broker/ports.ts'
import { encodeForwarded } from '../../../src/mqtt/publish-properties.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'
import { answerWell, type ScriptedUpstream, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

const rule = (more: Partial<BridgeRule>): BridgeRule => ({ filter: '#', qos: 1, remotePrefix: 'up/', ...more })
const batch = { every: 1_000, maxBytes: 65_536, topic: 'house/batch' }
const gateway = 'Cottage'

/** Speaks MQTT 5. */
const answer5: ScriptedUpstream['answer'] = (packet, connection) => {
  if (packet.cmd === 'connect') connection.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false }, 5)
  else if (packet.cmd === 'publish' && packet.qos > 0) {
    connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0 }, 5)
  } else answerWell(packet, connection)
}

async function lettersOf(bridge: Bridge): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of bridge.deadLetters()) letters.push(letter)
  return letters
}

const jsonOf = ({ payload }: IPublishPacket) => JSON.parse(String(payload))

describe('a wrapped payload', () => {
  const wrap = (payload: Buffer) => wrapped({ topic: 'a"b', payload } as Message, { time: 1_767_225_600_123, gateway })
  const head = '{"time":"2026-01-01T00:00:00.123Z","gateway":"Cottage","topic":"a\\"b",'

  test.each([
    ['21.50', '"payload":21.50}'],
    ['{"a": 12345678901234567890}', '"payload":{"a": 12345678901234567890}}'],
    ['on', '"payload":"on"}'],
    ['say "hi"', '"payload":"say \\"hi\\""}'],
    ['', '"payload":""}'],
    ['{"a":', '"payload":"{\\"a\\":"}'],
  ])('%s', (payload, expected) => {
    expect(wrap(Buffer.from(payload))).toBe(head + expected)
    expect(() => JSON.parse(wrap(Buffer.from(payload)))).not.toThrow()
  })

  test('that is no text goes in base64', () => {
    expect(wrap(Buffer.from([0xff, 0x00]))).toBe(`${head}"payload_base64":"/wA="}`)
  })

  test('goes with the time at which it came, told by the clock of now', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream(answer5)
    const { queue, broker, bridge } = await startBridge(
      upstream.url,
      { out: [rule({ wrap: 'json' })], version: '5' },
      clock,
    )
    await until(() => bridge.status.connected, { what: 'a connection' })
    broker.time = 5_000_000
    queue.push({ topic: 't', payload: Buffer.from('1'), retain: true, acceptedAt: 5_000_000 - 90_000 })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    const [sent] = upstream.publishes
    expect(sent).toMatchObject({ topic: 'up/t', retain: true, properties: { contentType: 'application/json' } })
    expect(jsonOf(sent as IPublishPacket)).toEqual({
      time: new Date(clock.wall() - 90_000).toISOString(),
      gateway,
      topic: 't',
      payload: 1,
    })
  })
})

describe('a batch', () => {
  test('holds what came within its time, and all stays in the spool until it is acknowledged', async () => {
    const clock = new ManualClock()
    const held: IPublishPacket[] = []
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'publish') held.push(packet)
      else answerWell(packet, connection)
    })
    const { queue, bridge } = await startBridge(upstream.url, { out: [rule({ batch })], maxInflight: 1 }, clock)
    await until(() => bridge.status.connected, { what: 'a connection' })
    for (let i = 0; i < 3; i++) queue.push({ topic: `t/${i}`, payload: Buffer.from(`${i}`), retain: true })
    await until(() => clock.pending === 4, { what: 'a batch that waits' })
    await clock.advance(999)
    expect(held).toEqual([])
    await clock.advance(1)
    const [first] = await until(() => held.length > 0 && held, { what: 'the batch' })
    expect(first).toMatchObject({ topic: 'house/batch', qos: 1, retain: false })
    expect(
      jsonOf(first as IPublishPacket).map(({ topic, payload }: { topic: string; payload: number }) => [topic, payload]),
    ).toEqual([
      ['t/0', 0],
      ['t/1', 1],
      ['t/2', 2],
    ])
    expect(queue.count).toBe(3)
    upstream.connections[0]?.acknowledge(first as IPublishPacket)
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(bridge.state.sent).toBe(3)
  })

  test('goes when it is full, and is never larger than its bound or than the upstream takes', async () => {
    for (const maximumPacketSize of [undefined, 600]) {
      const upstream = await startUpstream((packet, connection, index) => {
        if (packet.cmd !== 'connect' || maximumPacketSize === undefined) return answer5(packet, connection, index)
        const properties = { maximumPacketSize }
        connection.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties }, 5)
      })
      const small = { ...batch, every: 20, maxBytes: 1_024 }
      const { queue, bridge } = await startBridge(upstream.url, { out: [rule({ batch: small })], version: '5' })
      for (let i = 0; i < 100; i++) queue.push({ topic: 't', payload: Buffer.from(`${i}`) })
      queue.push({ topic: 'large', payload: Buffer.alloc(700, 'x') })
      queue.push({ topic: 't', payload: Buffer.from('100') })
      await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
      const sizes = upstream.publishes.map(({ payload }) => payload.length)
      expect(Math.max(...sizes)).toBeLessThanOrEqual(maximumPacketSize ?? 1_024)
      expect(sizes.length).toBeLessThan(maximumPacketSize === undefined ? 12 : 25)
      const all = upstream.publishes.flatMap(jsonOf).map(({ payload }) => payload)
      const large = maximumPacketSize === undefined ? ['x'.repeat(700)] : []
      expect(all).toEqual([...Array(100).keys(), ...large, 100])
      expect(bridge.state.dead).toBe(1 - large.length)
    }
  })

  test('that was not acknowledged comes again, and one that a lost connection cut short, too', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'publish' && index < 3) connection.cut()
      else answerWell(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, { out: [rule({ batch: { ...batch, every: 20 } })] })
    for (let i = 0; i < 50; i++) queue.push({ topic: 't', payload: Buffer.from(`${i}`) })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    const last = upstream.connections.at(-1)?.publishes.flatMap(jsonOf)
    expect(last?.map(({ payload }) => payload)).toEqual([...Array(50).keys()])
    expect(upstream.publishes.map(({ dup }) => dup)).not.toContain(true)
  })

  test('that the upstream refuses is set aside message by message', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'publish') {
        connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0x87 }, 5)
      } else answer5(packet, connection, index)
    })
    const settings = { out: [rule({ batch: { ...batch, every: 20 } })], version: '5' } as const
    const { queue, bridge } = await startBridge(upstream.url, settings)
    for (const topic of ['a', 'b']) queue.push({ topic })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect((await lettersOf(bridge)).map(({ topic }) => topic)).toEqual(['a', 'b'])
  })

  test('of messages at one of which the upstream closes: that one is found', { timeout: 30_000 }, async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'publish' && String(packet.payload).includes('poison')) connection.cut()
      else answerWell(packet, connection)
    })
    const { queue, bridge } = await startBridge(upstream.url, { out: [rule({ batch: { ...batch, every: 20 } })] })
    for (const topic of ['poison', 'b', 'c']) queue.push({ topic })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left`, timeout: 20_000 })
    expect((await lettersOf(bridge)).map(({ topic }) => topic)).toEqual(['poison'])
  })
})

describe('a compressed payload', () => {
  test('is smaller, says so, and keeps its place; what gets no smaller goes as it is', async () => {
    const upstream = await startUpstream(answer5)
    const { queue } = await startBridge(upstream.url, { out: [rule({ compress: 'gzip' })], version: '5' })
    const large = Buffer.alloc(200_000, 'all work and no play ')
    for (let i = 0; i < 5; i++) {
      queue.push({ topic: 'large', payload: large, forwarded: encodeForwarded({ contentType: 'text/plain' }) })
      queue.push({ topic: 'small', payload: Buffer.from(`${i}`) })
    }
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.publishes.map(({ topic }) => topic)).toEqual(Array(5).fill(['up/large', 'up/small']).flat())
    const [first, second] = upstream.publishes as [IPublishPacket, IPublishPacket]
    expect(gunzipSync(first.payload as Buffer)).toEqual(large)
    expect(first.properties).toMatchObject({
      contentType: 'text/plain',
      userProperties: { 'content-encoding': 'gzip' },
    })
    expect(String(second.payload)).toBe('0')
    expect(second.properties?.userProperties).toBeUndefined()
  })

  test('of a connection that ends meanwhile goes once on the next', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect' && index < 3) {
        answer5(packet, connection, index)
        setImmediate(() => connection.cut())
      } else answer5(packet, connection, index)
    })
    const { queue } = await startBridge(upstream.url, { out: [rule({ compress: 'gzip' })], version: '5' })
    for (let i = 0; i < 20; i++) queue.push({ topic: `t${i}`, payload: Buffer.alloc(100_000) })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections.at(-1)?.publishes.length).toBeLessThanOrEqual(20)
  })
})

describe('the time of a message', () => {
  test('goes on counting in the spool [MQTT-3.3.2-6], and when it is over the message goes no more [MQTT-3.3.2-5]', async () => {
    const upstream = await startUpstream(answer5)
    const { queue, broker, bridge } = await startBridge(upstream.url, { version: '5' })
    broker.time = 100_000
    queue.push({ topic: 'over', expiresAt: 100_000 })
    queue.push({ topic: 'left', expiresAt: 100_000 + 41_500 })
    queue.push({ topic: 'never' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.publishes.map(({ topic, properties }) => [topic, properties?.messageExpiryInterval])).toEqual([
      ['left', 42],
      ['never', undefined],
    ])
    expect(bridge.state).toMatchObject({ expired: 1, sent: 2 })
  })

  test('of one that may have been sent before does not end it: what was begun is finished', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answer5(packet, connection, index)
      broker.time = 1_000_000
      connection.cut()
    })
    const { queue, broker } = await startBridge(upstream.url, { version: '5' })
    queue.push({ topic: 't', expiresAt: 60_000 })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(
      upstream.connections[1]?.publishes.map(({ dup, properties }) => [dup, properties?.messageExpiryInterval]),
    ).toEqual([[true, 0]])
  })
})

describe('a dead letter', () => {
  test('keeps its retain flag when it is set aside and sent again, and nothing of ours goes with it', async () => {
    let isRefused = true
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish') return answer5(packet, connection, index)
      const reasonCode = isRefused ? 0x99 : 0
      connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode }, 5)
    })
    const { queue, broker, bridge } = await startBridge(upstream.url, { version: '5' })
    const forwarded = encodeForwarded({ userProperties: [['a', 'b']] })
    queue.push({ topic: 'r', payload: Buffer.from('x'), retain: true, forwarded })
    queue.push({ topic: 'p', payload: Buffer.from('y') })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect((await lettersOf(bridge)).map(({ topic, retain }) => [topic, retain])).toEqual([
      ['r', true],
      ['p', false],
    ])
    // Refused twice, it is still what it was.
    await bridge.retryDeadLetters()
    await until(() => queue.count === 0 && broker.dead.count === 2, { what: 'the second refusal' })
    isRefused = false
    await bridge.retryDeadLetters()
    await until(() => queue.count === 0, { what: 'an empty queue' })
    const [first, second] = upstream.publishes.slice(-2)
    expect(first).toMatchObject({ topic: 'r', retain: true, properties: { userProperties: { a: 'b' } } })
    expect(Object.keys(first?.properties?.userProperties ?? {})).toEqual(['a'])
    expect(second).toMatchObject({ topic: 'p', retain: false })
    expect(second?.properties?.userProperties).toBeUndefined()
  })
})

describe('a pause', () => {
  test('disconnects, and lasts until it is ended', async () => {
    const upstream = await startUpstream()
    const { bridge, queue, messages } = await startBridge(upstream.url)
    await until(() => bridge.status.connected, { what: 'a connection' })
    await bridge.pause()
    expect(bridge.state).toMatchObject({ connected: false, paused: true, lastError: undefined })
    queue.push({ topic: 't' })
    // Longer than the longest pause of its own.
    await new Promise(resolve => setTimeout(resolve, 60))
    expect(upstream.connections).toHaveLength(1)
    await bridge.resume()
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(bridge.state).toMatchObject({ connected: true, paused: false })
    expect(messages()).toEqual(['bridge connected', 'bridge is paused', 'bridge goes on', 'bridge connected'])
  })

  test('that is ended before the connection has closed ends in a new one', async () => {
    const upstream = await startUpstream()
    const { bridge, queue } = await startBridge(upstream.url)
    await until(() => bridge.status.connected, { what: 'a connection' })
    const paused = bridge.pause()
    await bridge.resume()
    await paused
    queue.push({ topic: 't' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections).toHaveLength(2)
  })
})
