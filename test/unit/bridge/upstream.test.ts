/** One connection to an upstream: in which version, what the upstream allows, and how it ends. */
import type { IConnackPacket, IPublishPacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { needs } from '../../support/needs.ts'
import { run } from '../../support/process.ts'
import { until } from '../../support/wait.ts'
import { startLink } from './link.ts'
import { answerWell, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

/** A CONNACK of MQTT 5. */
const connack = (properties: IConnackPacket['properties'] = {}): IConnackPacket =>
  ({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties }) as IConnackPacket

/** A message from upstream. */
const inbound = (topic: string, fields: Partial<IPublishPacket> = {}): IPublishPacket => ({
  ...{ cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1, dup: false, retain: false },
  ...fields,
})

test('what an MQTT 5 upstream allows is known', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd !== 'connect') return
    const properties = {
      receiveMaximum: 2,
      maximumPacketSize: 1_000,
      maximumQoS: 1,
      retainAvailable: false,
      topicAliasMaximum: 7,
      serverKeepAlive: 30,
      assignedClientIdentifier: 'called-by-you',
    }
    connection.send(connack(properties), 5)
  })
  const { upstream, up } = startLink({ url: peer.url, version: '5' })
  await up()
  expect(peer.connections[0]?.connect?.protocolVersion).toBe(5)
  expect(upstream.limits).toEqual({
    version: 5,
    sendsBack: false,
    receiveMaximum: 2,
    maximumPacketSize: 1_000,
    maximumQos: 1,
    retainAvailable: false,
    topicAliasMaximum: 7,
    sessionPresent: false,
    serverKeepAlive: 30,
    assignedClientId: 'called-by-you',
  })
})

test('why an upstream says goodbye is told', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd !== 'connect') return
    connection.send(connack(), 5)
    connection.send({ cmd: 'disconnect', reasonCode: 0x8e }, 5)
  })
  const { down } = startLink({ url: peer.url, version: '5' })
  expect(await down()).toEqual({
    reason: 'another client with the same client identifier has taken the connection over',
    hint: 'Choose another "client_id".',
  })
})

test.each([
  ['says so in the words of MQTT 5', 0x84, 4],
  ['says so in those of MQTT 3.1.1', 1, 4],
  ['just closes', undefined, undefined],
] as const)('MQTT 3.1.1 is spoken with an upstream that knows nothing newer and %s', async (_, code, remembered) => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd !== 'connect' || packet.protocolVersion === 4) return answerWell(packet, connection)
    if (code === undefined) connection.socket.end()
    else if (code === 1) connection.accept(1)
    else connection.send({ ...connack(), reasonCode: code }, 5)
  })
  const memory = {}
  const first = startLink({ url: peer.url, version: 'auto' }, { memory })
  await first.up()
  expect(first.upstream.limits?.version).toBe(4)
  expect(peer.connections.map(each => each.connect?.protocolVersion)).toEqual([5, 4])
  await first.upstream.close()
  const second = startLink({ url: peer.url, version: 'auto' }, { memory })
  await second.up()
  // A server that only closed may have had another reason: it is asked again.
  const again = remembered === undefined ? [5, 4] : [4]
  expect(peer.connections.slice(2).map(each => each.connect?.protocolVersion)).toEqual(again)
})

test('a version that is asked for is not left, and what went wrong is told', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd === 'connect') connection.send({ ...connack(), reasonCode: 0x84 }, 5)
  })
  const { down } = startLink({ url: peer.url, version: '5' })
  expect((await down()).reason).toBe('the upstream does not speak MQTT 5')
  expect(peer.connections).toHaveLength(1)
})

test('an upstream that accepts TCP and says nothing is given up in time', async () => {
  const peer = await startUpstream(() => {})
  const { down } = startLink({ url: peer.url, connectTimeout: 100 })
  expect((await down()).reason).toBe(`${peer.place} does not answer`)
})

