/** The packets of two bytes and of four: acknowledgements and the answer to a ping (MQTT 3.1.1 §3.4 to §3.7, §3.13). */
import { MalformedPacketError } from './malformed.ts'
import { PacketType, type ProtocolVersion } from './packets.ts'

export type AckType =
  | typeof PacketType.PUBACK
  | typeof PacketType.PUBREC
  | typeof PacketType.PUBREL
  | typeof PacketType.PUBCOMP

/** Bytes of a PUBACK, PUBREC, PUBREL or PUBCOMP. */
export const ACK_LENGTH = 4

/** A whole PINGRESP. */
export const PINGRESP: Buffer = Buffer.from([PacketType.PINGRESP << 4, 0])

/** Reads the packet identifier that is all of buffer[body..end). Throws MalformedPacketError. */
export function decodePacketId(buffer: Buffer, body: number, end: number): number {
  if (end - body !== 2) throw new MalformedPacketError('an acknowledgement must have a remaining length of 2')
  const packetId = (buffer[body]! << 8) | buffer[body + 1]!
  // [MQTT-2.3.1-6] It is the identifier of a PUBLISH, which is never 0 [MQTT-2.3.1-1].
  if (packetId === 0) throw new MalformedPacketError('an acknowledgement has packet identifier 0')
  return packetId
}

/** Writes a whole acknowledgement into `target` from `at` on and returns the offset after it. */
export function writeAck(target: Buffer, at: number, type: AckType, packetId: number): number {
  // [MQTT-3.6.1-1]
  target[at] = (type << 4) | (type === PacketType.PUBREL ? 2 : 0)
  target[at + 1] = 2
  target[at + 2] = packetId >> 8
  target[at + 3] = packetId & 0xff
  return at + ACK_LENGTH
}

/**
 * What is wrong with the first byte of a packet, or undefined. A PUBLISH has no reserved flags; what
 * its flags say is checked by `decodePublish`.
 */
export function flagsFault(header: number, protocolVersion: ProtocolVersion = 4): string | undefined {
  const type = header >> 4
  if (type === PacketType.PUBLISH) return undefined
  if (type === 0 || type === PacketType.AUTH) return `packet type ${type} is reserved`
  let flags = header & 0x0f
  let required = 0
  // [MQTT-3.6.1-1] [MQTT-3.8.1-1] [MQTT-3.10.1-1]
  if (type === PacketType.PUBREL || type === PacketType.SUBSCRIBE || type === PacketType.UNSUBSCRIBE) {
    required = 2
    // MQTT 3.1 §2.1 counts these three as QoS 1, so a repeated one may carry DUP.
    if (protocolVersion === 3) flags &= 0b0111
  }
  // [MQTT-2.2.2-1] [MQTT-2.2.2-2] [MQTT-3.14.1-1]
  return flags === required ? undefined : `packet type ${type} has flags ${flags} instead of ${required}`
}
