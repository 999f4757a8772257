/**
 * Properties of MQTT 5 (§2.2.2): which there are, of which type, in which packets. A property is an own field
 * of a plain object under the standard's name, user properties are pairs in the order they came: nothing
 * that a peer sends becomes a key.
 */
import { PacketType } from './packets.ts'

/** Intervals are in seconds, sizes in bytes. An absent field is an absent property: its default is the reader's business. */
export interface Properties {
  payloadFormatIndicator?: 0 | 1 | undefined
  messageExpiryInterval?: number | undefined
  contentType?: string | undefined
  responseTopic?: string | undefined
  correlationData?: Buffer | undefined
  /** One in SUBSCRIBE, any number in PUBLISH. */
  subscriptionIdentifiers?: number[] | undefined
  sessionExpiryInterval?: number | undefined
  assignedClientIdentifier?: string | undefined
  serverKeepAlive?: number | undefined
  authenticationMethod?: string | undefined
  authenticationData?: Buffer | undefined
  requestProblemInformation?: boolean | undefined
  willDelayInterval?: number | undefined
  requestResponseInformation?: boolean | undefined
  responseInformation?: string | undefined
  serverReference?: string | undefined
  reasonString?: string | undefined
  receiveMaximum?: number | undefined
  topicAliasMaximum?: number | undefined
  topicAlias?: number | undefined
  maximumQoS?: 0 | 1 | undefined
  retainAvailable?: boolean | undefined
  userProperties?: [name: string, value: string][] | undefined
  maximumPacketSize?: number | undefined
  wildcardSubscriptionAvailable?: boolean | undefined
  subscriptionIdentifiersAvailable?: boolean | undefined
  sharedSubscriptionAvailable?: boolean | undefined
}

/** Those that the codec of PUBLISH knows by themselves. */
export const PropertyId = {
  PAYLOAD_FORMAT_INDICATOR: 0x01,
  MESSAGE_EXPIRY_INTERVAL: 0x02,
  CONTENT_TYPE: 0x03,
  RESPONSE_TOPIC: 0x08,
  CORRELATION_DATA: 0x09,
  SUBSCRIPTION_IDENTIFIER: 0x0b,
  REASON_STRING: 0x1f,
  TOPIC_ALIAS: 0x23,
  USER_PROPERTY: 0x26,
} as const

/** Where properties stand: behind the header of a packet of this type, or in the will of a CONNECT. */
export type PropertyPlace = number
/** No packet has type 0. */
export const WILL: PropertyPlace = 0

export type PropertyType =
  | 'bit'
  | 'boolean'
  | 'two byte integer'
  | 'four byte integer'
  | 'variable byte integer'
  | 'string'
  | 'binary data'
  | 'string pair'

export interface PropertyDefinition {
  id: number
  name: keyof Properties
  type: PropertyType
  /** The bit of each place where it is allowed. */
  places: number
  /** 1 for numbers that may not be 0. */
  minimum: number
  /** For errors. */
  what: string
}

function define(
  id: number,
  name: keyof Properties,
  type: PropertyType,
  places: PropertyPlace[],
  minimum = 0,
): PropertyDefinition {
  let bits = 0
  for (const place of places) bits |= 1 << place
  return { id, name, type, places: bits, minimum, what: `property ${name}` }
}

const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK } = PacketType
const { UNSUBSCRIBE, UNSUBACK, DISCONNECT, AUTH } = PacketType
const ANSWERS = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH]

/** Table 2-4. */
export const PROPERTIES: readonly PropertyDefinition[] = [
  define(PropertyId.PAYLOAD_FORMAT_INDICATOR, 'payloadFormatIndicator', 'bit', [PUBLISH, WILL]),
  define(PropertyId.MESSAGE_EXPIRY_INTERVAL, 'messageExpiryInterval', 'four byte integer', [PUBLISH, WILL]),
  define(PropertyId.CONTENT_TYPE, 'contentType', 'string', [PUBLISH, WILL]),
  define(PropertyId.RESPONSE_TOPIC, 'responseTopic', 'string', [PUBLISH, WILL]),
  define(PropertyId.CORRELATION_DATA, 'correlationData', 'binary data', [PUBLISH, WILL]),
  define(
    PropertyId.SUBSCRIPTION_IDENTIFIER,
    'subscriptionIdentifiers',
    'variable byte integer',
    [PUBLISH, SUBSCRIBE],
    1,
  ),
  define(0x11, 'sessionExpiryInterval', 'four byte integer', [CONNECT, CONNACK, DISCONNECT]),
  define(0x12, 'assignedClientIdentifier', 'string', [CONNACK]),
  define(0x13, 'serverKeepAlive', 'two byte integer', [CONNACK]),
  define(0x15, 'authenticationMethod', 'string', [CONNECT, CONNACK, AUTH]),
  define(0x16, 'authenticationData', 'binary data', [CONNECT, CONNACK, AUTH]),
  define(0x17, 'requestProblemInformation', 'boolean', [CONNECT]),
  define(0x18, 'willDelayInterval', 'four byte integer', [WILL]),
  define(0x19, 'requestResponseInformation', 'boolean', [CONNECT]),
  define(0x1a, 'responseInformation', 'string', [CONNACK]),
  define(0x1c, 'serverReference', 'string', [CONNACK, DISCONNECT]),
  define(PropertyId.REASON_STRING, 'reasonString', 'string', ANSWERS),
  define(0x21, 'receiveMaximum', 'two byte integer', [CONNECT, CONNACK], 1),
  define(0x22, 'topicAliasMaximum', 'two byte integer', [CONNECT, CONNACK]),
  define(PropertyId.TOPIC_ALIAS, 'topicAlias', 'two byte integer', [PUBLISH], 1),
  define(0x24, 'maximumQoS', 'bit', [CONNACK]),
  define(0x25, 'retainAvailable', 'boolean', [CONNACK]),
  define(PropertyId.USER_PROPERTY, 'userProperties', 'string pair', [
    ...ANSWERS,
    CONNECT,
    PUBLISH,
    WILL,
    SUBSCRIBE,
    UNSUBSCRIBE,
  ]),
  define(0x27, 'maximumPacketSize', 'four byte integer', [CONNECT, CONNACK], 1),
  define(0x28, 'wildcardSubscriptionAvailable', 'boolean', [CONNACK]),
  define(0x29, 'subscriptionIdentifiersAvailable', 'boolean', [CONNACK]),
  define(0x2a, 'sharedSubscriptionAvailable', 'boolean', [CONNACK]),
]

/** The same by identifier. */
export const PROPERTY_BY_ID: ReadonlyMap<number, PropertyDefinition> = new Map(
  PROPERTIES.map(property => [property.id, property]),
)
