/**
 * What a bridge needs of the broker, and what it is to whoever starts it. A bridge is a persistent
 * session of the hub whose other end is a connection to an upstream broker: its queue is the spool.
 */
import type { Message, ReceivedIds, SessionQueue, Settlement } from '../broker/ports.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Properties } from '../mqtt/properties.ts'

/** What the hub gives a bridge. */
export interface BridgeBroker {
  /** The spools that are kept under the bridge's own identifier, and under what begins with it and a slash, but for its dead letters. */
  spools(clientId: string): Promise<FoundSpool[]>
  /**
   * Opens, and creates when new, these persistent sessions of one bridge with exactly these subscriptions.
   * What matches waits in their queues from now on, also across restarts, and also what was published with
   * QoS 0; but not what another bridge carries to the same topic of the same upstream, as `way` says. Resolves when the
   * sessions and their subscriptions are durable. What goes from one to another by this is in one of them, always.
   */
  openSpools(requests: readonly SpoolRequest[], way?: SpoolWay): Promise<SessionQueue[]>
  /** Ends a spool, with what waits in it. */
  discardSpool(clientId: string): Promise<void>
  /** Bytes of the largest packet that is taken from an upstream. */
  readonly maxPacketSize: number
  /** ms, in the time in which messages come and expire. It is no date. */
  now(): number
  /** ms that the oldest message of these spools has waited, as of some ten seconds ago; undefined where that is not known. */
  oldest(clientIds: readonly string[]): number | undefined
  /**
   * Publishes what the upstream sent, in the name of the session `clientId`, whose own spool does not get it.
   * `settlement` is told as the publisher of any message is, also when the message is known already, by whatever way
   * it came; with `packetId` (QoS 2) that is recorded in the same commit. Of a fault, nothing was done.
   */
  receive(clientId: string, message: ReceivedMessage, settlement: Settlement | null, packetId?: number): Receipt
  /**
   * A message of the spool `clientId` is sent. `isNamed`: with its user properties. `isRepeated`: it may have been
   * sent before. Who brings a copy of it is known then.
   */
  left(clientId: string, message: Message, isNamed: boolean, isRepeated: boolean): void
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
  /** What the topic was at the upstream. */
  readonly upstreamTopic?: string | undefined
  /** It may only say what the upstream has retained: if that is retained here too, it is no news. */
  readonly isReplay?: boolean | undefined
}

/** What became of a message from the upstream: `known` ones have come, or begun, here before. */
export type Receipt = 'taken' | 'known' | { readonly fault: string }

/** Where a spool leads to. */
export interface SpoolWay {
  /** Addresses of the upstream: who has one of them leads to the same. */
  readonly places: readonly string[]
  /** The topic there of a local topic; undefined when it goes nowhere. */
  topicOf(topic: string): string | undefined
}

export interface SpoolFilter {
  readonly filter: string
  /** 2 only for a rule of QoS 2: a message of QoS 2 then waits until it is durable. */
  readonly qos: 1 | 2
  /** Topics that match one of these wait in another spool. */
  readonly except?: readonly string[] | undefined
}

export interface SpoolRequest {
  readonly clientId: string
  readonly filters: readonly SpoolFilter[]
}

export interface FoundSpool extends SpoolRequest {
  /** Messages in it. */
  readonly count: number
}

/** One rule, as Mosquitto's `topic FILTER out|in|both QOS LOCAL-PREFIX REMOTE-PREFIX`. Has the shape of the configuration's. */
export interface BridgeRule {
  readonly filter: string
  readonly qos: QoS
  /** `clear`: messages go on without RETAIN. Absent, as they were published. */
  readonly retain?: 'keep' | 'clear' | undefined
  readonly localPrefix?: string | undefined
  readonly remotePrefix?: string | undefined
  /** Of the messages of a topic that come within so many ms, an outage leaves the newest; 0 leaves all, Infinity the one. */
  readonly onBacklog?: number | undefined
  readonly priority?: 'high' | 'normal' | 'low' | undefined
  /** What a message is put into. */
  readonly wrap?: 'json' | undefined
  /** Messages go together: those of `every` ms, of up to `maxBytes`, as one on `topic` of the upstream. */
  readonly batch?: { readonly every: number; readonly maxBytes: number; readonly topic: string } | undefined
  readonly compress?: 'gzip' | undefined
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
  /** Percent of what is sent that fresh messages may have while there is a backlog. */
  readonly drainShare?: number | undefined
  /** Messages a second. */
  readonly maxRate?: number | undefined
  /** Milliseconds between two attempts to connect: shortest and longest. */
  readonly retry: { readonly min: number; readonly max: number }
  readonly out: readonly BridgeRule[]
  /** From the upstream to us. */
  readonly in?: readonly BridgeRule[] | undefined
  /** Both ways: each stands for one of `out` and one of `in`. */
  readonly both?: readonly BridgeRule[] | undefined
  /** The upstream is told as well whether the bridge is connected: `$SYS/broker/connection/<client id>/state`. */
  readonly notifyUpstream?: boolean | undefined
  /** In place of that topic, here and there. */
  readonly notificationTopic?: string | undefined
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
  readonly paused: boolean
  /** Bytes of the messages in the spool. */
  readonly bytes: number
  /** ms that the oldest of them has waited; undefined where it is not known. */
  readonly oldest: number | undefined
  /** Messages a second in the last minute, to the upstream and from it. */
  readonly rateOut: number
  readonly rateIn: number
  /** Not sent: a limit of the spool pushed them out, or an outage left only what was newer, or their time was over. */
  readonly dropped: number
  readonly thinned: number
  readonly expired: number
  /** While a backlog is worked off. */
  readonly drain: DrainState | undefined
}

export interface DrainState {
  /** Messages. */
  readonly done: number
  readonly of: number
  /** ms of wall time; undefined when it cannot be said. */
  readonly endsAt: number | undefined
}

/** The user property of a CONNECT by which the bridge of a gateway says that it is one (MQTT 5). */
export const BRIDGE_PROPERTY = 'larder-bridge'

/** Client identifiers with this prefix are the gateway's own; the hub must refuse them to clients. */
export const SPOOL_CLIENT_PREFIX = '$bridge/'

/** Behind the identifier of a spool: the queue of what its upstream would not take. Names of bridges have no slash. */
export const DEAD_LETTERS_SUFFIX = '/dead'
