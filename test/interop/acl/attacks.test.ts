/**
 * Rights that were taken away, and ways round rights: what others' brokers got wrong, each by its CVE. Against
 * Debian's mosquitto too, to show that a test asks for what owners have today. The rest is in the table: an ACL without
 * a rule (CVE-2018-12550), names that are wildcards (CVE-2017-7650).
 */
import type { IPubrecPacket, ISubackPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { RawClient } from '../../support/mqtt-client.ts'
import { needs } from '../../support/needs.ts'
import { gateKeeper, login, publishes, subscribes } from './observe.ts'
import { larderLacks, type StartAclBroker, startLarderWith, startMosquittoWith } from './rigs.ts'

const ANNA = { id: 'c1', userName: 'anna' }
const READER = { id: 'c2', userName: 'reader' }
const GRANTED = ['user anna', 'topic readwrite home/#', 'topic read other', 'user reader', 'topic read #']
const REVOKED = ['user anna', 'topic read other', 'user reader', 'topic read #']

const BROKERS: { name: string; start: StartAclBroker; isReady: boolean }[] = [
  { name: "Debian's mosquitto", start: startMosquittoWith, isReady: needs('mosquitto') },
  { name: 'the gateway', start: startLarderWith, isReady: larderLacks() === undefined },
]

/** The payloads that came until now. */
async function payloadsOf(client: RawClient): Promise<string[]> {
  await client.ping()
  return client.payloads
}

for (const { name, start, isReady } of BROKERS) {
  describe.skipIf(!isReady)(name, () => {
    test('a revoked right stops a subscription that is in use', async () => {
      await using broker = await start(GRANTED)
      await using anna = await login(broker.port, ANNA)
      await subscribes(anna, 'home/+')
      await subscribes(anna, 'other')
      await using gate = await gateKeeper(broker.port)
      await publishes(gate, 'home/door', 'before')
      expect(await payloadsOf(anna)).toEqual(['before'])
      expect(await publishes(anna, 'home/lamp', 'own')).toBe(true)
      await broker.change(REVOKED)
      await publishes(gate, 'home/door', 'secret')
      await publishes(gate, 'other', 'after')
      expect(await payloadsOf(anna)).toEqual(['before', 'own', 'after'])
      expect(await publishes(anna, 'home/lamp', 'no more')).toBe(false)
      await broker.change(GRANTED)
      await publishes(gate, 'home/door', 'again')
      expect(await payloadsOf(anna)).toEqual(['before', 'own', 'after', 'again'])
    })

    test('a revoked right stops a durable subscription, and what waits in its queue (CVE-2021-34434)', async () => {
      await using broker = await start(GRANTED)
      const first = await login(broker.port, ANNA, { clean: false })
      await subscribes(first, 'home/+')
      await subscribes(first, 'other')
      await first.disconnect()
      await using gate = await gateKeeper(broker.port)
      await publishes(gate, 'home/door', 'queued before')
      await publishes(gate, 'other', 'queued')
      await broker.change(REVOKED)
      await publishes(gate, 'home/door', 'queued after')
      await using again = await login(broker.port, ANNA, { clean: false })
      expect(again.sessionPresent).toBe(true)
      await again.received(1)
      await publishes(gate, 'home/door', 'online')
      expect(await payloadsOf(again)).toEqual(['queued'])
    })

    test('a durable session that comes back as somebody else gets what that user may have', async () => {
      await using broker = await start([...GRANTED, 'user thief', 'topic read other'])
      const first = await login(broker.port, ANNA, { clean: false })
      await subscribes(first, '#')
      await first.disconnect()
      await using gate = await gateKeeper(broker.port)
      await publishes(gate, 'home/door', 'for anna')
      await publishes(gate, 'other', 'for both')
      await using thief = await login(broker.port, { ...ANNA, userName: 'thief' }, { clean: false })
      await thief.received(1)
      await publishes(gate, 'home/door', 'for anna')
      expect(await payloadsOf(thief)).toEqual(['for both'])
    })

    test.each([false, true])(
      'a retained message goes with the right of who published it, also over a restart: %s (CVE-2018-12546)',
      async restarts => {
        await using broker = await start(GRANTED)
        const anna = await login(broker.port, ANNA)
        expect(await publishes(anna, 'home/door', 'open', true)).toBe(true)
        await anna.disconnect()
        const gate = await gateKeeper(broker.port)
        await publishes(gate, 'home/lamp', 'on', true)
        await gate.disconnect()
        expect(await retainedFor(broker.port)).toEqual(['on', 'open'])
        if (restarts) await broker.restart()
        await broker.change(REVOKED)
        expect(await retainedFor(broker.port)).toEqual(['on'])
        await broker.change(GRANTED)
        expect(await retainedFor(broker.port)).toEqual(['on', 'open'])
      },
    )

    test('a retained message is not given to who may not read it', async () => {
      await using broker = await start(GRANTED)
      await using gate = await gateKeeper(broker.port)
      await publishes(gate, 'home/door', 'open', true)
      await publishes(gate, 'other', 'else', true)
      await broker.change(REVOKED)
      await using anna = await login(broker.port, ANNA)
      await subscribes(anna, '#')
      expect(await payloadsOf(anna)).toEqual(['else'])
    })

    test('a will needs the right to publish, when it is published', async () => {
      await using broker = await start(GRANTED)
      await using reader = await login(broker.port, READER)
      await subscribes(reader, '+/door')
      const denied = await login(broker.port, ANNA, { will: { topic: 'garden/door', payload: 'denied', qos: 1 } })
      await denied.cut()
      const allowed = await login(broker.port, ANNA, { will: { topic: 'home/door', payload: 'allowed', qos: 1 } })
      await allowed.cut()
      await reader.received(1)
      const late = await login(broker.port, ANNA, { will: { topic: 'home/door', payload: 'revoked', qos: 1 } })
      await broker.change(REVOKED)
      await late.cut()
      const last = await gateKeeper(broker.port, { will: { topic: 'home/door', payload: 'last', qos: 1 } })
      await last.cut()
      await reader.received(2)
      expect(await payloadsOf(reader)).toEqual(['allowed', 'last'])
    })

    test('MQTT 3.1.1: a denied PUBLISH is acknowledged and goes nowhere', async () => {
      await using broker = await start(GRANTED)
      await using reader = await login(broker.port, READER)
      await subscribes(reader, '#')
      await using anna = await login(broker.port, ANNA, { protocolVersion: 4 })
      await anna.publish('garden', 'at 0')
      await anna.publish('garden', 'at 1', { qos: 1 })
      await anna.publish('garden', 'at 2', { qos: 2 })
      await anna.publish('garden', 'kept', { qos: 1, retain: true })
      await anna.publish('home/door', 'open', { qos: 1 })
      await reader.received(1)
      expect(await payloadsOf(reader)).toEqual(['open'])
      expect(await retainedFor(broker.port)).toEqual([])
    })

    test('MQTT 5: a denied PUBLISH of QoS 2 ends with PUBREC 0x87, and its identifier is free', async () => {
      await using broker = await start(GRANTED)
      await using reader = await login(broker.port, READER)
      await subscribes(reader, '#')
      await using anna = await login(broker.port, ANNA)
      for (const topic of ['garden', 'home/door']) {
        anna.send({ cmd: 'publish', topic, payload: topic, qos: 2, retain: false, dup: false, messageId: 7 })
        const { reasonCode = 0 } = (await anna.next('pubrec', 7)) as IPubrecPacket
        expect(reasonCode).toBe(topic === 'garden' ? 0x87 : 0)
      }
      anna.send({ cmd: 'pubrel', messageId: 7 })
      await anna.next('pubcomp', 7)
      await reader.received(1)
      expect(await payloadsOf(reader)).toEqual(['home/door'])
    })

    test('a topic alias is checked by the topic that it stands for', async () => {
      await using broker = await start(GRANTED)
      await using anna = await login(broker.port, ANNA)
      const codes: (number | undefined)[] = []
      for (const topic of ['home/door', '', 'garden', '', 'home/lamp', '']) {
        const messageId = anna.nextPacketId()
        const properties = { topicAlias: 1 }
        anna.send({ cmd: 'publish', topic, payload: 'x', qos: 1, retain: false, dup: false, messageId, properties })
        const { reasonCode = 0 } = (await anna.next('puback', messageId)) as IPubrecPacket
        codes.push(reasonCode === 0x10 ? 0 : reasonCode)
      }
      expect(codes).toEqual([0, 0, 0x87, 0x87, 0, 0])
    })
  })
}

describe.skipIf(larderLacks() !== undefined)('the gateway, where Mosquitto grants every subscription', () => {
  test.each([
    [4, 0x80],
    [5, 0x87],
  ] as const)(
    'MQTT level %i: SUBACK says %i for a filter that could bring nothing',
    async (protocolVersion, refusal) => {
      await using broker = await startLarderWith(GRANTED)
      await using anna = await login(broker.port, ANNA, { protocolVersion })
      const subscriptions = ['garden/#', 'home/#', '$share/g/garden', '#'].map(topic => ({ topic, qos: 1 as const }))
      anna.send({ cmd: 'subscribe', messageId: 9, subscriptions })
      const { granted } = (await anna.next('suback', 9)) as ISubackPacket
      expect(granted).toEqual([refusal, 1, refusal, 1])
    },
  )

  test('a shared subscription passes over a member that may not read the message', async () => {
    await using broker = await startLarderWith(GRANTED)
    await using anna = await login(broker.port, ANNA)
    await using reader = await login(broker.port, READER)
    for (const member of [anna, reader]) await subscribes(member, '$share/g/#')
    await using gate = await gateKeeper(broker.port)
    for (let i = 0; i < 10; i++) await publishes(gate, 'garden', `${i}`)
    await reader.received(10)
    expect(await payloadsOf(anna)).toEqual([])
  })
})

/** Payloads of the retained messages below `#` that a new subscriber gets, sorted. */
async function retainedFor(port: number): Promise<string[]> {
  await using reader = await login(port, READER)
  await subscribes(reader, '#')
  return (await payloadsOf(reader)).sort()
}
