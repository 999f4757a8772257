/**
 * What the gateway says below `$SYS/broker/`, Mosquitto's names, against what the test itself sent and was sent: real
 * clients make the load and count every packet and byte on their side; the gateway's own ear, which makes no traffic,
 * hears what is published.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Packet } from 'mqtt-packet'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createGateway, type Gateway } from '../../src/index.ts'
import { LOADS } from '../../src/observe/loads.ts'
import { OWN_TOPICS, TOPICS } from '../../src/observe/sys-topics.ts'
import { freePort } from '../support/free-port.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'

const ROOT = '$SYS/broker/'
const PUBLISH = { cmd: 'publish', dup: false, retain: false } as const
const PAYLOAD = '0123456789'
/** Messages that wait for one session; one more is sent. */
const MAX_QUEUED = 2

/** Clients that count. */
class Load {
  readonly clients: RawClient[] = []
  readonly sent: Packet[] = []
  readonly #port: number

  constructor(port: number) {
    this.#port = port
  }

  async connect(options: Omit<RawClientOptions, 'port'> = {}): Promise<RawClient> {
    const client = await RawClient.open({ port: this.#port, ...options })
    this.clients.push(client)
    const send = client.send.bind(client)
    client.send = packet => {
      this.sent.push(packet)
      send(packet)
    }
    await client.handshake(options)
    return client
  }

  get received(): Packet[] {
    return this.clients.flatMap(({ publishes, others }) => [...publishes, ...others])
  }

  bytes(direction: 'bytesRead' | 'bytesWritten'): number {
    return this.clients.reduce((sum, { socket }) => sum + socket[direction], 0)
  }

  close(): void {
    for (const { socket } of this.clients) socket.destroy()
  }

  /** Three clients that stay, one that is away and is owed messages, and one whose session is over after a second. */
  async run(): Promise<void> {
    const away = await this.connect({ clientId: 'away', clean: false })
    await subscribeAndLeave(away, 'kept/#', '$share/crew/job')
    await away.disconnect()
    const brief = await this.connect({ clientId: 'brief', protocolVersion: 5, clean: false })
    // MQTT 5 §3.14.2.2.2
    brief.send({ cmd: 'disconnect', reasonCode: 0, properties: { sessionExpiryInterval: 1 } })
    await brief.closed
    const reader = await this.connect({ clientId: 'reader' })
    await reader.subscribe({ topic: 'live/#', qos: 0 }, { topic: '$share/team/work', qos: 0 }, { topic: 'x', qos: 1 })
    const idle = await this.connect({ clientId: 'idle', protocolVersion: 5 })
    await subscribeAndLeave(idle)
    const writer = await this.connect({ clientId: 'writer' })
    for (let i = 0; i < 5; i++) await writer.publish('live/a', PAYLOAD)
    for (let i = 0; i < 3; i++) await writer.publish('live/b', PAYLOAD, { qos: 1 })
    for (let i = 0; i < 2; i++) await writer.publish('work', PAYLOAD, { qos: 2 })
    for (let i = 0; i <= MAX_QUEUED; i++) await writer.publish('kept/a', PAYLOAD, { qos: 1 })
    await writer.publish('shelf', PAYLOAD, { retain: true })
    await writer.ping()
    await reader.received(10)
  }
}

/** Subscribes to `filters` to stay, and to two more that are given up again. */
async function subscribeAndLeave(client: RawClient, ...filters: string[]): Promise<void> {
  const brief = ['brief', '$share/team/brief']
  await client.subscribe(...[...filters, ...brief].map(topic => ({ topic, qos: 1 as const })))
  const messageId = client.nextPacketId()
  client.send({ cmd: 'unsubscribe', messageId, unsubscriptions: brief })
  await client.next('unsuback', messageId)
}

const publishes = (packets: readonly Packet[]) => packets.filter(({ cmd }) => cmd === 'publish')
const payload = (packets: readonly Packet[]) => PAYLOAD.length * publishes(packets).length

describe('below $SYS/broker/', () => {
  let folder: string
  let gateway: Gateway
  let load: Load
  let port: number
  const heard = new Map<string, string>()

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-sys-'))
    port = await freePort()
    gateway = createGateway(
      {
        data_dir: folder,
        listeners: [`mqtt://127.0.0.1:${port}`],
        limits: { max_queued_messages: MAX_QUEUED },
        metrics: { sys_interval: '200ms' },
        log: { level: 'error' },
      },
      { version: '9.8.7' },
    )
    await gateway.start()
    heard.clear()
    gateway.subscribe(`${ROOT}#`, (topic, said) => void heard.set(topic.slice(ROOT.length), said.toString()))
    load = new Load(port)
  })

  afterEach(async () => {
    load.close()
    await gateway.stop()
    await rm(folder, { recursive: true, force: true })
  })

  /** Waits until each topic says this. */
  async function hears(expected: () => Record<string, string | number>): Promise<void> {
    const wrong = () => Object.entries(expected()).filter(([topic, said]) => heard.get(topic) !== `${said}`)
    await until(() => wrong().length === 0, {
      what: () =>
        wrong()
          .map(([topic, said]) => `${topic} to be ${said}, and not ${heard.get(topic)}`)
          .join('; '),
    })
  }

  test('every name has a right value', async () => {
    await load.run()
    const counted = () => ({
      version: 'larder version 9.8.7',
      'clients/connected': 3,
      'clients/active': 3,
      'clients/disconnected': 1,
      'clients/inactive': 1,
      'clients/total': 4,
      'clients/maximum': 3,
      'clients/expired': 1,
      'messages/received': load.sent.length,
      'messages/sent': load.received.length,
      'publish/messages/received': publishes(load.sent).length,
      'publish/messages/sent': publishes(load.received).length,
      'publish/messages/dropped': 1,
      'publish/bytes/received': payload(load.sent),
      'publish/bytes/sent': payload(load.received),
      'bytes/received': load.bytes('bytesWritten'),
      'bytes/sent': load.bytes('bytesRead'),
      'subscriptions/count': 3,
      'shared_subscriptions/count': 2,
      'connections/socket/count': load.clients.length,
      'packet/out/bytes': 0,
    })
    await hears(counted)

    // What a real client finds retained is what is counted. It is counted itself after that.
    const before = new Map(heard)
    const visitor = await load.connect({ clientId: 'visitor' })
    await visitor.subscribe({ topic: '#', qos: 0 }, { topic: '$SYS/#', qos: 0 })
    await visitor.ping()
    const found = visitor.publishes.filter(({ retain }) => retain)
    const topics = new Set(found.map(({ topic }) => topic))
    const stored = topics.size + MAX_QUEUED
    const counts = { 'retained messages/count': topics.size, 'messages/stored': stored, 'store/messages/count': stored }
    for (const [topic, count] of Object.entries(counts)) expect([topic, before.get(topic)]).toEqual([topic, `${count}`])
    const told = (topic: string) => (topic.startsWith(ROOT) ? before.get(topic.slice(ROOT.length)) : undefined)
    // A topic has its length before it (MQTT 3.1.1 §1.5.3).
    const sizeOf = (topic: string, payload: string | Buffer) => 2 + Buffer.byteLength(topic) + payload.length
    const size = found.reduce((sum, { topic, payload }) => sum + sizeOf(topic, told(topic) ?? payload), 0)
    const waiting = MAX_QUEUED * sizeOf('kept/a', PAYLOAD)
    // Numbers among them may have got a digit more or less while they were told.
    expect(Math.abs(Number(before.get('store/messages/bytes')) - size - waiting)).toBeLessThan(30)

    expect(before.get('uptime')).toMatch(/^\d+ seconds$/)
    expect(Number(before.get('heap/current'))).toBeGreaterThan(1_000_000)
    expect(Number(before.get('heap/maximum'))).toBeGreaterThanOrEqual(Number(before.get('heap/current')))
    const others = ['uptime', 'heap/current', 'heap/maximum', 'store/messages/bytes', ...Object.keys(counts)]
    expect([...Object.keys(counted()), ...others].sort()).toEqual(Object.keys(TOPICS).sort())
  })

  test('what only this gateway tells', async () => {
    await load.run()
    await using small = await RawClient.open({ port, protocolVersion: 5 })
    const about = { protocolId: 'MQTT', protocolVersion: 5, clean: true, keepalive: 60, clientId: 'small' } as const
    small.send({ cmd: 'connect', ...about, properties: { maximumPacketSize: 40 } })
    await small.next('connack')
    await small.subscribe({ topic: 'small', qos: 0 })
    const later = await load.connect({ clientId: 'later', clean: false })
    await later.subscribe({ topic: 'soon', qos: 1 })
    await later.disconnect()
    const writer = await load.connect({ protocolVersion: 5 })
    await writer.publish('small', 'x'.repeat(100))
    const messageId = writer.nextPacketId()
    const properties = { messageExpiryInterval: 1 }
    writer.send({ ...PUBLISH, topic: 'soon', payload: PAYLOAD, qos: 1, messageId, properties })
    await writer.next('puback', messageId)
    await hears(() => ({
      'publish/messages/dropped/queue_full': 1,
      'publish/messages/dropped/too_large': 1,
      'publish/messages/dropped/slow_reader': 0,
      'publish/messages/dropped/not_allowed': 0,
      'publish/messages/refused': 0,
    }))
    // Two sessions that stay, what they want and what waits for them were written, with what stands around it.
    expect(Number(heard.get('store/commits/count'))).toBeGreaterThan(4)
    expect(Number(heard.get('store/commits/mean_ms'))).toBeGreaterThan(0)
    expect(Number(heard.get('disk/written/bytes'))).toBeGreaterThan((MAX_QUEUED + 1) * PAYLOAD.length)
    expect(Number(heard.get('disk/written/bytes_per_message'))).toBeGreaterThan(PAYLOAD.length)
    expect(heard.get('event_loop/delay_ms')).toMatch(/^\d+\.\d$/)
    expect(heard.get('queue/oldest_seconds')).toMatch(/^\d+$/)
    // Its time is over, also while nobody comes for it.
    await hears(() => ({ 'publish/messages/dropped/expired': 1 }))
    expect(Object.keys(OWN_TOPICS).filter(topic => !heard.has(topic))).toEqual([])
  })

  test('loads follow what is sent, the shorter the span the sooner', async () => {
    await load.run()
    const spans = (name: string) => ['1min', '5min', '15min'].map(span => Number(heard.get(`load/${name}/${span}`)))
    const names = Object.keys(LOADS)
    const isTold = () => names.every(name => spans(name).every(average => average > 0))
    await until(isTold, { what: () => names.map(name => `${name} ${spans(name)}`).join('; ') })
    for (const name of names) {
      const [one = 0, five = 0, fifteen = 0] = spans(name)
      expect(one, name).toBeGreaterThan(five)
      expect(five, name).toBeGreaterThan(fifteen)
    }
    // Averages over a minute of things that have been counted are no more than the counts.
    await hears(() => ({ 'clients/expired': 1 }))
    expect(spans('connections')[0]).toBeLessThanOrEqual(load.clients.length)
    expect(spans('bytes/received')[0]).toBeLessThanOrEqual(load.bytes('bytesWritten'))
  })

  test('what a session that came back may read again is counted once', async () => {
    await load.run()
    const away = await load.connect({ clientId: 'away', clean: false })
    await away.received(MAX_QUEUED)
    await hears(() => ({
      'clients/disconnected': 0,
      'clients/connected': 4,
      'clients/maximum': 4,
      'subscriptions/count': 3,
    }))
    await away.disconnect()
    await hears(() => ({
      'clients/disconnected': 1,
      'clients/connected': 3,
      'clients/maximum': 4,
      'store/messages/count': heard.get('retained messages/count') ?? '',
    }))
  })
})

