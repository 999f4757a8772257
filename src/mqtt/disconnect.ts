/** DISCONNECT (MQTT 3.1.1 §3.14, MQTT 5 §3.14). Only MQTT 5 lets a server send it. */
import { protocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion } from './packets.ts'
import { encodeProperties, type Properties, readProperties } from './properties.ts'
import { checkReasonCode, isReasonCodeOf, ReasonCode } from './reason-codes.ts'
import { encodePacket, WireReader } from './wire.ts'

export interface ServerDisconnectPacket {
  cmd: 'disconnect'
  reasonCode: number
  properties?: Properties | undefined
}

/** Of a client. Before MQTT 5 its reason code is 0. */
export interface DisconnectPacket extends ServerDisconnectPacket {
  properties: Properties
}

/** Decodes the DISCONNECT whose variable header begins at `body`. Throws as `decodeControl` does. */
export function decodeDisconnect(
  frame: Buffer,
  body: number,
  protocolVersion: ProtocolVersion,
  maxUserProperties?: number,
): DisconnectPacket {
  const reader = new WireReader('DISCONNECT', frame, body, frame.length)
  let reasonCode: number = ReasonCode.NORMAL_DISCONNECTION
  let properties: Properties = {}
  if (protocolVersion === 5 && reader.at < reader.end) {
    reasonCode = reader.byte('reason code')
    // [MQTT-3.14.2-1]
    if (!isReasonCodeOf(PacketType.DISCONNECT, reasonCode))
      throw protocolError(`DISCONNECT has reason code ${reasonCode}`)
    if (reader.at < reader.end) properties = readProperties(reader, PacketType.DISCONNECT, maxUserProperties)
  }
  reader.finish()
  return { cmd: 'disconnect', reasonCode, properties }
}

/** A DISCONNECT of MQTT 5. Throws RangeError for a reason code that it cannot have. */
export function encodeDisconnect(packet: ServerDisconnectPacket): Buffer {
  return encodeReason(PacketType.DISCONNECT, packet.reasonCode, packet.properties)
}

/** A packet that is a reason code and properties. What is 0 and empty at its end may be left out (MQTT 5 §3.14.2.1, §3.15.2.1). */
export function encodeReason(
  type: typeof PacketType.DISCONNECT | typeof PacketType.AUTH,
  reasonCode: number,
  properties: Properties = {},
): Buffer {
  checkReasonCode(type, reasonCode)
  const encoded = encodeProperties(properties)
  const code = Buffer.from([reasonCode])
  if (encoded.length > 1) return encodePacket(type << 4, code, encoded)
  return reasonCode === 0 ? encodePacket(type << 4) : encodePacket(type << 4, code)
}
