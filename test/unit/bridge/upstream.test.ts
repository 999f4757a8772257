/** One connection to an upstream: in which version, what the upstream allows, and how it ends. */
import type { IConnackPacket } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { startLink } from './link.ts'
import { answerWell, startUpstream } from './scripted-upstream.ts'

/** A CONNACK of MQTT 5. */
const connack = (properties: IConnackPacket['properties'] = {}): IConnackPacket =>
  ({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties }) as IConnackPacket

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
