/**
 * The packets that come once a connection or once a subscription: this file knows which there are, the
 * file named after each knows its form.
 */
import { flagsFault } from './acks.ts'
import { type AuthPacket, decodeAuth, encodeAuth } from './auth.ts'
import { type ConnackPacket, encodeConnack } from './connack.ts'
import { ALL_VERSIONS, type ConnectPacket, decodeConnect } from './connect.ts'
import { type DisconnectPacket, decodeDisconnect, encodeDisconnect, type ServerDisconnectPacket } from './disconnect.ts'
import { MalformedPacketError } from './malformed.ts'
import { PacketType, type ProtocolVersion } from './packets.ts'
import { decodeSubscribe, encodeSuback, type SubackPacket, type SubscribePacket } from './subscribe.ts'
import { decodeUnsubscribe, encodeUnsuback, type UnsubackPacket, type UnsubscribePacket } from './unsubscribe.ts'
import { bodyOf, WireReader } from './wire.ts'

export type { AuthPacket, ConnectPacket, DisconnectPacket, SubscribePacket, UnsubscribePacket }

export interface PingreqPacket {
  cmd: 'pingreq'
}

/** From a client. */
export type ControlPacket =
  | ConnectPacket
  | SubscribePacket
  | UnsubscribePacket
  | PingreqPacket
  | DisconnectPacket
  | AuthPacket

/** To a client. */
export type ServerPacket = ConnackPacket | SubackPacket | UnsubackPacket | ServerDisconnectPacket | AuthPacket

export interface ControlOptions {
  /** The versions that a CONNECT may ask for; all when absent. */
  protocolVersions?: readonly ProtocolVersion[]
  maxUserProperties?: number
}

/**
 * Decodes one whole CONNECT, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT or AUTH. `protocolVersion` is that of
 * the connection, undefined before its CONNECT. Throws MalformedPacketError, and UnacceptableProtocolError for
 * a CONNECT of another version. Topic filters are valid strings; `subscriptionFault` says whether they are
 * topic filters.
 */
export function decodeControl(
  frame: Buffer,
  protocolVersion: ProtocolVersion | undefined,
  { protocolVersions = ALL_VERSIONS, maxUserProperties }: ControlOptions = {},
): ControlPacket {
  const fault = flagsFault(frame[0] ?? 0, protocolVersion)
  if (fault !== undefined) throw new MalformedPacketError(fault)
  const body = bodyOf(frame)
  const version = protocolVersion ?? 4
  switch (frame[0]! >> 4) {
    case PacketType.CONNECT: {
      const packet = decodeConnect(frame, body, protocolVersions, maxUserProperties)
      // [MQTT-1.5.5-1] A last byte of 0 adds nothing. With later packets, FrameReader sees to it.
      if (packet.protocolVersion === 5 && frame[body - 1] === 0) {
        throw new MalformedPacketError('the remaining length takes more bytes than it needs')
      }
      return packet
    }
    case PacketType.SUBSCRIBE:
      return decodeSubscribe(frame, body, version, maxUserProperties)
    case PacketType.UNSUBSCRIBE:
      return decodeUnsubscribe(frame, body, version, maxUserProperties)
    case PacketType.DISCONNECT:
      return decodeDisconnect(frame, body, version, maxUserProperties)
    case PacketType.AUTH:
      return decodeAuth(frame, body, maxUserProperties)
    case PacketType.PINGREQ:
      new WireReader('PINGREQ', frame, body, frame.length).finish()
      return { cmd: 'pingreq' }
    default:
      throw new MalformedPacketError(`packet type ${frame[0]! >> 4} is not for a server`)
  }
}

/**
 * Encodes a CONNACK, SUBACK or UNSUBACK, or in MQTT 5 also a DISCONNECT or AUTH. Reason string and user properties are
 * left out when they would make it larger than `maximumPacketSize`, the client's [MQTT-3.2.2-19]
 * [MQTT-3.2.2-20] [MQTT-3.9.2-1] …; it may be too large without them too. Throws RangeError for
 * what MQTT 5 does not allow.
 */
export function encodeControl(
  packet: ServerPacket,
  protocolVersion: ProtocolVersion,
  maximumPacketSize = Number.POSITIVE_INFINITY,
): Buffer {
  const bytes = encode(packet, protocolVersion)
  if (bytes.length <= maximumPacketSize || packet.properties === undefined) return bytes
  const properties = { ...packet.properties, reasonString: undefined, userProperties: undefined }
  return encode({ ...packet, properties }, protocolVersion)
}

function encode(packet: ServerPacket, protocolVersion: ProtocolVersion): Buffer {
  switch (packet.cmd) {
    case 'connack':
      return encodeConnack(packet, protocolVersion)
    case 'suback':
      return encodeSuback(packet, protocolVersion)
    case 'unsuback':
      return encodeUnsuback(packet, protocolVersion)
  }
  if (protocolVersion !== 5) throw new RangeError(`a server does not send ${packet.cmd} before MQTT 5`)
  return packet.cmd === 'disconnect' ? encodeDisconnect(packet) : encodeAuth(packet)
}
