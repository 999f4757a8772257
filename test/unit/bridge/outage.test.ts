/** A bridge whose upstream is away, refuses, drops it again and again or never acknowledges; and a bridge that stops meanwhile. */
import { createServer } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../support/free-port.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until, within } from '../../support/wait.ts'
import { answerWell, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

describe('a bridge whose upstream is away', () => {
  test('tries again with pauses between min and max, and says why once (m#1019)', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.accept(5)
    })
    const { lines, queue } = await startBridge(upstream.url, { retry: { min: 1_000, max: 60_000 } }, clock)
    queue.push({ topic: 't' })
    for (let attempt = 0; attempt < 6; attempt++) {
      const connection = await upstream.connection(attempt)
      await until(() => connection.closed && clock.pending === 2, { what: `attempt ${attempt} to end` })
      await clock.advance(999)
      expect(upstream.connections).toHaveLength(attempt + 1)
      if (attempt === 5) upstream.answer = answerWell
      // Until the pause is over; it looks around every second.
      for (let second = 1; second <= 60 && clock.pending === 2; second++) await clock.advance(1_000)
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
    await upstream.connection(3)
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

  test('an upstream that answers pings but acknowledges nothing is given up after two minutes (m#2176)', async () => {
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

  test('one message that is never acknowledged comes again, though all others are', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'publish' || packet.topic !== 'lost' || index > 0) answerWell(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, {}, clock)
    queue.push({ topic: 'lost' })
    const connection = await upstream.connection(0)
    await until(() => connection.publishes.length === 1, { what: 'the message' })
    for (let i = 0; i < 13; i++) {
      expect(connection.closed).toBe(false)
      queue.push({ topic: 'reading' })
      await until(() => queue.count === 1, { what: 'the acknowledgement of another' })
      await clock.advance(10_000)
    }
    await until(() => connection.closed, { what: 'the connection to be given up' })
    await clock.advance(60_000)
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections[1]?.topics[0]).toBe('lost*')
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
