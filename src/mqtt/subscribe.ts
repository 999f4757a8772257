/** SUBSCRIBE and its answer SUBACK (MQTT 3.1.1 and MQTT 5 §3.8, §3.9). */
import { MalformedPacketError, protocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion, type QoS } from './packets.ts'
import { encodeProperties, type Properties, readProperties } from './properties.ts'
import { checkReasonCode, ReasonCode } from './reason-codes.ts'
import { splitShare } from './topics.ts'
import { encodePacket, encodeTwoByteInteger, WireReader } from './wire.ts'

/** One topic filter and the subscription options behind it. Those of MQTT 5 are false and 0 before it. */
export interface SubscriptionRequest {
  /** A valid string; `subscriptionFault` says whether it is a topic filter. */
  topic: string
  qos: QoS
  /** No Local. */
  nl: boolean
  /** Retain As Published. */
  rap: boolean
  /** Retain Handling: 0 sends retained messages, 1 only for a new subscription, 2 never. */
  rh: 0 | 1 | 2
}

export interface SubscribePacket {
  cmd: 'subscribe'
  messageId: number
  subscriptions: SubscriptionRequest[]
  /** Empty before MQTT 5. */
  properties: Properties
}

export interface SubackPacket {
  cmd: 'suback'
  messageId: number
  /** A reason code for each topic filter; before MQTT 5, a granted QoS or 0x80. */
  granted: number[]
  /** Not sent before MQTT 5. */
  properties?: Properties | undefined
}

const QOS = 0x03
const NO_LOCAL = 0x04
const RETAIN_AS_PUBLISHED = 0x08
const RETAIN_HANDLING = 0x30
const RESERVED = 0xc0
/** Before MQTT 5 all but the QoS is reserved. */
const RESERVED_3 = 0xfc

/**
 * Topic filters in one SUBSCRIBE or UNSUBSCRIBE: some clients renew all that they have with one packet, and reading so
 * many takes a few milliseconds.
 */
export const MAX_FILTERS = 5_000

/** The one failure that MQTT 3.1.1 knows. */
const FAILURE = 0x80

/** Decodes the SUBSCRIBE whose variable header begins at `body`. Throws as `decodeControl` does. */
export function decodeSubscribe(
  frame: Buffer,
  body: number,
  protocolVersion: ProtocolVersion,
  maxUserProperties?: number,
): SubscribePacket {
  const reader = new WireReader('SUBSCRIBE', frame, body, frame.length)
  const messageId = readPacketId(reader)
  const properties = protocolVersion === 5 ? readProperties(reader, PacketType.SUBSCRIBE, maxUserProperties) : {}
  const subscriptions: SubscriptionRequest[] = []
  // MQTT 3.1.1: [MQTT-3.8.3-3]; MQTT 5: [MQTT-3.8.3-2]
  if (reader.at === reader.end) throw protocolError('SUBSCRIBE has no topic filter')
  while (reader.at < reader.end) {
    // [MQTT-3.8.3-1]
    if (subscriptions.length === MAX_FILTERS) throw tooManyFilters()
    const topic = reader.string('topic filter')
    subscriptions.push(toRequest(topic, reader.byte('subscription options'), protocolVersion))
  }
  return { cmd: 'subscribe', messageId, subscriptions, properties }
}

/** Throws RangeError for what MQTT 5 does not allow here. */
export function encodeSuback(packet: SubackPacket, protocolVersion: ProtocolVersion): Buffer {
  const { messageId, granted, properties = {} } = packet
  const header = PacketType.SUBACK << 4
  const id = encodeTwoByteInteger(messageId)
  // [MQTT-3.9.3-1]
  if (protocolVersion !== 5) return encodePacket(header, id, Buffer.from(granted.map(code => Math.min(code, FAILURE))))
  // [MQTT-3.9.3-2]
  for (const code of granted) checkReasonCode(PacketType.SUBACK, code)
  return encodePacket(header, id, encodeProperties(properties), Buffer.from(granted))
}

export function tooManyFilters(): MalformedPacketError {
  return new MalformedPacketError(`there are more than ${MAX_FILTERS} topic filters`, ReasonCode.QUOTA_EXCEEDED)
}

function toRequest(topic: string, options: number, protocolVersion: ProtocolVersion): SubscriptionRequest {
  // MQTT 3.1.1: [MQTT-3-8.3-4]; MQTT 5: [MQTT-3.8.3-5]
  if ((options & (protocolVersion === 5 ? RESERVED : RESERVED_3)) !== 0) {
    throw new MalformedPacketError('reserved bits of the subscription options are set')
  }
  const qos = options & QOS
  const nl = (options & NO_LOCAL) !== 0
  const rh = (options & RETAIN_HANDLING) >> 4
  if (qos === 3) throw protocolError('a subscription asks for QoS 3')
  if (rh === 3) throw protocolError('a subscription asks for retain handling 3')
  // [MQTT-3.8.3-4]
  if (nl && splitShare(topic) !== undefined) throw protocolError('a shared subscription asks for no local')
  return { topic, qos: qos as QoS, nl, rap: (options & RETAIN_AS_PUBLISHED) !== 0, rh: rh as 0 | 1 | 2 }
}

/** The packet identifier of a request, which is never 0: [MQTT-2.3.1-1], MQTT 5: [MQTT-2.2.1-3]. */
export function readPacketId(reader: WireReader): number {
  const packetId = reader.twoByteInteger('packet identifier')
  if (packetId === 0) throw protocolError('the packet identifier is 0')
  return packetId
}
