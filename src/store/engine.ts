/**
 * The queue engine: what the broker's hot path asks of the store. Everything here is synchronous and in
 * memory; the committer carries it to the disk. Reading back is by pages.
 */
import type {
  Message,
  QueueEngine,
  QueueTarget,
  ReceivedIds,
  SessionExpiry,
  SessionQueue,
  Settlement,
} from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Grant } from '../mqtt/subscription.ts'
import type { Committer, Operation, Urgency } from './committer.ts'
import type { Disk } from './disk.ts'
import { type Durability, delayOf } from './durability.ts'
import { Entry, PENDING, type Receipt, type Ref } from './entry.ts'
import type { Incoming } from './incoming.ts'
import { bodyKey, queueKey, subscriptionKey } from './keys.ts'
import { type LevelQueue, NEVER } from './queue.ts'
import type { Page, QueueStore } from './queue-store.ts'
import type { Quota } from './quota.ts'
import type { QueueReader } from './reader.ts'
import type { RetainedMessages } from './retained.ts'
import { type Sessions, sessionRecord } from './sessions.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { StoreTime } from './time.ts'

/** A message of QoS 0 that is queued is written within so many milliseconds: often enough, and easy on the card. */
const QOS0_WINDOW_MS = 2_000
/** Milliseconds until a page that could not be read is asked for again. */
const READ_RETRY_MS = 1_000

export interface EngineStats {
  /** Messages that a limit pushed out of a queue, or that it did not let in. */
  dropped: number
  /** Messages whose time was over before they were sent. */
  expired: number
  /** Messages that there was no room for, so that their publishers were not acknowledged. */
  refused: number
}

export interface EngineOptions {
  /** QoS 0 is queued for sessions that are away. */
  queueQos0: boolean
}

export class Engine implements QueueEngine, QueueStore {
  readonly stats: EngineStats = { dropped: 0, expired: 0, refused: 0 }
  readonly #options: EngineOptions
  readonly #disk: Disk
  readonly #reader: QueueReader
  readonly #clock: Clock
  readonly #time: StoreTime
  readonly #committer: Committer
  readonly #durability: Durability
  readonly #quota: Quota
  readonly #hasRoom: () => boolean
  readonly #sessions: Sessions
  readonly #subscriptions: Subscriptions
  readonly #retained: RetainedMessages
  readonly #incoming: Incoming
  readonly #log: Log
  readonly #overflowing = new Set<LevelQueue>()
  #relieving = false
  readonly #reserve = (operation: Operation) => this.#committer.write(operation, 'soon')

  constructor(deps: {
    options: EngineOptions
    disk: Disk
    reader: QueueReader
    clock: Clock
    time: StoreTime
    committer: Committer
    durability: Durability
    quota: Quota
    hasRoom: () => boolean
    sessions: Sessions
    subscriptions: Subscriptions
    retained: RetainedMessages
    incoming: Incoming
    log: Log
  }) {
    this.#options = deps.options
    this.#disk = deps.disk
    this.#reader = deps.reader
    this.#clock = deps.clock
    this.#time = deps.time
    this.#committer = deps.committer
    this.#durability = deps.durability
    this.#quota = deps.quota
    this.#hasRoom = deps.hasRoom
    this.#sessions = deps.sessions
    this.#subscriptions = deps.subscriptions
    this.#retained = deps.retained
    this.#incoming = deps.incoming
    this.#log = deps.log
  }

  targets(topic: string): readonly QueueTarget[] {
    return this.#subscriptions.targets(topic)
  }

  spools(topic: string): readonly QueueTarget[] {
    return this.#subscriptions.spools(topic)
  }

  accept(
    message: Message,
    targets: readonly QueueTarget[],
    settlement: Settlement | null,
    received?: { clientId: string; packetId: number },
  ): boolean {
    const isRetained = message.retain && message.qos > 0
    // Without room on the disk nothing is promised ahead of it.
    const window = this.#hasRoom() ? this.#windowOf(message) : 0
    // QoS 2 takes its turn with the commits even if nothing is to be written: messages of one publisher keep their order.
    const mustCommit = window === 0 && (message.qos === 2 || isRetained)
    if (targets.length === 0 && !mustCommit && !isRetained) {
      settlement?.settled()
      return true
    }
    if (!this.#mayAccept(message, targets, mustCommit)) {
      this.stats.refused++
      settlement?.refused()
      return false
    }
    if (isRetained) this.#retained.set(message)
    const receipt = received === undefined ? undefined : this.#incoming.receiptOf(received)
    const entry = this.#enter(message, mustCommit, window, settlement, receipt)
    let urgency: Urgency = mustCommit ? 'now' : 'soon'
    for (const target of targets) if (this.#enqueue(entry, target)) urgency = 'now'
    if (entry.isAlive) this.#committer.add(entry, urgency)
    else if (isRetained) this.#committer.within(delayOf(window))
    if (window > 0 || !entry.isAlive) entry.settle()
    // Only now, when every queue has it: the first session's acknowledgement must not settle it for all.
    if (!entry.held) for (const target of targets) target.queue.onReady?.()
    return true
  }

  /**
   * Nobody is promised anything of QoS 0. QoS 2 is durable whatever was set: a packet identifier that a power cut
   * frees while its receiver still holds it would make a later message pass for the lost one.
   */
  #windowOf({ topic, qos }: Message): number {
    if (qos === 2) return 0
    const window = this.#durability.windowOf(topic)
    return qos === 0 ? Math.max(window, QOS0_WINDOW_MS) : window
  }

