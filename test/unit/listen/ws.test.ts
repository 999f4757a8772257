import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import { ManualClock } from '../../support/manual-clock.ts'
import { until, within } from '../../support/wait.ts'
import { ANY_PORT, closed, echo, FLOOD_BYTES, flood, startListener } from './support.ts'

const WS = { protocol: 'ws', ...ANY_PORT, path: '/mqtt' } as const

interface Client {
  ws: WebSocket
  /** Messages received, each as it came. */
  messages: Buffer[]
  bytes(): Buffer
}

async function client(port: number, protocols: string[] = ['mqtt'], path = '/mqtt'): Promise<Client> {
  const ws = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocols)
  const messages: Buffer[] = []
  ws.on('message', (data: Buffer) => messages.push(data))
  ws.on('error', () => {})
  onTestFinished(() => ws.terminate())
  await once(ws, 'open')
  return { ws, messages, bytes: () => Buffer.concat(messages) }
}

/** The answer to a raw HTTP request, until the server closes. */
async function request(port: number, head: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  let answer = ''
  socket.setEncoding('utf8').on('data', (text: string) => {
    answer += text
  })
  socket.write(head)
  await within(once(socket, 'end'), { what: () => `the end of the answer, got: ${answer}` })
  return answer
}

function upgrade(path: string, protocol?: string): string {
  const offer = protocol === undefined ? '' : `Sec-WebSocket-Protocol: ${protocol}\r\n`
  return (
    `GET ${path} HTTP/1.1\r\nHost: larder\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n${offer}\r\n`
  )
}

