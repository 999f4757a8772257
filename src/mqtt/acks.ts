/**
 * The short packets: acknowledgements (MQTT 3.1.1 and MQTT 5 §3.4 to §3.7) and the answer to a ping. MQTT 5 adds
 * a reason code, which is left out when it is 0, and properties, which hardly anybody sends.
 */
import { MalformedPacketError, protocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion } from './packets.ts'
import { readProperties } from './properties.ts'
import { PropertyId } from './property-table.ts'
import { checkReasonCode, isReasonCodeOf } from './reason-codes.ts'
import { encodeString, variableLength, WireReader, writeVariable } from './wire.ts'

export type AckType =
  | typeof PacketType.PUBACK
  | typeof PacketType.PUBREC
  | typeof PacketType.PUBREL
  | typeof PacketType.PUBCOMP

/** Bytes of a PUBACK, PUBREC, PUBREL or PUBCOMP that says no more than its packet identifier. */
export const ACK_LENGTH = 4

/** A whole PINGRESP. */
export const PINGRESP: Buffer = Buffer.from([PacketType.PINGRESP << 4, 0])

/**
 * Decodes the acknowledgement of this type that is buffer[body..end) behind its fixed header. The answer is a
 * number, so that nothing is allocated: `ackPacketId` and `ackReasonCode` take it apart. With reason
 * code 0, and always before MQTT 5, it is the packet identifier. Throws MalformedPacketError.
 */
export function decodeAck(
  type: AckType,
  buffer: Buffer,
  body: number,
  end: number,
  protocolVersion: ProtocolVersion,
  maxUserProperties?: number,
): number {
  const length = end - body
  if (protocolVersion !== 5 || length === 2) return decodePacketId(buffer, body, end)
  if (length < 2) throw new MalformedPacketError('an acknowledgement ends before its packet identifier')
  const packetId = decodePacketId(buffer, body, body + 2)
  const reasonCode = buffer[body + 2]!
  // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
  if (!isReasonCodeOf(type, reasonCode)) {
    throw protocolError(`an acknowledgement of type ${type} has reason code ${reasonCode}`)
  }
  if (length > 3) {
    const reader = new WireReader('an acknowledgement', buffer, body + 3, end)
    readProperties(reader, type, maxUserProperties)
    reader.finish()
  }
  return (reasonCode << 16) | packetId
}

/** The packet identifier in what `decodeAck` gave. */
export function ackPacketId(ack: number): number {
  return ack & 0xffff
}

/** The reason code in what `decodeAck` gave. */
export function ackReasonCode(ack: number): number {
  return ack >> 16
}

/** Reads the packet identifier that is all of buffer[body..end). Throws MalformedPacketError. */
export function decodePacketId(buffer: Buffer, body: number, end: number): number {
  if (end - body !== 2) throw new MalformedPacketError('an acknowledgement must have a remaining length of 2')
  const packetId = (buffer[body]! << 8) | buffer[body + 1]!
  // [MQTT-2.3.1-6] It is the identifier of a PUBLISH, which is never 0 [MQTT-2.3.1-1].
  if (packetId === 0) throw protocolError('an acknowledgement has packet identifier 0')
  return packetId
}

/** Bytes of an acknowledgement that `writeAck` writes with the same reason. */
export function ackLength(reasonCode = 0, reasonString?: string): number {
  if (reasonString !== undefined) {
    const remaining = 3 + reasonPropertiesLength(Buffer.byteLength(reasonString))
    return 1 + variableLength(remaining) + remaining
  }
  return reasonCode === 0 ? ACK_LENGTH : ACK_LENGTH + 1
}

/**
 * Writes a whole acknowledgement into `target` from `at` on and returns the offset after it. A reason is for
 * MQTT 5 only; `target` must have room for `ackLength`. Throws RangeError for a reason code that
 * this packet cannot have or a reason string that is too long.
 */
export function writeAck(
  target: Buffer,
  at: number,
  type: AckType,
  packetId: number,
  reasonCode = 0,
  reasonString?: string,
): number {
  if (reasonCode !== 0 || reasonString !== undefined) {
    return writeReasonedAck(target, at, type, packetId, reasonCode, reasonString)
  }
  target[at] = ackHeader(type)
  target[at + 1] = 2
  target[at + 2] = packetId >> 8
  target[at + 3] = packetId & 0xff
  return at + ACK_LENGTH
}

function writeReasonedAck(
  target: Buffer,
  at: number,
  type: AckType,
  packetId: number,
  reasonCode: number,
  reasonString: string | undefined,
): number {
  // [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1]
  checkReasonCode(type, reasonCode)
  const reason = reasonString === undefined ? undefined : encodeString(reasonString)
  target[at++] = ackHeader(type)
  at = writeVariable(target, at, 3 + (reason === undefined ? 0 : reasonPropertiesLength(reason.length - 2)))
  target[at++] = packetId >> 8
  target[at++] = packetId & 0xff
  target[at++] = reasonCode
  if (reason === undefined) return at
  at = writeVariable(target, at, 1 + reason.length)
  target[at++] = PropertyId.REASON_STRING
  target.set(reason, at)
  return at + reason.length
}

/** [MQTT-3.6.1-1] */
function ackHeader(type: AckType): number {
  return (type << 4) | (type === PacketType.PUBREL ? 2 : 0)
}

/** Bytes of the properties, their length included, that are a reason string of `bytes` bytes. */
function reasonPropertiesLength(bytes: number): number {
  return variableLength(3 + bytes) + 3 + bytes
}

/**
 * What is wrong with the first byte of a packet, or undefined. A PUBLISH has no reserved flags; what
 * its flags say is checked by `decodePublish`.
 */
export function flagsFault(header: number, protocolVersion: ProtocolVersion = 4): string | undefined {
  const type = header >> 4
  if (type === PacketType.PUBLISH) return undefined
  if (type === 0 || (type === PacketType.AUTH && protocolVersion !== 5)) return `packet type ${type} is reserved`
  let flags = header & 0x0f
  let required = 0
  // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
  if (type === PacketType.PUBREL || type === PacketType.SUBSCRIBE || type === PacketType.UNSUBSCRIBE) {
    required = 2
    // MQTT 3.1 §2.1 counts these three as QoS 1, so a repeated one may carry DUP.
    if (protocolVersion === 3) flags &= 0b0111
  }
  // [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.14.1-1] [MQTT-3.15.1-1]
  return flags === required ? undefined : `packet type ${type} has flags ${flags} instead of ${required}`
}
