/**
 * The subscriptions of persistent sessions, in memory, and which queues a topic goes to. Answers are
 * kept by topic, since a home publishes to the same few topics all day.
 */
import type { QueueTarget, Subscription } from '../broker/ports.ts'
import { FilterTree } from '../mqtt/filter-tree.ts'
import { forget, remember } from '../mqtt/remember.ts'
import { grantsOf, isMeant } from '../mqtt/subscription.ts'
import { splitShare } from '../mqtt/topics.ts'
import type { LevelQueue } from './queue.ts'

/** Answers kept: enough for a large home. */
const MAX_CACHED_TOPICS = 10_000

interface Subscribed {
  readonly queue: LevelQueue
  readonly subscription: Subscription
}

interface Targets {
  readonly all: readonly QueueTarget[]
  readonly spools: readonly QueueTarget[]
}

const NONE: readonly QueueTarget[] = []

export class Subscriptions {
  readonly #tree = new FilterTree<Subscribed>()
  readonly #bySession = new Map<LevelQueue, Map<string, Subscribed>>()
  readonly #targets = new Map<string, Targets>()
  /** QoS 0 is queued as well. */
  readonly #queueQos0: boolean
  #spools = 0
  #queued = 0
  #all = 0
  #shared = 0

  constructor(options: { queueQos0: boolean }) {
    this.#queueQos0 = options.queueQos0
  }

  /** Subscriptions that messages are queued for: those of QoS 1 and 2. */
  get queuedCount(): number {
    return this.#queued
  }

  /** Those of clients, shared ones apart; the rules of bridges are not among them. */
  get plainCount(): number {
    return this.#all - this.#shared - this.#spools
  }

  get sharedCount(): number {
    return this.#shared
  }

  /** Sessions with at least one subscription. */
  get sessionCount(): number {
    return this.#bySession.size
  }

  set(queue: LevelQueue, subscription: Subscription): void {
    const filters = this.#bySession.get(queue) ?? new Map<string, Subscribed>()
    this.#bySession.set(queue, filters)
    const before = filters.get(subscription.topic)
    if (before !== undefined) this.#forget(before)
    const subscribed = { queue, subscription }
    filters.set(subscription.topic, subscribed)
    this.#all++
    // Who of a shared subscription gets a message is for the broker to say.
    if (splitShare(subscription.topic) === undefined) this.#tree.add(subscription.topic, subscribed)
    else this.#shared++
    if (subscription.qos > 0) this.#queued++
    if (subscription.spool === true) this.#spools++
    forget(this.#targets, subscription.topic)
  }

  /** Returns false when there was no such subscription. */
  delete(queue: LevelQueue, filter: string): boolean {
    const filters = this.#bySession.get(queue)
    const before = filters?.get(filter)
    if (filters === undefined || before === undefined) return false
    filters.delete(filter)
    if (filters.size === 0) this.#bySession.delete(queue)
    this.#forget(before)
    forget(this.#targets, filter)
    return true
  }

  of(queue: LevelQueue): Subscription[] {
    return Array.from(this.#bySession.get(queue)?.values() ?? [], ({ subscription }) => ({ ...subscription }))
  }

  /** Every subscription of QoS > 0 whose filter matches, with its session. */
  matching(topic: string): Subscribed[] {
    return this.#tree.match(topic).filter(({ subscription }) => subscription.qos > 0)
  }

  /** Client identifiers of the sessions that subscribe to exactly this filter. */
  *subscribersOf(filter: string): Generator<string> {
    for (const [queue, filters] of this.#bySession) if (filters.has(filter)) yield queue.clientId
  }

  /** The queues that a message of this topic goes to, each once. */
  targets(topic: string): readonly QueueTarget[] {
    return (this.#targets.get(topic) ?? this.#find(topic)).all
  }

  /** Those of them that a message of QoS 0 goes to. */
  spools(topic: string): readonly QueueTarget[] {
    if (this.#spools === 0 && !this.#queueQos0) return NONE
    return (this.#targets.get(topic) ?? this.#find(topic)).spools
  }

  #find(topic: string): Targets {
    const matching = new Map<LevelQueue, Subscription[]>()
    for (const { queue, subscription } of this.#tree.match(topic)) {
      if (!isMeant(subscription, topic)) continue
      const others = matching.get(queue)
      if (others === undefined) matching.set(queue, [subscription])
      else others.push(subscription)
    }
    const all: QueueTarget[] = []
    const spools: QueueTarget[] = []
    for (const [queue, subscriptions] of matching) {
      const isSpool = subscriptions.some(({ spool }) => spool === true)
      const owner = subscriptions[0]?.owner ?? queue.clientId
      const target = { queue, grants: grantsOf(subscriptions), isShared: false, isSpool, owner }
      if (target.grants.others.qos === 0 && !this.#queueQos0) continue
      all.push(target)
      if (isSpool || this.#queueQos0) spools.push(target)
    }
    const targets = { all, spools }
    remember(this.#targets, topic, targets, MAX_CACHED_TOPICS)
    return targets
  }

  #forget(subscribed: Subscribed): void {
    this.#tree.remove(subscribed.subscription.topic, subscribed)
    this.#all--
    if (splitShare(subscribed.subscription.topic) !== undefined) this.#shared--
    if (subscribed.subscription.qos > 0) this.#queued--
    if (subscribed.subscription.spool === true) this.#spools--
  }
}
