/** A listener under test: started on a free loopback port, keeping every stream that its handler got. */
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { type Clock, systemClock } from '../../../src/kernel/clock.ts'
import { Gate } from '../../../src/listen/gate.ts'
import type { ConnectionLimit } from '../../../src/listen/limit.ts'
import { openListener } from '../../../src/listen/open.ts'
import type { ConnectionDetails, Listener, ListenerSettings, TlsSettings } from '../../../src/listen/ports.ts'
import { type LogLine, recordLog } from '../../support/record-log.ts'
import { until, within } from '../../support/wait.ts'

export interface Accepted {
  stream: Duplex
  details: Omit<ConnectionDetails, 'onConnect'>
  onConnect: (() => void) | undefined
}

export interface TestListener {
  listener: Listener
  port: number
  gate: Gate
  /** Of all listeners together. */
  limit: ConnectionLimit
  accepted: Accepted[]
  lines: LogLine[]
  /** The `index`th connection that the handler got. */
  connection(index?: number): Promise<Accepted>
}

export const ANY_PORT = { host: '127.0.0.1', port: 0 } as const

export async function startListener(
  settings: ListenerSettings,
  options: {
    max?: number
    perAddress?: number
    halfOpen?: number
    clock?: Clock
    maxPacketSize?: number
    onStream?: (stream: Duplex) => void
  } = {},
): Promise<TestListener> {
  const { log, lines } = recordLog()
  const clock = options.clock ?? systemClock
  const { max = 100, perAddress = max, halfOpen = 256 } = options
  const limits = { maxConnections: max, maxConnectionsPerAddress: perAddress, maxHalfOpen: halfOpen }
  const gate = new Gate({ limits, clock, log })
  const limit = gate.connections
  const accepted: Accepted[] = []
  const listener = await openListener(settings, {
    gate,
    clock,
    log,
    maxPacketSize: options.maxPacketSize ?? 64 * 1024,
    onConnection: (stream, { onConnect, ...details }) => {
      accepted.push({ stream, details, onConnect })
      options.onStream?.(stream)
    },
  })
  await listener.start(new AbortController().signal)
  onTestFinished(async () => {
    for (const { stream } of accepted) stream.destroy()
    await listener.stop()
  })
  const connection = async (index = 0) => await until(() => accepted[index], { what: `connection ${index}` })
  return { listener, port: Number(new URL(listener.address()).port), gate, limit, accepted, lines, connection }
}

/** Echoes what it reads, with backpressure both ways. */
export function echo(stream: Duplex): void {
  stream.pipe(stream)
}

/** Far more bytes than the kernel's socket buffers take (some 6 MB on loopback), so a client that does not read is certainly behind. */
export const FLOOD_BYTES = 32 * 1024 * 1024

/** Writes `FLOOD_BYTES` at once, whatever `write` says; the bytes count up, so that order can be checked. */
export function flood(stream: Duplex): void {
  const chunk = Buffer.alloc(256 * 1024)
  for (let i = 0; i < chunk.length; i += 4) chunk.writeUInt32LE(i, i)
  for (let sent = 0; sent < FLOOD_BYTES; sent += chunk.length) stream.write(chunk)
}

/** Resolves when the stream has closed, with or without an error. */
export function closed(stream: Duplex): Promise<void> {
  return new Promise(resolve => stream.once('close', resolve))
}

export const PROXY_SIGNATURE = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

/** A PROXY header of version 2: version and command, family and transport, and what follows. */
export function binaryProxyHeader(command: number, family: number, body: readonly number[]): Buffer {
  return Buffer.from([...PROXY_SIGNATURE, command, family, body.length >> 8, body.length & 0xff, ...body])
}

/** A field of a PROXY header of version 2. */
export function typedField(type: number, value: readonly number[]): number[] {
  return [type, value.length >> 8, value.length & 0xff, ...value]
}

/** A folder that goes with the test. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'larder-listen-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/** A folder for all tests of a file; hand `remove` to `afterAll`. */
export function folderOfFile(): { folder: string; remove: () => Promise<void> } {
  const folder = mkdtempSync(join(tmpdir(), 'larder-listen-'))
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** What stands in a configuration that says nothing more about TLS. */
export function tlsSettings(settings: Partial<TlsSettings>): TlsSettings {
  return { clientCertificates: 'none', minVersion: 'TLSv1.2', alpn: [], pskHint: 'larder', ...settings }
}

/** A PROXY header of version 1, and what it says. */
export const PROXY_LINE = 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'
export const PROXY_SOURCE = { remoteAddress: '192.0.2.1', remotePort: 56_324 }

/** A TCP client that is connected. */
export async function client(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Resolves when the other side has closed. */
export async function gone(socket: Socket): Promise<void> {
  socket.resume()
  if (!socket.closed) await within(closed(socket), { what: 'the connection to be closed' })
}
