/**
 * What a session's subscriptions mean for one message. Several filters may match: the session gets the
 * message once, at the highest QoS among them (MQTT 3.1.1 §3.3.5, MQTT 5 §3.3.4), with the subscription
 * identifiers of all of them [MQTT-3.3.4-4].
 */
import type { QoS } from './packets.ts'
import { filterMatches } from './topics.ts'

/** A subscription with its options (MQTT 5 §3.8.3.1); those of MQTT 3.x are absent. */
export interface Subscription {
  topic: string
  qos: QoS
  /** No local: messages that the session itself published are not for it. */
  nl?: boolean
  /** Retain as published: RETAIN is passed on as the publisher set it. */
  rap?: boolean
  /** Retain handling: 0 sends retained messages, 1 only for a new subscription, 2 never. */
  rh?: number
  subscriptionIdentifier?: number
  /** A bridge's: messages of QoS 0 are queued for it too, at QoS 1. */
  spool?: boolean
  /** Topics that it leaves to others: what matches one of these filters is not for it. */
  except?: readonly string[]
  /** The session in whose name it is there; absent, its own. What that one publishes is what no local speaks of. */
  owner?: string
}

/** Whether a subscription whose filter matches `topic` does not leave it to others. */
export function isMeant({ except }: Subscription, topic: string): boolean {
  return except === undefined || !except.some(filter => filterMatches(filter, topic))
}

/** What several subscriptions grant together. */
export interface Grant {
  readonly qos: QoS
  /** RETAIN is passed on as the publisher set it. */
  readonly rap: boolean
  /** Undefined when there are none. */
  readonly subscriptionIdentifiers: readonly number[] | undefined
}

/** What a message gets: from others, and from the session itself (null: nothing, all are no local). */
export interface Grants {
  readonly others: Grant
  readonly own: Grant | null
}

/** What one subscription without options grants, by its QoS: nearly all are like that, and share these. */
const ORDINARY: readonly Grants[] = ([0, 1, 2] as const).map(qos => {
  const grant = { qos, rap: false, subscriptionIdentifiers: undefined }
  return { others: grant, own: grant }
})

/** The grants of the subscriptions that match a topic. There is at least one. */
export function grantsOf(matching: readonly Subscription[]): Grants {
  const [first] = matching
  if (matching.length === 1 && first !== undefined && isOrdinary(first)) return ORDINARY[first.qos] as Grants
  const others = merge(matching)
  const local = matching.filter(subscription => subscription.nl !== true)
  if (local.length === matching.length) return { others, own: others }
  return { others, own: local.length === 0 ? null : merge(local) }
}

function isOrdinary({ nl, rap, subscriptionIdentifier }: Subscription): boolean {
  return nl !== true && rap !== true && subscriptionIdentifier === undefined
}

function merge(matching: readonly Subscription[]): Grant {
  let qos: QoS = 0
  let rap = false
  let identifiers: number[] | undefined
  for (const subscription of matching) {
    if (subscription.qos > qos) qos = subscription.qos
    if (subscription.rap === true) rap = true
    if (subscription.subscriptionIdentifier !== undefined) {
      identifiers ??= []
      // The same one may be there several times (§3.3.4).
      identifiers.push(subscription.subscriptionIdentifier)
    }
  }
  return { qos, rap, subscriptionIdentifiers: identifiers }
}