describe.skipIf(!needs('mosquitto'))('beside Mosquitto', () => {
  test('the same names, and the same numbers for the same load', async () => {
    await using gateway = await import('../support/gateway.ts').then(({ startGateway }) =>
      startGateway({ config: `limits: { max_queued_messages: ${MAX_QUEUED} }\nmetrics: { sys_interval: 1s }` }),
    )
    const mosquitto = await startMosquitto({
      config: [`max_queued_messages ${MAX_QUEUED}`, 'max_inflight_messages 1', 'sys_interval 1'],
    })
    try {
      const [ours, theirs] = await Promise.all([told(gateway.port), told(mosquitto.port)])
      // Nothing of Mosquitto's is missing.
      expect([...theirs.keys()].filter(topic => !ours.has(topic) && !topic.startsWith('$SYS/broker/log/'))).toEqual([])
      // Mosquitto 2.0 counts among publish/messages/received neither QoS 2 nor retained messages.
      const same = [
        ...['publish/bytes/received', 'messages/received', 'bytes/received', 'publish/messages/dropped'],
        ...['clients/total', 'clients/connected', 'clients/disconnected', 'clients/expired'],
        ...['subscriptions/count', 'shared_subscriptions/count'],
      ]
      const numbers = (from: Map<string, string>) => same.map(name => [name, from.get(`${ROOT}${name}`)])
      expect(numbers(ours)).toEqual(numbers(theirs))
      const form = (from: Map<string, string>, name: string) => from.get(`${ROOT}${name}`)?.replace(/\d+/g, '9')
      for (const name of ['uptime', 'load/messages/received/1min']) expect(form(ours, name)).toBe(form(theirs, name))
    } finally {
      await mosquitto.remove()
    }
  })

  /** What a client that stays is told once the load has been counted. */
  async function told(port: number): Promise<Map<string, string>> {
    const load = new Load(port)
    try {
      await load.run()
      const visitor = await load.connect({ clientId: 'visitor' })
      const said = new Map<string, string>()
      visitor.onPacket = packet => {
        if (packet.cmd === 'publish') said.set(packet.topic, packet.payload.toString())
      }
      await visitor.subscribe({ topic: '$SYS/#', qos: 0 })
      const expected = {
        'messages/received': load.sent.length,
        'publish/bytes/received': payload(load.sent),
        'clients/connected': 4,
        'clients/expired': 1,
        'subscriptions/count': 4,
      }
      const isCounted = () => Object.entries(expected).every(([name, n]) => said.get(`${ROOT}${name}`) === `${n}`)
      await until(isCounted, { what: () => JSON.stringify([...said]), timeout: 20_000 })
      return said
    } finally {
      load.close()
    }
  }
})
