/**
 * What the broker needs of others. Stores implement it (`store/`), listeners and bridges use it.
 *
 * The broker speaks aedes' persistence contract for what a session remembers (subscriptions, wills,
 * incoming QoS 2, retained messages), plus one extension: queues. Aedes' contract says of a message
 * only "enqueued", with a promise each; `QueueEngine` says, without a promise, when a message is
 * *settled*: durable, or waited for by nobody. Only then may its publisher be acknowledged.
 */
import type { Readable } from 'node:stream'
import type { EnhancedAuthentication } from '../access/ports.ts'
import type { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Grant, Grants, Subscription } from '../mqtt/subscription.ts'

export type { Message } from '../mqtt/message.ts'
export type { Subscription } from '../mqtt/subscription.ts'

/** A will as aedes' contract passes it. */
export interface Will {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  /** MQTT 5: as in `Message`. */
  forwarded?: Buffer | undefined
  /** MQTT 5: seconds from the end of the connection to the will. */
  willDelayInterval?: number
  /** MQTT 5: seconds from being published to its expiry. */
  messageExpiryInterval?: number | undefined
  /** Broker that the client was connected to; set by the store. */
  brokerId?: string
  clientId?: string
  /** User name of the client, and the address of the listener that it came in by: whether it may say this is asked when it is published. */
  userName?: string | undefined
  listener?: string | undefined
}

/** Told once what became of a message. An object rather than a function, so that the hot path allocates nothing. */
export interface Settlement {
  settled(): void
  /** The store has no room for it: nobody gets it, and its publisher must not believe so. */
  refused(): void
}

/**
 * The time that expiry is counted in, in milliseconds: it never jumps, and goes on over a restart as far as can be
 * known. It is no date.
 */
export interface LifeTime {
  now(): number
}

/** One message in the queue of one session, not yet acknowledged by it. */
export interface Delivery {
  /** Place in the session's queue, consecutive from 0. The packet identifier follows from it, so it survives a restart. */
  readonly index: number
  readonly message: Message
  /** The lower of the message's and the subscription's QoS. One of QoS 0 is sent once, and removed when it is sent. */
  readonly qos: QoS
  /** RETAIN flag to send. */
  readonly retain: boolean
  /** MQTT 5: the identifiers of all the subscriptions that matched. */
  readonly subscriptionIdentifiers: readonly number[] | undefined
  /** It came through a shared subscription: another member may have it when this session goes. */
  readonly isShared: boolean
  /** True when it may have been sent before. */
  readonly dup: boolean
  /** QoS 2: PUBREC was received and is on record, as the so-manieth; PUBREL is what is to be sent. Undefined before. */
  readonly released: number | undefined
  /** Set by `assign`; else the packet identifier follows from the index. */
  readonly packetId: number | undefined
  /** When it came, in `Persistence.time`; undefined where that is not kept. */
  readonly acceptedAt?: number | undefined
}

/**
 * The messages of QoS 1 and 2 that wait for one session, in order. In memory for a clean session, in
 * the store for a persistent one; the session cannot tell.
 */
export interface OutQueue {
  /** Deliveries that are waiting or sent but not acknowledged. */
  readonly count: number
  /** Called when `take` may have something again. Never called from inside `take`. */
  onReady: (() => void) | null
  /**
   * The next delivery to send, or undefined when there is none *now*: the queue is empty, is being
   * read, or its next message must become durable first (QoS 2). `onReady` follows in the last two cases.
   */
  take(): Delivery | undefined
  /** PUBACK or PUBCOMP came, or the message is given up. */
  remove(delivery: Delivery): void
  /**
   * Gives a delivery a packet identifier of its own, because the one that follows from its index is still in use.
   * `done` is called when that is on record, for QoS 2: after a restart it must be sent with the same one.
   */
  assign(delivery: Delivery, packetId: number, done: () => void): void
  /** PUBREC came (QoS 2). `done` is called when that is durable: PUBREL may be sent then, not before. */
  release(delivery: Delivery, done: () => void): void
  /** Starts over from the oldest delivery that was not removed: what was taken before comes again, marked `dup`. */
  rewind(): void
}

/** The queue of a persistent session. Kept by the store whether or not the session has a connection. */
export interface SessionQueue extends OutQueue {
  readonly clientId: string
  /** Bytes of the messages that `count` counts; undefined where they are not counted. */
  readonly bytes?: number | undefined
  /** Messages that left it without being sent, since the start: pushed out by a limit, or their time was over. */
  readonly losses?: { readonly dropped: number; readonly expired: number } | undefined
  /** A connection takes over: `take` begins at the oldest. */
  attach(onReady: () => void): void
  /** The connection is gone: memory is given back; what waits is on disk or on its way there. */
  detach(): void
  /** Everything that is not removed, in order, read page by page. */
  all(): AsyncIterable<Delivery>
}

/** A queue that a message goes to, and what its subscriptions grant. */
export interface QueueTarget {
  readonly queue: SessionQueue
  readonly grants: Grants
  readonly isShared: boolean
  /** It belongs to a bridge, which wants messages of QoS 0 too, and carries them at QoS 1. */
  readonly isSpool?: boolean
  /** The session in whose name the queue is there; absent, its own. */
  readonly owner?: string
}

/** QoS 2: packet identifiers between PUBLISH and PUBREL. */
export interface ReceivedIds {
  readonly size: number
  has(packetId: number): boolean
}

