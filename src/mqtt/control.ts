/**
 * The packets that come once a connection or once a subscription, through `mqtt-packet`. It checks
 * lengths and structure but lets through much that MQTT 3.1 and 3.1.1 forbid (bad UTF-8 becomes U+FFFD,
 * packet identifier 0, an empty SUBSCRIBE, bytes behind the end, will QoS 3, …), so what it has found
 * well-formed is gone through once more here.
 */
import {
  generate,
  type IConnackPacket,
  type IConnectPacket,
  type IDisconnectPacket,
  type IPingreqPacket,
  type ISubackPacket,
  type ISubscribePacket,
  type IUnsubackPacket,
  type IUnsubscribePacket,
  type Packet,
  parser,
  writeToStream,
} from 'mqtt-packet'
import { reasonOf } from '../kernel/errors.ts'
import { flagsFault } from './acks.ts'
import { MalformedPacketError, UnacceptableProtocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion, type QoS } from './packets.ts'
import { checkUtf8 } from './utf8.ts'

/** The will of a CONNECT. Its topic is a valid string; `topicNameFault` says whether it is a topic name. */
export interface Will {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
}

/** `keepalive` is in seconds. An empty `clientId` is let through, as its answer is a CONNACK [MQTT-3.1.3-8]. */
export type ConnectPacket = Omit<IConnectPacket, 'will'> & {
  protocolVersion: ProtocolVersion
  clean: boolean
  keepalive: number
  will?: Will
}
export type SubscribePacket = ISubscribePacket & { messageId: number }
export type UnsubscribePacket = IUnsubscribePacket & { messageId: number }
export type DisconnectPacket = IDisconnectPacket
export type PingreqPacket = IPingreqPacket
export type ControlPacket = ConnectPacket | SubscribePacket | UnsubscribePacket | DisconnectPacket | PingreqPacket

export type ConnackPacket = IConnackPacket
export type SubackPacket = ISubackPacket & { messageId: number; granted: number[] }
export type UnsubackPacket = Omit<IUnsubackPacket, 'granted'> & { messageId: number }

const DUP = 0x08
const WILL_FLAG = 0x04
const WILL_QOS = 0x18
const PASSWORD_FLAG = 0x40
const USER_NAME_FLAG = 0x80

/**
 * Decodes one whole CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT or PINGREQ. `protocolVersion` is that of
 * the connection, undefined before its CONNECT. Throws MalformedPacketError, and
 * UnacceptableProtocolError for a CONNECT of another protocol level. Topic filters are valid strings;
 * `topicFilterFault` says whether they are topic filters.
 */
export function decodeControl(frame: Buffer, protocolVersion: ProtocolVersion | undefined): ControlPacket {
  const fault = flagsFault(frame[0] ?? 0, protocolVersion)
  if (fault !== undefined) throw new MalformedPacketError(fault)
  const body = bodyOf(frame)
  switch (frame[0]! >> 4) {
    case PacketType.CONNECT: {
      const flagsAt = checkProtocol(frame, body)
      const packet = parse<ConnectPacket>(frame, undefined)
      checkConnect(frame, flagsAt)
      // A will is kept as long as its connection: it must not keep the bytes that came with it.
      if (packet.will !== undefined) packet.will.payload = Buffer.from(packet.will.payload)
      return packet
    }
    case PacketType.SUBSCRIBE: {
      const packet = parse<SubscribePacket>(frame, protocolVersion)
      checkFilters(frame, body, 1)
      return packet
    }
    case PacketType.UNSUBSCRIBE: {
      const packet = parse<UnsubscribePacket>(frame, protocolVersion)
      checkFilters(frame, body, 0)
      return packet
    }
    case PacketType.DISCONNECT:
      if (body !== frame.length) throw new MalformedPacketError('DISCONNECT has a remaining length')
      return parse<DisconnectPacket>(frame, protocolVersion)
    case PacketType.PINGREQ:
      if (body !== frame.length) throw new MalformedPacketError('PINGREQ has a remaining length')
      return parse<PingreqPacket>(frame, protocolVersion)
    default:
      throw new MalformedPacketError(`packet type ${frame[0]! >> 4} is not for a server`)
  }
}

/** Encodes a CONNACK, SUBACK or UNSUBACK. Throws what mqtt-packet throws when a field is missing. */
export function encodeControl(
  packet: ConnackPacket | SubackPacket | UnsubackPacket,
  protocolVersion: ProtocolVersion,
): Buffer {
  // Else its first call makes a table of 65,536 buffers, some 10 MB.
  writeToStream.cacheNumbers = false
  return generate(packet as Packet, { protocolVersion })
}

