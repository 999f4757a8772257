/** The packets that only clients send, encoded: the way back of our decoders, to see that nothing is lost or made up on the way in. */

import type { ControlPacket } from '../../../src/mqtt/control.ts'
import { encodeReason } from '../../../src/mqtt/disconnect.ts'
import { PacketType, type ProtocolVersion } from '../../../src/mqtt/packets.ts'
import { encodeProperties, type Properties } from '../../../src/mqtt/properties.ts'
import type { SubscriptionRequest } from '../../../src/mqtt/subscribe.ts'
import { encodeBinaryData, encodePacket, encodeString, encodeTwoByteInteger } from '../../../src/mqtt/wire.ts'

const NOTHING = Buffer.alloc(0)

/** The shortest form; properties in the order of their identifiers. */
export function encodeClient(packet: ControlPacket, protocolVersion: ProtocolVersion): Buffer {
  const list = (properties: Properties, version = protocolVersion) =>
    version === 5 ? encodeProperties(properties) : NOTHING
  switch (packet.cmd) {
    case 'connect': {
      const { will, username, password } = packet
      const flags =
        (packet.clean ? 0x02 : 0) |
        (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
        (password === undefined ? 0 : 0x40) |
        (username === undefined ? 0 : 0x80)
      return encodePacket(
        PacketType.CONNECT << 4,
        encodeString(packet.protocolId),
        Buffer.from([packet.protocolVersion | (packet.isBridge ? 0x80 : 0), flags]),
        encodeTwoByteInteger(packet.keepalive),
        list(packet.properties, packet.protocolVersion),
        encodeString(packet.clientId),
        will === undefined ? NOTHING : list(will.properties, packet.protocolVersion),
        will === undefined ? NOTHING : encodeString(will.topic),
        will === undefined ? NOTHING : encodeBinaryData(will.payload),
        username === undefined ? NOTHING : encodeString(username),
        password === undefined ? NOTHING : encodeBinaryData(password),
      )
    }
    case 'subscribe':
      return encodePacket(
        (PacketType.SUBSCRIBE << 4) | 2,
        encodeTwoByteInteger(packet.messageId),
        list(packet.properties),
        ...packet.subscriptions.flatMap(each => [encodeString(each.topic), Buffer.from([optionsOf(each)])]),
      )
    case 'unsubscribe':
      return encodePacket(
        (PacketType.UNSUBSCRIBE << 4) | 2,
        encodeTwoByteInteger(packet.messageId),
        list(packet.properties),
        ...packet.unsubscriptions.map(encodeString),
      )
    case 'pingreq':
      return encodePacket(PacketType.PINGREQ << 4)
    case 'disconnect':
      return encodeReason(PacketType.DISCONNECT, packet.reasonCode, packet.properties)
    case 'auth':
      return encodeReason(PacketType.AUTH, packet.reasonCode, packet.properties)
  }
}

function optionsOf({ qos, nl, rap, rh }: SubscriptionRequest): number {
  return qos | (nl ? 0x04 : 0) | (rap ? 0x08 : 0) | (rh << 4)
}
