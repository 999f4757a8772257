/** MQTT 5 where it reaches beyond one connection: over restarts, between the members of a group, and in bytes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect, type IClientOptions, type MqttClient } from 'mqtt'
import { generate } from 'mqtt-packet'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createGateway, type Gateway, silentLog } from '../../src/index.ts'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { until } from '../support/wait.ts'

let folder: string
let gateway: Gateway
let address: string
/** Milliseconds by which the gateway's wall clock is ahead of the machine's. */
let ahead = 0
const clock: Clock = { ...systemClock, wall: () => systemClock.wall() + ahead }
let isSynced = true
const clockSync = { isSynced: () => isSynced }

async function start(): Promise<void> {
  gateway = createGateway({ data_dir: folder, listeners: ['mqtt://127.0.0.1:0'] }, { log: silentLog, clock, clockSync })
  await gateway.start()
  address = gateway.addresses()[0] as string
}

async function restart(): Promise<void> {
  await gateway.stop()
  await start()
}

interface Client extends MqttClient {
  messages: string[]
  /** Message expiry intervals of the messages. */
  intervals: (number | undefined)[]
}

const open: MqttClient[] = []
async function client(options: IClientOptions = {}): Promise<Client> {
  const messages: string[] = []
  const intervals: (number | undefined)[] = []
  const connecting = connect(address, { protocolVersion: 5, reconnectPeriod: 0, ...options })
  open.push(connecting)
  // Before CONNACK: what waited for a session comes right behind it.
  connecting.on('message', (_topic, payload, packet) => {
    messages.push(payload.toString())
    intervals.push(packet.properties?.messageExpiryInterval)
  })
  await new Promise((resolve, reject) => connecting.once('connect', resolve).once('error', reject))
  return Object.assign(connecting, { messages, intervals })
}

beforeEach(async () => {
  ahead = 0
  isSynced = true
  folder = await mkdtemp(join(tmpdir(), 'larder-mqtt5-'))
  await start()
})
afterEach(async () => {
  for (const one of open.splice(0)) one.end(true)
  await gateway.stop()
  await rm(folder, { recursive: true, force: true })
})

const KEPT: IClientOptions = { clientId: 'kept', clean: false, properties: { sessionExpiryInterval: 1000 } }

test('message expiry counts down over a restart, and what has expired is not delivered', async () => {
  const first = await client(KEPT)
  await first.subscribeAsync('bread/#', { qos: 1 })
  await first.endAsync()
  const publisher = await client()
  await publisher.publishAsync('bread/short', 'short', { qos: 1, properties: { messageExpiryInterval: 10 } })
  await publisher.publishAsync('bread/long', 'long', { qos: 1, properties: { messageExpiryInterval: 500 } })
  await publisher.publishAsync('retained/short', 'old', {
    qos: 1,
    retain: true,
    properties: { messageExpiryInterval: 10 },
  })
  await publisher.publishAsync('retained/none', 'new', { qos: 1, retain: true })
  await gateway.stop()
  ahead += 60_000
  await start()
  const second = await client(KEPT)
  await second.subscribeAsync('retained/#', { qos: 1 })
  await until(() => second.messages.includes('new'), { what: 'the retained message' })
  expect(second.messages.filter(text => text === 'short' || text === 'old')).toEqual([])
  const left = second.intervals[second.messages.indexOf('long')]
  expect(left).toBeGreaterThan(400)
  expect(left).toBeLessThan(441)
})

test('a session outlives a restart for as long as it was to, and no longer', async () => {
  const first = await client(KEPT)
  await first.subscribeAsync('bread', { qos: 1 })
  await first.endAsync()
  ahead += 500_000
  await restart()
  const publisher = await client()
  await publisher.publishAsync('bread', 'kept', { qos: 1 })
  const second = await client(KEPT)
  await until(() => second.messages.length === 1, { what: 'the message that waited' })
  await second.endAsync()
  await gateway.stop()
  ahead += 1_001_000
  await start()
  const present = await until(
    async () => {
      // It ends at the first look at the clock after the start.
      const probe = await client({ clientId: 'probe', clean: true })
      await probe.endAsync()
      return gateway.hub.persistence.queues.find('kept') === undefined
    },
    { what: 'the end of the session' },
  )
  expect(present).toBe(true)
})

const YEARS = 20 * 365 * 86_400_000

test.each([
  ['forward', YEARS],
  ['back', -YEARS],
])('a clock that nobody has set jumps %s by years: nothing ends before its time', async (_way, jump) => {
  isSynced = false
  const first = await client(KEPT)
  await first.subscribeAsync('bread/#', { qos: 1 })
  await first.endAsync()
  const publisher = await client()
  const properties = { messageExpiryInterval: 500 }
  await publisher.publishAsync('bread/a', 'queued', { qos: 1, properties })
  await publisher.publishAsync('bread/b', 'retained', { qos: 1, retain: true, properties })
  ahead += jump
  await publisher.publishAsync('bread/a', 'after the jump', { qos: 1, properties })
  await publisher.endAsync()
  await restart()
  ahead += jump
  const second = await client(KEPT)
  await until(() => second.messages.length === 3, { what: 'what waited' })
  for (const interval of second.intervals) expect(interval).toBeGreaterThan(480)
  for (const interval of second.intervals) expect(interval).toBeLessThanOrEqual(500)
  const fresh = await client()
  await fresh.subscribeAsync('bread/b', { qos: 1 })
  await until(() => fresh.messages.length === 1, { what: 'the retained message' })
})