/** When a session ends (MQTT 5 §3.1.2.11.2). */
export interface SessionExpiry {
  /** Seconds after the end of its connection; undefined for never. */
  readonly interval: number | undefined
  /** End of its last connection, in `Persistence.time`; undefined while it is connected, or when a crash ended it. */
  readonly leftAt: number | undefined
}

/**
 * The store's extension to aedes' contract. All calls are synchronous in memory; what is written is
 * written by the store's group commit.
 */
export interface QueueEngine {
  /** The persistent sessions with a subscription of QoS > 0 that matches, each once. Shared subscriptions are not among them. */
  targets(topic: string): readonly QueueTarget[]
  /** The sessions that a message of QoS 0 is queued for as well. */
  spools(topic: string): readonly QueueTarget[]
  /**
   * Takes a message of QoS 1 or 2 (or of QoS 0, for spools): appends it to the queue of each target and, when it is retained,
   * makes it the retained message of its topic (an empty payload removes that). `settlement` is told
   * when the message is durable or nobody waits for it any more, whichever is first; a retained
   * message waits until it is durable.
   *
   * With `received` (QoS 2), the packet identifier is recorded in the same commit as the message,
   * and the message is not given to its queues before that is durable: exactly once must survive a
   * pulled plug.
   *
   * Returns false when there is no room for it: then nothing was done, and `settlement` is told so.
   */
  accept(
    message: Message,
    targets: readonly QueueTarget[],
    settlement: Settlement | null,
    received?: { clientId: string; packetId: number },
  ): boolean
  /** A retained message of QoS 0: known at once, written lazily. */
  retain(message: Message): void
  /** Appends a retained message to the queue of a new subscription, with RETAIN set. */
  acceptRetained(message: Message, queue: SessionQueue, grant: Grant): void
  /** QoS 2: the packet identifiers of a persistent session that are recorded and not forgotten. */
  received(clientId: string): ReceivedIds
  /**
   * QoS 2: a message whose packet identifier is recorded came again, on another connection. `settlement` is told when the
   * first one is settled: PUBREC may be sent then.
   */
  repeated(clientId: string, packetId: number, settlement: Settlement): void
  /** QoS 2: PUBREL came. `done` is called when the identifier is durably forgotten: PUBCOMP may be sent then. */
  forget(clientId: string, packetId: number, done: () => void): void
  /** The retained messages whose topics match. */
  retained(filter: string): Iterable<Message>
  /** The queue of a persistent session, or undefined when there is no such session. */
  find(clientId: string): SessionQueue | undefined
  /** Client identifiers of all persistent sessions. */
  clientIds(): Iterable<string>
  /** Session Expiry Interval of a session, and when its connection ended. */
  expiryOf(clientId: string): SessionExpiry
  /** Notes it; durable lazily. */
  setExpiry(clientId: string, expiry: SessionExpiry): void
  /** Makes the session persistent if it is not yet; resolves when that is durable. */
  open(clientId: string): Promise<SessionQueue>
  /** Ends a session: its subscriptions, its queue and its incoming QoS 2 identifiers. Resolves when that is durable. */
  discard(clientId: string): Promise<void>
}

/** Aedes' persistence contract, as far as the broker calls it, with our extension. */
export interface Persistence {
  readonly queues: QueueEngine
  readonly time: LifeTime
  /** Milliseconds that the oldest message of these sessions has waited; absent where that is not known. */
  oldest?(isMeant: (clientId: string) => boolean): number
  setup(broker: { id: string; counter: number }): Promise<void>
  addSubscriptions(client: { id: string }, subscriptions: Subscription[]): Promise<void>
  removeSubscriptions(client: { id: string }, filters: string[]): Promise<void>
  subscriptionsByClient(client: { id: string }): Promise<Subscription[]>
  putWill(client: { id: string }, will: Will): Promise<void>
  delWill(client: { id: string }): Promise<Will | undefined>
  streamWill(brokers?: Record<string, unknown>): Readable
  destroy(): Promise<void>
}

/** A client, as access rules know it. A session is one. */
export interface ClientNames {
  readonly id: string
  readonly userName: string | undefined
}

/** Who may come in by a listener, and what they may do. Answers may change while the gateway runs. */
export interface AccessRules extends EnhancedAuthentication {
  /** There is a list that says who may do what, also below `$SYS`. */
  readonly hasList: boolean
  /** Whether a client with this user name and password may come in. Rejects when it cannot be said. */
  mayEnter(
    userName: string | undefined,
    password: Buffer | undefined,
    address: string | undefined,
  ): boolean | Promise<boolean>
  /** The name as it stands in the list of users: one that is only spelt otherwise must not evade what denies it something. */
  nameOf(userName: string): string
  mayPublish(client: ClientNames, topic: string): boolean
  maySubscribe(client: ClientNames, filter: string): boolean
  mayReceive(client: ClientNames, topic: string): boolean
}

/** The emitter contract of aedes (`mqemitter`), but a listener is called once for a message, also when several of its filters match. */
export interface Emitter {
  on(filter: string, listener: Listener, done?: () => void): unknown
  removeListener(filter: string, listener: Listener, done?: () => void): unknown
  emit(message: Message, done?: (error?: Error) => void): unknown
  close(done: () => void): unknown
}

export type Listener = (message: Message, done: () => void) => void
