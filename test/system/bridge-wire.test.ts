/**
 * A bridge with Debian's mosquitto as its upstream. The queue is in memory here: the store's own is proved by
 * the tests of the whole gateway. What the upstream received is read from a subscriber, and where the
 * upstream is killed, from its log, which has a line for every packet.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Bridge } from '../../src/bridge/bridge.ts'
import type { BridgeSettings } from '../../src/bridge/ports.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { MemoryBroker } from '../support/bridge-broker.ts'
import { MemoryQueue } from '../support/memory-queue.ts'
import { type Mosquitto, type MosquittoOptions, startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { recordLog } from '../support/record-log.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

async function upstreamFor(options: MosquittoOptions = {}): Promise<Mosquitto> {
  const upstream = await startMosquitto(options)
  onTestFinished(() => upstream.remove())
  return upstream
}

async function startBridge(port: number, settings: Partial<BridgeSettings> = {}, queue = new MemoryQueue()) {
  const { log, lines } = recordLog()
  const bridge = new Bridge({
    settings: {
      name: 'cloud',
      url: `mqtt://127.0.0.1:${port}`,
      clientId: 'larder-home',
      keepalive: 60_000,
      maxInflight: 20,
      retry: { min: 20, max: 200 },
      out: [{ filter: '#', qos: 1, localPrefix: 'home/', remotePrefix: 'up/' }],
      ...settings,
    },
    gateway: 'Cottage',
    broker: new MemoryBroker(queue),
    clock: systemClock,
    log,
    random: Math.random,
  })
  await bridge.start(new AbortController().signal)
  onTestFinished(() => bridge.stop())
  return { bridge, queue, lines }
}

/** Messages that come in a steady stream: `count` of them, some in every turn of the event loop, numbered on topic and payload. */
async function feed(queue: MemoryQueue, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    queue.push({ topic: `home/${i}`, payload: Buffer.from(String(i)) })
    if (i % 10 === 9) await new Promise(resolve => setTimeout(resolve, 1))
  }
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('a bridge to mosquitto', () => {
  test('all messages arrive in order while the upstream is stopped and started again', async () => {
    const upstream = await upstreamFor({
      config: ['persistence true', 'persistence_location {dir}/', 'max_queued_messages 0'],
    })
    const watcher = { port: upstream.port, topics: ['up/#'], qos: 1, clientId: 'watcher', persistent: true } as const
    const first = await startSub(watcher)
    await first.stop()
    const { queue, lines } = await startBridge(upstream.port)
    const fed = feed(queue, 3_000)
    for (let restart = 1; restart <= 4; restart++) {
      await until(() => queue.removed.length >= restart * 300, { what: () => `${restart * 300} acknowledged` })
      await upstream.restart()
    }
    await fed
    await until(() => queue.count === 0, {
      what: () => `an empty queue, ${queue.count} left\n${upstream.logs().slice(-2_000)}`,
    })
    await using last = await startSub(watcher)
    await until(() => new Set(last.payloads).size === 3_000, {
      what: () => `3,000 messages, ${last.payloads.length} came`,
    })
    // Repeats are what QoS 1 allows; without them the order is the order of publishing.
    expect([...new Set(last.payloads)]).toEqual(numbers(3_000))
    expect(lines.filter(line => line.message === 'bridge connected')).toHaveLength(5)
  })

  test('all messages are received in order while the upstream is killed', async () => {
    const upstream = await upstreamFor()
    const { queue } = await startBridge(upstream.port)
    const fed = feed(queue, 2_000)
    for (let kill = 1; kill <= 4; kill++) {
      await until(() => queue.removed.length >= kill * 200, { what: () => `${kill * 200} acknowledged` })
      await upstream.kill()
      await upstream.restart()
    }
    await fed
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    const received = [...upstream.logs().matchAll(/Received PUBLISH from larder-home \(d(\d).*?'up\/(\d+)'/g)]
    expect([...new Set(received.map(match => match[2]))]).toEqual(numbers(2_000))
  })

  test('an upstream that is away at first gets what waited', async () => {
    const upstream = await upstreamFor()
    await upstream.stop()
    const { queue, lines } = await startBridge(upstream.port)
    await feed(queue, 100)
    await until(() => lines.length > 0, { what: 'a line in the log' })
    expect(lines[0]?.fields.reason).toBe(`nothing listens at 127.0.0.1:${upstream.port}`)
    await upstream.restart()
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    expect(lines.map(line => line.message)).toEqual(['bridge cannot connect', 'bridge connected'])
  })

  test('wrong credentials: one clear line, goes on trying, and heals when they are right', async () => {
    const upstream = await upstreamFor({ users: { larder: 'old' } })
    const { queue, lines } = await startBridge(upstream.port, { username: 'larder', password: 'new' })
    queue.push({ topic: 'home/t' })
    const refusals = () => upstream.logs().match(/Sending CONNACK to [^\n]*\(0, 5\)/g)?.length ?? 0
    await until(() => refusals() >= 4, { what: () => `four refusals\n${upstream.logs()}` })
    expect(lines.map(line => line.fields)).toEqual([
      expect.objectContaining({
        bridge: 'cloud',
        code: 'BRIDGE_FAILED',
        reason: 'the upstream does not let this client in',
        hint: 'Check "username", "password" and what this client may do there.',
        waiting: 1,
      }),
    ])
    const changed = spawnSync('mosquitto_passwd', ['-b', join(upstream.dir, 'passwords'), 'larder', 'new'])
    expect(changed.status).toBe(0)
    await upstream.restart()
    await until(() => queue.count === 0, { what: () => `an empty queue\n${upstream.logs()}` })
    expect(lines.at(-1)?.message).toBe('bridge connected')
  })

  test('the retain flag goes up as the publisher set it, QoS as the rule says', async () => {
    const upstream = await upstreamFor()
    const { queue } = await startBridge(upstream.port, {
      out: [
        { filter: 'fast/#', qos: 0 },
        { filter: '#', qos: 1 },
      ],
    })
    queue.push({ topic: 'state', payload: Buffer.from('kept'), retain: true })
    queue.push({ topic: 'event', payload: Buffer.from('gone') })
    queue.push({ topic: 'fast/state', payload: Buffer.from('fast'), retain: true, qos: 2 })
    await until(() => /'fast\/state'/.test(upstream.logs()), { what: () => `the last message\n${upstream.logs()}` })
    expect(upstream.logs()).toMatch(/\(d0, q0, r1, m0, 'fast\/state'/)
    expect(upstream.logs()).toMatch(/\(d0, q1, r0, m\d+, 'event'/)
    const kept = await run('mosquitto_sub', [
      '-p',
      String(upstream.port),
      '-t',
      '#',
      '-C',
      '2',
      '-W',
      '5',
      '-F',
      '%t %p',
    ])
    expect(kept.lines.sort()).toEqual(['fast/state fast', 'state kept'])
  })

  test('a stop in the middle leaves the rest in the queue, and a new bridge carries on', async () => {
    const upstream = await upstreamFor()
    const { bridge, queue } = await startBridge(upstream.port)
    const fed = feed(queue, 1_000)
    await until(() => queue.removed.length >= 200, { what: '200 acknowledged' })
    await bridge.stop()
    await fed
    expect(queue.count).toBeGreaterThan(0)
    expect(queue.count + queue.removed.length).toBe(1_000)
    const acknowledged = upstream.logs().match(/Sending PUBACK to larder-home/g)?.length
    expect(queue.removed.length).toBe(acknowledged)
    expect(upstream.logs()).toContain('Received DISCONNECT from larder-home')

    await startBridge(upstream.port, {}, queue)
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    const received = [...upstream.logs().matchAll(/Received PUBLISH from larder-home \(d(\d).*?'up\/(\d+)'/g)]
    expect(received.map(match => match[2])).toEqual(numbers(1_000))
  })
})
