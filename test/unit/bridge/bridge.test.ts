/** A bridge against an upstream that misbehaves on purpose. Mosquitto as the upstream: test/system/bridge-wire.test.ts. */
import { describe, expect, test } from 'vitest'
import { Bridge } from '../../../src/bridge/bridge.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { MemoryBroker } from '../../support/bridge-broker.ts'
import { MemoryQueue } from '../../support/memory-queue.ts'
import { recordLog } from '../../support/record-log.ts'
import { until } from '../../support/wait.ts'
import { answerWell, startUpstream } from './scripted-upstream.ts'
import { RETRY, startBridge } from './support.ts'

describe('a bridge', () => {
  test('opens a spool of its own, connects with its settings and carries in order', async () => {
    const upstream = await startUpstream()
    const { bridge, queue, spools, messages } = await startBridge(upstream.url, {
      username: 'anna',
      password: 'secret',
      keepalive: 90_500,
      out: [{ filter: '#', qos: 1, localPrefix: 'home/', remotePrefix: 'site1/' }],
    })
    expect(spools).toEqual([['$bridge/cloud', [{ filter: 'home/#', qos: 1 }]]])
    for (let i = 0; i < 500; i++) queue.push({ topic: `home/${i}`, payload: Buffer.from(`value ${i}`) })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    const { connect, publishes } = await upstream.connection(0)
    expect(connect).toMatchObject({
      clientId: 'larder-test',
      username: 'anna',
      clean: true,
      keepalive: 91,
      protocolVersion: 4,
    })
    expect(String(connect?.password)).toBe('secret')
    expect(publishes.map(packet => `${packet.topic}=${packet.payload}`)).toEqual(
      Array.from({ length: 500 }, (_, i) => `site1/${i}=value ${i}`),
    )
    expect(queue.removed.map(message => message.topic)).toEqual(Array.from({ length: 500 }, (_, i) => `home/${i}`))
    expect(bridge.status).toEqual({ connected: true, waiting: 0, sent: 500, unmapped: 0 })
    expect(messages()).toEqual(['bridge connected'])
  })

  test('keeps a message until its PUBACK, and no more than the window unacknowledged', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd !== 'publish') answerWell(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, { maxInflight: 3 })
    for (let i = 0; i < 10; i++) queue.push({ topic: `t${i}` })
    const connection = await upstream.connection(0)
    await until(() => connection.publishes.length === 3, { what: 'three messages' })
    expect(queue.count).toBe(10)
    connection.acknowledge(connection.publishes[0]!)
    await until(() => connection.publishes.length === 4, { what: 'the fourth message' })
    expect(queue.removed.map(message => message.topic)).toEqual(['t0'])
    expect(connection.topics).toEqual(['t0', 't1', 't2', 't3'])
    for (const publish of connection.publishes.slice(1)) connection.acknowledge(publish)
    upstream.answer = answerWell
    await until(() => queue.count === 0, { what: 'an empty queue' })
  })

  test('what a lost connection did not acknowledge comes again first, in order, with DUP', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) return answerWell(packet, connection)
      // Takes five, acknowledges two, and is gone.
      if (connection.publishes.length === 5) {
        for (const publish of connection.publishes.slice(0, 2)) connection.acknowledge(publish)
        connection.socket.end()
      }
    })
    const { queue, messages } = await startBridge(upstream.url, { maxInflight: 5 })
    for (let i = 0; i < 8; i++) queue.push({ topic: `t${i}` })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    expect(upstream.connections[0]?.topics.slice(0, 5)).toEqual(['t0', 't1', 't2', 't3', 't4'])
    const again = upstream.connections[1]?.topics ?? []
    // The acknowledgements may or may not have been read before the end; nothing else may come first.
    expect(again.map(topic => topic.replace('*', ''))).toEqual(
      ['t0', 't1', 't2', 't3', 't4', 't5', 't6', 't7'].slice(-again.length),
    )
    expect(again).toEqual(expect.arrayContaining(['t2*', 't3*', 't4*', 't7']))
    expect(messages()).toEqual(['bridge connected', 'bridge disconnected', 'bridge connected'])
  })

  test('many cuts lose nothing and keep the order', async () => {
    let until8 = 0
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish') return answerWell(packet, connection)
      if (index < 8 && ++until8 % 7 === 0) return connection.cut()
      answerWell(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, { maxInflight: 4 })
    for (let i = 0; i < 200; i++) queue.push({ topic: `t${i}` })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    expect(upstream.connections.length).toBeGreaterThan(8)
    const firsts = [...new Set(upstream.publishes.map(packet => packet.topic))]
    expect(firsts).toEqual(Array.from({ length: 200 }, (_, i) => `t${i}`))
  })

  test('sends by the QoS of the rule and with the retain flag of the publisher; QoS 0 never has DUP', async () => {
    const upstream = await startUpstream()
    const { queue } = await startBridge(upstream.url, {
      out: [
        { filter: 'fast/#', qos: 0, remotePrefix: 'up/' },
        { filter: '#', qos: 1 },
      ],
    })
    queue.push({ topic: 'fast/t', qos: 2, retain: true })
    queue.push({ topic: 'slow/t', qos: 0 })
    queue.push({ topic: 'slow/u', qos: 2, retain: true })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    await until(() => upstream.publishes.length === 3, { what: 'three messages' })
    expect(upstream.publishes.map(({ topic, qos, retain, dup }) => ({ topic, qos, retain, dup }))).toEqual([
      { topic: 'up/fast/t', qos: 0, retain: true, dup: false },
      { topic: 'slow/t', qos: 1, retain: false, dup: false },
      { topic: 'slow/u', qos: 1, retain: true, dup: false },
    ])
  })

  test('QoS 0 waits for a socket that is full instead of filling memory, and is not lost', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      answerWell(packet, connection)
      if (packet.cmd === 'connect' && index === 0) connection.socket.pause()
    })
    const { queue } = await startBridge(upstream.url, { out: [{ filter: '#', qos: 0 }], maxInflight: 2 })
    const payload = Buffer.alloc(1024 * 1024)
    for (let i = 0; i < 40; i++) queue.push({ topic: `t${i}`, payload })
    const connection = await upstream.connection(0)
    await until(() => queue.removed.length > 0, { what: 'the first to be taken by the socket' })
    let before = -1
    await until(
      async () => {
        // Full: a while passes in which nothing is taken.
        const same = before === queue.count
        before = queue.count
        return same
      },
      { what: 'the socket to be full', every: 50 },
    )
    expect(queue.count).toBeGreaterThan(10)
    connection.cut()
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    const second = await upstream.connection(1)
    await until(() => second.publishes.at(-1)?.topic === 't39', {
      what: () => `the last message, got ${second.topics}`,
    })
    // Two were in flight: they come again, and the rest follows in order.
    expect(second.topics).toEqual(Array.from({ length: 40 }, (_, i) => `t${i}`).slice(-second.topics.length))
    expect(second.topics.length).toBeGreaterThan(10)
  })

  test('messages that no rule maps are removed, counted and logged once', async () => {
    const upstream = await startUpstream()
    const { bridge, queue, lines } = await startBridge(upstream.url, { out: [{ filter: 'home/#', qos: 1 }] })
    for (let i = 0; i < 300; i++) queue.push({ topic: `old/${i}` })
    queue.push({ topic: 'home/t' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.publishes.map(packet => packet.topic)).toEqual(['home/t'])
    expect(bridge.status).toMatchObject({ sent: 1, unmapped: 300 })
    expect(lines.filter(line => line.level === 'warn').map(line => line.fields.topic)).toEqual(['old/0'])
  })

  test('an upstream that does not speak MQTT, or publishes unasked, does no harm', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (index === 0) return void connection.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
      answerWell(packet, connection)
      if (packet.cmd === 'connect') {
        connection.send({
          cmd: 'publish',
          topic: 'home/x',
          payload: 'y',
          qos: 1,
          messageId: 1,
          dup: false,
          retain: false,
        })
      }
    })
    const { queue, messages } = await startBridge(upstream.url)
    queue.push({ topic: 't' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(messages()).toEqual([
      'bridge cannot connect',
      'bridge connected',
      'bridge passes over a message from the upstream',
    ])
    expect(queue.removed).toHaveLength(1)
  })

  test('a start that is aborted connects to nobody', async () => {
    const upstream = await startUpstream()
    const controller = new AbortController()
    const { log } = recordLog()
    const bridge = new Bridge({
      settings: { name: 'b', url: upstream.url, clientId: 'b', keepalive: 0, maxInflight: 1, retry: RETRY, out: [] },
      gateway: 'Cottage',
      broker: Object.assign(new MemoryBroker(new MemoryQueue()), {
        openSpools: async () => {
          controller.abort(new Error('not any more'))
          return [new MemoryQueue()]
        },
      }),
      clock: systemClock,
      log,
      random: Math.random,
    })
    await expect(bridge.start(controller.signal)).rejects.toThrow('not any more')
    expect(upstream.connections).toHaveLength(0)
  })
})
