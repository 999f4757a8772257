/** What goes to the upstream for one message of the spool, within what the upstream has said that it takes. */
import type { Delivery } from '../broker/ports.ts'
import type { QoS } from '../mqtt/packets.ts'
import { encodePropertyList, type Properties } from '../mqtt/properties.ts'
import { publishLength } from '../mqtt/publish.ts'
import { forwardedProperties } from '../mqtt/publish-properties.ts'
import { sentBy } from './hops.ts'
import type { UpstreamLimits } from './limits.ts'
import type { Route } from './remap.ts'

export interface PreparedMessage {
  readonly route: Route
  readonly retain: boolean
  readonly dup: boolean
  /** MQTT 5. */
  readonly properties: Properties | undefined
}

/** `gateway` is added to the hops of the message (MQTT 5). */
export function prepare(
  delivery: Delivery,
  route: Route,
  limits: UpstreamLimits,
  gateway: string,
): PreparedMessage | 'came round' | 'too large' {
  const { message } = delivery
  const { forwarded, payload } = message
  const before = forwarded === undefined ? {} : forwardedProperties(forwarded)
  const hopped = sentBy(gateway, before)
  if (hopped === undefined) return 'came round'
  const properties = limits.version === 5 ? hopped : undefined
  // Only what was published at QoS 2 is durable before it is taken, as its packet identifier must be.
  const wanted = route.qos === 2 && delivery.qos < 2 ? 1 : route.qos
  // [MQTT-3.2.2-11]
  const qos = Math.min(wanted, limits.maximumQos) as QoS
  if (limits.maximumPacketSize !== Number.POSITIVE_INFINITY) {
    const sent = { messageExpiryInterval: undefined, topicAlias: 0, subscriptionIdentifiers: undefined }
    const list = properties === undefined ? undefined : encodePropertyList(properties)
    const size = publishLength(Buffer.byteLength(route.topic), payload.length, qos, { ...sent, properties: list })
    if (size > limits.maximumPacketSize) return 'too large'
  }
  return {
    route: { ...route, qos },
    // The publisher's flag, as Mosquitto's bridges do: a subscriber would not see it on a live message [MQTT-3.3.1-9].
    retain: (message.retain || delivery.retain) && route.keepsRetain && limits.retainAvailable, // [MQTT-3.2.2-14]
    dup: delivery.dup,
    properties,
  }
}
