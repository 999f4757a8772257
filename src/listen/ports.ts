/**
 * What the listeners need of others, and what they are to whoever starts them. A listener knows
 * sockets and nothing of MQTT: every connection becomes a stream of bytes for one `ConnectionHandler`.
 */
import type { Duplex } from 'node:stream'
import type { Part } from '../kernel/lifecycle.ts'

/** Where to listen. Has the shape of the configuration's listeners. */
export interface ListenerSettings {
  readonly protocol: 'mqtt' | 'ws'
  /** Address or name of this machine; `0.0.0.0` and `::` are all of them. */
  readonly host: string
  /** 0 takes any free one: `Listener.address` tells which. */
  readonly port: number
  /** WebSocket only: the path that is answered. Absent, every path is. */
  readonly path?: string | undefined
}

export interface ConnectionDetails {
  readonly protocol: ListenerSettings['protocol']
  /** The listener's address, for logs. */
  readonly listener: string
  /** Of the peer, as the socket has it; IPv4 is written as IPv4 also when it came in on an IPv6 socket. */
  readonly remoteAddress: string
  readonly remotePort: number
}

/**
 * Takes over a new connection. The stream carries MQTT packets cut anywhere [MQTT-6.0.0-2] and honours
 * backpressure both ways: `write` returns false and `drain` follows; a paused stream stops the peer.
 * The listener has put an `error` handler on it, so a fault shows as `close` and never throws.
 */
export type ConnectionHandler = (stream: Duplex, details: ConnectionDetails) => void

export interface Listener extends Part {
  /** Where it listens, as a URL with the real port. Throws before `start` has resolved. */
  address(): string
  /** Accepts no more; what is connected stays. May be called before `stop`, so that sessions can say goodbye in between. */
  stopAccepting(): void
}
