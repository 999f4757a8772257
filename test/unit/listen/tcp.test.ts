import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemClock } from '../../../src/kernel/clock.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { listenFault } from '../../../src/listen/fault.ts'
import { Gate } from '../../../src/listen/gate.ts'
import { TcpListener } from '../../../src/listen/tcp.ts'
import { testLimits } from '../../support/limits.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until, within } from '../../support/wait.ts'
import { ANY_PORT, closed, echo, FLOOD_BYTES, flood, startListener } from './support.ts'

const TCP = { protocol: 'mqtt', ...ANY_PORT } as const

async function client(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = connect(port, host)
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

function makeListener(host: string, port: number): TcpListener {
  return new TcpListener({
    settings: { protocol: 'mqtt', host, port },
    gate: new Gate({ limits: testLimits({ maxConnections: 10 }), clock: systemClock, log: silentLog }),
    clock: systemClock,
    log: silentLog,
    onConnection: () => {},
  })
}

async function startFault(host: string, port: number): Promise<LarderError> {
  const error = await makeListener(host, port)
    .start(new AbortController().signal)
    .catch((reason: unknown) => reason)
  expect(error).toBeInstanceOf(LarderError)
  return error as LarderError
}

describe('a TCP listener', () => {
  test('carries bytes both ways and says who is there', async () => {
    const { listener, port, connection } = await startListener(TCP, { onStream: echo })
    expect(listener.address()).toBe(`mqtt://127.0.0.1:${port}`)
    const socket = await client(port)
    const { details } = await connection()
    expect(details).toEqual({
      protocol: 'mqtt',
      listener: listener.address(),
      remoteAddress: '127.0.0.1',
      remotePort: socket.localPort,
    })
    socket.write('kitchen')
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toBe('kitchen')
  })

  test('writes an IPv4 peer as IPv4 on a socket for both families', async () => {
    const { port, connection } = await startListener({ protocol: 'mqtt', host: '::', port: 0 })
    await client(port)
    expect((await connection()).details.remoteAddress).toBe('127.0.0.1')
  })

  test('a client that does not read holds back its own stream, and drain comes when it reads', async () => {
    const { port, connection } = await startListener(TCP)
    const socket = await client(port)
    socket.pause()
    const { stream } = await connection()
    flood(stream)
    await new Promise(resolve => setImmediate(resolve))
    expect(stream.writableNeedDrain).toBe(true)
    expect(stream.writableLength).toBeGreaterThan(FLOOD_BYTES / 2)
    const drained = once(stream, 'drain')
    let received = 0
    socket.on('data', chunk => {
      received += chunk.length
    })
    socket.resume()
    await drained
    await until(() => received === FLOOD_BYTES, { what: () => `${FLOOD_BYTES} bytes, received ${received}` })
    expect(stream.writableLength).toBe(0)
  })

  test('a client that resets its connection shows as close', async () => {
    const { port, connection, limit } = await startListener(TCP)
    const socket = await client(port)
    const { stream } = await connection()
    const gone = closed(stream)
    stream.resume()
    socket.resetAndDestroy()
    await within(gone, { what: 'close' })
    expect(limit.open).toBe(0)
  })

  test('closes connections in excess at once, counts them and logs once a minute', async () => {
    const clock = new ManualClock()
    const { port, connection, accepted, limit, lines } = await startListener(TCP, { max: 2, clock })
    const first = await client(port)
    await client(port)
    await connection(1)
    for (let i = 0; i < 5; i++) {
      const socket = await client(port)
      socket.resume()
      await within(once(socket, 'close'), { what: 'the connection in excess to close' })
    }
    expect(limit.refused).toBe(5)
    expect(lines.map(line => line.fields)).toEqual([{ refused: 1, max: 2 }])

    await clock.advance(60_000)
    const late = await client(port)
    late.resume()
    await within(once(late, 'close'), { what: 'the late connection in excess to close' })
    expect(lines.map(line => line.fields.refused)).toEqual([1, 5])
    expect(accepted).toHaveLength(2)

    // A place that becomes free is given away again.
    first.destroy()
    accepted[0]?.stream.destroy()
    await until(() => limit.open === 1, { what: 'the first connection to be counted out' })
    await client(port)
    await connection(2)
  })

  test('stop lets streams that are ending flush, and ends within its bound when a client stays', async () => {
    const clock = new ManualClock()
    const { listener, port, connection, limit } = await startListener(TCP, { clock })
    const polite = await client(port)
    const stuck = await client(port)
    stuck.pause()
    const first = await connection(0)
    const second = await connection(1)
    flood(second.stream)
    listener.stopAccepting()
    first.stream.end('goodbye')
    const [last] = await once(polite, 'data')
    expect(String(last)).toBe('goodbye')
    const stopped = listener.stop()
    await until(() => limit.open === 1, { what: 'the polite client to be gone' })
    await clock.advance(999)
    expect(second.stream.destroyed).toBe(false)
    await clock.advance(1)
    await within(stopped, { what: 'stop' })
    expect([second.stream.destroyed, limit.open, clock.pending]).toEqual([true, 0, 0])
    const refused = connect(port, '127.0.0.1')
    const [error] = await once(refused, 'error')
    expect(error.code).toBe('ECONNREFUSED')
  })

  test('stop without connections does not wait', async () => {
    const { listener } = await startListener(TCP, { clock: new ManualClock() })
    await within(listener.stop(), { what: 'stop' })
  })
})

describe('a TCP listener that cannot be opened', () => {
  test('says that the address is in use', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    onTestFinished(() => void other.close())
    const { port } = other.address() as { port: number }
    const fault = await startFault('127.0.0.1', port)
    expect(fault.code).toBe('LISTEN_IN_USE')
    expect(fault.toLine()).toContain(`another program already listens on 127.0.0.1 port ${port}.`)
    expect(fault.hint).toContain('choose another port')
  })

  test('says that the address is not of this machine', async () => {
    const fault = await startFault('192.0.2.1', 1883) // RFC 5737: nobody's address
    expect(fault.code).toBe('LISTEN_FAILED')
    expect(fault.message).toContain('192.0.2.1 is not an address of this machine')
  })

  test('says that a name cannot be resolved', async () => {
    const fault = await startFault('no-such-host.invalid', 1883)
    expect(fault.code).toBe('LISTEN_FAILED')
    expect(fault.message).toContain('the name no-such-host.invalid cannot be resolved')
  })

  test('says that a low port is not allowed', () => {
    // Who runs the tests as root, or in a container, may use every port: the system's answer is given by hand.
    const denied = Object.assign(new Error('listen EACCES'), { code: 'EACCES' })
    const fault = listenFault(denied, { protocol: 'mqtt', host: '127.0.0.1', port: 83 })
    expect(fault.code).toBe('LISTEN_DENIED')
    expect(fault.toLine()).toContain('does not allow listening on 127.0.0.1 port 83. Choose a port from 1024 up')
  })

  test('a start that is aborted leaves nothing open', async () => {
    const controller = new AbortController()
    const listener = makeListener('localhost', 0)
    const started = listener.start(controller.signal)
    controller.abort(new Error('not any more'))
    await expect(started).rejects.toThrow('not any more')
    expect(() => listener.address()).toThrow('not started')
    await expect(makeListener('127.0.0.1', 0).start(controller.signal)).rejects.toThrow('not any more')
  })
})
