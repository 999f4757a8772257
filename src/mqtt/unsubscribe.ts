/** UNSUBSCRIBE and its answer UNSUBACK (MQTT 3.1.1 and MQTT 5 §3.10, §3.11). */
import { protocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion } from './packets.ts'
import { encodeProperties, type Properties, readProperties } from './properties.ts'
import { checkReasonCode } from './reason-codes.ts'
import { MAX_FILTERS, readPacketId, tooManyFilters } from './subscribe.ts'
import { encodePacket, encodeTwoByteInteger, WireReader } from './wire.ts'

export interface UnsubscribePacket {
  cmd: 'unsubscribe'
  messageId: number
  /** Valid strings; `subscriptionFault` says whether they are topic filters. */
  unsubscriptions: string[]
  /** Empty before MQTT 5. */
  properties: Properties
}

export interface UnsubackPacket {
  cmd: 'unsuback'
  messageId: number
  /** A reason code for each topic filter, in MQTT 5 only. */
  granted?: number[] | undefined
  /** Not sent before MQTT 5. */
  properties?: Properties | undefined
}

/** Decodes the UNSUBSCRIBE whose variable header begins at `body`. Throws as `decodeControl` does. */
export function decodeUnsubscribe(
  frame: Buffer,
  body: number,
  protocolVersion: ProtocolVersion,
  maxUserProperties?: number,
): UnsubscribePacket {
  const reader = new WireReader('UNSUBSCRIBE', frame, body, frame.length)
  const messageId = readPacketId(reader)
  const properties = protocolVersion === 5 ? readProperties(reader, PacketType.UNSUBSCRIBE, maxUserProperties) : {}
  const unsubscriptions: string[] = []
  // [MQTT-3.10.3-2]
  if (reader.at === reader.end) throw protocolError('UNSUBSCRIBE has no topic filter')
  // [MQTT-3.10.3-1]
  while (reader.at < reader.end) {
    if (unsubscriptions.length === MAX_FILTERS) throw tooManyFilters()
    unsubscriptions.push(reader.string('topic filter'))
  }
  return { cmd: 'unsubscribe', messageId, unsubscriptions, properties }
}

/** Throws RangeError for what MQTT 5 does not allow here. */
export function encodeUnsuback(packet: UnsubackPacket, protocolVersion: ProtocolVersion): Buffer {
  const { messageId, granted = [], properties = {} } = packet
  const header = PacketType.UNSUBACK << 4
  const id = encodeTwoByteInteger(messageId)
  if (protocolVersion !== 5) return encodePacket(header, id)
  // [MQTT-3.11.3-2]
  if (granted.length === 0) throw new RangeError('an UNSUBACK of MQTT 5 has a reason code for each topic filter')
  for (const code of granted) checkReasonCode(PacketType.UNSUBACK, code)
  return encodePacket(header, id, encodeProperties(properties), Buffer.from(granted))
}
