/**
 * What all listeners have in common: opening a server with faults that an owner understands, counting its sockets
 * against the limits, and closing it within a bound.
 *
 * A socket that came in is tracked until it is closed, whatever becomes of it above. `close` first waits
 * for the sockets to go by themselves, because sessions that were told to end are still flushing; what is
 * left after the grace is destroyed.
 */
import { chmod } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { listenFault, urlOf } from './fault.ts'
import type { Gate } from './gate.ts'
import { ConnectionLimit } from './limit.ts'
import type { ListenerSettings } from './ports.ts'
import { Throttle } from './throttle.ts'
import { clearStaleSocket } from './unix.ts'

/** Milliseconds that sockets get to flush and close by themselves when the listener stops. */
const CLOSE_GRACE = 1_000
/** Milliseconds of silence before TCP asks whether the peer is still there: finds half-open sockets of clients without keepalive. */
const TCP_KEEPALIVE_DELAY = 60_000
/** Milliseconds between two log lines about faults while accepting (`EMFILE` comes in floods). */
const FAULT_LOG_INTERVAL = 60_000
/** Mode of a Unix socket when none is given: its owner and group may connect. */
const SOCKET_MODE = 0o660

/** Small packets leave at once, dead peers are found. */
const SOCKET_OPTIONS = {
  noDelay: true,
  keepAlive: true,
  keepAliveInitialDelay: TCP_KEEPALIVE_DELAY,
  allowHalfOpen: false,
} as const

export interface ServerDependencies {
  readonly settings: ListenerSettings
  /** Of all listeners together. */
  readonly gate: Gate
  /** Gives the open socket of the listener in whose place this one comes, when it starts. */
  readonly takeOver?: (() => Server | undefined) | undefined
  readonly clock: Clock
  readonly log: Log
}

export class SocketServer {
  readonly #deps: ServerDependencies
  readonly #limits: readonly ConnectionLimit[]
  readonly #sockets = new Set<Socket>()
  readonly #faults: Throttle
  #server: Server | undefined
  #address: string | undefined
  #onEmpty: (() => void) | undefined

  constructor(deps: ServerDependencies) {
    const { settings, clock, gate } = deps
    const { maxConnections: max } = settings
    const log = deps.log.child({ listener: urlOf(settings, settings.port) })
    this.#deps = deps
    this.#limits =
      max === undefined
        ? [gate.connections]
        : [new ConnectionLimit({ max: () => max, clock, log, setting: 'its max_connections' }), gate.connections]
    this.#faults = new Throttle({ clock, interval: FAULT_LOG_INTERVAL })
  }

  /** URL with the real port. Throws before `open` has resolved. */
  get address(): string {
    if (this.#address === undefined) throw new Error('the listener has not started')
    return this.#address
  }

  /**
   * Listens; `onSocket` gets every socket that is not in excess, and says who leaves when it is closed. Rejects with a `LarderError` LISTEN_*, or with the
   * reason of `signal`, leaving nothing open.
   */
  async open(onSocket: (socket: Socket) => { leave(): void } | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const server = this.#deps.takeOver?.() ?? createServer(SOCKET_OPTIONS)
    server.on('connection', socket => {
      if (this.#letIn(socket)) this.#track(socket, onSocket(socket))
    })
    await this.#bind(server, signal)
    server.on('error', error =>
      this.#faults.note(() =>
        this.#deps.log.error({ listener: this.#address, reason: reasonOf(error) }, 'listener fault'),
      ),
    )
    this.#server = server
  }

  async #bind(server: Server, signal: AbortSignal): Promise<void> {
    const { settings } = this.#deps
    try {
      if (!server.listening) {
        if (settings.protocol === 'unix') await clearStaleSocket(settings.path ?? '')
        await listening(server, settings, signal)
      }
      // A Unix socket's address is its path. Clients may come from now on.
      const bound = server.address() as AddressInfo | string
      this.#address = urlOf(settings, typeof bound === 'string' ? 0 : bound.port)
      if (settings.protocol === 'unix') await chmod(settings.path ?? '', settings.socketMode ?? SOCKET_MODE)
    } catch (error) {
      // A name may still be resolving: then `close` comes too early and must come again.
      server.once('listening', () => server.close())
      server.close()
      throw signal.aborted ? signal.reason : listenFault(error, settings)
    }
  }

  /** True while clients can come in. */
  get isOpen(): boolean {
    return this.#server?.listening === true
  }

  /** Sockets that have not closed. */
  get connections(): number {
    return this.#sockets.size
  }

  /** Gives up the open socket: from now on its connections are somebody else's. */
  handOver(): Server | undefined {
    const server = this.#server
    this.#server = undefined
    server?.removeAllListeners('connection').removeAllListeners('error')
    return server
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

  #letIn(socket: Socket): boolean {
    // A reset by the peer is how connections end; whoever reads the stream sees 'close'.
    socket.on('error', ignore)
    const refusing = this.#limits.findIndex(limit => !limit.enter())
    if (refusing >= 0) {
      for (const limit of this.#limits.slice(0, refusing)) limit.leave()
      socket.destroy()
      return false
    }
    return true
  }

  #track(socket: Socket, guest: { leave(): void } | undefined): void {
    this.#sockets.add(socket)
    socket.on('close', () => {
      guest?.leave()
      this.#sockets.delete(socket)
      for (const limit of this.#limits) limit.leave()
      if (this.#sockets.size === 0) this.#onEmpty?.()
    })
  }
}

/** The peer of a socket, or undefined when it has already gone. */
export function peerOf(socket: Socket): { remoteAddress: string; remotePort: number } | undefined {
  const { remoteAddress, remotePort } = socket
  if (socket.destroyed || remoteAddress === undefined || remotePort === undefined) return undefined
  return { remoteAddress: plainAddress(remoteAddress), remotePort }
}

/** IPv4 as IPv4, also when it is written as an IPv6 address. */
export function plainAddress(address: string): string {
  return address.includes(':') ? address.replace(/^::ffff:(?=\d+\.)/, '') : address
}

function ignore(): void {}

async function listening(server: Server, settings: ListenerSettings, signal: AbortSignal): Promise<void> {
  const { protocol, host, port, path } = settings
  let onAbort: (() => void) | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      onAbort = () => reject(signal.reason)
      signal.addEventListener('abort', onAbort)
      server.once('listening', resolve).on('error', reject)
      server.listen(protocol === 'unix' ? { path } : { host, port })
    })
  } finally {
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}
