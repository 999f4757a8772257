/** MQTT.js on the other side, in every version it speaks, over TCP and over WebSocket: the plain feature list of a broker. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, REFERENCE, startBroker } from '../support/broker.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'
import { type Client, type ConnectOptions, connectClient, type Seen } from './mqttjs.ts'

const QOS = [0, 1, 2] as const
const VERSIONS = [
  ['3.1', 3],
  ['3.1.1', 4],
  ['5', 5],
] as const
const CASES = VERSIONS.flatMap(([name, version]) =>
  (['TCP', 'WebSocket'] as const).map(transport => [name, transport, version] as const),
)

describe.skipIf(REFERENCE && !needs('mosquitto')).each(CASES)(
  'MQTT.js speaking MQTT %s over %s',
  (_, transport, protocolVersion) => {
    let broker: Broker
    beforeAll(async () => {
      broker = await startBroker()
    })
    afterAll(() => broker?.[Symbol.asyncDispose]())

    const connect = (options: ConnectOptions = {}): Promise<Client> =>
      connectClient(broker, { protocolVersion, overWebSocket: transport === 'WebSocket', ...options })

    describe.each(QOS)('published with QoS %i', published => {
      test.each(QOS)('and subscribed with QoS %i, arrives once at the lower of the two', async subscribed => {
        await using sub = await connect()
        await using pub = await connect()
        const granted = await sub.mqtt.subscribeAsync('qos/a', { qos: subscribed })
        expect(granted.map(grant => grant.qos)).toEqual([subscribed])
        for (const payload of ['first', 'second', 'third'])
          await pub.mqtt.publishAsync('qos/a', payload, { qos: published })
        await until(() => sub.payloads.includes('third'), { what: 'the last message' })
        const qos = Math.min(published, subscribed)
        expect(sub.seen).toEqual(
          ['first', 'second', 'third'].map(payload => ({ topic: 'qos/a', payload, qos, retain: false })),
        )
      })

      // Mosquitto 2.0.11 stalls when more QoS 2 messages than its window come at once.
      test.skipIf(REFERENCE && published === 2)('a burst of 2,000 arrives complete and in order', async () => {
        await using sub = await connect()
        await using pub = await connect()
        await sub.mqtt.subscribeAsync('burst', { qos: 2 })
        const numbers = Array.from({ length: 2_000 }, (_, index) => String(index))
        await Promise.all(numbers.map(number => pub.mqtt.publishAsync('burst', number, { qos: published })))
        await sub.received(numbers.length)
        expect(sub.payloads).toEqual(numbers)
      })
    })

    test('a payload of every byte and of a mebibyte comes back unchanged', async () => {
      await using client = await connect()
      const payload = Buffer.from(Array.from({ length: 1024 * 1024 }, (_, index) => (index * 31 + (index >> 8)) & 0xff))
      const came = new Promise<Buffer>(resolve => client.mqtt.once('message', (_topic, bytes) => resolve(bytes)))
      await client.mqtt.subscribeAsync('large', { qos: 1 })
      await client.mqtt.publishAsync('large', payload, { qos: 1 })
      expect((await came).equals(payload)).toBe(true)
    })

    test('an empty payload and a topic in any script arrive', async () => {
      await using client = await connect()
      await client.mqtt.subscribeAsync('Küche/温度/🌡', { qos: 1 })
      await client.mqtt.publishAsync('Küche/温度/🌡', '', { qos: 1 })
      await client.received(1)
      expect(client.seen).toEqual([{ topic: 'Küche/温度/🌡', payload: '', qos: 1, retain: false }])
    })

    test('retained: set, replaced, cleared', async () => {
      await using pub = await connect()
      await pub.mqtt.publishAsync('retained/state', 'on', { qos: 1, retain: true })
      await pub.mqtt.publishAsync('retained/state', 'off', { qos: 1, retain: true })
      {
        await using sub = await connect()
        await sub.mqtt.subscribeAsync('retained/#', { qos: 1 })
        await sub.received(1)
        expect(sub.seen).toEqual([{ topic: 'retained/state', payload: 'off', qos: 1, retain: true }])
      }
      await pub.mqtt.publishAsync('retained/state', '', { qos: 1, retain: true })
      await using late = await connect()
      await late.mqtt.subscribeAsync('retained/#', { qos: 1 })
      await pub.mqtt.publishAsync('retained/fence', 'fence', { qos: 1 })
      await late.received(1)
      expect(late.payloads).toEqual(['fence'])
    })

    test('a will is sent when the connection breaks, and not after DISCONNECT', async () => {
      await using watch = await connect()
      await watch.mqtt.subscribeAsync('will/#', { qos: 1 })
      const will = (name: string): ConnectOptions => ({
        will: { topic: `will/${name}`, payload: Buffer.from('lost'), qos: 1, retain: false },
      })
      const leaving = await connect(will('leaving'))
      await leaving.mqtt.endAsync()
      const breaking = await connect(will('breaking'))
      await breaking.vanish()
      await watch.received(1)
      expect(watch.seen.map(message => message.topic)).toEqual(['will/breaking'])
    })

    test('a persistent session survives: session present, subscriptions, what was missed, and QoS 2 once', async () => {
      const session = { clientId: `keeps-${transport}`, persistent: true }
      {
        await using first = await connect(session)
        expect(first.sessionPresent).toBe(false)
        await first.mqtt.subscribeAsync('session/#', { qos: 2 })
        await first.mqtt.endAsync()
      }
      await using pub = await connect()
      const expected: Seen[] = []
      for (const qos of [1, 2] as const) {
        for (let number = 0; number < 20; number++) {
          await pub.mqtt.publishAsync('session/a', `${qos}-${number}`, { qos })
          expected.push({ topic: 'session/a', payload: `${qos}-${number}`, qos, retain: false })
        }
      }
      {
        await using second = await connect(session)
        // MQTT 3.1 has no session present flag.
        expect(second.sessionPresent).toBe(protocolVersion !== 3)
        await second.received(expected.length)
        await pub.mqtt.publishAsync('session/fence', 'fence', { qos: 1 })
        await second.received(expected.length + 1)
        expect(second.seen.slice(0, -1)).toEqual(expected)
        await second.mqtt.endAsync()
      }
      await using third = await connect(session)
      await pub.mqtt.publishAsync('session/fence', 'second fence', { qos: 1 })
      await third.received(1)
      expect(third.payloads).toEqual(['second fence'])
    })

    test('an unsubscribed filter brings nothing any more', async () => {
      await using client = await connect()
      await client.mqtt.subscribeAsync(['leave', 'stay'], { qos: 1 })
      await client.mqtt.unsubscribeAsync('leave')
      await client.mqtt.publishAsync('leave', 'left', { qos: 1 })
      await client.mqtt.publishAsync('stay', 'stayed', { qos: 1 })
      await client.received(1)
      expect(client.payloads).toEqual(['stayed'])
    })

    test('a second connection with the same client identifier takes over', async () => {
      const first = await connect({ clientId: `twin-${transport}` })
      await using second = await connect({ clientId: `twin-${transport}` })
      await first.closed
      await second.mqtt.subscribeAsync('twin', { qos: 1 })
      await second.mqtt.publishAsync('twin', 'hello', { qos: 1 })
      await second.received(1)
      expect(first.seen).toEqual([])
      await first[Symbol.asyncDispose]()
    })

    test('a client reconnects by itself and goes on after its line was cut', async () => {
      await using pub = await connect()
      await using client = await connect({ clientId: `cut-${transport}`, persistent: true, reconnectPeriod: 50 })
      await client.mqtt.subscribeAsync('cut', { qos: 1 })
      client.mqtt.stream.destroy()
      await pub.mqtt.publishAsync('cut', 'while away or just back', { qos: 1 })
      await client.received(1)
      expect(client.payloads).toEqual(['while away or just back'])
    })
  },
)