/** Where the variable header begins. The frame must be exactly as long as its fixed header says. */
function bodyOf(frame: Buffer): number {
  let remaining = 0
  for (let i = 1; i <= 4; i++) {
    const byte = frame[i]
    if (byte === undefined) break
    remaining |= (byte & 0x7f) << (7 * (i - 1))
    if (byte > 0x7f) continue
    if (i + 1 + remaining !== frame.length) break
    return i + 1
  }
  throw new MalformedPacketError('the remaining length is not the length of the packet')
}

/** Checks protocol name and level, which say how to read all that follows. Returns where the connect flags are. */
function checkProtocol(frame: Buffer, body: number): number {
  const levelAt = body + 2 + (body + 2 <= frame.length ? frame.readUInt16BE(body) : 0)
  const level = frame[levelAt]
  if (level === undefined) throw new MalformedPacketError('CONNECT ends before its protocol level')
  const name = frame.toString('latin1', body + 2, levelAt)
  // [MQTT-3.1.2-1]
  if (name !== 'MQTT' && name !== 'MQIsdp')
    throw new MalformedPacketError('the protocol name is neither MQTT nor MQIsdp')
  // [MQTT-3.1.2-2]
  if (level !== (name === 'MQTT' ? 4 : 3)) throw new UnacceptableProtocolError(level)
  return levelAt + 1
}

/** What mqtt-packet makes of the frame, which it finds well-formed. */
function parse<T extends ControlPacket>(frame: Buffer, protocolVersion: ProtocolVersion | undefined): T {
  let packet: unknown
  const decoder = parser(protocolVersion === undefined ? {} : { protocolVersion })
  decoder.on('packet', parsed => {
    packet = parsed
  })
  try {
    // Nobody listens for its errors, so they are thrown.
    decoder.parse(withoutDup(frame))
  } catch (error) {
    throw new MalformedPacketError(reasonOf(error))
  }
  if (packet === undefined) throw new MalformedPacketError('the packet is incomplete')
  return packet as T
}

/** mqtt-packet does not know that a SUBSCRIBE of MQTT 3.1 may carry DUP; `flagsFault` has let through only what may. */
function withoutDup(frame: Buffer): Buffer {
  if ((frame[0]! & DUP) === 0) return frame
  const copy = Buffer.from(frame)
  copy[0]! &= ~DUP
  return copy
}

/** What mqtt-packet does not check in a CONNECT; all lengths in it are right. */
function checkConnect(frame: Buffer, flagsAt: number): void {
  const flags = frame[flagsAt]!
  // [MQTT-3.1.2-14]
  if ((flags & WILL_QOS) === WILL_QOS) throw new MalformedPacketError('the will has QoS 3')
  // [MQTT-3.1.2-22]
  if ((flags & (USER_NAME_FLAG | PASSWORD_FLAG)) === PASSWORD_FLAG) {
    throw new MalformedPacketError('CONNECT has a password without a user name')
  }
  // Flags are followed by the two bytes of keep alive, then by the payload in this order [MQTT-3.1.3-1].
  let at = checkString(frame, flagsAt + 3, 'client identifier') // [MQTT-3.1.3-4]
  if ((flags & WILL_FLAG) !== 0) {
    at = checkString(frame, at, 'will topic') // [MQTT-3.1.3-10]
    at = fieldEnd(frame, at)
  }
  if ((flags & USER_NAME_FLAG) !== 0) at = checkString(frame, at, 'user name') // [MQTT-3.1.3-11]
  if ((flags & PASSWORD_FLAG) !== 0) at = fieldEnd(frame, at)
  // [MQTT-3.1.2-11] [MQTT-3.1.2-18] [MQTT-3.1.2-20] No field without its flag.
  if (at !== frame.length) throw new MalformedPacketError('CONNECT has bytes behind its payload')
}

/** What mqtt-packet does not check in a SUBSCRIBE or UNSUBSCRIBE; all lengths in it are right. */
function checkFilters(frame: Buffer, body: number, optionBytes: number): void {
  let at = body + 2
  // [MQTT-3.8.3-3] [MQTT-3.10.3-2]
  if (at >= frame.length) throw new MalformedPacketError('there is no topic filter')
  // [MQTT-2.3.1-1]
  if (frame.readUInt16BE(body) === 0) throw new MalformedPacketError('the packet identifier is 0')
  // [MQTT-3.8.3-1] [MQTT-3.10.3-1]
  while (at < frame.length) at = checkString(frame, at, 'topic filter') + optionBytes
}

/** Checks the string whose two length bytes are at `at`. Returns where it ends. */
function checkString(frame: Buffer, at: number, what: string): number {
  const end = fieldEnd(frame, at)
  checkUtf8(frame, at + 2, end, what)
  return end
}

function fieldEnd(frame: Buffer, at: number): number {
  return at + 2 + frame.readUInt16BE(at)
}
