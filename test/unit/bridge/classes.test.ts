/** What goes first after an outage, what of it goes at all, and how fast. */
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { offsetOf, PACKET_IDS } from '../../../src/bridge/lanes.ts'
import type { BridgeRule, BridgeSettings } from '../../../src/bridge/ports.ts'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import type { MemoryQueue } from '../../support/memory-queue.ts'
import { until } from '../../support/wait.ts'
import { answerWell, type ScriptedUpstream, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

const MINUTE = 60_000

const rule = (filter: string, more: Partial<BridgeRule> = {}): BridgeRule => ({ filter, qos: 1, ...more })

/** A bridge whose upstream comes when it is told to. */
async function startAway(out: BridgeRule[], more: Partial<BridgeSettings> = {}) {
  const port = await freePort()
  const rig = await startBridge(`mqtt://127.0.0.1:${port}`, { out, ...more })
  const queue = (suffix: string) => rig.broker.queues.get(`$bridge/cloud${suffix}`) as MemoryQueue
  const come = (answer?: ScriptedUpstream['answer']) => startUpstream(answer, port)
  const isEmpty = () => [...rig.broker.queues.values()].every(({ count }) => count === 0)
  const drained = () => until(isEmpty, { what: () => `empty spools, ${rig.bridge.status.waiting} left` })
  return { ...rig, queue, come, drained }
}

function fill(queue: MemoryQueue, topic: string, count: number): void {
  for (let i = 0; i < count; i++) queue.push({ topic, payload: Buffer.from(String(i)) })
}

const topicsOf = ({ publishes }: ScriptedUpstream) => publishes.map(({ topic }) => topic)

describe('priority', () => {
  const rules = [rule('alarm', { priority: 'high' }), rule('log', { priority: 'low' }), rule('reading')]

  test('high goes before normal, and that before low, each in its order', async () => {
    const { queue, come, drained } = await startAway(rules)
    fill(queue('/low'), 'log', 30)
    fill(queue(''), 'reading', 30)
    fill(queue('/high'), 'alarm', 30)
    const upstream = await come()
    await drained()
    expect(topicsOf(upstream)).toEqual([
      ...Array(30).fill('alarm'),
      ...Array(30).fill('reading'),
      ...Array(30).fill('log'),
    ])
    for (const topic of ['alarm', 'reading', 'log']) {
      const payloads = upstream.publishes.filter(each => each.topic === topic).map(({ payload }) => String(payload))
      expect(payloads).toEqual(Array.from({ length: 30 }, (_, i) => String(i)))
    }
  })

  test('an alarm that comes during a drain is the next to be sent', async () => {
    const { queue, come, drained } = await startAway(rules, { maxInflight: 1 })
    fill(queue(''), 'reading', 20)
    let sent = 0
    const upstream = await come((packet, connection) => {
      if (packet.cmd === 'publish' && ++sent === 5) queue('/high').push({ topic: 'alarm' })
      answerWell(packet, connection)
    })
    await drained()
    expect(topicsOf(upstream).indexOf('alarm')).toBe(5)
  })

  test('what was in flight comes again before what is more urgent, with its packet identifiers', async () => {
    const { queue, come, drained, broker } = await startAway(rules, { maxInflight: 4 })
    fill(queue(''), 'reading', 8)
    let cut = false
    const upstream = await come((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answerWell(packet, connection)
      if (connection.publishes.length < 4 || cut) return
      cut = true
      fill(broker.queues.get('$bridge/cloud/high') as MemoryQueue, 'alarm', 3)
      connection.cut()
    })
    await drained()
    const [first, second] = upstream.connections
    const ids = (topics: typeof first) =>
      topics?.publishes.slice(0, 4).map(({ topic, messageId }) => [topic, messageId])
    expect(second?.topics.slice(0, 8)).toEqual([...Array(4).fill('reading*'), ...Array(3).fill('alarm'), 'reading'])
    expect(ids(second)).toEqual(ids(first))
  })

  test('what was in flight comes before what is new also while the disk is read for it', async () => {
    const { queue, come, drained } = await startAway(rules, { maxInflight: 4 })
    fill(queue(''), 'reading', 4)
    const upstream = await come((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answerWell(packet, connection)
      if (connection.publishes.length < 4) return
      fill(queue('/high'), 'alarm', 2)
      let asked = 0
      const take = queue('').take.bind(queue(''))
      queue('').take = () => {
        asked++
        // The second page is read.
        if (asked === 3) setTimeout(() => queue('').onReady?.(), 20)
        return asked === 3 ? undefined : take()
      }
      connection.cut()
    })
    await drained()
    expect(upstream.connections[1]?.topics).toEqual([...Array(4).fill('reading*'), 'alarm', 'alarm'])
  })

  test('a spool that cannot be read does not hold up the others for ever', async () => {
    const { queue, come, broker } = await startAway(rules)
    fill(queue('/high'), 'alarm', 2)
    fill(queue(''), 'reading', 2)
    queue('/high').isReading = true
    await come()
    for (let i = 0; i < 3; i++) {
      await until(() => queue('/high').attached, { what: 'a connection' })
      queue('/high').onReady?.()
      await new Promise(resolve => setImmediate(resolve))
    }
    await until(() => queue('').count === 0, { what: 'what can be read' })
    expect(broker.queues.get('$bridge/cloud/high')?.count).toBe(2)
  })

  test('no two messages in flight have the same packet identifier [MQTT-2.3.1-4], and one that moved keeps its own', async () => {
    const { queue, come, drained } = await startAway(rules)
    const spools = [
      ['', 'reading', 'normal'],
      ['/high', 'alarm', 'high'],
      ['/low', 'log', 'low'],
    ] as const
    for (const [suffix, topic, priority] of spools) {
      // Each begins where its packet identifiers are the first.
      queue(suffix).skipTo((2 * PACKET_IDS - offsetOf({ generation: 0, priority, isThin: false })) % PACKET_IDS)
      if (topic === 'reading') fill(queue(suffix), topic, 3)
    }
    // What comes later is more urgent on the next connection, and has no right to the identifiers of what was there.
    const upstream = await come((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answerWell(packet, connection)
      if (connection.publishes.length === 3) {
        for (const [suffix, topic] of spools.slice(1)) fill(queue(suffix), topic, 3)
      }
      if (connection.publishes.length === 9) connection.cut()
    })
    await drained()
    const idsOf = (index: number) =>
      new Map(
        upstream.connections[index]?.publishes.map(({ topic, payload, messageId }) => [
          `${topic} ${payload}`,
          messageId,
        ]),
      )
    expect(new Set(idsOf(0).values()).size).toBe(9)
    expect(idsOf(1)).toEqual(idsOf(0))
  })
})

describe('a topic that comes to another class', () => {
  test('keeps its order: what waited before goes first; the old spool goes when it is empty', async () => {
    const first = await startAway([rule('a', { priority: 'high' }), rule('#')])
    fill(first.queue('/high'), 'a', 3)
    fill(first.queue(''), 'b', 3)
    await first.stop()
    const port = await freePort()
    const second = await startBridge(
      `mqtt://127.0.0.1:${port}`,
      { out: [rule('a', { priority: 'low' }), rule('b', { priority: 'high' }), rule('#')] },
      undefined,
      first.broker,
    )
    const at = (suffix: string) => first.broker.queues.get(`$bridge/cloud${suffix}`) as MemoryQueue
    at('/1/low').push({ topic: 'a', payload: Buffer.from('3') })
    at('/1/high').push({ topic: 'b', payload: Buffer.from('3') })
    at('/1').push({ topic: 'c' })
    const upstream = await startUpstream(undefined, port)
    await until(() => second.bridge.status.waiting === 0, { what: 'empty spools' })
    expect(upstream.publishes.map(({ topic, payload }) => topic + String(payload))).toEqual([
      'a0',
      'a1',
      'a2',
      'b0',
      'b1',
      'b2',
      'b3',
      'c',
      'a3',
    ])
    await until(() => !first.broker.queues.has('$bridge/cloud/high'), { what: 'the end of the old spool' })
    expect([...first.broker.queues.keys()].sort()).toEqual(
      ['', '/1', '/1/high', '/1/low'].map(suffix => `$bridge/cloud${suffix}`),
    )
  })

  test('waits while the disk is read for what waited before', async () => {
    const first = await startAway([rule('a', { priority: 'high' })])
    fill(first.queue('/high'), 'a', 2)
    await first.stop()
    const port = await freePort()
    const settings = { out: [rule('a')], maxInflight: 1 }
    const { bridge } = await startBridge(`mqtt://127.0.0.1:${port}`, settings, undefined, first.broker)
    const old = first.queue('/high')
    fill(first.queue('/1'), 'a', 1)
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'publish') {
        old.isReading = old.count === 2
        // The next turn asks, and is given nothing; then the disk has read.
        setTimeout(() => {
          old.isReading = false
          old.onReady?.()
        }, 20)
      }
      answerWell(packet, connection)
    }, port)
    await until(() => bridge.status.waiting === 0, { what: 'empty spools' })
    expect(upstream.publishes.map(({ payload }) => String(payload))).toEqual(['0', '1', '0'])
    expect(upstream.publishes.map(({ messageId }) => messageId)).toEqual([21_845, 21_846, 1_302])
  })
})

