/**
 * What a bridge needs of the broker, and what it is to whoever starts it. A bridge is a persistent
 * session of the hub whose other end is a connection to an upstream broker: its queue is the spool.
 */
import type { ReceivedIds, SessionQueue, Settlement } from '../broker/ports.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Properties } from '../mqtt/properties.ts'

/** What the hub gives a bridge. */
export interface BridgeBroker {
  /**
   * Opens, and creates when new, the persistent session `clientId` with exactly these subscriptions.
   * What matches waits in its queue from now on, also across restarts, and also what was published with
   * QoS 0. Resolves when the session and its subscriptions are durable.
   */
  openSpool(clientId: string, filters: readonly SpoolFilter[]): Promise<SessionQueue>
  /** Tells this gateway from all others, in the hops of a message. */
  readonly gatewayId: string
  /**
   * Publishes what the upstream sent, in the name of the session `clientId`, whose own spool does not get it.
   * `settlement` is told as the publisher of any message is; with `packetId` (QoS 2) that is recorded in the same commit.
   * Returns what is wrong with the message; then nothing was done.
   */
  receive(
    clientId: string,
    message: ReceivedMessage,
    settlement: Settlement | null,
    packetId?: number,
  ): string | undefined
  /** QoS 2: the identifiers of the upstream's messages that are recorded and not forgotten. */
  received(clientId: string): ReceivedIds
  /** QoS 2: as `QueueEngine.repeated`. */
  repeated(clientId: string, packetId: number, settlement: Settlement): void
  /** QoS 2: as `QueueEngine.forget`. */
  forget(clientId: string, packetId: number, done: () => void): void
  /** Puts a message at the end of a queue that `openSpool` gave. Rejects when there is no room for it. */
  append(queue: SessionQueue, message: ReceivedMessage): Promise<void>
  /** Publishes something of the gateway's own. */
  publish(topic: string, payload: Buffer, options: { qos: QoS; retain: boolean }): Promise<void>
}

export interface ReceivedMessage {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: QoS
  readonly retain: boolean
  /** MQTT 5. */
  readonly properties?: Properties | undefined
}

export interface SpoolFilter {
  readonly filter: string
  /** 2 only for a rule of QoS 2: a message of QoS 2 then waits until it is durable. */
  readonly qos: 1 | 2
}

/** One rule, as Mosquitto's `topic FILTER out|in|both QOS LOCAL-PREFIX REMOTE-PREFIX`. Has the shape of the configuration's. */
export interface BridgeRule {
  readonly filter: string
  readonly qos: QoS
  /** `clear`: messages go on without RETAIN. Absent, as they were published. */
  readonly retain?: 'keep' | 'clear' | undefined
  readonly localPrefix?: string | undefined
  readonly remotePrefix?: string | undefined
}

/** Has the shape of the configuration's bridges. */
export interface BridgeSettings {
  readonly name: string
  /** `mqtt://host:port`. */
  readonly url: string
  readonly clientId: string
  readonly username?: string | undefined
  readonly password?: string | undefined
  /** Milliseconds; sent upstream in whole seconds. 0 sends no pings. */
  readonly keepalive: number
  /** QoS 1 messages sent upstream and not acknowledged yet. */
  readonly maxInflight: number
  /** Milliseconds between two attempts to connect: shortest and longest. */
  readonly retry: { readonly min: number; readonly max: number }
  readonly out: readonly BridgeRule[]
  /** From the upstream to us. */
  readonly in?: readonly BridgeRule[] | undefined
  /** Both ways: each stands for one of `out` and one of `in`. */
  readonly both?: readonly BridgeRule[] | undefined
  /** The upstream is told as well whether the bridge is connected: `$SYS/broker/connection/<client id>/state`. */
  readonly notifyUpstream?: boolean | undefined
}

export interface BridgeStatus {
  readonly connected: boolean
  /** Messages in the spool: waiting, or sent and not acknowledged. */
  readonly waiting: number
  /** Messages that the upstream has acknowledged (QoS 1) or that were handed to its socket (QoS 0), since the start. */
  readonly sent: number
  /** Messages removed because no rule maps their topic, since the start. */
  readonly unmapped: number
}

/** What a bridge tells about itself. Counts are of messages since the start. */
export interface BridgeState extends BridgeStatus {
  /** ms of wall time at which it became what `connected` says; undefined before the first connection. */
  readonly since: number | undefined
  /** Taken from the upstream and published here. */
  readonly received: number
  /** From the upstream, not published: a topic that no rule maps or that is none, or a message of our own that came round. */
  readonly ignored: number
  /** What the upstream would not take and is set aside now. */
  readonly dead: number
  /** Why the last connection ended or did not come about. */
  readonly lastError: string | undefined
}

/** Client identifiers with this prefix are the gateway's own; the hub must refuse them to clients. */
export const SPOOL_CLIENT_PREFIX = '$bridge/'

/** Behind the identifier of a spool: the queue of what its upstream would not take. Names of bridges have no slash. */
export const DEAD_LETTERS_SUFFIX = '/dead'
