/**
 * What goes to the upstream as one PUBLISH: one message of a spool, or several small ones of a rule in a batch. Wrapped,
 * put together and compressed as the rule says. All messages of a batch stay in their spool until it is acknowledged.
 */
import { gzip } from 'node:zlib'
import { renamed } from '../mqtt/identity.ts'
import type { QoS } from '../mqtt/packets.ts'
import { encodePropertyList, type Properties } from '../mqtt/properties.ts'
import { publishLength } from '../mqtt/publish.ts'
import { forwardedProperties } from '../mqtt/publish-properties.ts'
import { marksOf } from './dead-letters.ts'
import type { UpstreamLimits } from './limits.ts'
import type { Route } from './remap.ts'
import type { Taken } from './spool.ts'
import { type Origin, wrapped } from './wrapping.ts'

/** Bytes that compression must save to be worth the upstream's while. */
const MIN_SAVED = 64
/** The user property that says so (MQTT 5); the word is HTTP's. */
const ENCODING = ['content-encoding', 'gzip'] as const
const JSON_TYPE = 'application/json'

export interface Parcel {
  /** At least one; all of one rule. */
  readonly members: readonly Taken[]
  readonly route: Route
  readonly payload: Buffer
  readonly retain: boolean
  readonly dup: boolean
  /** MQTT 5. */
  readonly properties: Properties | undefined
  /** It is the one message as it came, payload and all. */
  readonly isPlain: boolean
}

export interface Terms {
  readonly limits: UpstreamLimits
  /** Of the message's expiry: seconds that are left (MQTT 5). */
  readonly left?: number | undefined
  readonly origin: Origin
}

/** One message, as its rule wants it; not compressed yet. */
export function parcelOf(taken: Taken, route: Route, { limits, left, origin }: Terms): Parcel {
  const { message, retain, dup } = taken.delivery
  const { forwarded, payload } = message
  const { isRetained, properties: own } = marksOf(forwarded === undefined ? {} : forwardedProperties(forwarded))
  const isWrapped = route.rule.wrap === 'json'
  const properties = {
    ...own,
    ...(left === undefined ? {} : { messageExpiryInterval: left }),
    ...(isWrapped ? { contentType: JSON_TYPE, payloadFormatIndicator: 1 as const } : {}),
  }
  const named = route.topic === message.topic ? properties : renamed(properties, message.topic)
  // The publisher's flag, as Mosquitto's bridges do: a subscriber would not see it on a live message [MQTT-3.3.1-9].
  const wasRetained = message.retain || retain || isRetained
  return {
    members: [taken],
    route: { ...route, qos: qosOf(taken, route, limits) },
    payload: isWrapped ? Buffer.from(wrapped(message, origin)) : payload,
    retain: wasRetained && route.keepsRetain && limits.retainAvailable, // [MQTT-3.2.2-14]
    dup,
    properties: limits.version === 5 ? named : undefined,
    isPlain: !isWrapped,
  }
}

/** Several messages as one: `texts` are the wrapped ones. It is composed anew each time, so it is no repetition of another. */
export function batchOf(
  members: readonly Taken[],
  texts: readonly string[],
  route: Route,
  limits: UpstreamLimits,
): Parcel {
  const [first] = members as [Taken]
  return {
    members,
    route: { ...route, qos: qosOf(first, route, limits) },
    payload: Buffer.from(`[${texts.join(',')}]`),
    retain: false,
    dup: false,
    properties: limits.version === 5 ? { contentType: JSON_TYPE, payloadFormatIndicator: 1 } : undefined,
    isPlain: false,
  }
}

/** Calls `done` with the parcel as small as it gets, now or later. */
export function compressed(parcel: Parcel, done: (parcel: Parcel) => void): void {
  const { payload, properties, route } = parcel
  if (route.rule.compress === undefined || payload.length <= MIN_SAVED) {
    done(parcel)
    return
  }
  gzip(payload, (error, small) => {
    if (error !== null || small.length > payload.length - MIN_SAVED) {
      done(parcel)
      return
    }
    const { payloadFormatIndicator: _, ...others } = properties ?? {}
    const userProperties = [...(others.userProperties ?? []), [...ENCODING] as [string, string]]
    const more = properties === undefined ? undefined : { ...others, userProperties }
    done({ ...parcel, payload: small, properties: more, isPlain: false })
  })
}

/** Bytes of the PUBLISH. */
export function lengthOf({ route, payload, properties }: Parcel): number {
  const sent = { messageExpiryInterval: undefined, topicAlias: 0, subscriptionIdentifiers: undefined }
  const list = properties === undefined ? undefined : encodePropertyList(properties)
  const isNew = properties === undefined ? undefined : { ...sent, properties: list }
  return publishLength(Buffer.byteLength(route.topic), payload.length, route.qos, isNew)
}

function qosOf({ delivery }: Taken, route: Route, limits: UpstreamLimits): QoS {
  // Only what was published at QoS 2 is durable before it is taken, as its packet identifier must be.
  const wanted = route.qos === 2 && delivery.qos < 2 ? 1 : route.qos
  // [MQTT-3.2.2-11]
  return Math.min(wanted, limits.maximumQos) as QoS
}
