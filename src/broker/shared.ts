/**
 * Shared subscriptions (MQTT 5 §4.8.2): of the sessions that subscribe to `$share/<name>/<filter>`, each
 * message goes to one. Members take turns; one that is connected goes before one that is not.
 */
import { FilterTree } from '../mqtt/filter-tree.ts'
import type { Grants } from '../mqtt/subscription.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import { filterMatches, splitShare } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import type { Delivery, Message, QueueTarget, Subscription } from './ports.ts'
import type { Session } from './session.ts'

interface Member {
  readonly clientId: string
  readonly subscription: Subscription
  readonly grants: Grants
}

interface Group {
  readonly filter: string
  readonly members: Member[]
  /** Whose turn is next. */
  next: number
}

/** Who gets a message: queues of the store, and sessions that are served directly. */
export interface Picked {
  readonly targets: readonly QueueTarget[]
  readonly live: readonly { readonly session: Session; readonly grants: Grants }[]
}

const NOBODY: Picked = { targets: [], live: [] }

export class SharedSubscriptions {
  readonly #hub: Hub
  /** By the whole of `$share/<name>/<filter>`. */
  readonly #groups = new Map<string, Group>()
  readonly #tree = new FilterTree<Group>()

  constructor(deps: { hub: Hub }) {
    this.#hub = deps.hub
  }

  /** Different ones. */
  get size(): number {
    return this.#groups.size
  }

  /** Does nothing when the subscription is not a shared one. */
  add(clientId: string, subscription: Subscription): void {
    const share = splitShare(subscription.topic)
    if (share === undefined) return
    let group = this.#groups.get(subscription.topic)
    if (group === undefined) {
      group = { filter: share.filter, members: [], next: 0 }
      this.#groups.set(subscription.topic, group)
      this.#tree.add(share.filter, group)
    }
    const member = { clientId, subscription, grants: grantsOf([subscription]) }
    const at = group.members.findIndex(other => other.clientId === clientId)
    if (at < 0) group.members.push(member)
    else group.members[at] = member
  }

  remove(clientId: string, shareFilter: string): void {
    const group = this.#groups.get(shareFilter)
    if (group === undefined) return
    const at = group.members.findIndex(member => member.clientId === clientId)
    if (at >= 0) group.members.splice(at, 1)
    if (group.members.length > 0) return
    this.#groups.delete(shareFilter)
    this.#tree.remove(group.filter, group)
  }

  /** The shared subscriptions that a session has. */
  filtersOf(clientId: string): string[] {
    const filters: string[] = []
    for (const [filter, { members }] of this.#groups) {
      if (members.some(member => member.clientId === clientId)) filters.push(filter)
    }
    return filters
  }

  /** One member of each group that matches. */
  pick(message: Message): Picked {
    if (this.#groups.size === 0) return NOBODY
    const targets: QueueTarget[] = []
    const live: Picked['live'][number][] = []
    for (const group of this.#tree.match(message.topic)) this.#pickFrom(group, message, undefined, targets, live)
    return { targets, live }
  }

  /**
   * A member has gone with messages that it did not acknowledge: others get them, where there are others that
   * are connected. `done` is called for each that was handed on, when it is safe with its new owner.
   * A message of QoS 2 that was sent stays [MQTT-4.8.2-5].
   */
  handOn(clientId: string, filters: readonly string[], delivery: Delivery, done: () => void): void {
    const { message } = delivery
    for (const filter of filters) {
      const group = this.#groups.get(filter)
      if (group === undefined || !filterMatches(group.filter, message.topic)) continue
      const targets: QueueTarget[] = []
      const live: Picked['live'][number][] = []
      this.#pickFrom(group, message, clientId, targets, live)
      // If there is no room for it there, it stays where it is.
      if (targets.length > 0) this.#hub.persistence.queues.accept(message, targets, { settled: done, refused: ignore })
      for (const { session, grants } of live) session.deliver(message, grants, true)
      if (live.length > 0) done()
      return
    }
  }

  /** Picks by turns, a connected member first. With `except`, only a connected one that is not that. */
  #pickFrom(
    group: Group,
    message: Message,
    except: string | undefined,
    targets: QueueTarget[],
    live: Picked['live'][number][],
  ): void {
    const { members } = group
    let away: Member | undefined
    for (let i = 0; i < members.length; i++) {
      const member = members[(group.next + i) % members.length] as Member
      if (member.clientId === except) continue
      const session = this.#hub.clients[member.clientId]
      if (session?.connected !== true || session.closed) {
        away ??= member
        continue
      }
      if (!this.#hub.mayForward(session, message)) continue
      group.next = (group.next + i + 1) % members.length
      const isQueued = message.qos > 0 && member.subscription.qos > 0
      if (isQueued && session.queue !== null) {
        targets.push({ queue: session.queue, grants: member.grants, isShared: true })
      } else {
        live.push({ session, grants: member.grants })
      }
      return
    }
    if (away === undefined || except !== undefined || message.qos === 0 || away.subscription.qos === 0) return
    const queue = this.#hub.persistence.queues.find(away.clientId)
    if (queue !== undefined) targets.push({ queue, grants: away.grants, isShared: true })
  }
}

function ignore(): void {}