test('many cuts in all classes lose nothing, and keep the order of each topic', { timeout: 30_000 }, async () => {
  const rules = [
    rule('alarm/#', { priority: 'high' }),
    rule('log/#', { priority: 'low', batch: { every: 5, maxBytes: 1_024, topic: 'logs' } }),
    rule('now/#', { onBacklog: 1 }),
    rule('#', { compress: 'gzip' }),
  ]
  const spools = { alarm: '/high', log: '/low', now: '/latest', room: '' }
  const { queue, come, drained } = await startAway(rules, { maxInflight: 8, version: '3.1.1' } as never)
  for (let i = 0; i < 100; i++) {
    for (const [name, suffix] of Object.entries(spools)) {
      // Each comes in a span of its own.
      queue(suffix).push({ topic: `${name}/${i % 3}`, payload: Buffer.from(`${i}`.padEnd(100)), acceptedAt: i })
    }
  }
  let until7 = 0
  const upstream = await come((packet, connection) => {
    if (packet.cmd === 'publish' && ++until7 % 17 === 0 && until7 < 500) connection.cut()
    else answerWell(packet, connection)
  })
  await drained()
  expect(upstream.connections.length).toBeGreaterThan(5)
  const seen = new Map<string, Set<number>>()
  for (const { topic, payload } of upstream.publishes) {
    const isZip = (payload as Buffer)[0] === 0x1f
    const text = isZip ? gunzipSync(payload as Buffer) : payload
    const all = topic === 'logs' ? JSON.parse(String(text)) : [{ topic, payload: Number(String(text)) }]
    for (const each of all) seen.set(each.topic, (seen.get(each.topic) ?? new Set()).add(Number(each.payload)))
  }
  expect(seen.size).toBe(12)
  for (const [topic, numbers] of seen) {
    const first = Number(topic.at(-1))
    expect([...numbers], topic).toEqual(Array.from({ length: first === 0 ? 34 : 33 }, (_, i) => first + 3 * i))
  }
})

