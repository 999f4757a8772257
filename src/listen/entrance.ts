/**
 * What every connection goes through before it is a stream of MQTT, whatever carries it:
 *
 *   socket (counted)  ->  PROXY header, if asked for  ->  TLS handshake, if any  ->  arrival
 *
 * A connection that has something to go through waits in the lobby, and a WebSocket stays there until it is upgraded.
 */
import type { Socket } from 'node:net'
import { reasonOf } from '../kernel/errors.ts'
import { urlOf } from './fault.ts'
import { Lobby, type Stay } from './lobby.ts'
import type { ConnectionDetails, ListenerTls } from './ports.ts'
import { readProxyHeader } from './proxy.ts'
import { peerOf, type ServerDependencies, SocketServer } from './server.ts'
import { Throttle } from './throttle.ts'
import type { TlsDoor } from './tls.ts'

/** Milliseconds between two debug lines about connections that did not get in. */
const FAULT_LOG_INTERVAL = 1_000

export interface Arrival {
  /** The socket, or the TLS connection on it. */
  readonly stream: Socket
  readonly details: ConnectionDetails
  /** Absent when it came in without waiting. */
  readonly stay: Stay | undefined
}

export class Entrance {
  readonly #deps: ServerDependencies
  readonly #sockets: SocketServer
  readonly #lobby: Lobby
  readonly #refusals: Throttle
  readonly #isWeb: boolean
  #tls: TlsDoor | undefined
  #onArrival: (arrival: Arrival) => void = () => {}

  constructor(deps: ServerDependencies) {
    const { settings, clock, log } = deps
    this.#deps = deps
    this.#sockets = new SocketServer(deps)
    this.#lobby = new Lobby({ clock, log: log.child({ listener: urlOf(settings, settings.port) }) })
    this.#refusals = new Throttle({ clock, interval: FAULT_LOG_INTERVAL })
    this.#isWeb = settings.protocol === 'ws' || settings.protocol === 'wss'
  }

  get address(): string {
    return this.#sockets.address
  }

  get tls(): ListenerTls | undefined {
    return this.#tls?.certificates
  }

  /** Rejects with a `LarderError` LISTEN_* or CERTIFICATE_INVALID, or with the reason of `signal`, leaving nothing open. */
  async open(onArrival: (arrival: Arrival) => void, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const { settings, clock, log } = this.#deps
    this.#onArrival = onArrival
    if (settings.protocol === 'mqtts' || settings.protocol === 'wss') {
      const listener = urlOf(settings, settings.port)
      if (settings.tls === undefined) throw new Error(`${listener} without a certificate`)
      const { TlsDoor } = await import('./tls.ts')
      this.#tls = new TlsDoor({ settings: settings.tls, isWeb: this.#isWeb, listener, clock, log })
      await this.#tls.open()
    }
    try {
      await this.#sockets.open(socket => this.#receive(socket), signal)
    } catch (error) {
      this.#tls?.close()
      throw error
    }
  }

  stopAccepting(): void {
    this.#sockets.stopAccepting()
  }

  async close(): Promise<void> {
    this.#tls?.close()
    await this.#sockets.close()
  }

  #receive(socket: Socket): void {
    const { protocol, proxyProtocol } = this.#deps.settings
    const peer = peerOf(socket)
    if (peer === undefined && protocol !== 'unix') {
      socket.destroy()
      return
    }
    const details = { protocol, listener: this.address, ...peer }
    if (proxyProtocol !== true && this.#tls === undefined && !this.#isWeb) {
      this.#onArrival({ stream: socket, details, stay: undefined })
      return
    }
    const stay = this.#lobby.enter(socket)
    if (stay === undefined) return
    if (proxyProtocol === true) this.#unwrap(socket, details, stay)
    else this.#secure(socket, details, stay)
  }

  #unwrap(socket: Socket, details: ConnectionDetails, stay: Stay): void {
    readProxyHeader(
      socket,
      ({ source, commonName }) => {
        const identity = commonName === undefined || commonName.includes('\0') ? {} : { identity: { commonName } }
        this.#secure(socket, { ...details, ...source, ...identity }, stay)
      },
      error => this.#refuse(socket, details, error),
    )
  }

  #secure(socket: Socket, details: ConnectionDetails, stay: Stay): void {
    if (this.#tls === undefined) {
      this.#onArrival({ stream: socket, details, stay })
      return
    }
    this.#tls.admit(
      socket,
      (stream, identity) =>
        this.#onArrival({ stream, details: identity === undefined ? details : { ...details, identity }, stay }),
      error => this.#refuse(socket, details, error),
    )
  }

  #refuse(socket: Socket, { listener, remoteAddress }: ConnectionDetails, error: unknown): void {
    socket.destroy()
    this.#refusals.note(count =>
      this.#deps.log.debug({ listener, from: remoteAddress, reason: reasonOf(error), count }, 'connection not let in'),
    )
  }
}