  /** Puts the message into a queue. Returns true when the session is away, so that the disk must have it at once. */
  #enqueue(entry: Entry, target: QueueTarget): boolean {
    const { message } = entry
    const queue = target.queue as LevelQueue
    const grant = message.clientId === (target.owner ?? queue.clientId) ? target.grants.own : target.grants.others
    // [MQTT-3.8.3-3] No local.
    if (grant === null) return false
    const isSpool = target.isSpool === true
    const qos = isSpool ? spooledQos(message, grant) : (Math.min(message.qos, grant.qos) as QoS)
    // Who is here gets QoS 0 at once.
    if (qos === 0 && (queue.attached || !this.#options.queueQos0)) return false
    if (this.#quota.limits.overflow === 'drop-newest' && this.#isFull(queue, message)) {
      this.dropped(queue)
      return false
    }
    const { rap, subscriptionIdentifiers } = grant
    const retain = rap && message.retain
    entry.refs.push(queue.append(entry, { qos, retain, subscriptionIdentifiers, isShared: target.isShared }))
    entry.waiting++
    if (this.#quota.isTotalOver()) void this.#relieve()
    // Nobody waits for an acknowledgement of QoS 0.
    return !queue.attached && message.qos > 0
  }

  /** False when the message needs a disk that has no room, or a queue that has none and may not drop. */
  #mayAccept(message: Message, targets: readonly QueueTarget[], mustCommit: boolean): boolean {
    if (!this.#hasRoom() && (mustCommit || targets.some(({ queue }) => !(queue as LevelQueue).attached))) return false
    if (this.#quota.limits.overflow !== 'reject') return true
    return !targets.some(({ queue }) => this.#isFull(queue as LevelQueue, message))
  }

  #isFull(queue: LevelQueue, { size }: Message): boolean {
    const more = { count: 1, bytes: size }
    return this.#quota.isOver(queue, more) || this.#quota.isTotalOver(more)
  }

  /** All queues together hold too much: the one that holds most gives way. */
  async #relieve(): Promise<void> {
    if (this.#relieving || this.#quota.limits.overflow !== 'drop-oldest') return
    this.#relieving = true
    try {
      for (let before = Number.POSITIVE_INFINITY; this.#quota.isTotalOver() && this.#quota.bytes < before; ) {
        before = this.#quota.bytes
        let largest: LevelQueue | undefined
        for (const queue of this.#sessions) if (queue.bytes > (largest?.bytes ?? 0)) largest = queue
        await largest?.dropOldest(() => !this.#quota.isTotalOver())
      }
    } finally {
      this.#relieving = false
    }
  }

  retain(message: Message): void {
    this.#retained.set(message)
  }

  acceptRetained(message: Message, to: SessionQueue, grant: Grant): void {
    const queue = to as LevelQueue
    const qos = spooledQos(message, grant)
    if (qos === 0) return
    const { subscriptionIdentifiers } = grant
    const entry = this.#enter(message, false, 0, null)
    entry.refs.push(queue.append(entry, { qos, retain: true, subscriptionIdentifiers, isShared: false }))
    entry.waiting++
    this.#committer.add(entry, queue.attached ? 'soon' : 'now')
    if (!entry.held) queue.onReady?.()
  }

  received(clientId: string): ReceivedIds {
    return this.#incoming.of(clientId)
  }

  repeated(clientId: string, packetId: number, settlement: Settlement): void {
    this.#incoming.repeated(clientId, packetId, settlement)
  }

  forget(clientId: string, packetId: number, done: () => void): void {
    this.#incoming.forget(clientId, packetId, done)
  }

  retained(filter: string): Iterable<Message> {
    return this.#retained.matching(filter)
  }

  *clientIds(): Generator<string> {
    for (const queue of this.#sessions) yield queue.clientId
  }

  expiryOf(clientId: string): SessionExpiry {
    return this.#sessions.find(clientId)?.expiry ?? NEVER
  }

  setExpiry(clientId: string, expiry: SessionExpiry): void {
    const queue = this.#sessions.find(clientId)
    if (queue === undefined) return
    const { interval, leftAt } = queue.expiry
    queue.expiry = expiry
    // A session that never ends need not say when it was left: most clients write nothing here.
    if (interval === expiry.interval && (interval === undefined || leftAt === expiry.leftAt)) return
    this.#committer.write(sessionRecord(queue), 'lazy')
  }

  find(clientId: string): SessionQueue | undefined {
    return this.#sessions.find(clientId)
  }

  async open(clientId: string): Promise<SessionQueue> {
    const known = this.#sessions.find(clientId)
    if (known !== undefined) return known
    const queue = this.create(clientId)
    await this.#committer.durable()
    return queue
  }

  /** The queue of the session, made when there is none. Durable with the next commit. */
  create(clientId: string): LevelQueue {
    const { queue, operations } = this.#sessions.create(clientId, this)
    for (const operation of operations) this.#committer.write(operation, 'now')
    return queue
  }

  async discard(clientId: string): Promise<void> {
    const queue = this.#sessions.find(clientId)
    this.#incoming.forgetAll(clientId)
    if (queue === undefined) return this.#committer.durable()
    for (const { topic } of this.#subscriptions.of(queue)) {
      this.#subscriptions.delete(queue, topic)
      this.#committer.write({ type: 'del', key: subscriptionKey(queue.session, topic) }, 'now')
    }
    queue.discard()
    for (const operation of this.#sessions.delete(queue)) this.#committer.write(operation, 'now')
    await this.#committer.durable()
    if (this.#disk.isOpen) void this.#reader.purge(queue.session)
  }

  // What the queues need.

  readPage(queue: LevelQueue, from: number, until: number): Promise<Page> {
    return this.#reader.readPage(queue, from, until)
  }

  erase(ref: Ref): void {
    const { queue, entry } = ref
    const operation: Operation = { type: 'del', key: queueKey(queue.session, ref.index) }
    if (!entry.isInline && !entry.isAbandoned() && entry.doubtfulPlaces().length > 0) {
      this.#reader.eraseLater(entry, operation, queue)
      return
    }
    this.#committer.write(operation, 'lazy', { queue })
    if (!entry.isInline && entry.isAbandoned()) {
      this.#committer.write({ type: 'del', key: bodyKey(entry.id) }, 'lazy')
    }
  }

  rewrite(ref: Ref, done: () => void): void {
    const key = queueKey(ref.queue.session, ref.index)
    this.#committer.write({ type: 'put', key, value: ref.record() }, 'now', { done })
  }

  nextRelease(): number {
    // Any number that only grows, also over a restart: those of messages do.
    return this.#sessions.nextMessage(this.#reserve)
  }

  sent(queue: LevelQueue): void {
    this.#committer.write(null, 'lazy', { queue })
  }

  sessionLeft(queue: LevelQueue): void {
    if (queue.hasPending) this.#committer.press()
    // Its position is only worth a write when it moved.
    if (queue.isPositionNew()) this.#committer.write(null, 'lazy', { queue })
  }

  readFailed(queue: LevelQueue, error: unknown): void {
    this.#log.error({ client: queue.clientId, reason: reasonOf(error) }, 'a session queue could not be read')
    this.#clock.after(READ_RETRY_MS, () => queue.onReady?.())
  }

  expired(): void {
    this.stats.expired++
  }

  deadlineOf({ message, acceptedAt }: Entry): number {
    return Math.min(message.expiresAt ?? Number.POSITIVE_INFINITY, acceptedAt + this.#quota.limits.maxAge)
  }

  now(): number {
    return this.#time.now()
  }

  /** Forgets which queues were full and are not any more. */
  endEpisodes(): void {
    for (const queue of this.#overflowing) if (!this.#quota.isNearlyOver(queue)) this.#overflowing.delete(queue)
  }

  dropped(queue: LevelQueue): void {
    this.stats.dropped++
    queue.losses.dropped++
    if (this.#overflowing.has(queue)) return
    this.#overflowing.add(queue)
    this.#log.warn(
      { client: queue.clientId, waiting: queue.count, overflow: this.#quota.limits.overflow },
      'the queue of a session is full and messages are dropped (limits.max_queued_…, max_total_…, overflow)',
    )
  }

  #enter(
    message: Message,
    mustCommit: boolean,
    window: number,
    settlement: Settlement | null,
    receipt?: Receipt,
  ): Entry {
    const id = this.#sessions.nextMessage(this.#reserve)
    const acceptedAt = this.#time.now()
    return new Entry({ id, message, acceptedAt, state: PENDING, mustCommit, window, settlement, receipt })
  }
}

/** The lower of the two; a message of QoS 0 that a spool takes is carried at QoS 1. */
function spooledQos(message: Message, grant: Grant): QoS {
  return message.qos === 0 ? 1 : (Math.min(grant.qos, message.qos) as QoS)
}
