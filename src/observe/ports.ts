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

/**
 * What the metrics are made of, read whenever somebody looks. Milliseconds and bytes, counted since the start where
 * nothing else is said. The composition root puts it together.
 */
export interface Figures {
  readonly version: string
  /** Wall time. */
  readonly startedAt: number
  readonly uptime: number
  readonly traffic: Traffic
  /** Sessions of clients, with and without a connection; `most` had one at once. */
  readonly clients: { readonly connected: number; readonly disconnected: number; readonly most: number }
  readonly subscriptions: { readonly plain: number; readonly shared: number }
  readonly connections: {
    readonly open: number
    /** Bytes for clients that their sockets have not taken yet. */
    readonly unsent: number
    /** Because there were as many as may be, or as many from their address. */
    readonly refused: { readonly limit: number; readonly address: number }
  }
  readonly queues: QueueFigures
  /** Undefined of a store on Redis. */
  readonly store: StoreFigures | undefined
  readonly bridges: readonly BridgeFigures[]
  readonly devices: readonly DeviceFigures[]
  readonly certificates: readonly CertificateFigures[]
  readonly process: ProcessFigures
  /** What is wrong with the gateway, as sentences for a person. */
  readonly troubles: readonly string[]
}

/** Has the shape of the broker's own count. */
export interface Traffic {
  readonly received: number
  readonly sent: number
  readonly dropped: number
  readonly expired: number
  readonly tooLarge: number
  readonly denied: number
  readonly payloadReceived: number
  readonly payloadSent: number
  readonly packetsReceived: number
  readonly packetsSent: number
  readonly bytesReceived: number
  readonly bytesSent: number
  readonly sockets: number
  readonly connects: number
  readonly expiredSessions: number
}

/** What waits in queues of sessions, each message counted for every session that it waits for, and what is retained. */
export interface QueueFigures {
  /** All of them; those of bridges are among them. */
  readonly messages: number
  readonly bytes: number
  /** Time that the oldest message has waited for a client; undefined where it is not known. */
  readonly oldest: number | undefined
  readonly retained: number
  readonly retainedBytes: number
  readonly dropped: number
  readonly expired: number
  /** Messages whose publishers were not acknowledged, because there was no room. */
  readonly refused: number
}

export interface StoreFigures {
  readonly commits: number
  readonly syncs: number
  readonly failures: number
  readonly elided: number
  /** Keys and values handed to LevelDB. */
  readonly bytes: number
  readonly damaged: number
  readonly latency: Distribution
  /** Infinity when nothing is promised. */
  readonly lossWindow: number
}

/** Counts by upper bounds, in milliseconds; each without those of the bound before. */
export interface Distribution {
  readonly bounds: readonly number[]
  readonly counts: readonly number[]
  readonly count: number
  readonly sum: number
}

export interface BridgeFigures {
  readonly name: string
  readonly connected: boolean
  /** Messages in its spool. */
  readonly waiting: number
  readonly bytes: number
  /** Time that the oldest of them has waited; undefined where it is not known. */
  readonly oldest: number | undefined
  readonly sent: number
  readonly received: number
  readonly paused: boolean
  /** Messages a second in the last minute, to the upstream and from it. */
  readonly rateOut: number
  readonly rateIn: number
  /** Not sent: a limit pushed them out, an outage left only what was newer, or their time was over. */
  readonly dropped: number
  readonly thinned: number
  readonly expired: number
  /** Set aside, because the upstream would not take them. */
  readonly dead: number
  /** How far a backlog is worked off, and when that will be done in wall time. */
  readonly drain: { readonly done: number; readonly of: number; readonly endsAt: number | undefined } | undefined
}

export interface DeviceFigures {
  readonly room: string
  readonly name: string
  readonly state: 'starting' | 'online' | 'offline' | 'stale'
  readonly counters: { readonly readings: number; readonly dropped: number; readonly faults: number }
  /** What its values are, by name; under the empty name, a single value. */
  readonly values: Readonly<
    Record<string, { readonly unit?: string | undefined; readonly deviceClass?: string | undefined }>
  >
  /** What it said last, by the same names: numbers, and 1 and 0 for on and off. */
  readonly numbers: Readonly<Record<string, number>>
  /** Wall time of the last reading. */
  readonly heardAt?: number | undefined
}

/** Whose certificate it is: a listener by its address, a bridge by its name. */
export interface CertificateOwner {
  readonly of: 'listener' | 'bridge'
  readonly name: string
}

export interface CertificateFile extends CertificateOwner {
  /** Absolute; PEM. */
  readonly file: string
}

/** A certificate that the gateway shows to others. */
export interface CertificateFigures extends CertificateOwner {
  /** Wall time. */
  readonly expiresAt: number
}

export interface ProcessFigures {
  /** Wall time. */
  readonly startedAt: number
  readonly heap: number
  readonly external: number
  /** Of both together. */
  readonly heapMost: number
  readonly resident: number
  /** Processor time. */
  readonly processor: number
  /** Open file descriptors, and how many there may be; undefined where the system does not say. */
  readonly files: { readonly open: number; readonly most: number } | undefined
  /** What the system wrote to disks for this process; undefined where it does not say. */
  readonly diskWritten: number | undefined
  /** How late the event loop was in the last interval. */
  readonly loop: { readonly median: number; readonly p99: number; readonly worst: number }
}

/** Where metrics are served. */
export interface HttpPlace {
  /** Name or address of this machine. */
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
}

/** Has the shape of the configuration's `metrics`. */
export interface MetricsSettings {
  /** Milliseconds between two publications below `$SYS`; 0 for none. */
  readonly sysInterval: number
  readonly listen?: HttpPlace | undefined
  /** Absolute; whose users may read them. */
  readonly passwordFile?: string | undefined
  /** Who shows it may read them. */
  readonly bearerToken?: string | undefined
}

/** Knows the users of a password file; `access/` has one. */
export interface Doorkeeper {
  /** Takes as long whether the user exists or not, and longer after failures. Rejects when too many log in at once. */
  mayEnter(userName: string, password: Buffer, address: string | undefined): boolean | Promise<boolean>
}
