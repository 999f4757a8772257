/**
 * A copy of the persistent sessions and their subscriptions, so that the queues of a topic are found at once. It is
 * read at the start and whenever Redis was away, and follows what the engine announces to its brokers.
 */
import type { QueueTarget, Subscription } from '../broker/ports.ts'
import { FilterTree } from '../mqtt/filter-tree.ts'
import { forget, remember } from '../mqtt/remember.ts'
import { grantsOf, isMeant } from '../mqtt/subscription.ts'
import { splitShare } from '../mqtt/topics.ts'
import type { ContractQueue } from './queue.ts'

/** Answers kept: enough for a large home. */
const MAX_CACHED_TOPICS = 10_000

/**
 * A subscription of every session, to a topic that nobody publishes to: when a session's last subscription goes,
 * the engine throws away its queue, and the standard does not.
 */
export const KEEPER: Subscription = { topic: '$SYS/larder/session', qos: 0 }

interface Session {
  readonly queue: ContractQueue
  readonly subscribed: Map<string, Subscribed>
}

interface Subscribed {
  readonly queue: ContractQueue
  readonly subscription: Subscription
}

/** Is told of the subscriptions of all gateways; see `SharedSubscriptions` of the broker. */
export interface SubscriptionWatcher {
  add(clientId: string, subscription: Subscription): void
  remove(clientId: string, filter: string): void
}

export class SubscriptionsCopy {
  watcher: SubscriptionWatcher | null = null
  readonly #sessions = new Map<string, Session>()
  readonly #tree = new FilterTree<Subscribed>()
  readonly #targets = new Map<string, readonly QueueTarget[]>()
  readonly #newQueue: (clientId: string) => ContractQueue

  constructor(deps: { newQueue: (clientId: string) => ContractQueue }) {
    this.#newQueue = deps.newQueue
  }

  get clientIds(): string[] {
    return [...this.#sessions.keys()]
  }

  queues(): ContractQueue[] {
    return Array.from(this.#sessions.values(), ({ queue }) => queue)
  }

  find(clientId: string): ContractQueue | undefined {
    return this.#sessions.get(clientId)?.queue
  }

  /** The queue of the session, made known when it is not yet. */
  make(clientId: string): ContractQueue {
    return this.#session(clientId).queue
  }

  set(clientId: string, subscription: Subscription): void {
    const { queue, subscribed } = this.#session(clientId)
    const { topic } = subscription
    if (topic === KEEPER.topic) return
    this.#remove(subscribed, topic)
    const added = { queue, subscription }
    subscribed.set(topic, added)
    // Who of a shared subscription gets a message is for the broker to say.
    if (splitShare(topic) === undefined) this.#tree.add(topic, added)
    else this.watcher?.add(clientId, subscription)
    forget(this.#targets, topic)
  }

  delete(clientId: string, filter: string): void {
    const session = this.#sessions.get(clientId)
    if (session === undefined) return
    if (filter === KEEPER.topic) {
      this.end(clientId)
      return
    }
    if (!this.#remove(session.subscribed, filter)) return
    if (splitShare(filter) !== undefined) this.watcher?.remove(clientId, filter)
    forget(this.#targets, filter)
  }

  /** The session has ended. */
  end(clientId: string): void {
    const session = this.#sessions.get(clientId)
    if (session === undefined) return
    for (const filter of [...session.subscribed.keys()]) this.delete(clientId, filter)
    this.#sessions.delete(clientId)
    session.queue.end()
  }

  of(clientId: string): Subscription[] {
    return Array.from(this.#sessions.get(clientId)?.subscribed.values() ?? [], ({ subscription }) => subscription)
  }

  /** Makes the copy of one session what the engine says. */
  replace(clientId: string, subscriptions: readonly Subscription[]): void {
    const filters = new Set(subscriptions.map(({ topic }) => topic))
    for (const { topic } of this.of(clientId)) if (!filters.has(topic)) this.delete(clientId, topic)
    this.#session(clientId)
    for (const subscription of subscriptions) this.set(clientId, subscription)
  }

  /** The queues that a message of this topic goes to, each once. */
  targets(topic: string): readonly QueueTarget[] {
    return this.#targets.get(topic) ?? this.#find(topic)
  }

  #find(topic: string): readonly QueueTarget[] {
    const matching = new Map<ContractQueue, Subscription[]>()
    for (const { queue, subscription } of this.#tree.match(topic)) {
      if (!isMeant(subscription, topic)) continue
      const others = matching.get(queue)
      if (others === undefined) matching.set(queue, [subscription])
      else others.push(subscription)
    }
    const targets: QueueTarget[] = []
    for (const [queue, subscriptions] of matching) {
      const grants = grantsOf(subscriptions)
      if (grants.others.qos === 0) continue
      const isSpool = subscriptions.some(({ spool }) => spool === true)
      targets.push({ queue, grants, isShared: false, isSpool, owner: subscriptions[0]?.owner ?? queue.clientId })
    }
    remember(this.#targets, topic, targets, MAX_CACHED_TOPICS)
    return targets
  }

  #session(clientId: string): Session {
    let session = this.#sessions.get(clientId)
    if (session === undefined) {
      session = { queue: this.#newQueue(clientId), subscribed: new Map() }
      this.#sessions.set(clientId, session)
    }
    return session
  }

  #remove(subscribed: Map<string, Subscribed>, filter: string): boolean {
    const before = subscribed.get(filter)
    if (before === undefined) return false
    subscribed.delete(filter)
    this.#tree.remove(filter, before)
    return true
  }
}
