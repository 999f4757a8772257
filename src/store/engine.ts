/**
 * The queue engine: what the broker's hot path asks of the store. Everything here is synchronous and in
 * memory; the committer carries it to the disk. Reading back is by pages.
 */
import type { Message, QueueEngine, QueueTarget, SessionExpiry, SessionQueue, Settlement } from '../broker/ports.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Grant } from '../mqtt/subscription.ts'
import type { Committer, Operation, Urgency } from './committer.ts'
import type { Database } from './database.ts'
import { DURABLE, Entry, PENDING, type Place, Ref } from './entry.ts'
import { bodyKey, incomingKey, indexOfKey, queueKey, queueRange, sessionKey, subscriptionKey } from './keys.ts'
import { type LevelQueue, NEVER, type Page, type QueueStore } from './queue.ts'
import { decodeBody, decodeReference, encodeBody, encodeReference, type Reference } from './records.ts'
import type { RetainedMessages } from './retained.ts'
import { type Sessions, sessionRecord } from './sessions.ts'
import type { Subscriptions } from './subscriptions.ts'

/** References read from disk at a time… */
const PAGE_MESSAGES = 500
/** …unless their messages are larger than this together. */
const PAGE_BYTES = 1024 * 1024

const NO_IDS: ReadonlySet<number> = new Set()

export interface EngineStats {
  /** Messages that a limit pushed out of a queue. */
  dropped: number
  /** References whose message was not on disk. */
  dangling: number
}

export class Engine implements QueueEngine, QueueStore {
  readonly stats: EngineStats = { dropped: 0, dangling: 0 }
  readonly #database: Database
  readonly #committer: Committer
  readonly #sessions: Sessions
  readonly #subscriptions: Subscriptions
  readonly #retained: RetainedMessages
  readonly #incoming: Map<string, Set<number>>
  readonly #log: Log
  readonly #overflowing = new Set<LevelQueue>()
  readonly #reserve = (operation: Operation) => this.#committer.write(operation, 'soon')

  constructor(deps: {
    database: Database
    committer: Committer
    sessions: Sessions
    subscriptions: Subscriptions
    retained: RetainedMessages
    incoming: Map<string, Set<number>>
    log: Log
  }) {
    this.#database = deps.database
    this.#committer = deps.committer
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
  ): void {
    const isRetained = message.retain && message.qos > 0
    // QoS 2 takes its turn with the commits even if nothing is to be written: messages of one publisher keep their order.
    const mustCommit = message.qos === 2 || isRetained
    if (targets.length === 0 && !mustCommit) {
      settlement?.settled()
      return
    }
    if (isRetained) this.#retained.set(message)
    if (received !== undefined) this.recordReceived(received.clientId, received.packetId)
    const entry = this.#enter(message, mustCommit, settlement)
    let urgency: Urgency = mustCommit ? 'now' : 'soon'
    for (const target of targets) {
      const queue = target.queue as LevelQueue
      const grant = message.clientId === queue.clientId ? target.grants.own : target.grants.others
      // [MQTT-3.8.3-3] No local.
      if (grant === null) continue
      const qos = queuedQos(message, grant)
      if (qos === 0) continue
      const { rap, subscriptionIdentifiers } = grant
      const retain = rap && message.retain
      entry.refs.push(queue.append(entry, { qos, retain, subscriptionIdentifiers, isShared: target.isShared }))
      entry.waiting++
      if (!queue.attached) urgency = 'now'
    }
    if (entry.waiting === 0 && !mustCommit) {
      entry.settle()
      return
    }
    this.#committer.add(entry, urgency)
    // Only now, when every queue has it: the first session's acknowledgement must not settle it for all.
    if (!entry.held) for (const target of targets) target.queue.onReady?.()
  }

  retain(message: Message): void {
    this.#retained.set(message)
  }

  acceptRetained(message: Message, to: SessionQueue, grant: Grant): void {
    const queue = to as LevelQueue
    const qos = queuedQos(message, grant)
    if (qos === 0) return
    const { subscriptionIdentifiers } = grant
    const entry = this.#enter(message, false, null)
    entry.refs.push(queue.append(entry, { qos, retain: true, subscriptionIdentifiers, isShared: false }))
    entry.waiting++
    this.#committer.add(entry, queue.attached ? 'soon' : 'now')
    if (!entry.held) queue.onReady?.()
  }

  received(clientId: string): ReadonlySet<number> {
    return this.#incoming.get(clientId) ?? NO_IDS
  }

