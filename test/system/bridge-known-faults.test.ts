/**
 * What other gateways' bridges are known to get wrong, by the numbers of the reports (m: Mosquitto). What another test
 * shows already has the number in its title there; the rest is here, and the first test sees that none is missing.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Gateway, prepareGateway, ROOT, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { startRelay } from '../support/relay.ts'
import { until } from '../support/wait.ts'

const MOSQUITTO = [
  3472, 3394, 3275, 3002, 2604, 2176, 1174, 1729, 1593, 2202, 2879, 3011, 1263, 1467, 2795, 1334, 1019, 3108, 2467,
  2411,
]
const NUMBERS = [
  ...MOSQUITTO.map(number => `m#${number}`),
  'nanomq#2432',
  'nanomq#2423',
  'nanomq#1980',
  'thingsboard-gateway#2124',
]

const bridge = (port: number, more = '', rules = 'out: [{ filter: "up/#" }]') => `name: Cottage
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${port}
    retry: { min: 100ms, max: 300ms }
    ${rules}
${more}`

const STATE = '$SYS/broker/connection/larder-Cottage-cloud/state'

/** The last payload of a topic at this client. */
function last(client: RawClient, topic: string): string | undefined {
  return client.publishes.findLast(each => each.topic === topic)?.payload.toString()
}

async function watch(port: number, ...topics: string[]): Promise<RawClient> {
  const client = await RawClient.connect({ port })
  await client.subscribe(...topics.map(topic => ({ topic, qos: 1 as const })))
  return client
}

/** Publishes numbers in order, QoS 1, a window at a time. */
async function publish(port: number, from: number, to: number, qos: 0 | 1 = 1): Promise<void> {
  await using client = await RawClient.connect({ port })
  for (let at = from; at < to; at += 100) {
    const some = Array.from({ length: Math.min(100, to - at) }, (_, i) => client.publish('up/t', `${at + i}`, { qos }))
    await Promise.all(some)
  }
  await client.ping()
}

const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => `${from + i}`)
const payloads = (client: RawClient) => [
  ...new Set(client.publishes.filter(p => p.topic === 'up/t').map(p => `${p.payload}`)),
]

async function arrived(client: RawClient, from: number, to: number, log: () => string): Promise<void> {
  await until(() => payloads(client).length >= to - from, {
    what: () => `${to - from} messages upstream, got ${payloads(client).length}\n${log()}`,
    timeout: 30_000,
  })
  expect(payloads(client)).toEqual(numbers(from, to))
}

