/** Eclipse Paho's Python client on the other side, with its first callback API and with its second, in every version of MQTT. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, REFERENCE, startBroker } from '../support/broker.ts'
import { needs } from '../support/needs.ts'
import { debianPaho, type Installation, Paho, type PahoConnect, paho2 } from './paho.ts'

const QOS = [0, 1, 2] as const
const INSTALLATIONS: [string, Installation | undefined][] = [
  ["Debian's own", debianPaho()],
  ['version 2', paho2()],
]
const VERSIONS = [
  ['3.1', 3],
  ['3.1.1', 4],
  ['5', 5],
] as const
/** Reason codes of MQTT 5 (§2.4). */
const NO_SUBSCRIPTION_EXISTED = 0x11
const DISCONNECT_WITH_WILL = 0x04
/** Seconds that a persistent session of these tests is kept. */
const KEPT = 3_600

describe.each(INSTALLATIONS)('Paho, %s', (which, installation) => {
  describe.skipIf(installation === undefined || (REFERENCE && !needs('mosquitto'))).each(VERSIONS)(
    'speaking MQTT %s',
    (_, version) => {
      let broker: Broker
      beforeAll(async () => {
        broker = await startBroker()
      })
      afterAll(() => broker?.[Symbol.asyncDispose]())

      /** Paho with its process started. */
      async function start(): Promise<Paho> {
        const paho = new Paho(installation as Installation)
        const { api } = await paho.ready()
        if (which === 'version 2') expect(api).toBe(2)
        return paho
      }

      async function connect(options: Partial<PahoConnect> = {}): Promise<Paho> {
        const paho = await start()
        expect(await paho.connect(broker.port, { version, ...options })).toMatchObject({ code: 0 })
        return paho
      }

      const persistent = (clientId: string): Partial<PahoConnect> => ({
        clientId,
        persistent: true,
        ...(version === 5 ? { expiry: KEPT } : {}),
      })

      test('every QoS both ways, once and in order', async () => {
        await using sub = await connect()
        await using pub = await connect()
        for (const subscribed of QOS) {
          expect(await sub.subscribe([{ topic: `qos/${subscribed}/+`, qos: subscribed }])).toEqual([subscribed])
          for (const published of QOS) {
            for (const payload of ['first', 'second'])
              await pub.publish(`qos/${subscribed}/${published}`, payload, { qos: published })
          }
        }
        await sub.received(2 * QOS.length * QOS.length)
        const expected = QOS.flatMap(subscribed =>
          QOS.flatMap(published => {
            const qos = Math.min(published, subscribed)
            return ['first', 'second'].map(payload => [`qos/${subscribed}/${published}`, payload, qos].join(' '))
          }),
        )
        // Order is promised for each topic and QoS only.
        const seen = sub.messages.map(({ topic, payload, qos }) => [topic, payload, qos].join(' '))
        expect(seen.toSorted()).toEqual(expected.toSorted())
        for (const topic of new Set(sub.messages.map(message => message.topic)))
          expect(sub.messages.filter(message => message.topic === topic).map(message => message.payload)).toEqual([
            'first',
            'second',
          ])
      })

      test('retained: set, replaced, cleared', async () => {
        await using pub = await connect()
        await pub.publish('retained/state', 'on', { qos: 1, retain: true })
        await pub.publish('retained/state', 'off', { qos: 1, retain: true })
        await using sub = await connect()
        await sub.subscribe([{ topic: 'retained/#', qos: 1 }])
        await sub.received(1)
        expect(sub.messages[0]).toMatchObject({ topic: 'retained/state', payload: 'off', qos: 1, retain: true })
        await pub.publish('retained/state', '', { qos: 1, retain: true })
        await using late = await connect()
        await late.subscribe([{ topic: 'retained/#', qos: 1 }])
        await pub.publish('retained/fence', 'fence', { qos: 1 })
        await late.received(1)
        expect(late.payloads).toEqual(['fence'])
      })

      test('a will is sent when the line breaks, and not after DISCONNECT', async () => {
        await using watch = await connect()
        await watch.subscribe([{ topic: 'will/#', qos: 2 }])
        const will = (of: string) => ({ topic: `will/${of}`, payload: 'lost', qos: 2 as const })
        await using leaving = await connect({ will: will('leaving') })
        await leaving.disconnect()
        await using breaking = await connect({ will: will('breaking') })
        await breaking.reset()
        await watch.received(1)
        expect(watch.messages.map(({ topic, qos }) => [topic, qos])).toEqual([['will/breaking', 2]])
      })

      test('a persistent session keeps its subscriptions and what it missed, until a clean one ends it', async () => {
        await using pub = await connect()
        {
          await using first = await start()
          const connack = await first.connect(broker.port, { version, ...persistent('keeps') })
          expect(connack).toMatchObject({ code: 0, sessionPresent: false })
          await first.subscribe([{ topic: 'session/#', qos: 2 }])
          await first.disconnect()
        }
        const expected = [1, 2].flatMap(qos => Array.from({ length: 30 }, (_, index) => `${qos}-${index}`))
        for (const payload of expected) await pub.publish('session/a', payload, { qos: payload[0] === '1' ? 1 : 2 })
        {
          await using second = await start()
          const connack = await second.connect(broker.port, { version, ...persistent('keeps') })
          expect(connack.sessionPresent).toBe(version !== 3) // MQTT 3.1 has no such flag
          await second.received(expected.length)
          await pub.publish('session/fence', 'fence', { qos: 2 })
          await second.received(expected.length + 1)
          expect(second.payloads).toEqual([...expected, 'fence'])
          await second.disconnect()
        }
        await using clean = await start()
        expect(await clean.connect(broker.port, { version, clientId: 'keeps' })).toMatchObject({
          sessionPresent: false,
        })
        await clean.subscribe([{ topic: 'session/new', qos: 1 }])
        await pub.publish('session/a', 'not for it', { qos: 1 })
        await pub.publish('session/new', 'for it', { qos: 1 })
        await clean.received(1)
        expect(clean.payloads).toEqual(['for it'])
      })

      test('an unsubscribed filter brings nothing any more', async () => {
        await using client = await connect()
        await client.subscribe([
          { topic: 'leave', qos: 1 },
          { topic: 'stay', qos: 1 },
        ])
        expect(await client.unsubscribe('leave')).toEqual(version === 5 ? [0] : [])
        await client.publish('leave', 'left', { qos: 1 })
        await client.publish('stay', 'stayed', { qos: 1 })
        await client.received(1)
        expect(client.payloads).toEqual(['stayed'])
        if (version === 5) expect(await client.unsubscribe('leave')).toEqual([NO_SUBSCRIPTION_EXISTED])
      })

      test('request and response', async () => {
        await using asking = await connect()
        await using answering = await connect()
        await asking.subscribe([{ topic: 'answer', qos: 1 }])
        await answering.subscribe([{ topic: 'ask', qos: 1 }])
        const properties = { ResponseTopic: 'answer', CorrelationData: Buffer.from([7, 0, 255]).toString('base64') }
        await asking.publish('ask', 'how warm?', { qos: 1, ...(version === 5 ? { properties } : {}) })
        await answering.received(1)
        const { ResponseTopic = 'answer', CorrelationData } = answering.messages[0]?.properties ?? {}
        await answering.publish(ResponseTopic as string, '21 °C', {
          qos: 1,
          ...(version === 5 ? { properties: { CorrelationData } } : {}),
        })
        await asking.received(1)
        expect(asking.payloads).toEqual(['21 °C'])
        if (version === 5)
          expect(asking.messages[0]?.properties).toEqual({ CorrelationData: properties.CorrelationData })
      })

      // Debian's mosquitto leaves the first WebSocket of its life waiting.
      test.skipIf(REFERENCE)('all of it over WebSocket', async () => {
        await using paho = await start()
        expect(await paho.connect(broker.wsPort, { version, websocket: true })).toMatchObject({ code: 0 })
        await paho.subscribe([{ topic: 'ws', qos: 2 }])
        for (const qos of QOS) await paho.publish('ws', `${qos}`, { qos })
        await paho.received(3)
        expect(paho.payloads.toSorted()).toEqual(['0', '1', '2'])
      })

      if (version !== 5) return
      describe('what MQTT 5 adds', () => {
        const PROPERTIES = {
          PayloadFormatIndicator: 1,
          ContentType: 'text/plain',
          ResponseTopic: 'r',
          CorrelationData: Buffer.from([0, 255]).toString('base64'),
          UserProperty: [
            ['room', 'kitchen'],
            ['room', 'hall'],
            ['floor', '1'],
          ],
        }

        test.each(QOS)('all properties of a message come out unaltered and in order at QoS %i', async qos => {
          await using client = await connect()
          await client.subscribe([{ topic: 'properties', qos }], { SubscriptionIdentifier: 42 })
          await client.publish('properties', 'hello', { qos, properties: PROPERTIES })
          await client.received(1)
          expect(client.messages[0]?.properties).toEqual({ ...PROPERTIES, SubscriptionIdentifier: [42] })
        })

        test('a will with properties; DISCONNECT with reason 4 sends it', async () => {
          await using watch = await connect()
          await watch.subscribe([{ topic: 'will5', qos: 1 }])
          await using leaving = await connect({
            will: { topic: 'will5', payload: 'asked for', qos: 1, properties: PROPERTIES },
          })
          await leaving.disconnect({ reason: DISCONNECT_WITH_WILL })
          await watch.received(1)
          expect(watch.messages[0]).toMatchObject({ payload: 'asked for', properties: PROPERTIES })
        })

        test('subscription options', async () => {
          await using client = await connect()
          await using other = await connect()
          await other.publish('options/kept', 'retained', { qos: 1, retain: true })
          await client.subscribe([
            { topic: 'options/#', qos: 1, noLocal: true, retainAsPublished: true, retainHandling: 2 },
          ])
          await client.publish('options/own', 'from itself', { qos: 1 })
          await other.publish('options/kept', 'live', { qos: 1, retain: true })
          await client.received(1)
          await other.publish('options/fence', 'fence', { qos: 1 })
          await client.received(2)
          expect(client.messages.map(({ payload, retain }) => [payload, retain])).toEqual([
            ['live', true],
            ['fence', false],
          ])
          await other.publish('options/kept', '', { qos: 1, retain: true })
        })

        test('a session that DISCONNECT gives an expiry of 0 is gone', async () => {
          for (const [clientId, kept] of [
            ['shortened', false],
            ['not-shortened', true],
          ] as const) {
            await using first = await connect(persistent(clientId))
            await first.disconnect(kept ? {} : { properties: { SessionExpiryInterval: 0 } })
            await using second = await start()
            const connack = await second.connect(broker.port, { version, ...persistent(clientId) })
            expect(connack.sessionPresent).toBe(kept)
          }
        })

        test('a client without an identifier is told the one it was given', async () => {
          await using paho = await start()
          const { properties } = await paho.connect(broker.port, { version: 5 })
          expect(properties).toMatchObject({ AssignedClientIdentifier: expect.stringMatching(/./) })
        })
      })
    },
  )
})
