/** Two gateways on one Redis: a client that moves finds its queue, and what is published on one reaches the subscribers of both. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { connectClient as connect } from '../interop/mqttjs.ts'
import {
  admin,
  beginCluster,
  endCluster,
  isKnownEverywhere,
  type Node,
  numbers,
  startNode,
} from '../support/cluster.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import type { RedisServer } from '../support/redis.ts'
import { until } from '../support/wait.ts'

describe.skipIf(!needs('redis-server'))('two gateways on one Redis', () => {
  let redis: RedisServer
  let a: Node
  let b: Node

  beforeEach(async () => {
    redis = await beginCluster()
    a = await startNode(redis)
    b = await startNode(redis)
  })

  afterEach(async () => {
    expect(await endCluster()).toEqual([])
  })

  test('a client that moves finds its queue, in order, on either', async () => {
    const first = await RawClient.connect({ port: a.port, clientId: 'mover', clean: false })
    await first.subscribe({ topic: 'home/+/door', qos: 2 })
    await isKnownEverywhere('home/front/door')
    await first.disconnect()
    await using publisher = await RawClient.connect({ port: b.port })
    for (const number of numbers(0, 40)) {
      await publisher.publish('home/front/door', number, { qos: Number(number) % 2 === 0 ? 1 : 2 })
    }
    const second = await RawClient.connect({ port: b.port, clientId: 'mover', clean: false, acknowledging: false })
    expect(second.sessionPresent).toBe(true)
    await second.received(40)
    expect(second.payloads).toEqual(numbers(0, 40))
    second.acknowledge(10)
    await second.ping()
    const identifiers = second.publishes.map(({ messageId }) => messageId)
    await second.cut()
    for (const number of numbers(40, 50)) await publisher.publish('home/front/door', number, { qos: 1 })
    await using third = await RawClient.connect({ port: a.port, clientId: 'mover', clean: false })
    // The ten of QoS 1 that were acknowledged are gone.
    const acknowledged = new Set(numbers(0, 20).filter(number => Number(number) % 2 === 0))
    const rest = numbers(0, 50).filter(number => !acknowledged.has(number))
    await third.received(rest.length)
    expect(third.payloads).toEqual(rest)
    const again = third.publishes.slice(0, 30)
    expect(again.map(({ messageId }) => messageId)).toEqual(identifiers.filter((_, i) => !acknowledged.has(String(i))))
    expect(again.every(({ dup }) => dup)).toBe(true)
  })

  test('what was acknowledged leaves nothing in Redis, nor does a session that ends', async () => {
    const first = await RawClient.connect({ port: a.port, clientId: 'tidy', clean: false })
    await first.subscribe({ topic: 'tidy', qos: 2 })
    await isKnownEverywhere('tidy')
    await using publisher = await RawClient.connect({ port: b.port, clientId: 'publisher', clean: false })
    for (const number of numbers(0, 30))
      await publisher.publish('tidy', number, { qos: Number(number) % 2 === 0 ? 1 : 2 })
    await first.received(30)
    await using db = await admin(redis)
    const waiting = async () => (await db.redis.keys('packet:*')).concat(await db.redis.keys('outgoing*'))
    await until(async () => (await waiting()).length === 0, { what: 'the end of what waits' })
    expect(await db.redis.keys('larder:re*')).toEqual([])
    await first.disconnect()
    for (const number of numbers(0, 30)) await publisher.publish('tidy', number, { qos: 1 })
    expect(await waiting()).not.toEqual([])
    // Clean Session, on the other gateway.
    await using second = await RawClient.connect({ port: b.port, clientId: 'tidy' })
    expect(second.sessionPresent).toBe(false)
    await until(async () => (await waiting()).length === 0, { what: 'the end of the queue' })
    expect(await db.redis.hkeys('larder:sessions')).toEqual(['publisher'])
    expect(await db.redis.hkeys('larder:places')).toEqual([])
  })

  test('an UNSUBSCRIBE from everything leaves what is waiting', async () => {
    const first = await RawClient.connect({ port: a.port, clientId: 'last', clean: false, acknowledging: false })
    await first.subscribe({ topic: 'last', qos: 1 })
    await isKnownEverywhere('last')
    await using publisher = await RawClient.connect({ port: a.port })
    await publisher.publish('last', 'sent', { qos: 1 })
    await first.received(1)
    first.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['last'] })
    await first.next('unsuback', 9)
    await publisher.publish('last', 'after', { qos: 1 })
    await first.cut()
    // [MQTT-3.10.4-3]
    await using second = await RawClient.connect({ port: b.port, clientId: 'last', clean: false })
    await second.received(1)
    await second.ping()
    expect(second.payloads).toEqual(['sent'])
  })

  test.each([0, 1, 2] as const)('a message of QoS %d reaches connected subscribers of both, once', async qos => {
    const clients: RawClient[] = []
    for (const { port } of [a, b]) {
      for (const clean of [true, false]) {
        const client = await RawClient.connect({ port, clientId: `${port}-${clean}`, clean })
        // Two filters that match are one delivery.
        await client.subscribe({ topic: 'live/#', qos }, { topic: 'live/+', qos })
        clients.push(client)
      }
    }
    if (qos > 0) await isKnownEverywhere('live/x', { sessions: 2, qos })
    await using publisher = await RawClient.connect({ port: a.port })
    for (const number of numbers(0, 100)) await publisher.publish('live/x', number, { qos })
    await publisher.publish('live/end', 'end', { qos })
    for (const client of clients) {
      await until(() => client.payloads.includes('end'), { what: () => `the end at ${client.clientId}` })
      expect(client.payloads).toEqual([...numbers(0, 100), 'end'])
      expect(client.publishes.every(packet => packet.qos === qos && !packet.dup && !packet.retain)).toBe(true)
      await client.disconnect()
    }
  })

  test('what is retained on one is retained on the other, and for one that comes later', async () => {
    await using publisher = await RawClient.connect({ port: a.port })
    for (const qos of [0, 1, 2] as const) await publisher.publish(`kept/${qos}`, `at ${qos}`, { qos, retain: true })
    await publisher.publish('kept/gone', 'x', { qos: 1, retain: true })
    await publisher.publish('kept/gone', '', { qos: 1, retain: true })
    await until(() => [...b.hub.persistence.queues.retained('kept/#')].length === 3, { what: 'the copy of the other' })
    const c = await startNode(redis)
    for (const { port } of [b, c]) {
      await using subscriber = await RawClient.connect({ port })
      await subscriber.subscribe({ topic: 'kept/#', qos: 2 })
      await subscriber.received(3)
      await subscriber.ping()
      const found = subscriber.publishes.map(
        ({ topic, payload, retain, qos }) => `${topic} ${payload} ${retain} ${qos}`,
      )
      expect(found.sort()).toEqual(['kept/0 at 0 true 0', 'kept/1 at 1 true 1', 'kept/2 at 2 true 2'])
    }
  })

  test('a connection on one takes the session over from the other, which does not end it', async () => {
    const options = {
      protocolVersion: 5,
      persistent: true,
      clientId: 'taken',
      properties: { sessionExpiryInterval: 2 },
    } as const
    await using left = await connect(a, options)
    await left.mqtt.subscribeAsync('over/#', { qos: 1 })
    const right = await connect(b, options)
    expect((await left.goodbye).reasonCode).toBe(0x8e)
    expect(right.sessionPresent).toBe(true)
    await using publisher = await RawClient.connect({ port: a.port })
    await publisher.publish('over/1', 'one', { qos: 1 })
    await right.came('one')
    // Past the interval that the first gateway counts.
    const begun = performance.now()
    await until(() => performance.now() - begun > 3_000, { what: 'the interval' })
    await publisher.publish('over/2', 'two', { qos: 1 })
    await right.came('two')
    await right.mqtt.endAsync()
    const back = await connect(a, options)
    expect(back.sessionPresent).toBe(true)
    await back.mqtt.endAsync()
    // And it does end by its interval where it was left, for both.
    await until(() => a.hub.persistence.queues.find('taken') === undefined, { what: 'the end of the session' })
    await until(() => b.hub.persistence.queues.find('taken') === undefined, { what: 'the news of it' })
  })

  test('QoS 2 comes exactly once though the subscriber moves at every step', async () => {
    const first = await RawClient.connect({ port: a.port, clientId: 'exact', clean: false, acknowledging: false })
    await first.subscribe({ topic: 'exact', qos: 2 })
    await isKnownEverywhere('exact')
    await using publisher = await RawClient.connect({ port: b.port })
    await publisher.publish('exact', 'once', { qos: 2 })
    await first.received(1)
    const messageId = first.publishes[0]?.messageId as number
    await first.cut()
    const second = await RawClient.connect({ port: b.port, clientId: 'exact', clean: false, acknowledging: false })
    await second.received(1)
    expect(second.publishes[0]).toMatchObject({ messageId, dup: true })
    second.send({ cmd: 'pubrec', messageId })
    await second.next('pubrel', messageId)
    await second.cut()
    const third = await RawClient.connect({ port: a.port, clientId: 'exact', clean: false, acknowledging: false })
    await third.next('pubrel', messageId)
    expect(third.publishes).toEqual([])
    third.send({ cmd: 'pubcomp', messageId })
    await third.ping()
    await third.disconnect()
    await publisher.publish('exact', 'next', { qos: 2 })
    await using fourth = await RawClient.connect({ port: b.port, clientId: 'exact', clean: false })
    await fourth.received(1)
    expect(fourth.payloads).toEqual(['next'])
    expect(fourth.publishes[0]?.messageId).not.toBe(messageId)
    expect(fourth.others.some(packet => packet.cmd === 'pubrel' && packet.messageId === messageId)).toBe(false)
  })

  test('QoS 2 is taken exactly once though the publisher moves at every step', async () => {
    await using subscriber = await RawClient.connect({ port: a.port, clientId: 'listener', clean: false })
    await subscriber.subscribe({ topic: 'in/#', qos: 2 })
    const publish = { cmd: 'publish', topic: 'in/x', qos: 2, retain: false, messageId: 7 } as const
    const first = await RawClient.connect({ port: a.port, clientId: 'sender', clean: false })
    first.send({ ...publish, payload: 'once', dup: false })
    await first.next('pubrec', 7)
    await first.cut()
    const second = await RawClient.connect({ port: b.port, clientId: 'sender', clean: false })
    second.send({ ...publish, payload: 'once', dup: true })
    await second.next('pubrec', 7)
    second.send({ cmd: 'pubrel', messageId: 7 })
    await second.next('pubcomp', 7)
    await second.cut()
    await using third = await RawClient.connect({ port: a.port, clientId: 'sender', clean: false })
    third.send({ ...publish, payload: 'another', dup: false })
    await third.next('pubrec', 7)
    await subscriber.received(2)
    expect(subscriber.payloads).toEqual(['once', 'another'])
  })

  test('subscription options, identifiers and the properties of a message come along', async () => {
    const five = { protocolVersion: 5, persistent: true } as const
    const away = await connect(a, { ...five, clientId: 'away' })
    await away.mqtt.subscribeAsync('p/#', { qos: 1, rap: true, properties: { subscriptionIdentifier: 42 } })
    await away.mqtt.endAsync()
    await using publisher = await connect(b, { protocolVersion: 5, clientId: 'from' })
    const properties = {
      contentType: 'text/plain',
      correlationData: Buffer.from([0, 255, 1]),
      userProperties: { room: ['hall', 'attic'] },
      messageExpiryInterval: 600,
    }
    await publisher.mqtt.publishAsync('p/kept', 'kept', { qos: 1, retain: true, properties })
    await publisher.mqtt.publishAsync('p/stale', 'stale', { qos: 1, properties: { messageExpiryInterval: 1 } })
    const published = performance.now()
    await until(() => performance.now() - published > 1_100, { what: 'the expiry of a message' })
    await using back = await connect(b, { ...five, clientId: 'away' })
    await publisher.mqtt.publishAsync('p/live', 'live', { qos: 1, properties })
    await until(() => back.packets.length === 2, { what: () => `two messages; got ${JSON.stringify(back.seen)}` })
    expect(back.seen).toEqual([
      { topic: 'p/kept', payload: 'kept', qos: 1, retain: true },
      { topic: 'p/live', payload: 'live', qos: 1, retain: false },
    ])
    for (const packet of back.packets) {
      expect(packet.properties).toMatchObject({
        contentType: 'text/plain',
        correlationData: properties.correlationData,
        userProperties: { room: ['hall', 'attic'] },
        subscriptionIdentifier: 42,
      })
      expect(packet.properties?.messageExpiryInterval).toBeGreaterThan(590)
      expect(packet.properties?.messageExpiryInterval).toBeLessThanOrEqual(600)
    }
  })

  test('a shared subscription gives each message to one of the members of both', async () => {
    const members: RawClient[] = []
    for (const { port } of [a, b]) {
      const member = await RawClient.connect({ port, clientId: `member-${port}`, clean: false })
      await member.subscribe({ topic: '$share/workers/jobs/#', qos: 1 })
      members.push(member)
    }
    await members[0]?.disconnect()
    await using publisher = await RawClient.connect({ port: a.port })
    for (const number of numbers(0, 20)) await publisher.publish('jobs/x', number, { qos: 1 })
    const there = members[1] as RawClient
    const back = await RawClient.connect({ port: b.port, clientId: members[0]?.clientId as string, clean: false })
    await until(() => there.publishes.length + back.publishes.length === 20, { what: 'all jobs' })
    expect([...there.payloads, ...back.payloads].sort()).toEqual(numbers(0, 20).sort())
    await back.disconnect()
    await there.disconnect()
  })

  test('a will is published by one gateway when the client’s own has died, and not when the client has moved', async () => {
    let later = 0
    const clock: Clock = { ...systemClock, monotonic: () => systemClock.monotonic() + later }
    const observers = [await startNode(redis, clock), await startNode(redis, clock)]
    const will = { topic: 'wills', payload: 'died', qos: 1 as const }
    await RawClient.connect({ port: a.port, clientId: 'unlucky', clean: false, will })
    const mover = await RawClient.connect({ port: a.port, clientId: 'lucky', clean: false, will })
    // An orderly stop leaves the wills in the store, as a crash does.
    await a.stop()
    await mover.closed
    await using moved = await RawClient.connect({ port: b.port, clientId: 'lucky', clean: false })
    const orphans = async (node: Node) => {
      const brokers = { [b.hub.id]: 1, ...Object.fromEntries(observers.map(({ hub }) => [hub.id, 1])) }
      return (await node.hub.persistence.streamWill(brokers).toArray()) as { clientId: string; payload: Buffer }[]
    }
    // Who has just come cannot know who is there.
    expect(await orphans(observers[0] as Node)).toEqual([])
    later = 20_000
    const found = (await Promise.all(observers.map(orphans))).flat()
    expect(found.map(({ clientId, payload }) => `${clientId} ${payload}`)).toEqual(['unlucky died'])
    await moved.ping()
  })
})
