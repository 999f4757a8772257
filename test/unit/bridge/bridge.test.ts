/** A bridge against an upstream that misbehaves on purpose. Mosquitto as the upstream: test/system/bridge-wire.test.ts. */
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Bridge } from '../../../src/bridge/bridge.ts'
import type { BridgeSettings, SpoolFilter } from '../../../src/bridge/ports.ts'
import { type Clock, systemClock } from '../../../src/kernel/clock.ts'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { MemoryQueue } from '../../support/memory-queue.ts'
import { recordLog } from '../../support/record-log.ts'
import { until, within } from '../../support/wait.ts'
import { answerWell, startUpstream } from './scripted-upstream.ts'

const RETRY = { min: 5, max: 20 }

async function startBridge(url: string, settings: Partial<BridgeSettings> = {}, clock: Clock = systemClock) {
  const queue = new MemoryQueue()
  const spools: [string, readonly SpoolFilter[]][] = []
  const { log, lines } = recordLog()
  const bridge = new Bridge({
    settings: {
      name: 'cloud',
      url,
      clientId: 'larder-test',
      keepalive: 60_000,
      maxInflight: 20,
      retry: RETRY,
      out: [{ filter: '#', qos: 1 }],
      ...settings,
    },
    broker: {
      openSpool: async (clientId, filters) => {
        spools.push([clientId, filters])
        return queue
      },
    },
    clock,
    log,
    random: Math.random,
  })
  await bridge.start(new AbortController().signal)
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= bridge.stop()
    return stopped
  }
  onTestFinished(async () => {
    const done = stop()
    if (clock instanceof ManualClock) await clock.advance(2_000)
    await done
  })
  const messages = () => lines.map(line => line.message)
  return { bridge, queue, spools, lines, messages, stop }
}

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
    expect(messages()).toEqual(['bridge cannot connect', 'bridge connected'])
    expect(queue.removed).toHaveLength(1)
  })

  test('a start that is aborted connects to nobody', async () => {
    const upstream = await startUpstream()
    const controller = new AbortController()
    const { log } = recordLog()
    const bridge = new Bridge({
      settings: { name: 'b', url: upstream.url, clientId: 'b', keepalive: 0, maxInflight: 1, retry: RETRY, out: [] },
      broker: {
        openSpool: async () => {
          controller.abort(new Error('not any more'))
          return new MemoryQueue()
        },
      },
      clock: systemClock,
      log,
      random: Math.random,
    })
    await expect(bridge.start(controller.signal)).rejects.toThrow('not any more')
    expect(upstream.connections).toHaveLength(0)
  })
})

