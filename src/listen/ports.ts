/**
 * What the listeners need of others, and what they are to whoever starts them. A listener knows
 * sockets and nothing of MQTT: every connection becomes a stream of bytes for one `ConnectionHandler`.
 */
import type { Server } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Part } from '../kernel/lifecycle.ts'

/** Where to listen. Has the shape of the configuration's listeners. */
export interface ListenerSettings {
  readonly protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix'
  /** Address or name of this machine; `0.0.0.0` and `::` are all of them. Empty of `unix`. */
  readonly host: string
  /** 0 takes any free one: `Listener.address` tells which. */
  readonly port: number
  /** WebSocket: the path that is answered; absent, every path is. Of `unix`: the absolute path of the socket. */
  readonly path?: string | undefined
  readonly tls?: TlsSettings | undefined
  /** Connections that this listener may have. */
  readonly maxConnections?: number | undefined
  /** PROXY protocol (HAProxy), version 1 or 2, must come before everything else: who connects is who it says. */
  readonly proxyProtocol?: boolean
  /** WebSocket: values of the Origin header that are let in; absent, any. */
  readonly origins?: readonly string[] | undefined
  /** Of `unix`: mode of the socket. */
  readonly socketMode?: number
}

/** Paths are absolute, files PEM. */
export interface TlsSettings {
  readonly cert?: string
  readonly key?: string
  /** Of those who sign clients' certificates: one file, or all of a folder. */
  readonly ca?: string
  readonly caFolder?: string
  readonly crl?: string
  readonly clientCertificates: 'none' | 'optional' | 'required'
  readonly minVersion: 'TLSv1.2' | 'TLSv1.3'
  /** OpenSSL's list for TLS 1.2. */
  readonly ciphers?: string
  /** OpenSSL's list for TLS 1.3. */
  readonly ciphersTls13?: string
  readonly alpn: readonly string[]
  /** Lines `identity:hexadecimal key`. */
  readonly pskFile?: string
  readonly pskHint: string
}

export interface ConnectionDetails {
  readonly protocol: ListenerSettings['protocol']
  /** The listener's address, for logs. */
  readonly listener: string
  /** Of the peer, as the socket (or the PROXY header) has it; IPv4 is written as IPv4 also when it came in on an IPv6 socket. Absent on a Unix socket. */
  readonly remoteAddress?: string | undefined
  readonly remotePort?: number | undefined
  /** Of a TLS connection: who the client has proved to be. */
  readonly identity?: ClientIdentity
  /** To be called when its CONNECT has come: until then it takes a place among those of whom nothing is known. */
  readonly onConnect?: () => void
}

export interface ClientIdentity {
  /** Common name of its certificate. */
  readonly commonName?: string
  /** Subject of its certificate, as OpenSSL writes it (RFC 2253). */
  readonly subject?: string
  /** Pre-shared key. */
  readonly pskIdentity?: string
}

/**
 * Takes over a new connection. The stream carries MQTT packets cut anywhere [MQTT-6.0.0-2] and honours
 * backpressure both ways: `write` returns false and `drain` follows; a paused stream stops the peer.
 * The listener has put an `error` handler on it, so a fault shows as `close` and never throws.
 */
export type ConnectionHandler = (stream: Duplex, details: ConnectionDetails) => void

export interface Listener extends Part {
  /** Reads the files that it needs, so that `start` is left with the socket. Rejects with a `LarderError` CERTIFICATE_INVALID. */
  prepare(): Promise<void>
  /**
   * Gives up the open socket, if there is one, for another listener at the same address: clients that come meanwhile
   * wait in it. Who is connected stays.
   */
  handOver(): Server | undefined
  /** Where it listens, as a URL with the real port. Throws before `start` has resolved. */
  address(): string
  /** Accepts no more; what is connected stays. May be called before `stop`, so that sessions can say goodbye in between. */
  stopAccepting(): void
  /** True while clients can come in. */
  readonly isOpen: boolean
  /** Connections that came in here and are still there. */
  readonly connections: number
  /** Of a listener with TLS that is prepared. */
  readonly tls: ListenerTls | undefined
}

/** What a listener's TLS rests on. A file that changes is taken up by itself. */
export interface ListenerTls {
  /** Those in force: its own, and those of the `ca` file. */
  readonly certificates: readonly CertificateInfo[]
  /** Reads all files again. Gives what puts them into force; rejects with a `LarderError` CERTIFICATE_INVALID when they cannot be used. */
  prepare(): Promise<() => void>
}

export interface CertificateInfo {
  /** Absolute path. */
  readonly file: string
  /** As OpenSSL writes it (RFC 2253). */
  readonly subject: string
  /** Hexadecimal, in capitals. */
  readonly serialNumber: string
  /** Milliseconds since 1970-01-01T00:00:00Z. */
  readonly expiresAt: number
}
