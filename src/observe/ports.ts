/**
 * What observers need of others. A log in Mosquitto's form listens to the hub's events, and takes the place of
 * the gateway's own log.
 */
import type { AckType } from '../mqtt/acks.ts'

/** Aedes' events and ours; `hub` of the broker has them. */
export interface HubEvents {
  // biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own
  on(event: string, listener: (...args: any[]) => void): unknown
  /** Told of each packet, when somebody wants to know: null costs the hot path nothing. */
  trace?: PacketTrace | null
}

/** A connection, as far as it is told of. */
export interface SessionView {
  /** Empty until CONNECT has come. */
  readonly id: string
  /** The client was let in. */
  readonly connected: boolean
  /** Protocol level; null until CONNECT has come. */
  readonly version: 3 | 4 | 5 | null
  readonly clean: boolean
  readonly userName: string | undefined
  /** Seconds, as agreed on. */
  readonly keepalive: number
  readonly will: {
    readonly topic: string
    readonly payload: { readonly length: number }
    readonly qos: number
    readonly retain: boolean
  } | null
  readonly details: {
    readonly remoteAddress?: string | undefined
    readonly remotePort?: number | undefined
    /** URL of the listener. */
    readonly listener?: string | undefined
  }
}

/**
 * Why a connection has ended: the client said goodbye, or closed it; another connection took the session over; somebody
 * here ordered it; the gateway stops. Else the error that ended it, with a `reasonCode` (MQTT 5 §2.4) when it is about
 * what the client did, or with the `code` of a system error.
 */
export type ConnectionEnd = 'disconnect' | 'closed' | 'taken-over' | 'ordered' | 'shutdown' | Error

export interface TracedPublish {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly dup: boolean
  /** 0 for QoS 0. */
  readonly packetId: number
  readonly payload: { readonly length: number }
}

/** Told of each packet of a client that is in. */
export interface PacketTrace {
  publishReceived(session: SessionView, packet: TracedPublish): void
  publishDenied(session: SessionView, packet: TracedPublish): void
  publishSent(session: SessionView, packet: TracedPublish): void
  ackReceived(session: SessionView, type: AckType, packetId: number, reasonCode: number): void
  ackSent(session: SessionView, type: AckType, packetId: number, reasonCode: number): void
}

/** How to log. Has the shape of the configuration's habits of Mosquitto. */
export interface MosquittoLogSettings {
  readonly destinations: readonly ('stdout' | 'stderr' | 'topic' | 'file')[]
  /** Absolute. */
  readonly file?: string | undefined
  readonly types: readonly string[]
  readonly timestamp: boolean
  /** As strftime(3) takes it; absent, seconds since 1970. */
  readonly timestampFormat?: string | undefined
  readonly connectionMessages: boolean
}
