/**
 * What TCP and WebSocket listeners have in common: opening a server with faults that an owner
 * understands, counting its sockets against the limit, and closing it within a bound.
 *
 * A socket that came in is tracked until it is closed, whatever becomes of it above. `close` first waits
 * for the sockets to go by themselves, because sessions that were told to end are still flushing; what is
 * left after the grace is destroyed.
 */
import type { AddressInfo, Server, Socket } from 'node:net'
import type { Clock, Timer } from '../kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { ConnectionLimit } from './limit.ts'
import type { ListenerSettings } from './ports.ts'

/** Milliseconds that sockets get to flush and close by themselves when the listener stops. */
const CLOSE_GRACE = 1_000
/** Milliseconds of silence before TCP asks whether the peer is still there: finds half-open sockets of clients without keepalive. */
const TCP_KEEPALIVE_DELAY = 60_000
/** Milliseconds between two log lines about faults while accepting (`EMFILE` comes in floods). */
const FAULT_LOG_INTERVAL = 60_000

/** Options for `net.createServer` and `http.createServer`: small packets leave at once, dead peers are found. */
export const SOCKET_OPTIONS = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: TCP_KEEPALIVE_DELAY,
  allowHalfOpen: false,
} as const

export interface ServerDependencies {
  readonly settings: ListenerSettings
  readonly limit: ConnectionLimit
  readonly clock: Clock
  readonly log: Log
}

export class SocketServer {
  readonly #deps: ServerDependencies
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #address: string | undefined
  #faultLoggedAt = Number.NEGATIVE_INFINITY
  #onEmpty: (() => void) | undefined

  constructor(deps: ServerDependencies) {
    this.#deps = deps
  }

  /** URL with the real port. Throws before `open` has resolved. */
  get address(): string {
    if (this.#address === undefined) throw new Error('the listener has not started')
    return this.#address
  }

  /** Listens. Rejects with a `LarderError` LISTEN_*, or with the reason of `signal`, leaving nothing open. */
  async open(server: Server, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { settings } = this.#deps
    // First in line: a socket in excess is destroyed before anything else sees it.
    server.prependListener('connection', socket => this.#track(socket))
    try {
      await listening(server, settings, signal)
    } catch (error) {
      // A name may still be resolving: then `close` comes too early and must come again.
      server.once('listening', () => server.close())
      server.close()
      throw signal.aborted ? signal.reason : listenFault(error, settings)
    }
    server.on('error', error => this.#onFault(error))
    this.#server = server
    this.#address = urlOf(settings, (server.address() as AddressInfo).port)
  }

  stopAccepting(): void {
    this.#server?.close()
    this.#server = undefined
  }

  /** Stops accepting, gives the open sockets `CLOSE_GRACE` to go, destroys the rest, and resolves when none is left. */
  async close(): Promise<void> {
    this.stopAccepting()
    if (this.#sockets.size === 0) return
    let grace: Timer | undefined
    await new Promise<void>(resolve => {
      this.#onEmpty = resolve
      grace = this.#deps.clock.after(CLOSE_GRACE, () => {
        for (const socket of this.#sockets) socket.destroy()
      })
    })
    grace?.cancel()
  }

  #track(socket: Socket): void {
    // A reset by the peer is how connections end; whoever reads the stream sees 'close'.
    socket.on('error', () => {})
    if (!this.#deps.limit.enter()) {
      socket.destroy()
      return
    }
    this.#sockets.add(socket)
    socket.once('close', () => {
      this.#sockets.delete(socket)
      this.#deps.limit.leave()
      if (this.#sockets.size === 0) this.#onEmpty?.()
    })
  }

  #onFault(error: Error): void {
    const now = this.#deps.clock.monotonic()
    if (now - this.#faultLoggedAt < FAULT_LOG_INTERVAL) return
    this.#faultLoggedAt = now
    this.#deps.log.error({ listener: this.#address, reason: reasonOf(error) }, 'listener fault')
  }
}

/** The peer of a socket, or undefined when it has already gone. */
export function peerOf(socket: Socket): { remoteAddress: string; remotePort: number } | undefined {
  const { remoteAddress, remotePort } = socket
  if (socket.destroyed || remoteAddress === undefined || remotePort === undefined) return undefined
  return { remoteAddress: remoteAddress.replace(/^::ffff:(?=\d+\.)/, ''), remotePort }
}

function urlOf(settings: ListenerSettings, port: number): string {
  const host = settings.host.includes(':') ? `[${settings.host}]` : settings.host
  const path = settings.protocol === 'ws' ? (settings.path ?? '') : ''
  return `${settings.protocol}://${host}:${port}${path}`
}

async function listening(server: Server, settings: ListenerSettings, signal: AbortSignal): Promise<void> {
  let onAbort: (() => void) | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort)
      server.once('listening', resolve).on('error', reject)
      server.listen({ host: settings.host, port: settings.port })
    })
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

/** What a failed `listen` means to the owner, by the system's code. */
export function listenFault(error: unknown, settings: ListenerSettings): LarderError {
  const { host, port } = settings
  const place = urlOf(settings, port)
  switch (systemCodeOf(error)) {
    case 'EADDRINUSE':
      return new LarderError('LISTEN_IN_USE', `${place}: another program already listens on ${host} port ${port}.`, {
        hint: 'Stop that program (often mosquitto, or a second Larder), or choose another port under "listeners".',
        cause: error,
      })
    case 'EACCES':
      return new LarderError(
        'LISTEN_DENIED',
        `${place}: the system does not allow listening on ${host} port ${port}.`,
        {
          hint: 'Choose a port from 1024 up under "listeners", or give the process the right CAP_NET_BIND_SERVICE.',
          cause: error,
        },
      )
    case 'EADDRNOTAVAIL':
      return new LarderError('LISTEN_FAILED', `${place}: ${host} is not an address of this machine.`, {
        hint: 'Use one that "ip address" shows, 127.0.0.1 for this machine alone, or 0.0.0.0 for all networks.',
        cause: error,
      })
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new LarderError('LISTEN_FAILED', `${place}: the name ${host} cannot be resolved.`, {
        hint: 'Write an address of this machine under "listeners" instead of a name.',
        cause: error,
      })
    default:
      return new LarderError('LISTEN_FAILED', `${place}: ${reasonOf(error)}.`, { cause: error })
  }
}
