/**
 * The client's half of the wire: the packets that only a client sends and those that only a server sends, made of the
 * same parts as the gateway's codec, which has the other half.
 */
import { ACK_LENGTH, type AckType, writeAck } from './acks.ts'
import type { ConnectPacket } from './connect.ts'
import { encodeDisconnect } from './disconnect.ts'
import { PacketType, type ProtocolVersion, type QoS } from './packets.ts'
import { encodePropertyList, type Properties, readProperties } from './properties.ts'
import { decodePublish } from './publish.ts'
import type { SubscribePacket } from './subscribe.ts'
import {
  encodeBinaryData,
  encodePacket,
  encodeString,
  encodeTwoByteInteger,
  encodeVariableByteInteger,
  WireReader,
} from './wire.ts'

export type ConnectFields = Omit<ConnectPacket, 'cmd' | 'protocolId' | 'isBridge'>

/** An application message as it comes. */
export interface ReceivedMessage {
  topic: string
  /** A view of the bytes that came in. */
  payload: Buffer
  qos: QoS
  retain: boolean
  dup: boolean
  /** 0 for QoS 0. */
  packetId: number
  /** In the order in which they came; undefined when there are none. */
  properties: Properties | undefined
}

export interface Connack {
  sessionPresent: boolean
  /** The return code of MQTT 3, the reason code of MQTT 5. */
  code: number
  properties: Properties
}

export const PINGREQ: Buffer = Buffer.from([PacketType.PINGREQ << 4, 0])

/** MQTT 3.1.1 §3.1, MQTT 5 §3.1. */
export function encodeConnect(fields: ConnectFields): Buffer {
  const { protocolVersion: version, clientId, will, username, password } = fields
  const flags =
    (fields.clean ? 0x02 : 0) |
    (will === undefined ? 0 : 0x04 | (will.qos << 3) | (will.retain ? 0x20 : 0)) |
    (password === undefined ? 0 : 0x40) |
    (username === undefined ? 0 : 0x80)
  const parts: Buffer[] = [
    encodeString(version === 3 ? 'MQIsdp' : 'MQTT'),
    Buffer.from([version, flags]),
    encodeTwoByteInteger(fields.keepalive),
    ...ifVersion5(version, fields.properties),
    encodeString(clientId),
  ]
  if (will !== undefined) {
    parts.push(...ifVersion5(version, will.properties), encodeString(will.topic), encodeBinaryData(will.payload))
  }
  if (username !== undefined) parts.push(encodeString(username))
  if (password !== undefined) parts.push(encodeBinaryData(password))
  return encodePacket(PacketType.CONNECT << 4, ...parts)
}

/** What is not of MQTT 5 in the options is all that is sent before it. */
export function encodeSubscribe(packet: Omit<SubscribePacket, 'cmd'>, version: ProtocolVersion): Buffer {
  const filters = packet.subscriptions.flatMap(subscription => [
    encodeString(subscription.topic),
    Buffer.from([version === 5 ? subscription.qos | optionsOf(subscription) : subscription.qos]),
  ])
  const start = [encodeTwoByteInteger(packet.messageId), ...ifVersion5(version, packet.properties)]
  return encodePacket((PacketType.SUBSCRIBE << 4) | 2, ...start, ...filters)
}

/** The subscription options of MQTT 5 (§3.8.3.1) but for the QoS. */
export function optionsOf(options: { nl: boolean; rap: boolean; rh: 0 | 1 | 2 }): number {
  return (options.nl ? 0x04 : 0) | (options.rap ? 0x08 : 0) | (options.rh << 4)
}

export function encodeUnsubscribe(
  packet: { messageId: number; topic: string; properties: Properties },
  version: ProtocolVersion,
): Buffer {
  const start = [encodeTwoByteInteger(packet.messageId), ...ifVersion5(version, packet.properties)]
  return encodePacket((PacketType.UNSUBSCRIBE << 4) | 2, ...start, encodeString(packet.topic))
}

/** The topic is empty where a topic alias among the properties stands for it. Throws RangeError for more than a packet can hold. */
export function encodePublish(
  packet: { topic: string; payload: Buffer; qos: QoS; retain: boolean; packetId: number; properties: Properties },
  version: ProtocolVersion,
): Buffer {
  const { topic, payload, qos, retain, packetId, properties } = packet
  const id = qos === 0 ? [] : [encodeTwoByteInteger(packetId)]
  const header = (PacketType.PUBLISH << 4) | (qos << 1) | (retain ? 1 : 0)
  return encodePacket(header, encodeString(topic), ...id, ...ifVersion5(version, properties), payload)
}

export function encodeAck(type: AckType, packetId: number): Buffer {
  const bytes = Buffer.allocUnsafe(ACK_LENGTH)
  writeAck(bytes, 0, type, packetId)
  return bytes
}

export function encodeGoodbye(version: ProtocolVersion, reasonCode: number, properties: Properties): Buffer {
  return version === 5
    ? encodeDisconnect({ cmd: 'disconnect', reasonCode, properties })
    : encodePacket(PacketType.DISCONNECT << 4)
}

/** Throws MalformedPacketError, as all that follow. */
export function decodeConnack(buffer: Buffer, body: number, end: number, version: ProtocolVersion): Connack {
  const reader = new WireReader('CONNACK', buffer, body, end)
  const sessionPresent = (reader.byte('connect acknowledge flags') & 1) === 1
  const code = reader.byte('return code')
  // A server that does not speak MQTT 5 answers in the form of MQTT 3.1.1, with nothing behind.
  const properties = version === 5 && reader.at < reader.end ? readProperties(reader, PacketType.CONNACK) : {}
  return { sessionPresent, code, properties }
}

/** A code for each topic filter. */
export function decodeSuback(
  buffer: Buffer,
  body: number,
  end: number,
  version: ProtocolVersion,
): { packetId: number; codes: number[] } {
  const reader = new WireReader('SUBACK', buffer, body, end)
  const packetId = reader.twoByteInteger('packet identifier')
  if (version === 5) readProperties(reader, PacketType.SUBACK)
  return { packetId, codes: [...buffer.subarray(reader.at, end)] }
}

export function decodeMessage(
  header: number,
  buffer: Buffer,
  body: number,
  end: number,
  version: ProtocolVersion,
): ReceivedMessage {
  // The gateway's reader of MQTT 5 refuses what only a server may send, such as subscription identifiers.
  const { topic, payload, qos, retain, dup, packetId } = decodePublish(header, buffer, body, body, end)
  if (version !== 5) return { topic, payload, qos, retain, dup, packetId, properties: undefined }
  const reader = new WireReader('PUBLISH', payload, 0, payload.length)
  const properties = readProperties(reader, PacketType.PUBLISH)
  const none = Object.keys(properties).length === 0
  return {
    topic,
    payload: payload.subarray(reader.at),
    qos,
    retain,
    dup,
    packetId,
    properties: none ? undefined : properties,
  }
}

function ifVersion5(version: ProtocolVersion, properties: Properties): Buffer[] {
  if (version !== 5) return []
  // In the order in which they were given, as Mosquitto sends them.
  const each = Object.entries(properties).map(([name, value]) => encodePropertyList({ [name]: value }))
  const list = Buffer.concat(each)
  return [encodeVariableByteInteger(list.length), list]
}