test('topic aliases are used both ways within what each side allows, and end with their connection', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd === 'connect') connection.send(connack({ topicAliasMaximum: 1 }), 5)
    else if (packet.cmd === 'subscribe') {
      connection.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [1] }, 5)
      for (const [index, topic] of ['cloud/hall', '', ''].entries()) {
        connection.send(inbound(topic, { messageId: index + 1, properties: { topicAlias: 3 } }), 5)
      }
    } else if (packet.cmd === 'publish') {
      connection.send({ cmd: 'puback', messageId: packet.messageId as number }, 5)
      if (connection.publishes.length === 5) connection.cut()
    }
  })
  const { queue, broker } = await startBridge(peer.url, {
    version: '5',
    maxTopicAlias: 7,
    in: [{ filter: 'cloud/#', qos: 1 }],
    out: [{ filter: 'home/#', qos: 1 }],
  })
  const topics = ['home/hall', 'home/hall', 'home/attic', 'home/hall', 'home/attic', 'home/hall']
  for (const topic of topics) queue.push({ topic })
  await until(() => queue.count === 0, { what: 'an empty queue' })
  const written = (index: number) =>
    peer.connections[index]?.publishes.map(({ topic, properties }) => [topic, properties?.topicAlias])
  expect(written(0)).toEqual([
    ['home/hall', 1],
    ['', 1],
    ['home/attic', undefined],
    ['', 1],
    ['home/attic', undefined],
    ...(written(0)?.slice(5) ?? []),
  ])
  // The first that is repeated has its name again.
  expect(written(1)?.find(([topic]) => topic !== 'home/attic')).toEqual(['home/hall', 1])
  expect(peer.connections[0]?.connect?.properties?.topicAliasMaximum).toBe(7)
  await until(() => broker.arrived.length >= 3, { what: 'three messages from upstream' })
  expect(broker.arrived.slice(0, 3).map(({ topic }) => topic)).toEqual(['cloud/hall', 'cloud/hall', 'cloud/hall'])
})

test('an alias that the upstream has told nobody ends the connection, and nothing else', async () => {
  const peer = await startUpstream((packet, connection, index) => {
    if (packet.cmd === 'connect') connection.send(connack(), 5)
    else if (packet.cmd === 'subscribe') {
      connection.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [1] }, 5)
      const topicAlias = [1, 33, 0xffff][index]
      const topic = index === 0 ? '' : 'cloud/hall'
      if (topicAlias !== undefined) connection.send(inbound(topic, { properties: { topicAlias } }), 5)
    } else if (packet.cmd === 'publish') connection.send({ cmd: 'puback', messageId: packet.messageId as number }, 5)
  })
  const { queue, lines } = await startBridge(peer.url, { version: '5', in: [{ filter: '#', qos: 1 }] })
  await until(() => peer.connections.length === 4, { what: () => `four connections\n${JSON.stringify(lines)}` })
  queue.push({ topic: 'home/hall' })
  await until(() => queue.count === 0, { what: 'an empty queue' })
})

test.each([
  ['with the bit that says so', 0, [132]],
  ['without it where it is refused, and remembers', 1, [132, 4, 4]],
  ['without it where the owner says so', 2, [4]],
] as const)('MQTT 3.1.1 is spoken as a bridge: %s', async (_, what, levels) => {
  const seen: number[] = []
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd !== 'connect') return
    const isBridge = (packet as { bridgeMode?: boolean }).bridgeMode === true
    seen.push((packet.protocolVersion ?? 0) + (isBridge ? 128 : 0))
    connection.accept(isBridge && what === 1 ? 1 : 0)
  })
  const memory = {}
  const settings = {
    url: peer.url,
    version: '3.1.1' as const,
    ...(what === 2 ? { tryPrivate: false } : {}),
  }
  for (let again = 0; again < (what === 1 ? 2 : 1); again++) {
    const link = startLink(settings, { memory })
    await link.up()
    await link.upstream.close()
  }
  expect(seen).toEqual(levels)
})

test('what the owner says of the session counts instead of what the bridge asks for', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd === 'connect') connection.send(connack(), 5)
  })
  const asked = { clean: false, properties: { receiveMaximum: 200, sessionExpiryInterval: 0xffff_ffff } }
  const settings = { url: peer.url, version: '5' as const, maxTopicAlias: 0 }
  for (const more of [{}, { sessionExpiry: 60_000, receiveMaximum: 5 }, { cleanSession: true }]) {
    await startLink({ ...settings, ...more }, { options: asked }).up()
  }
  const said = peer.connections.map(({ connect }) => [connect?.clean, { ...connect?.properties }])
  expect(said).toEqual([
    [false, { receiveMaximum: 200, sessionExpiryInterval: 0xffff_ffff }],
    [false, { receiveMaximum: 5, sessionExpiryInterval: 60 }],
    [true, { receiveMaximum: 200 }],
  ])
})