test('the time that the gateway was off counts once the clock is set', async () => {
  const first = await client(KEPT)
  await first.subscribeAsync('bread', { qos: 1 })
  await first.endAsync()
  const publisher = await client()
  await publisher.publishAsync('bread', 'short', { qos: 1, properties: { messageExpiryInterval: 100 } })
  await publisher.publishAsync('bread', 'long', { qos: 1, properties: { messageExpiryInterval: 900 } })
  await publisher.endAsync()
  await gateway.stop()
  // The board wakes up in the past, and hears of the time later.
  isSynced = false
  ahead -= YEARS
  await start()
  const queue = gateway.hub.persistence.queues.find('kept')
  expect(queue?.count).toBe(2)
  ahead += YEARS + 300_000
  isSynced = true
  await until(() => queue?.count === 1, { what: 'the end of the message whose time was over' })
  const second = await client(KEPT)
  await until(() => second.messages.length === 1, { what: 'the message that is left' })
  expect(second.messages).toEqual(['long'])
  expect(second.intervals[0]).toBeGreaterThan(580)
  expect(second.intervals[0]).toBeLessThanOrEqual(600)
})

test('a member of a shared subscription that goes leaves its messages to the others', async () => {
  const members = await Promise.all(['one', 'two'].map(clientId => client({ clientId, clean: true })))
  const [stuck, other] = members as [Client, Client]
  // It takes messages and acknowledges none.
  stuck.handleMessage = () => {}
  for (const member of members) await member.subscribeAsync('$share/ovens/bread', { qos: 1 })
  const publisher = await client()
  await Promise.all(Array.from({ length: 40 }, (_, i) => publisher.publishAsync('bread', `loaf ${i}`, { qos: 1 })))
  await until(() => other.messages.length >= 20, { what: 'the half of the messages' })
  stuck.stream.destroy()
  await until(() => other.messages.length === 40, { what: 'all of the messages' })
  expect(new Set(other.messages).size).toBe(40)
})

test('topic aliases that the gateway assigns pay: fewer bytes to a client that takes them', async () => {
  const topic = '/Home/Kitchen/Cupboard/Left/Temperature'
  const received = async (topicAliasMaximum: number): Promise<number> => {
    const { hostname, port } = new URL(address)
    const socket = connectSocket({ host: hostname, port: Number(port) })
    let bytes = 0
    let text = ''
    socket.on('data', chunk => {
      bytes += chunk.length
      text += chunk.toString('latin1')
    })
    const version = { protocolVersion: 5 } as const
    const properties = topicAliasMaximum > 0 ? { topicAliasMaximum } : {}
    socket.write(
      generate({ cmd: 'connect', clientId: 'raw', clean: true, keepalive: 0, properties, ...version }, version),
    )
    const subscriptions = [{ topic: '/Home/#', qos: 0 as const }]
    socket.write(generate({ cmd: 'subscribe', messageId: 1, subscriptions }, version))
    await until(() => text.includes('\x90'), { what: 'SUBACK' })
    const before = bytes
    for (let i = 0; i < 100; i++) await gateway.publish(topic, `21.${i % 10}`)
    await gateway.publish(topic, 'end')
    await until(() => text.endsWith('end'), { what: 'the last message' })
    socket.destroy()
    return bytes - before
  }
  const without = await received(0)
  const withAliases = await received(10)
  console.log(`topic aliases: ${withAliases} bytes instead of ${without} for 101 readings`)
  expect(withAliases).toBeLessThan(without / 2)
})

test('a will waits for its delay, and not for a client that came back', async () => {
  const watcher = await client()
  await watcher.subscribeAsync('wills/#', { qos: 1 })
  const will = (topic: string, willDelayInterval: number) => ({
    topic,
    payload: Buffer.from(topic),
    qos: 1 as const,
    retain: false,
    properties: { willDelayInterval, contentType: 'text' },
  })
  const lost = await client({ ...KEPT, clientId: 'lost', will: will('wills/lost', 1) })
  const back = await client({ ...KEPT, clientId: 'back', will: will('wills/back', 1) })
  back.stream.destroy()
  await until(() => gateway.hub.clients.back === undefined, { what: 'the end of the connection' })
  await client({ ...KEPT, clientId: 'back' })
  lost.stream.destroy()
  await until(() => watcher.messages.length > 0, { what: 'the will' })
  expect(watcher.messages).toEqual(['wills/lost'])
})
