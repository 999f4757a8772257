/**
 * Debian's mosquitto_pub and mosquitto_sub on the other side, in every version they speak: the plain
 * feature list of a broker, as an owner meets it.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Broker, startBroker } from '../support/broker.ts'
import { needs } from '../support/needs.ts'
import { type PubOptions, pub as runPub } from '../support/pub.ts'
import { startSub as runSub, type Sub, type SubOptions } from '../support/sub.ts'

const QOS = [0, 1, 2] as const
const VERSIONS = ['mqttv31', 'mqttv311', 'mqttv5'] as const

describe.skipIf(!needs('mosquitto_sub') || !needs('mosquitto_pub')).each(VERSIONS)(
  'mosquitto_pub and mosquitto_sub with -V %s',
  version => {
    let broker: Broker
    let port: number
    beforeAll(async () => {
      broker = await startBroker()
      port = broker.port
    })
    afterAll(() => broker?.[Symbol.asyncDispose]())

    const startSub = (options: SubOptions): Promise<Sub> =>
      runSub({ ...options, args: ['-V', version, ...(options.args ?? [])] })
    const pub = (payload: string | readonly string[], options: PubOptions): Promise<void> =>
      runPub(payload, { ...options, args: ['-V', version, ...(options.args ?? [])] })

    describe.each(QOS)('published with QoS %i', published => {
      test.each(QOS)('and subscribed with QoS %i, arrives once at the lower of the two', async subscribed => {
        const topic = `qos/${published}/${subscribed}`
        await using sub = await startSub({ port, topics: [topic], qos: subscribed })
        await pub(['first', 'second', 'third'], { port, topic, qos: published })
        await sub.message(message => message.payload === 'third', 'the last message')
        const qos = Math.min(published, subscribed)
        expect(sub.messages).toEqual(
          ['first', 'second', 'third'].map(payload => ({ topic, payload, qos, retain: false })),
        )
      })

      test('and retained: set, replaced, cleared', async () => {
        const topic = `retained/${published}/state`
        await pub('on', { port, topic, qos: published, retain: true })
        await pub('off', { port, topic, qos: published, retain: true })
        {
          await using sub = await startSub({ port, topics: [`retained/${published}/#`], qos: 2 })
          await pub('fence', { port, topic: `retained/${published}/fence`, qos: published })
          await sub.message(message => message.payload === 'fence', 'the fence')
          // The RETAIN flag is set on what is sent because of a new subscription, and only there (§3.3.1.3).
          expect(sub.messages).toEqual([
            { topic, payload: 'off', qos: published, retain: true },
            { topic: `retained/${published}/fence`, payload: 'fence', qos: published, retain: false },
          ])
          await pub('on again', { port, topic, qos: published, retain: true })
          expect(await sub.message(message => message.payload === 'on again', 'a live retained message')).toMatchObject(
            {
              retain: false,
            },
          )
        }
        await pub('', { port, topic, qos: published, retain: true })
        await using late = await startSub({ port, topics: [`retained/${published}/#`] })
        await pub('fence', { port, topic: `retained/${published}/fence` })
        await late.received(1)
        expect(late.payloads).toEqual(['fence'])
      })

      test('a will is sent when its client is killed, and retained when it asks for that', async () => {
        const topic = `will/${published}/status`
        const will = ['--will-topic', topic, '--will-payload', 'lost', '--will-qos', String(published), '--will-retain']
        await using watch = await startSub({ port, topics: [topic], qos: 2 })
        await using dying = await startSub({ port, topics: ['nothing'], args: will })
        await dying.kill()
        await watch.received(1)
        expect(watch.messages).toEqual([{ topic, payload: 'lost', qos: published, retain: false }])
        await using late = await startSub({ port, topics: [topic], qos: 2 })
        await late.received(1)
        expect(late.messages).toEqual([{ topic, payload: 'lost', qos: published, retain: true }])
        await pub('', { port, topic, retain: true })
      })
    })

    test('no will is sent when its client disconnects in good order', async () => {
      await using watch = await startSub({ port, topics: ['goodbye/#'], qos: 1 })
      await using leaving = await startSub({
        port,
        topics: ['leave'],
        args: ['-C', '1', '--will-topic', 'goodbye/status', '--will-payload', 'lost', '--will-qos', '1'],
      })
      await pub('now', { port, topic: 'leave', qos: 1 })
      expect(await leaving.process.exit).toEqual({ code: 0, signal: null })
      await pub('fence', { port, topic: 'goodbye/fence', qos: 1 })
      await watch.received(1)
      expect(watch.payloads).toEqual(['fence'])
    })

    test('a persistent session keeps its subscriptions and what it missed, and a clean one ends it', async () => {
      const session = { port, topics: ['session/#'], qos: 1, clientId: 'keeps', persistent: true } as const
      const first = await startSub(session)
      await pub('while here', { port, topic: 'session/a', qos: 1 })
      await first.received(1)
      await first.stop()
      await pub(['one', 'two', 'three'], { port, topic: 'session/a', qos: 1 })
      await pub('not kept at QoS 0', { port, topic: 'elsewhere', qos: 1 })

      // It comes back with another filter: what it missed comes by the subscription of the kept session.
      const second = await startSub({ ...session, topics: ['elsewhere/new'] })
      await second.received(3)
      expect(second.payloads).toEqual(['one', 'two', 'three'])
      await second.stop()

      const clean = await startSub({ ...session, topics: ['elsewhere/new'], persistent: false })
      await clean.stop()
      await pub('after the session ended', { port, topic: 'session/a', qos: 1 })
      await using third = await startSub({ ...session, topics: ['session/fence'] })
      await pub('fence', { port, topic: 'session/fence', qos: 1 })
      await third.received(1)
      expect(third.payloads).toEqual(['fence'])
    })

    test('wildcards match as the standard says (§4.7)', async () => {
      await using plus = await startSub({ port, topics: ['/House/+/Temperature'] })
      await using hash = await startSub({ port, topics: ['/House/Kitchen/#'] })
      await using root = await startSub({ port, topics: ['+/+/+'] })
      for (const topic of [
        '/House/Kitchen/Temperature',
        '/House/Kitchen',
        '/House/Kitchen/Oven/Temperature',
        'House/x',
      ]) {
        await pub(topic, { port, topic, qos: 1 })
      }
      for (const topic of ['/House/Fence/Temperature', '/House/Kitchen/Fence', 'a/b/fence']) {
        await pub('fence', { port, topic, qos: 1 })
      }
      for (const sub of [plus, hash, root]) await sub.message(message => message.payload === 'fence', 'its fence')
      expect(plus.payloads.filter(payload => payload !== 'fence')).toEqual(['/House/Kitchen/Temperature'])
      expect(hash.payloads.filter(payload => payload !== 'fence')).toEqual([
        '/House/Kitchen/Temperature',
        '/House/Kitchen',
        '/House/Kitchen/Oven/Temperature',
      ])
      // '/House/Kitchen' has three levels, the first of them empty.
      expect(root.payloads.filter(payload => payload !== 'fence')).toEqual(['/House/Kitchen'])
    })

    test('wildcards at the first level do not see topics that begin with $', async () => {
      await using all = await startSub({ port, topics: ['#', '+/secret'] })
      await using dollar = await startSub({ port, topics: ['$private/#'] })
      await pub('hidden', { port, topic: '$private/secret', qos: 1 })
      await dollar.received(1)
      await pub('fence', { port, topic: 'fence', qos: 1 })
      await all.message(message => message.payload === 'fence', 'the fence')
      expect(all.payloads.filter(payload => payload === 'hidden')).toEqual([])
    })

    test('an unsubscribed filter brings nothing any more', async () => {
      // `-U` unsubscribes once the subscriptions stand.
      const session = { port, qos: 1, clientId: 'unsubscribes', persistent: true } as const
      const first = await startSub({ ...session, topics: ['stay', 'leave'] })
      await first.stop()
      const second = await startSub({ ...session, topics: ['stay'], args: ['-U', 'leave'] })
      await second.process.line(line => line.includes('UNSUBACK'))
      await pub('left', { port, topic: 'leave', qos: 1 })
      await pub('stayed', { port, topic: 'stay', qos: 1 })
      await second.received(1)
      expect(second.payloads).toEqual(['stayed'])
      await second.stop()
    })

    test('10,000 lines through -l arrive in order', async () => {
      await using sub = await startSub({ port, topics: ['many'], qos: 1 })
      const lines = Array.from({ length: 10_000 }, (_, index) => String(index))
      await pub(lines, { port, topic: 'many', qos: 1, timeout: 30_000 })
      await sub.received(lines.length, 30_000)
      expect(sub.payloads).toEqual(lines)
    })
  },
)
