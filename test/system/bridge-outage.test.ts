/**
 * The bridge through an outage: what the house publishes while the upstream broker is down waits in the
 * store, survives a kill of the gateway, and reaches the upstream in order when it is back.
 */
import { describe, expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { type Sub, startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const COUNT = 1_000
const LOCAL = '/Home/Kitchen/Temperature'
const REMOTE = `cloud${LOCAL}`

const config = (upstream: number): string => `
name: Cottage
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${upstream}
    retry: { min: 100ms, max: 500ms }
    out:
      - filter: /Home/#
        remote_prefix: cloud
`
const watcher = (port: number) =>
  ({ port, topics: ['cloud/#'], qos: 1, clientId: 'watcher', persistent: true }) as const
const readings = (count: number): Ledger => new Ledger({ clientId: 'sensor', count, window: 20, topicOf: () => LOCAL })
const numbered = (sub: Sub): { topic: string; number: number }[] =>
  sub.messages.map(({ topic, payload }) => ({ topic, number: Number(payload) }))

/** An upstream that keeps what it was given over a restart, and queues without a limit for who is away. */
async function startUpstream(): Promise<Mosquitto & AsyncDisposable> {
  const upstream = await startMosquitto({
    config: ['persistence true', 'persistence_location {dir}/', 'max_queued_messages 0'],
  })
  return Object.assign(upstream, { [Symbol.asyncDispose]: () => upstream.remove() })
}

async function distinct(sub: Sub, count: number): Promise<void> {
  const seen = (): number => new Set(sub.payloads).size
  await until(() => seen() >= count, { what: () => `${count} messages upstream; got ${seen()}`, timeout: 60_000 })
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('a bridge', () => {
  test('carries what is published, with its prefix', async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway({ config: config(upstream.port) })
    await using sub = await startSub(watcher(upstream.port))
    await pub('21.5', { port: gateway.port, topic: LOCAL, qos: 1 })
    await pub('not for the cloud', { port: gateway.port, topic: 'private/diary', qos: 1 })
    await pub('22', { port: gateway.port, topic: LOCAL, qos: 1 })
    await sub.received(2)
    expect(sub.messages.map(({ topic, payload, qos }) => ({ topic, payload, qos }))).toEqual([
      { topic: REMOTE, payload: '21.5', qos: 1 },
      { topic: REMOTE, payload: '22', qos: 1 },
    ])
  })

  test(`keeps ${COUNT} readings while the upstream is down and the gateway is killed (m#3472, m#3394)`, {
    timeout: 120_000,
  }, async () => {
    await using upstream = await startUpstream()
    await (await startSub(watcher(upstream.port))).stop()
    await upstream.stop()

    await using gateway = await startGateway({ config: config(upstream.port) })
    const published = readings(COUNT)
    published.onAcknowledged = count => {
      if (count === COUNT) process.kill(gateway.pid, 'SIGKILL')
    }
    await published.run(gateway.port)
    await gateway.exit
    await gateway.start()

    await upstream.restart()
    await using sub = await startSub(watcher(upstream.port))
    await distinct(sub, COUNT)
    expect(faultsOfDelivery(numbered(sub), published.acknowledged, () => REMOTE)).toEqual([])
    expect(sub.messages).toHaveLength(COUNT) // nothing had been sent, so nothing comes twice
    await gateway.stop()
  })

  test('loses nothing when the gateway is killed while it drains', { timeout: 120_000 }, async () => {
    const count = 5 * COUNT
    await using upstream = await startUpstream()
    await (await startSub(watcher(upstream.port))).stop()
    await upstream.stop()
    await using gateway = await startGateway({ config: config(upstream.port) })
    const published = readings(count)
    expect(await published.run(gateway.port)).toBe(true)

    await upstream.restart()
    await using sub = await startSub(watcher(upstream.port))
    await sub.received(COUNT, 60_000)
    await gateway.kill()
    await gateway.start()
    await distinct(sub, count)
    expect(faultsOfDelivery(numbered(sub), published.acknowledged, () => REMOTE)).toEqual([])
  })

  test('finds an upstream again each time that it was away, with all that waited (m#2795, m#1334, thingsboard-gateway#2124)', {
    timeout: 120_000,
  }, async () => {
    await using upstream = await startUpstream()
    await using gateway = await startGateway({ config: config(upstream.port) })
    await using local = await startSub({ port: gateway.port, topics: ['/Home/#'], qos: 1 })
    await (await startSub(watcher(upstream.port))).stop()
    const expected: string[] = []
    for (let outage = 0; outage < 3; outage++) {
      await upstream.stop()
      for (let number = 0; number < 10; number++) {
        expected.push(`${outage}-${number}`)
        await pub(`${outage}-${number}`, { port: gateway.port, topic: LOCAL, qos: 1 })
      }
      await local.received(expected.length)
      await upstream.restart()
    }
    await using sub = await startSub(watcher(upstream.port))
    await distinct(sub, expected.length)
    expect([...new Set(sub.payloads)]).toEqual(expected)
    expect(local.payloads).toEqual(expected)
  })
})
