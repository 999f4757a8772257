/**
 * TLS by Node's own server, which is handed sockets and never listens. Each becomes a TLS connection and, if its client
 * has shown a certificate or a pre-shared key, somebody: only what was verified counts.
 *
 * Session tickets are Node's, and die with the certificate: after a switch a revoked client cannot come back on one.
 */
import type { Socket } from 'node:net'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Certificates } from './certificates.ts'
import { identityOf } from './identity.ts'
import type { ClientIdentity, TlsSettings } from './ports.ts'
import { Throttle } from './throttle.ts'

export interface TlsDoorDependencies {
  readonly settings: TlsSettings
  /** HTTP is spoken inside. */
  readonly isWeb: boolean
  /** Its address, for logs. */
  readonly listener: string
  readonly clock: Clock
  readonly log: Log
}

interface Guest {
  readonly onSecure: OnSecure
  readonly onFault: OnFault
}
type OnSecure = (stream: TLSSocket, identity: ClientIdentity | undefined) => void
type OnFault = (error: unknown) => void

/** Milliseconds between two log lines about a revocation list that keeps clients out. */
const LIST_LOG_INTERVAL = 60_000
/** What a browser offers for a WebSocket. */
const WEB_ALPN = 'http/1.1'

export class TlsDoor {
  readonly certificates: Certificates
  readonly #deps: TlsDoorDependencies
  readonly #listFaults: Throttle
  /** Sockets in their handshake. The server does not say which of them a TLS connection is on: by their two ends. */
  readonly #guests = new Map<string, Guest>()
  /** Whose socket is closing just now: a certificate that Node refuses is only told when there are no ends any more. */
  #leaving: Guest | undefined
  /** Who has proved to know a key. */
  readonly #pskIdentities = new WeakMap<Socket, string>()
  #server: Server | undefined

  constructor(deps: TlsDoorDependencies) {
    const { settings, listener, clock, log } = deps
    this.#deps = deps
    this.#listFaults = new Throttle({ clock, interval: LIST_LOG_INTERVAL })
    this.certificates = new Certificates({
      settings,
      listener,
      clock,
      log,
      onSwitch: options => this.#server?.setSecureContext(options),
    })
  }

  /** Rejects with a `LarderError` CERTIFICATE_INVALID. */
  async open(): Promise<void> {
    await this.certificates.open()
    const { clientCertificates, alpn, pskFile, pskHint } = this.#deps.settings
    const protocols = alpn.length === 0 && this.#deps.isWeb ? [WEB_ALPN] : alpn
    const server = createServer({
      ...this.certificates.options,
      requestCert: clientCertificates !== 'none',
      rejectUnauthorized: clientCertificates === 'required',
      ...(protocols.length === 0 ? {} : { ALPNProtocols: [...protocols] }),
      ...(pskFile === undefined
        ? {}
        : {
            pskIdentityHint: pskHint,
            pskCallback: (socket: TLSSocket, identity: string) => this.#pskOf(socket, identity),
          }),
    })
    server.on('secureConnection', stream => this.#welcome(stream))
    server.on('tlsClientError', (error, stream) => {
      const guest = this.#take(stream) ?? this.#leaving
      guest?.onFault(this.#told(stream.authorizationError ?? reasonOfTls(error)))
    })
    this.#server = server
  }

  close(): void {
    this.certificates.close()
  }

  /** Begins the handshake on `socket`; one of the two is called, or none if the socket closes before. */
  admit(socket: Socket, onSecure: OnSecure, onFault: OnFault): void {
    if (socket.destroyed) return
    const ends = endsOf(socket)
    const guest = { onSecure, onFault }
    this.#guests.set(ends, guest)
    socket.once('close', () => {
      if (!this.#guests.delete(ends)) return
      this.#leaving = guest
      queueMicrotask(() => {
        this.#leaving = undefined
      })
    })
    this.#server?.emit('connection', socket)
  }

  #welcome(stream: TLSSocket): void {
    const guest = this.#take(stream)
    // A reset by the peer is how connections end; whoever reads the stream sees 'close'.
    stream.on('error', () => {})
    const fault = this.#faultOf(stream)
    if (guest === undefined) stream.destroy()
    else if (fault !== undefined) guest.onFault(this.#told(fault))
    else guest.onSecure(stream, this.#identityOf(stream))
  }

  /** Why a client whose handshake is complete must go nevertheless. */
  #faultOf(stream: TLSSocket): unknown {
    if (stream.getPeerX509Certificate() !== undefined) return stream.authorized ? undefined : stream.authorizationError
    const mustProve = this.#deps.settings.clientCertificates === 'required' && !this.#pskIdentities.has(stream)
    return mustProve ? 'the client has shown no certificate' : undefined
  }

  #identityOf(stream: TLSSocket): ClientIdentity | undefined {
    const pskIdentity = this.#pskIdentities.get(stream)
    if (pskIdentity !== undefined) return { pskIdentity }
    const certificate = stream.getPeerX509Certificate()
    return certificate === undefined ? undefined : identityOf(certificate)
  }

  /** A list that is out of date keeps every client out, and is its owner's to renew. */
  #told(fault: unknown): unknown {
    if (/CRL/.test(String(fault))) {
      const { log, listener } = this.#deps
      this.#listFaults.note(refused =>
        log.warn({ listener, refused, reason: fault }, 'clients are refused because of the revocation list: renew it'),
      )
    }
    return fault
  }

  #pskOf(socket: Socket, identity: string): Buffer | null {
    const key = this.certificates.pskOf(identity)
    if (key === undefined) return null
    this.#pskIdentities.set(socket, identity)
    return key
  }

  #take(stream: TLSSocket): Guest | undefined {
    const ends = endsOf(stream)
    const guest = this.#guests.get(ends)
    this.#guests.delete(ends)
    return guest
  }
}

function endsOf({ remoteAddress, remotePort, localAddress }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

/** OpenSSL's own words, without the places in its sources. */
function reasonOfTls(error: Error & { reason?: unknown }): string {
  return typeof error.reason === 'string' ? error.reason : reasonOf(error)
}
