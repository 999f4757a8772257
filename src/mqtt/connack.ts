/** CONNACK (MQTT 3.1.1 §3.2, MQTT 5 §3.2). */
import { PacketType, type ProtocolVersion } from './packets.ts'
import { encodeProperties, type Properties } from './properties.ts'
import { checkReasonCode } from './reason-codes.ts'
import { encodePacket } from './wire.ts'

export interface ConnackPacket {
  cmd: 'connack'
  sessionPresent: boolean
  /** The return code of MQTT 3.1 and 3.1.1, the reason code of MQTT 5. */
  returnCode: number
  /** Not sent before MQTT 5. */
  properties?: Properties | undefined
}

/** Throws RangeError for what MQTT 5 does not allow here. */
export function encodeConnack(packet: ConnackPacket, protocolVersion: ProtocolVersion): Buffer {
  const { sessionPresent, returnCode, properties = {} } = packet
  const header = PacketType.CONNACK << 4
  // [MQTT-3.2.2-1]
  const flags = sessionPresent ? 1 : 0
  if (protocolVersion !== 5) return Buffer.from([header, 2, flags, returnCode])
  // [MQTT-3.2.2-8]
  checkReasonCode(PacketType.CONNACK, returnCode)
  return encodePacket(header, Buffer.from([flags, returnCode]), encodeProperties(properties))
}