describe('a WebSocket listener', () => {
  test('answers with the subprotocol and says who is there [MQTT-6.0.0-4]', async () => {
    const { listener, port, connection } = await startListener(WS)
    expect(listener.address()).toBe(`ws://127.0.0.1:${port}/mqtt`)
    const { ws } = await client(port, ['chat', 'mqtt'])
    expect(ws.protocol).toBe('mqtt')
    expect(ws.extensions).toBe('')
    const { details } = await connection()
    expect(details).toMatchObject({ protocol: 'ws', listener: listener.address(), remoteAddress: '127.0.0.1' })
    expect((await client(port, ['mqttv3.1'])).ws.protocol).toBe('mqttv3.1')
  })

  test('any path is answered when none is configured', async () => {
    const { port } = await startListener({ protocol: 'ws', ...ANY_PORT })
    expect((await client(port, ['mqtt'], '/anything?token=1')).ws.protocol).toBe('mqtt')
  })

  test('a query after the path does not matter', async () => {
    const { port } = await startListener(WS)
    expect((await client(port, ['mqtt'], '/mqtt?v=1')).ws.protocol).toBe('mqtt')
  })

  test.each([
    ['another path', upgrade('/other', 'mqtt'), 404],
    ['no subprotocol [MQTT-6.0.0-3]', upgrade('/mqtt'), 400],
    ['another subprotocol', upgrade('/mqtt', 'chat'), 400],
    ['a plain request', 'GET /mqtt HTTP/1.1\r\nHost: larder\r\n\r\n', 426],
    ['a plain request for another path', 'GET / HTTP/1.1\r\nHost: larder\r\n\r\n', 404],
    ['a head without end', `GET /mqtt HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
  ])('refuses %s', async (_what, head, status) => {
    const { port, accepted, limit } = await startListener(WS)
    expect(await request(port, head)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
    expect(accepted).toHaveLength(0)
    await until(() => limit.open === 0, { what: 'the socket to be gone' })
  })

  test('bytes come out as they went in, however they are cut into frames [MQTT-6.0.0-2]', async () => {
    const { port } = await startListener(WS, { onStream: echo })
    const { ws, bytes } = await client(port)
    const sent = Buffer.from(Array.from({ length: 5_000 }, (_, i) => (i * 7) % 256))
    for (let at = 0, size = 1; at < sent.length; at += size, size = (size % 97) + 1) {
      const part = sent.subarray(at, at + size)
      if (size % 3 === 0) {
        // One message in two frames.
        ws.send(part.subarray(0, 1), { fin: false })
        ws.send(part.subarray(1))
      } else {
        ws.send(part)
      }
      if (size % 5 === 0) ws.send(Buffer.alloc(0))
    }
    await until(() => bytes().length >= sent.length, { what: () => `${sent.length} bytes, got ${bytes().length}` })
    expect(bytes().equals(sent)).toBe(true)
  })

  test('a text frame closes the connection [MQTT-6.0.0-1]', async () => {
    const { port, connection, limit } = await startListener(WS)
    const { ws } = await client(port)
    const { stream } = await connection()
    const gone = closed(stream)
    ws.send('text')
    for (let i = 0; i < 20; i++) ws.send(Buffer.alloc(64 * 1024))
    // By the closing handshake, not by its timeout of two seconds.
    const [code] = await within(once(ws, 'close'), { what: 'the WebSocket to close', timeout: 1_500 })
    expect(code).toBe(1003)
    await within(gone, { what: 'the stream to close' })
    await until(() => limit.open === 0, { what: 'the socket to be gone' })
  })

  test('a client that is behind learns too why it was closed', async () => {
    const { port, connection } = await startListener(WS)
    const { ws } = await client(port)
    ws.pause()
    const { stream } = await connection()
    flood(stream)
    ws.send('text')
    await within(closed(stream), { what: 'the stream to close' })
    const gone = once(ws, 'close')
    ws.resume()
    const [code] = await within(gone, { what: 'the WebSocket to close' })
    expect(code).toBe(1003)
  })

  test('a message larger than any packet may be closes the connection', async () => {
    const { port, connection } = await startListener(WS, { maxPacketSize: 2 * 1024 * 1024 })
    const { ws } = await client(port)
    const { stream } = await connection()
    let received = 0
    stream.on('data', (chunk: Buffer) => {
      received += chunk.length
    })
    ws.send(Buffer.alloc(2 * 1024 * 1024 + 5))
    await until(() => received === 2 * 1024 * 1024 + 5, { what: 'the largest packet' })
    ws.send(Buffer.alloc(3 * 1024 * 1024))
    const [code] = await within(once(ws, 'close'), { what: 'the WebSocket to close' })
    expect(code).toBe(1009)
    expect(stream.destroyed).toBe(true)
  })

  test('what is written together is one message, what is large is not joined', async () => {
    const { port, connection } = await startListener(WS)
    const { messages } = await client(port)
    const { stream } = await connection()
    stream.cork()
    for (let i = 0; i < 100; i++) stream.write(Buffer.from([i]))
    stream.uncork()
    await until(() => messages.length > 0, { what: 'a message' })
    expect(messages.map(message => message.length)).toEqual([100])

    stream.cork()
    for (const size of [10, 20, 100_000, 30, 40_000, 30_000]) stream.write(Buffer.alloc(size))
    stream.uncork()
    await until(() => messages.length === 5, { what: () => `four more messages, got ${messages.length - 1}` })
    expect(messages.slice(1).map(message => message.length)).toEqual([30, 100_000, 40_030, 30_000])
  })

  test('a client that does not read holds back its own stream, and drain comes when it reads', async () => {
    const { port, connection } = await startListener(WS)
    const { ws } = await client(port)
    ws.pause()
    const { stream } = await connection()
    flood(stream)
    await new Promise(resolve => setImmediate(resolve))
    expect(stream.writableNeedDrain).toBe(true)
    expect(stream.writableLength).toBeGreaterThan(FLOOD_BYTES / 2)
    const drained = once(stream, 'drain')
    let received = 0
    ws.on('message', (data: Buffer) => {
      received += data.length
    })
    ws.resume()
    await drained
    await until(() => received === FLOOD_BYTES, { what: () => `${FLOOD_BYTES} bytes, received ${received}` })
    expect(stream.writableLength).toBe(0)
  })

  test('a stream that is not read holds back the client, and loses nothing', async () => {
    const { port, connection } = await startListener(WS, { maxPacketSize: 256 * 1024 })
    const { ws } = await client(port)
    const { stream } = await connection()
    stream.on('data', () => {})
    stream.pause()
    const chunk = Buffer.alloc(256 * 1024, 7)
    for (let sent = 0; sent < FLOOD_BYTES; sent += chunk.length) ws.send(chunk)
    // The client's own buffer can only stay this full because nobody takes the bytes from it.
    await until(() => stream.readableLength > 0, { what: 'the first bytes' })
    await new Promise(resolve => setImmediate(resolve))
    expect(ws.bufferedAmount).toBeGreaterThan(FLOOD_BYTES / 2)
    expect(stream.readableLength).toBeLessThan(1024 * 1024)
    let received = 0
    stream.on('data', (data: Buffer) => {
      received += data.length
    })
    stream.resume()
    await until(() => received === FLOOD_BYTES, { what: () => `${FLOOD_BYTES} bytes, received ${received}` })
  })

  test('end flushes and closes in order; the other side ending shows as end and close', async () => {
    const { port, connection } = await startListener(WS)
    const first = await client(port)
    const { stream } = await connection(0)
    const gone = closed(stream)
    stream.resume().end('goodbye')
    const [code] = await within(once(first.ws, 'close'), { what: 'the WebSocket to close' })
    expect([String(first.bytes()), code]).toEqual(['goodbye', 1000])
    await within(gone, { what: 'the stream to close' })

    const second = await client(port)
    const other = (await connection(1)).stream
    const ended = once(other, 'end')
    const otherGone = closed(other)
    other.resume()
    second.ws.send('', { binary: true })
    second.ws.close()
    await within(ended, { what: 'end' })
    await within(otherGone, { what: 'close' })
  })

  test('destroy ends the connection at once, and a lost connection shows as close', async () => {
    const { port, connection, limit } = await startListener(WS)
    const first = await client(port)
    const { stream } = await connection(0)
    stream.destroy()
    await within(once(first.ws, 'close'), { what: 'the WebSocket to close' })

    const second = await client(port)
    const other = (await connection(1)).stream
    const gone = closed(other)
    flood(other)
    second.ws.terminate()
    await within(gone, { what: 'close, though bytes wait to be written' })
    await until(() => limit.open === 0, { what: 'the sockets to be gone' })
  })

  test('stop ends within its bound with open connections', async () => {
    const clock = new ManualClock()
    const { listener, port, connection, limit } = await startListener(WS, { clock })
    const stuck = await client(port)
    stuck.ws.pause()
    const idle = connect(port, '127.0.0.1')
    onTestFinished(() => void idle.destroy())
    idle.on('error', () => {})
    await once(idle, 'connect')
    const { stream } = await connection()
    flood(stream)
    await until(() => limit.open === 2, { what: 'both sockets' })
    const stopped = listener.stop()
    await clock.advance(1_000)
    await within(stopped, { what: 'stop' })
    expect(limit.open).toBe(0)
    await until(() => stream.destroyed, { what: 'the stream to be destroyed' })
  })

  test('connections in excess are closed before they can ask anything', async () => {
    const { port, limit } = await startListener(WS, { max: 1 })
    await client(port)
    const late = new WebSocket(`ws://127.0.0.1:${port}/mqtt`, ['mqtt'])
    const [error] = await within(once(late, 'error'), { what: 'the connection in excess to fail' })
    expect(String(error)).toMatch(/hang up|ECONNRESET/)
    expect(limit.refused).toBe(1)
  })
})
