/**
 * The subscriptions of one session, and what they grant together for a topic. Most clients ask for the same with each of
 * theirs: then the answer is the same for every topic. Otherwise it is found by looking at each, or in a tree when there
 * are many, and remembered.
 */
import { FilterTree } from '../mqtt/filter-tree.ts'
import { remember } from '../mqtt/remember.ts'
import { type Grants, grantsOf, type Subscription } from '../mqtt/subscription.ts'
import { filterMatches, splitShare } from '../mqtt/topics.ts'

/** Answers kept. */
const MAX_CACHED_TOPICS = 1_000

/** With so many subscriptions, those that match are looked up in a tree: up to here, looking at each is quicker and holds less. */
const SEARCHED_FROM = 32

export class OwnSubscriptions {
  /** What each that is not shared grants by itself, while that is the same. */
  #common: Grants | null = null
  readonly #byFilter = new Map<string, Subscription>()
  /** By topic; null where nothing had to be remembered: most sessions. */
  #grants: Map<string, Grants> | null = null
  /** Those that are not shared, once there are many. */
  #tree: FilterTree<Subscription> | null = null
  #shared = 0

  get filters(): string[] {
    return [...this.#byFilter.keys()]
  }

  get all(): Subscription[] {
    return [...this.#byFilter.values()]
  }

  /** Shared ones among them. */
  get size(): number {
    return this.#byFilter.size
  }

  get sharedSize(): number {
    return this.#shared
  }

  has(filter: string): boolean {
    return this.#byFilter.has(filter)
  }

  /** Puts a subscription in force, in the place of one with the same filter. Returns true when it is a shared one. */
  set(subscription: Subscription): boolean {
    const { topic: filter } = subscription
    const before = this.#byFilter.get(filter)
    this.#byFilter.set(filter, subscription)
    if (splitShare(filter) !== undefined) {
      if (before === undefined) this.#shared++
      return true
    }
    this.#grants = null
    if (this.#byFilter.size - this.#shared === 1) this.#common = grantsOf([subscription])
    else if (this.#common !== null && !isGrantOf(this.#common, subscription)) this.#common = null
    if (before !== undefined) this.#tree?.remove(filter, before)
    this.#tree?.add(filter, subscription)
    return false
  }

  /** False when there was no such subscription. */
  delete(filter: string): boolean {
    const subscription = this.#byFilter.get(filter)
    if (subscription === undefined) return false
    this.#byFilter.delete(filter)
    if (splitShare(filter) !== undefined) this.#shared--
    this.#tree?.remove(filter, subscription)
    this.#grants = null
    return true
  }

  clear(): void {
    if (this.#byFilter.size > 0) this.#byFilter.clear()
    this.#grants = null
    this.#common = null
    this.#tree = null
    this.#shared = 0
  }

  /** What those that match grant together; the topic is known to match one. Shared ones do not count. */
  grantsFor(topic: string): Grants {
    if (this.#common !== null) return this.#common
    const known = this.#grants?.get(topic)
    if (known !== undefined) return known
    const grants = grantsOf(this.#byFilter.size < SEARCHED_FROM ? this.#scan(topic) : this.#search(topic))
    this.#grants ??= new Map()
    remember(this.#grants, topic, grants, MAX_CACHED_TOPICS)
    return grants
  }

  #scan(topic: string): Subscription[] {
    // A shared filter as it is written matches no topic: '$share/…' is a dollar topic like any other.
    return this.all.filter(({ topic: filter }) => filterMatches(filter, topic) && splitShare(filter) === undefined)
  }

  #search(topic: string): Subscription[] {
    if (this.#tree === null) {
      this.#tree = new FilterTree()
      for (const subscription of this.#byFilter.values()) {
        if (splitShare(subscription.topic) === undefined) this.#tree.add(subscription.topic, subscription)
      }
    }
    return this.#tree.match(topic)
  }
}

/** Whether one more subscription grants just this, and so several of them no more than one. */
function isGrantOf({ others, own }: Grants, { qos, rap, nl, subscriptionIdentifier }: Subscription): boolean {
  if (others.subscriptionIdentifiers !== undefined || subscriptionIdentifier !== undefined) return false
  return others.qos === qos && others.rap === (rap === true) && (own === null) === (nl === true)
}
