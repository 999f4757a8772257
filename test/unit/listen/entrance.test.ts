/** What stands between a socket and its stream: limits, deadlines, PROXY headers, origins. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { ManualClock } from '../../support/manual-clock.ts'
import { until, within } from '../../support/wait.ts'
import {
  ANY_PORT,
  binaryProxyHeader,
  client,
  echo,
  gone,
  PROXY_LINE,
  PROXY_SOURCE,
  startListener,
  type TestListener,
} from './support.ts'

const TCP = { protocol: 'mqtt', ...ANY_PORT } as const

describe('the limit of one listener', () => {
  test('closes what is in excess, though all together may be more', async () => {
    const { port, connection, limit, lines } = await startListener({ ...TCP, maxConnections: 2 }, { max: 10 })
    const first = await client(port)
    await client(port)
    await connection(1)
    await gone(await client(port))
    expect([limit.open, limit.refused]).toEqual([2, 0])
    expect(lines).toEqual([
      {
        level: 'warn',
        fields: { listener: 'mqtt://127.0.0.1:0', refused: 1, max: 2 },
        message: 'connections refused: as many are open as its max_connections allows',
      },
    ])
    first.destroy()
    ;(await connection(0)).stream.destroy()
    await until(() => limit.open === 1, { what: 'the first to be counted out' })
    await client(port)
    await connection(2)
  })

  test('gives its place back when all together are too many', async () => {
    const { port, limit, connection } = await startListener({ ...TCP, maxConnections: 1 }, { max: 1 })
    // Somebody at another listener.
    limit.enter()
    for (let i = 0; i < 3; i++) await gone(await client(port))
    limit.leave()
    await client(port)
    await connection(0)
  })
})

describe('a listener behind a proxy', () => {
  const BEHIND = { ...TCP, proxyProtocol: true } as const

  test('has the address from the header, and every byte after it', async () => {
    const { port, connection } = await startListener(BEHIND, { onStream: echo })
    const socket = await client(port)
    socket.write(`${PROXY_LINE}kitchen`)
    expect(String((await once(socket, 'data'))[0])).toBe('kitchen')
    expect((await connection()).details).toMatchObject(PROXY_SOURCE)
    socket.write('more')
    expect(String((await once(socket, 'data'))[0])).toBe('more')
  })

  test.each<[string, Buffer]>([
    ['UNKNOWN', Buffer.from('PROXY UNKNOWN\r\n')],
    ['LOCAL', binaryProxyHeader(0x20, 0, [])],
  ])('keeps the address of the socket with %s', async (_what, header) => {
    const { port, connection } = await startListener(BEHIND)
    const socket = await client(port)
    socket.write(header)
    expect((await connection()).details).toMatchObject({ remoteAddress: '127.0.0.1', remotePort: socket.localPort })
  })

  test.each<[string, Buffer]>([
    ['MQTT without a header', Buffer.from('100c00044d5154540402003c0000', 'hex')],
    ['garbage', Buffer.from('PROXY garbage\r\n')],
    ['a line without end', Buffer.from(`PROXY UNKNOWN ${'x'.repeat(200)}`)],
  ])('closes the connection after %s, and says so at debug', async (_what, bytes) => {
    const { port, accepted, lines, limit } = await startListener(BEHIND)
    const socket = await client(port)
    socket.write(bytes)
    await gone(socket)
    expect(accepted).toEqual([])
    expect(lines.map(({ level, fields }) => [level, fields.from, fields.count])).toEqual([['debug', '127.0.0.1', 1]])
    await until(() => limit.open === 0, { what: 'the socket to be counted out' })
  })

  test('does not wait longer for one whose bytes trickle in', async () => {
    const clock = new ManualClock()
    const { port, limit } = await startListener(BEHIND, { clock })
    const socket = await client(port)
    await until(() => limit.open === 1, { what: 'the socket' })
    for (const byte of 'PROXY TCP') {
      socket.write(byte)
      await clock.advance(1_000)
    }
    expect(limit.open).toBe(1)
    await clock.advance(1_000)
    await gone(socket)
  })

  test('upgrades a WebSocket that comes along with the header', async () => {
    const { port, connection } = await startListener({ ...BEHIND, protocol: 'ws', path: '/mqtt' })
    const socket = await client(port)
    socket.write(
      `${PROXY_LINE}GET /mqtt HTTP/1.1\r\nHost: larder\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
        'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n',
    )
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 101 /)
    expect((await connection()).details).toMatchObject({ protocol: 'ws', ...PROXY_SOURCE })
  })
})

describe('the lobby', () => {
  const WEB = { protocol: 'ws', ...ANY_PORT, path: '/mqtt' } as const

  async function fill(started: TestListener, count: number): Promise<Socket[]> {
    const sockets: Socket[] = []
    for (let i = 0; i < count; i++) sockets.push(await client(started.port))
    await until(() => started.limit.open === count, { what: () => `${count} sockets, ${started.limit.open} came` })
    return sockets
  }

  test('a request that does not end is answered 408', async () => {
    const clock = new ManualClock()
    const started = await startListener(WEB, { clock })
    const [socket] = (await fill(started, 1)) as [Socket]
    socket.write('GET /mqtt HTTP/1.1\r\n')
    await clock.advance(9_999)
    expect(started.limit.open).toBe(1)
    await clock.advance(1)
    expect(String((await once(socket, 'data'))[0])).toMatch(/^HTTP\/1.1 408 /)
    await gone(socket)
    await until(() => started.limit.open === 0, { what: 'the socket to be counted out' })
    expect(clock.pending).toBe(0)
  })

  test('has room for so many: while all are in haste the next is closed, later the oldest', async () => {
    const clock = new ManualClock()
    const started = await startListener(WEB, { clock, max: 1_000 })
    const sockets = await fill(started, 256)
    await gone(await client(started.port))
    expect(started.limit.open).toBe(256)
    expect(started.lines).toMatchObject([{ level: 'warn', fields: { closed: 1, max: 256 } }])
    await clock.advance(2_000)
    const next = await client(started.port)
    await gone(sockets[0] as Socket)
    await until(() => started.limit.open === 256, { what: 'the newcomer in the place of the oldest' })
    expect([next.destroyed, sockets.filter(socket => !socket.destroyed).length]).toEqual([false, 255])
    await clock.advance(10_000)
    await until(() => started.limit.open === 0, { what: 'all of them to be closed' })
    expect(clock.pending).toBe(0)
  })

  test.each<[string, typeof WEB | typeof TCP]>([
    ['a WebSocket', WEB],
    ['a TCP connection', TCP],
  ])('%s has its place until its CONNECT has come', async (_what, settings) => {
    const clock = new ManualClock()
    const { port, connection, limit } = await startListener(settings, { clock, halfOpen: 1 })
    if (settings.protocol === 'ws') {
      const ws = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ['mqtt'])
      onTestFinished(() => ws.terminate())
    } else {
      await client(port)
    }
    const { onConnect } = await connection()
    await gone(await client(port))
    onConnect?.()
    await client(port)
    await until(() => limit.open === 2, { what: 'another' })
  })

  test('who is upgraded has no deadline here', async () => {
    const clock = new ManualClock()
    const { port, connection, limit } = await startListener(WEB, { clock })
    const ws = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ['mqtt'])
    onTestFinished(() => ws.terminate())
    await once(ws, 'open')
    await connection()
    await clock.advance(60_000)
    expect([limit.open, clock.pending]).toEqual([1, 0])
  })
})

describe('the origin of a page', () => {
  test.each<[string, string | undefined, number]>([
    ['that is let in', 'https://home.example.org', 101],
    ['that is not', 'https://evil.example.org', 403],
    ['that begins alike', 'https://home.example.org.evil.example', 403],
    ['that is hidden', 'null', 403],
    ['that no browser said', undefined, 101],
  ])('%s', async (_what, origin, status) => {
    const { port } = await startListener({ protocol: 'ws', ...ANY_PORT, origins: ['https://home.example.org'] })
    const ws = new WebSocket(`ws://127.0.0.1:${port}`, ['mqtt'], origin === undefined ? {} : { origin })
    onTestFinished(() => ws.terminate())
    const answer = new Promise<number | undefined>(resolve => {
      ws.once('upgrade', response => resolve(response.statusCode))
      ws.once('unexpected-response', (_request, response) => resolve(response.statusCode))
      ws.on('error', () => {})
    })
    expect(await within(answer, { what: 'an answer' })).toBe(status)
  })
})