test('each number stands in the title of a test', () => {
  const files = ['test/system', 'test/unit/bridge'].flatMap(folder =>
    readdirSync(join(ROOT, folder))
      .filter(file => file.endsWith('.test.ts') && (folder.endsWith('bridge') || file.startsWith('bridge-')))
      .map(file => readFileSync(join(ROOT, folder, file), 'utf8')),
  )
  const titles = files.flatMap(text =>
    [...text.matchAll(/['"`]([^'"`\n]+)['"`],\s*(?:\{[^}]*\},\s*)?async/g)].map(([, title]) => title),
  )
  const isNamed = (number: string) => titles.some(title => new RegExp(`${number}(?!\\d)`).test(title ?? ''))
  expect(NUMBERS.filter(number => !isNamed(number))).toEqual([])
  expect(isNamed('m#1')).toBe(false)
})

describe('a bridge', { timeout: 60_000 }, () => {
  test('carries what came before its first connection, over a restart of the gateway (m#1174, m#2604)', async () => {
    const port = await freePort()
    await using gateway = await startGateway({ config: bridge(port) })
    await publish(gateway.port, 0, 200)
    await gateway.restart()
    await publish(gateway.port, 200, 300)
    await using upstream = await startGateway({ config: `listeners: ["mqtt://127.0.0.1:${port}"]` })
    await using cloud = await watch(port, 'up/#')
    // The bridge may have been first: what is missing then was there before the watcher.
    const seen = () => payloads(cloud)
    await until(() => seen().at(-1) === '299' || /bridge connected/.test(gateway.log), { what: () => gateway.log })
    expect(upstream.process.running).toBe(true)
    await publish(gateway.port, 300, 301)
    await until(() => seen().at(-1) === '300', { what: () => `the last message, got ${seen()}`, timeout: 30_000 })
    expect(seen()).toEqual(numbers(301 - seen().length, 301))
  })

  test.skipIf(!needs('mosquitto'))(
    'with more waiting than the upstream takes at once comes up, and stays up (m#3002)',
    async () => {
      const upstream = await startMosquitto({ config: ['max_inflight_messages 3', 'max_queued_messages 0'] })
      await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
      await upstream.stop()
      await using gateway = await startGateway({ config: bridge(upstream.port) })
      await publish(gateway.port, 0, 500)
      await gateway.stop()
      await upstream.restart()
      await using cloud = await watch(upstream.port, 'up/#')
      await gateway.start()
      await arrived(cloud, 0, 500, () => gateway.log)
      expect(gateway.log).not.toContain('disconnected')
    },
  )

  test('says what a limit pushes out: the oldest goes, the newest stays (m#1729, m#1593, m#2202)', async () => {
    const port = await freePort()
    await using gateway = await startGateway({ config: bridge(port, 'limits: { max_queued_messages: 50 }') })
    await publish(gateway.port, 0, 80)
    expect(gateway.log).toContain('the queue of a session is full')
    await using local = await watch(gateway.port, '$SYS/broker/bridges/cloud')
    await using _upstream = await startGateway({ config: `listeners: ["mqtt://127.0.0.1:${port}"]` })
    const state = () => JSON.parse(last(local, '$SYS/broker/bridges/cloud') ?? '{}')
    await until(() => state().connected === true && state().sent >= 50, {
      what: () => `a word on it: ${JSON.stringify(state())}`,
      timeout: 30_000,
    })
    expect(state()).toMatchObject({ dropped: 30, sent: 50, waiting: 0 })
  })

  test.skipIf(!needs('mosquitto'))(
    'imported with max_queued_messages 0 has no limit, and loses nothing of any QoS (m#2879)',
    async () => {
      const upstream = await startMosquitto({
        config: ['max_queued_messages 0', 'persistence true', 'persistence_location {dir}/'],
      })
      await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
      const waiting = { port: upstream.port, clientId: 'watcher', clean: false }
      await using first = await RawClient.connect(waiting)
      await first.subscribe({ topic: 'up/#', qos: 1 })
      await first.disconnect()
      await upstream.stop()
      await using gateway = await imported([
        'max_queued_messages 0',
        'persistence true',
        'connection cloud',
        `address 127.0.0.1:${upstream.port}`,
        'restart_timeout 1',
        'topic up/# out 1',
      ])
      await using local = await watch(gateway.port, 'up/#')
      await publish(gateway.port, 0, 1_500)
      await publish(gateway.port, 1_500, 1_600, 0)
      // QoS 0 does not wait for what is in flight.
      await until(() => payloads(local).length === 1_600, { what: () => `all here, got ${payloads(local).length}` })
      await upstream.restart()
      await using cloud = await RawClient.connect(waiting)
      await arrived(cloud, 0, 1_600, () => gateway.log)
    },
  )

  test.skipIf(!needs('mosquitto'))(
    'says 0 here and at mosquitto when its line is gone without a word (m#2467)',
    async () => {
      const upstream = await startMosquitto()
      await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
      await tellsTheTruth(upstream.port)
    },
  )

  test('says 0 here and at another gateway when its line is gone without a word (m#2467)', async () => {
    await using upstream = await startGateway()
    await tellsTheTruth(upstream.port)
  })

  test('takes new rules and a new address with a reload, and what waits goes there (m#2411)', async () => {
    await using upstream = await startGateway()
    const nobody = await freePort()
    await using gateway = await startGateway({ config: bridge(nobody) })
    await publish(gateway.port, 0, 10)
    await using cloud = await watch(upstream.port, 'up/#', 'more/#')
    const listeners = gateway.listeners.map(each => `"${each}"`).join(', ')
    const text = bridge(upstream.port, '', 'out: [{ filter: "up/#" }, { filter: "more/#" }]')
    await writeFile(
      join(gateway.folder, 'larder.yaml'),
      `listeners: [${listeners}]\ndata_dir: '${gateway.dataDir}'\n${text}`,
    )
    process.kill(gateway.pid, 'SIGHUP')
    await arrived(cloud, 0, 10, () => gateway.log)
    await using client = await RawClient.connect({ port: gateway.port })
    await client.publish('more/t', 'x', { qos: 1 })
    await until(() => last(cloud, 'more/t') === 'x', { what: () => `what the new rule carries\n${gateway.log}` })
  })
})

async function tellsTheTruth(upstream: number): Promise<void> {
  const relay = await startRelay(upstream)
  const more = 'out: [{ filter: "up/#" }]\n    keepalive: 2s\n    notify_upstream: true'
  await using gateway = await startGateway({ config: bridge(relay.port, '', more) })
  await using here = await watch(gateway.port, STATE)
  await using there = await watch(upstream, STATE)
  const both = () => `${last(here, STATE)} ${last(there, STATE)}`
  const say = (state: string) =>
    until(() => both() === state, { what: () => `${state}, got ${both()}`, timeout: 20_000 })
  await say('1 1')
  relay.blackHole = true
  await say('0 0')
  relay.blackHole = false
  relay.cut()
  await say('1 1')
}

/** A gateway on a `mosquitto.conf`. */
async function imported(lines: readonly string[]): Promise<Gateway> {
  const gateway = await prepareGateway({ args: ['--mosquitto-conf', 'mosquitto.conf'] })
  const text = [
    `listener ${gateway.port} 127.0.0.1`,
    'allow_anonymous true',
    `persistence_location ${gateway.dataDir}/`,
  ]
  await writeFile(join(gateway.folder, 'mosquitto.conf'), [...text, ...lines, ''].join('\n'))
  await gateway.start()
  return gateway
}