describe('a bridge whose upstream is away', () => {
  test('tries again with pauses between min and max, and says why once', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.accept(5)
    })
    const { lines, queue } = await startBridge(upstream.url, { retry: { min: 1_000, max: 60_000 } }, clock)
    queue.push({ topic: 't' })
    for (let attempt = 0; attempt < 6; attempt++) {
      const connection = await upstream.connection(attempt)
      await until(() => connection.closed && clock.pending === 1, { what: `attempt ${attempt} to end` })
      await clock.advance(999)
      expect(upstream.connections).toHaveLength(attempt + 1)
      if (attempt === 5) upstream.answer = answerWell
      await clock.advance(60_000)
    }
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(lines.map(line => [line.level, line.message, line.fields.reason, line.fields.code])).toEqual([
      ['warn', 'bridge cannot connect', 'the upstream does not let this client in', 'BRIDGE_FAILED'],
      ['info', 'bridge connected', undefined, undefined],
    ])
  })

  test('nothing listens: the reason is logged again when it changes', async () => {
    const port = await freePort()
    const { queue, lines } = await startBridge(`mqtt://127.0.0.1:${port}`)
    queue.push({ topic: 't' })
    await until(() => lines.length > 0, { what: 'a line' })
    expect(lines[0]?.fields).toMatchObject({
      bridge: 'cloud',
      reason: `nothing listens at 127.0.0.1:${port}`,
      waiting: 1,
    })
    const mute = createServer(socket => socket.end()).listen(port, '127.0.0.1')
    onTestFinished(() => void mute.close())
    await until(() => lines.length > 1, { what: 'a second line' })
    expect(lines[1]?.fields.reason).toMatch(/closed the connection|cut the connection/)
  })

  test('pauses are short again only after a connection stood for a minute', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream()
    const { bridge, lines } = await startBridge(upstream.url, { retry: { min: 1_000, max: 3_600_000 } }, clock)
    const loseAfter = async (time: number): Promise<number> => {
      await until(() => bridge.status.connected, { what: 'a connection' })
      await clock.advance(time)
      upstream.connections.at(-1)?.cut()
      await until(() => !bridge.status.connected, { what: 'its loss' })
      const pause = Number(lines.findLast(line => line.fields.retryInMs !== undefined)?.fields.retryInMs)
      await clock.advance(3_600_000)
      return pause
    }
    await loseAfter(0)
    await loseAfter(60_000)
    expect(await loseAfter(60_000)).toBeLessThanOrEqual(3_000)
  })

  test('connections that break again and again without an acknowledgement are logged once, with a guess', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'publish') connection.cut()
      else answerWell(packet, connection)
    })
    const { queue, lines, messages } = await startBridge(upstream.url)
    queue.push({ topic: 'home/photo', payload: Buffer.alloc(5_000) })
    await upstream.connection(6)
    expect(messages()).toEqual([
      'bridge connected',
      'bridge disconnected',
      'bridge connected',
      'bridge is disconnected again and again',
    ])
    expect(lines.at(-1)?.fields.hint).toContain('(topic "home/photo", 5000 bytes)')
    expect(queue.count).toBe(1)
  })

  test('the guess without messages is the client identifier', async () => {
    const upstream = await startUpstream((packet, connection) => {
      answerWell(packet, connection)
      if (packet.cmd === 'connect') connection.socket.end()
    })
    const { lines } = await startBridge(upstream.url)
    await upstream.connection(5)
    const last = lines.findLast(line => line.level === 'warn')
    expect(last?.fields.hint).toBe('Perhaps another client uses the same client_id "larder-test".')
  })

  test('an upstream that answers pings but acknowledges nothing is given up after two minutes', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish' || index > 0) answerWell(packet, connection)
    })
    const { queue, lines } = await startBridge(upstream.url, {}, clock)
    queue.push({ topic: 't' })
    const connection = await upstream.connection(0)
    await until(() => connection.publishes.length === 1, { what: 'the message' })
    await clock.advance(110_000)
    expect(connection.closed).toBe(false)
    await clock.advance(10_000)
    await until(() => connection.closed, { what: 'the connection to be given up' })
    await until(
      () => lines.some(line => String(line.fields.reason).includes('has not acknowledged anything for 120 s')),
      {
        what: 'the reason in the log',
      },
    )
    await clock.advance(60_000)
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections[1]?.topics).toEqual(['t*'])
  })
})

describe('a bridge that stops', () => {
  test('waits for outstanding acknowledgements and says goodbye', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd !== 'publish') answerWell(packet, connection)
    })
    const { queue, stop } = await startBridge(upstream.url)
    queue.push({ topic: 't0' })
    queue.push({ topic: 't1' })
    const connection = await upstream.connection(0)
    await until(() => connection.publishes.length === 2, { what: 'the messages' })
    const stopped = stop()
    queue.push({ topic: 'late' })
    for (const publish of connection.publishes) connection.acknowledge(publish)
    await within(stopped, { what: 'stop' })
    expect(queue.removed.map(message => message.topic)).toEqual(['t0', 't1'])
    expect(queue.count).toBe(1)
    expect(queue.attached).toBe(false)
    expect(connection.packets.at(-1)?.cmd).toBe('disconnect')
  })

  test('ends within its bound when the upstream never acknowledges, and keeps the message', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.accept()
    })
    const { queue, stop, messages } = await startBridge(upstream.url, {}, clock)
    queue.push({ topic: 't' })
    const connection = await upstream.connection(0)
    await until(() => connection.publishes.length === 1, { what: 'the message' })
    const stopped = stop()
    await clock.advance(1_999)
    expect(connection.closed).toBe(false)
    await clock.advance(1)
    await within(stopped, { what: 'stop' })
    expect([queue.count, queue.attached, clock.pending]).toEqual([1, false, 0])
    expect(messages()).toEqual(['bridge connected'])
  })

  test('ends while it connects, and while it waits to try again', async () => {
    const upstream = await startUpstream(() => {})
    const clock = new ManualClock()
    const connecting = await startBridge(upstream.url, {}, clock)
    await upstream.connection(0)
    await within(connecting.stop(), { what: 'stop while connecting' })
    expect(clock.pending).toBe(0)

    const waiting = await startBridge(`mqtt://127.0.0.1:${await freePort()}`, {}, clock)
    await until(() => waiting.lines.length === 1, { what: 'a failed attempt' })
    await within(waiting.stop(), { what: 'stop while waiting' })
    expect(clock.pending).toBe(0)
  })
})