test('the owner may allow less than the upstream', async () => {
  const peer = await startUpstream((packet, connection) => {
    const properties = { maximumPacketSize: 1_000, topicAliasMaximum: 5 }
    if (packet.cmd === 'connect') connection.send(connack(properties), 5)
  })
  const settings = { url: peer.url, version: '5' as const }
  const less = startLink({ ...settings, maxPacketSize: 500, maxQos: 1, outgoingRetain: false, maxTopicAlias: 2 })
  await less.up()
  expect(less.upstream.limits).toMatchObject({
    maximumPacketSize: 500,
    maximumQos: 1,
    retainAvailable: false,
    topicAliasMaximum: 2,
  })
  const more = startLink({ ...settings, maxPacketSize: 5_000, maxQos: 2, outgoingRetain: true, maxTopicAlias: 9 })
  await more.up()
  expect(more.upstream.limits).toMatchObject({
    maximumPacketSize: 1_000,
    maximumQos: 2,
    retainAvailable: true,
    topicAliasMaximum: 5,
  })
})

test('the connection begins at the address that was asked for', async () => {
  const peer = await startUpstream()
  await startLink({ url: peer.url, bindAddress: '127.0.0.9' }).up()
  expect(peer.connections[0]?.socket.remoteAddress).toBe('127.0.0.9')
  expect((await startLink({ url: peer.url, bindAddress: '192.0.2.1' }).down()).reason).toBe(
    'this machine has no such address to connect from',
  )
})

test('subscriptions that rules of before may have left upstream are dropped, once', async () => {
  const peer = await startUpstream((packet, connection) => {
    if (packet.cmd === 'connect') connection.send({ cmd: 'connack', returnCode: 0, sessionPresent: true })
    else if (packet.cmd === 'subscribe') {
      connection.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [1, 1] })
    }
  })
  const settings = {
    out: [
      { filter: 'a/#', qos: 1 },
      { filter: 'b', qos: 2, remotePrefix: 'up/' },
    ],
    in: [{ filter: 'c', qos: 1 }],
    both: [{ filter: 'd', qos: 1 }],
  } as const
  await startBridge(peer.url, settings)
  const asked = (index: number) =>
    peer.connections[index]?.packets.flatMap(packet =>
      packet.cmd === 'subscribe'
        ? [[packet.messageId, ...packet.subscriptions.map(({ topic }) => topic)]]
        : packet.cmd === 'unsubscribe'
          ? [[packet.messageId, ...packet.unsubscriptions]]
          : [],
    )
  await until(() => asked(0)?.length === 2, { what: 'both' })
  // Each with a packet identifier of its own.
  expect(asked(0)).toEqual([
    [65_535, 'a/#', 'up/b'],
    [65_534, 'c', 'd'],
  ])
  peer.connections[0]?.cut()
  await until(() => peer.connections[1]?.connect, { what: 'the next connection' })
  await startBridge(peer.url, { ...settings, unsubscribe: false })
  await until(() => asked(2)?.length === 1, { what: 'a subscription' })
  expect(asked(1)).toEqual([])
  expect(asked(2)).toEqual([[65_535, 'c', 'd']])
})

test('whoever closes it is told, also when another closes it already', async () => {
  const peer = await startUpstream()
  const { upstream, up, down } = startLink({ url: peer.url })
  await up()
  await Promise.all([upstream.close(), upstream.close()])
  await upstream.close()
  await down()
})

test.skipIf(!needs('ss'))('TCP asks after silence whether the other end is there', async () => {
  const peer = await startUpstream()
  await startLink({ url: peer.url, tcpKeepalive: 321_000 }).up()
  const { lines } = await run('ss', ['-tnoH', 'dst', peer.place])
  expect(lines.join()).toMatch(/timer:\(keepalive,5min(19|2\d)sec/)
})