describe('on_backlog', () => {
  test('latest: the newest of each topic is left', async () => {
    const { queue, come, drained, bridge } = await startAway([
      rule('t/#', { onBacklog: Number.POSITIVE_INFINITY }),
      rule('#'),
    ])
    for (let i = 0; i < 5; i++) for (const topic of ['t/a', 't/b']) fill(queue('/latest'), topic, i + 1)
    fill(queue(''), 'k', 3)
    const upstream = await come()
    await drained()
    const sent = upstream.publishes.map(({ topic, payload }) => `${topic} ${payload}`)
    expect(sent.filter(each => each.startsWith('t/'))).toEqual(['t/a 4', 't/b 4'])
    expect(sent.filter(each => each.startsWith('k'))).toEqual(['k 0', 'k 1', 'k 2'])
    expect(bridge.state).toMatchObject({ thinned: 28, sent: 5 })
  })

  test('sample: the newest of each span is left', async () => {
    const { queue, come, drained } = await startAway([rule('#', { onBacklog: MINUTE })])
    for (let at = 0; at < 5 * MINUTE; at += 10_000) {
      queue('/latest').push({ topic: 't', payload: Buffer.from(`${at / 1_000}`), acceptedAt: at })
    }
    const upstream = await come()
    await drained()
    expect(upstream.publishes.map(({ payload }) => String(payload))).toEqual(['50', '110', '170', '230', '290'])
  })

  test('the spool stays small while the upstream is away', async () => {
    const clock = new ManualClock()
    const { broker, bridge } = await startBridge(
      `mqtt://127.0.0.1:${await freePort()}`,
      { out: [rule('#', { onBacklog: Number.POSITIVE_INFINITY })], retry: { min: 3_600_000, max: 3_600_000 } },
      clock,
    )
    const queue = broker.queues.get('$bridge/cloud/latest') as MemoryQueue
    let most = 0
    for (let second = 0; second < 60; second++) {
      for (let i = 0; i < 500; i++) queue.push({ topic: `t/${i % 100}` })
      most = Math.max(most, queue.count)
      await clock.advance(1_000)
    }
    expect(most).toBeLessThanOrEqual(2_000)
    expect(bridge.state.thinned).toBeGreaterThan(25_000)
  })

  test('what may have been sent before stays', async () => {
    const { queue, come, drained } = await startAway([rule('#', { onBacklog: Number.POSITIVE_INFINITY })], {
      maxInflight: 2,
    })
    const upstream = await come((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answerWell(packet, connection)
      if (connection.publishes.length < 2) return
      fill(queue('/latest'), 't', 10)
      connection.cut()
    })
    await upstream.connection(0)
    queue('/latest').push({ topic: 't', payload: Buffer.from('x') })
    await until(() => upstream.publishes.length === 1, { what: 'the first message' })
    queue('/latest').push({ topic: 't', payload: Buffer.from('y') })
    await drained()
    expect(upstream.connections[1]?.publishes.map(({ payload }) => String(payload))).toEqual(['x', 'y', '9'])
  })

  test('fresh messages have their share while there is a backlog', async () => {
    for (const [drainShare, most] of [
      [50, 41],
      [20, 101],
      [100, 22],
    ] as const) {
      const { queue, come, drained } = await startAway(
        [rule('now', { onBacklog: Number.POSITIVE_INFINITY }), rule('#')],
        {
          drainShare,
          maxInflight: 1,
        },
      )
      fill(queue(''), 'old', 200)
      let fresh = 0
      const upstream = await come((packet, connection) => {
        // One more comes as soon as the last has gone.
        if (packet.cmd === 'publish' && packet.topic === 'now' && ++fresh < 20) queue('/latest').push({ topic: 'now' })
        answerWell(packet, connection)
      })
      queue('/latest').push({ topic: 'now' })
      await drained()
      const topics = topicsOf(upstream)
      expect(topics).toHaveLength(220)
      expect(topics.lastIndexOf('now'), `share ${drainShare}`).toBeLessThanOrEqual(most)
    }
  })
})

describe('max_rate', () => {
  test('lets a second’s worth go at once, and then no more than that each second', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream()
    const { queue, bridge } = await startBridge(upstream.url, { maxRate: 10 }, clock)
    await until(() => bridge.status.connected, { what: 'a connection' })
    fill(queue, 't', 35)
    await until(() => queue.count === 25, { what: () => `the first ten, ${queue.count} left` })
    for (const left of [15, 5]) {
      for (let i = 0; i < 10; i++) {
        const before = queue.count
        await clock.advance(100)
        await until(() => queue.count === before - 1, { what: () => `one more, ${queue.count} left` })
      }
      expect(queue.count).toBe(left)
    }
    expect(upstream.publishes).toHaveLength(30)
  })
})
