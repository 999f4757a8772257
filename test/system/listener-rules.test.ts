/** Rules that each listener has for itself: versions, limits, names, and a mount point. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { createGateway, type Gateway } from '../../src/index.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

let gateway: Gateway | undefined
let folder: string | undefined
const clients: RawClient[] = []
afterEach(async () => {
  for (const client of clients.splice(0)) await client[Symbol.asyncDispose]()
  await gateway?.stop()
  if (folder !== undefined) await rm(folder, { recursive: true, force: true })
  gateway = undefined
  folder = undefined
})

/** Starts a gateway with these listeners, each on a free port, and gives the ports. */
async function start(...listeners: object[]): Promise<number[]> {
  folder = await mkdtemp(join(tmpdir(), 'larder-rules-'))
  const entries = listeners.map(rules => ({ url: 'mqtt://127.0.0.1:0', ...rules }))
  gateway = createGateway({ data_dir: folder, listeners: entries }, { log: silentLog })
  await gateway.start()
  return gateway.addresses().map(address => Number(new URL(address).port))
}

async function connect(port: number | undefined, options: Omit<RawClientOptions, 'port'> = {}): Promise<RawClient> {
  const client = await RawClient.connect({ port: port as number, ...options })
  clients.push(client)
  return client
}

test('a version that a listener does not take is refused there, and only there', async () => {
  const [strict, lenient] = await start({ versions: ['5'] }, {})
  await expect(connect(strict, { protocolVersion: 4 })).rejects.toThrow()
  await connect(strict, { protocolVersion: 5 })
  await connect(lenient, { protocolVersion: 4 })
})

test('a highest QoS: announced, granted at most, and not exceeded', async () => {
  const [port, other] = await start({ max_qos: 1 }, {})
  const client = await connect(port, { protocolVersion: 5 })
  expect(client.connack?.properties).toMatchObject({ maximumQoS: 1, receiveMaximum: 2_000 })
  expect(await client.subscribe({ topic: 'a', qos: 2 })).toEqual([1])
  const publisher = await connect(other)
  await publisher.publish('a', 'one', { qos: 2 })
  await client.received(1)
  expect(client.publishes[0]).toMatchObject({ qos: 1 })
  client.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 2, retain: false, dup: false, messageId: 7 })
  await client.closed
  const goodbye = client.others.find(packet => packet.cmd === 'disconnect')
  expect(goodbye).toMatchObject({ reasonCode: 0x9b })
  const will = { topic: 'w', payload: 'x', qos: 2 } as const
  await expect(connect(port, { protocolVersion: 5, will })).rejects.toThrow()
})

test('a largest packet: announced, and not exceeded', async () => {
  const [small, large] = await start({ max_packet_size: '1KiB' }, {})
  const client = await connect(small, { protocolVersion: 5 })
  expect(client.connack?.properties).toMatchObject({ maximumPacketSize: 1024 })
  client.send({ cmd: 'publish', topic: 'a', payload: 'x'.repeat(2_000), qos: 0, retain: false, dup: false })
  await client.closed
  const other = await connect(large, { protocolVersion: 5 })
  await other.publish('a', 'x'.repeat(2_000), { qos: 1 })
})

test('topic aliases: as many as the listener lets a client use', async () => {
  const [port] = await start({ max_topic_alias: 2 })
  const client = await connect(port, { protocolVersion: 5 })
  expect(client.connack?.properties).toMatchObject({ topicAliasMaximum: 2 })
  const packet = { cmd: 'publish', topic: 'a', payload: 'x', qos: 0, retain: false, dup: false } as const
  client.send({ ...packet, properties: { topicAlias: 2 } })
  await client.ping()
  client.send({ ...packet, properties: { topicAlias: 3 } })
  await client.closed
  expect(client.others.at(-1)).toMatchObject({ cmd: 'disconnect', reasonCode: 0x94 })
})

test('a mount point is put before the topics of its clients, who do not see it', async () => {
  const [guests, house] = await start({ mount_point: 'guests/' }, {})
  const guest = await connect(guests, { clientId: 'guest', clean: false })
  await guest.subscribe({ topic: 'door/#', qos: 1 }, { topic: '$share/g/bell', qos: 1 })
  const owner = await connect(house, { protocolVersion: 5 })
  await owner.subscribe({ topic: '#', qos: 1 })
  await guest.publish('door/front', 'open', { qos: 1, retain: true })
  await owner.received(1)
  expect(owner.publishes[0]).toMatchObject({ topic: 'guests/door/front' })
  await guest.received(1)
  expect(guest.publishes[0]).toMatchObject({ topic: 'door/front' })
  await owner.publish('door/front', 'not for guests', { qos: 1 })
  await owner.publish('guests/bell', 'rings', { qos: 1 })
  await guest.received(2)
  expect(guest.publishes[1]).toMatchObject({ topic: 'bell' })
  await guest.disconnect()
  await owner.publish('guests/door/back', 'while away', { qos: 1 })
  const back = await connect(guests, { clientId: 'guest', clean: false })
  await back.received(1)
  expect(back.publishes[0]).toMatchObject({ topic: 'door/back' })
  back.send({ cmd: 'unsubscribe', messageId: 9, unsubscriptions: ['door/#'] })
  await back.next('unsuback', 9)
  await owner.publish('guests/door/back', 'no more', { qos: 1 })
  const other = await connect(guests, { protocolVersion: 5 })
  await other.subscribe({ topic: 'door/front', qos: 1 })
  await other.received(1)
  expect(other.publishes[0]).toMatchObject({ topic: 'door/front', retain: true })
  await back.ping()
  expect(back.publishes).toHaveLength(1)
})

test('a will of a client behind a mount point comes below it', async () => {
  const [guests, house] = await start({ mount_point: 'guests/' }, {})
  const owner = await connect(house)
  await owner.subscribe({ topic: 'guests/gone', qos: 1 })
  const guest = await connect(guests, { will: { topic: 'gone', payload: 'bye', qos: 1 } })
  guest.socket.destroy()
  await owner.received(1)
  expect(owner.payloads).toEqual(['bye'])
})

test('client identifiers: with a prefix, none at all, and the user name in their place', async () => {
  const [prefixed, named] = await start(
    { access: { allow_anonymous: true, client_id_prefixes: ['kitchen-', 'hall-'], allow_empty_client_id: false } },
    { access: { allow_anonymous: true, auto_id_prefix: 'auto-' } },
  )
  await connect(prefixed, { clientId: 'hall-lamp' })
  await expect(connect(prefixed, { clientId: 'attic-lamp' })).rejects.toThrow()
  await expect(connect(prefixed, { clientId: '' })).rejects.toThrow()
  const nameless = await connect(named, { clientId: '', protocolVersion: 5 })
  expect(nameless.connack?.properties?.assignedClientIdentifier).toMatch(/^auto-/)
  await until(() => Object.keys(gateway?.hub.clients ?? {}).length === 2, { what: 'two clients' })
})