  forget(clientId: string, packetId: number, done: () => void): void {
    const ids = this.#incoming.get(clientId)
    if (ids?.delete(packetId) !== true) {
      done()
      return
    }
    if (ids.size === 0) this.#incoming.delete(clientId)
    this.#committer.write({ type: 'del', key: incomingKey(clientId, packetId) }, 'now', { done })
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
    this.forgetAll(clientId)
    if (queue === undefined) return this.#committer.durable()
    for (const { topic } of this.#subscriptions.of(queue)) {
      this.#subscriptions.delete(queue, topic)
      this.#committer.write({ type: 'del', key: subscriptionKey(queue.session, topic) }, 'now')
    }
    queue.discard()
    for (const operation of this.#sessions.delete(queue)) this.#committer.write(operation, 'now')
    await this.#committer.durable()
    if (this.#database.status === 'open') void this.purge(queue.session)
  }

  /** Records an incoming QoS 2 identifier, with its message where aedes' contract wants that kept. Durable with the next commit. */
  recordReceived(clientId: string, packetId: number, message?: Message): void {
    const ids = this.#incoming.get(clientId) ?? new Set()
    this.#incoming.set(clientId, ids.add(packetId))
    const value = message === undefined ? Buffer.alloc(0) : encodeBody(message, [])
    this.#committer.write({ type: 'put', key: incomingKey(clientId, packetId), value }, 'now')
  }

  /** The message that was recorded with an incoming identifier, if one was. */
  async receivedMessage(clientId: string, packetId: number): Promise<Message | undefined> {
    if (!this.received(clientId).has(packetId)) return undefined
    const value = await this.#database.get(incomingKey(clientId, packetId))
    return value === undefined || value.length === 0 ? undefined : decodeBody(value).message
  }

  /** Removes every incoming QoS 2 identifier of a session. */
  forgetAll(clientId: string): void {
    for (const packetId of this.#incoming.get(clientId) ?? []) {
      this.#committer.write({ type: 'del', key: incomingKey(clientId, packetId) }, 'now')
    }
    this.#incoming.delete(clientId)
  }

  /**
   * Removes what a discarded session left on disk, page by page. Begun again at the next start when it
   * is interrupted: the session's mark (family d) goes last.
   */
  async purge(session: number): Promise<void> {
    try {
      const range = queueRange(session)
      for (;;) {
        const records = await this.#database.iterator({ ...range, limit: PAGE_MESSAGES }).all()
        if (records.length === 0) break
        const bodies = await this.#database.getMany(records.map(([, value]) => bodyKey(decodeReference(value).message)))
        for (const [i, [key, value]] of records.entries()) {
          this.#committer.write({ type: 'del', key }, 'lazy')
          const body = bodies[i]
          if (body === undefined) continue
          const { message } = decodeReference(value)
          if (this.#load(message, body).isAbandoned()) {
            this.#committer.write({ type: 'del', key: bodyKey(message) }, 'lazy')
          }
        }
        await this.#committer.durable()
      }
      await this.#committer.durable({ type: 'del', key: sessionKey('d', session) })
    } catch (error) {
      this.#log.warn(
        { reason: reasonOf(error) },
        'a discarded session could not be removed from disk; tried again at the next start',
      )
    }
  }

  // What the queues need.

  async readPage(queue: LevelQueue, from: number, until: number): Promise<Page> {
    const found: { index: number; reference: Reference }[] = []
    let bytes = 0
    const iterator = this.#database.iterator({
      gte: queueKey(queue.session, from),
      lt: queueKey(queue.session, until),
      limit: PAGE_MESSAGES,
    })
    let cut = false
    try {
      for (const [key, value] of await iterator.nextv(PAGE_MESSAGES)) {
        const reference = decodeReference(value)
        bytes += reference.size
        cut = found.length > 0 && bytes > PAGE_BYTES
        if (cut) break
        found.push({ index: indexOfKey(key), reference })
      }
    } finally {
      await iterator.close()
    }
    const bodies = await this.#database.getMany(found.map(({ reference }) => bodyKey(reference.message)))
    const refs: Ref[] = []
    for (const [i, { index, reference }] of found.entries()) {
      const body = bodies[i]
      if (body !== undefined) refs.push(this.#refOf(queue, index, reference, body))
      else if (queue.has(index)) {
        this.stats.dangling++
        queue.lose(index, reference.size)
      }
    }
    const last = found.at(-1)
    const isFull = cut || found.length === PAGE_MESSAGES
    return { refs, readUntil: isFull && last !== undefined ? last.index + 1 : until }
  }

  erase(ref: Ref): void {
    const { queue, entry } = ref
    this.#committer.write({ type: 'del', key: queueKey(queue.session, ref.index) }, 'lazy', { queue })
    if (entry.isAbandoned()) this.#committer.write({ type: 'del', key: bodyKey(entry.id) }, 'lazy')
  }

  rewrite(ref: Ref, done: () => void): void {
    const { queue, index, qos, retain, subscriptionIdentifiers, isShared, released, size, packetId } = ref
    const value = encodeReference({
      message: ref.entry.id,
      qos,
      retain,
      subscriptionIdentifiers,
      isShared,
      released,
      size,
      packetId,
    })
    this.#committer.write({ type: 'put', key: queueKey(queue.session, index), value }, 'now', { done })
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
  }

  dropped(queue: LevelQueue): void {
    this.stats.dropped++
    if (this.#overflowing.has(queue)) return
    this.#overflowing.add(queue)
    this.#log.warn(
      { client: queue.clientId, waiting: queue.count },
      'the queue of a session is full; its oldest messages are dropped (limits.max_queued_messages, limits.max_queued_bytes)',
    )
  }

  #enter(message: Message, mustCommit: boolean, settlement: Settlement | null): Entry {
    const id = this.#sessions.nextMessage(this.#reserve)
    return new Entry({ id, message, state: PENDING, mustCommit, settlement })
  }

  #refOf(queue: LevelQueue, index: number, reference: Reference, body: Buffer): Ref {
    const entry = this.#load(reference.message, body)
    const ref = new Ref(entry, queue, index, reference)
    ref.released = reference.released
    ref.packetId = reference.packetId
    return ref
  }

  #load(id: number, body: Buffer): Entry {
    const { message, places: written } = decodeBody(body)
    const places: Place[] = []
    for (const { session, index } of written) {
      const queue = this.#sessions.byNumber(session)
      if (queue !== undefined) places.push({ queue, index })
    }
    return new Entry({ id, message, state: DURABLE, mustCommit: false, settlement: null, places })
  }
}

/** The lower of the two; a message of QoS 0 is queued for spools only, at QoS 1. */
function queuedQos(message: Message, grant: Grant): QoS {
  return message.qos === 0 ? 1 : (Math.min(grant.qos, message.qos) as QoS)
}
