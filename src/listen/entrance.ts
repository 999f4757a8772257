/**
 * What every connection goes through before it is a stream of MQTT, whatever carries it:
 *
 *   socket (counted)  ->  PROXY header, if asked for  ->  TLS handshake, if any  ->  arrival
 *
 * All that time it is in the lobby, and after it until its CONNECT has come.
 */
import type { Server, Socket } from 'node:net'
import { reasonOf } from '../kernel/errors.ts'
import { urlOf } from './fault.ts'
import type { Stay } from './lobby.ts'
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
  readonly stay: Stay
}

export class Entrance {
  readonly #deps: ServerDependencies
  readonly #sockets: SocketServer
  readonly #refusals: Throttle
  readonly #isWeb: boolean
  #tls: TlsDoor | undefined
  #onArrival: (arrival: Arrival) => void = () => {}

  constructor(deps: ServerDependencies) {
    const { settings, clock } = deps
    this.#deps = deps
    this.#sockets = new SocketServer(deps)
    this.#refusals = new Throttle({ clock, interval: FAULT_LOG_INTERVAL })
    this.#isWeb = settings.protocol === 'ws' || settings.protocol === 'wss'
  }

  get address(): string {
    return this.#sockets.address
  }

  get tls(): ListenerTls | undefined {
    return this.#tls?.certificates
  }

  /** Reads the files of TLS. Rejects with a `LarderError` CERTIFICATE_INVALID. */
  async prepare(): Promise<void> {
    const { settings, clock, log } = this.#deps
    if (this.#tls !== undefined || (settings.protocol !== 'mqtts' && settings.protocol !== 'wss')) return
    const listener = urlOf(settings, settings.port)
    if (settings.tls === undefined) throw new Error(`${listener} without a certificate`)
    const { TlsDoor } = await import('./tls.ts')
    const tls = new TlsDoor({ settings: settings.tls, isWeb: this.#isWeb, listener, clock, log })
    await tls.open()
    this.#tls = tls
  }

  /** Rejects with a `LarderError` LISTEN_* or CERTIFICATE_INVALID, or with the reason of `signal`, leaving nothing open. */
  async open(onArrival: (arrival: Arrival) => void, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#onArrival = onArrival
    await this.prepare()
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

  get isOpen(): boolean {
    return this.#sockets.isOpen
  }

  get connections(): number {
    return this.#sockets.connections
  }

  handOver(): Server | undefined {
    return this.#sockets.handOver()
  }

  async close(): Promise<void> {
    this.#tls?.close()
    await this.#sockets.close()
  }

  #receive(socket: Socket): Stay | undefined {
    const { protocol, proxyProtocol } = this.#deps.settings
    const peer = peerOf(socket)
    if (peer === undefined && protocol !== 'unix') {
      socket.destroy()
      return undefined
    }
    // Behind a proxy it is not known yet whose it is.
    if (proxyProtocol !== true && !this.#isCounted(socket, peer?.remoteAddress)) return undefined
    const isStream = (protocol === 'mqtt' || protocol === 'unix') && proxyProtocol !== true
    const stay = this.#deps.gate.lobby.enter(socket, { isStream })
    if (stay === undefined) return undefined
    const details = {
      protocol,
      listener: this.address,
      remoteAddress: peer?.remoteAddress,
      remotePort: peer?.remotePort,
      onConnect: () => stay.leave(),
    }
    if (proxyProtocol === true) this.#unwrap(socket, details, stay)
    else this.#secure(socket, details, stay)
    return stay
  }

  #unwrap(socket: Socket, details: ConnectionDetails, stay: Stay): void {
    readProxyHeader(
      socket,
      ({ source, commonName }) => {
        const identity = commonName === undefined || commonName.includes('\0') ? {} : { identity: { commonName } }
        const known = { ...details, ...source, ...identity }
        if (this.#isCounted(socket, known.remoteAddress)) this.#secure(socket, known, stay)
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

  /** False when its address has too many connections; it is closed then. */
  #isCounted(socket: Socket, remoteAddress: string | undefined): boolean {
    if (this.#deps.gate.addresses.enter(socket, remoteAddress)) return true
    socket.destroy()
    return false
  }

  #refuse(socket: Socket, { listener, remoteAddress }: ConnectionDetails, error: unknown): void {
    socket.destroy()
    this.#refusals.note(count =>
      this.#deps.log.debug({ listener, from: remoteAddress, reason: reasonOf(error), count }, 'connection not let in'),
    )
  }
}
