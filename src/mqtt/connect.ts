/** CONNECT (MQTT 3.1 §3.1, MQTT 3.1.1 §3.1, MQTT 5 §3.1). */
import { MalformedPacketError, UnacceptableProtocolError } from './malformed.ts'
import { PacketType, type ProtocolVersion, type QoS } from './packets.ts'
import { type Properties, readProperties } from './properties.ts'
import { WILL } from './property-table.ts'
import { bodyOf, WireReader } from './wire.ts'

/** The will of a CONNECT. Its topic is a valid string; `topicNameFault` says whether it is a topic name. */
export interface Will {
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  /** Empty before MQTT 5. */
  properties: Properties
}

/** An empty `clientId` is let through, as its answer is a CONNACK [MQTT-3.1.3-8]. */
export interface ConnectPacket {
  cmd: 'connect'
  protocolId: 'MQTT' | 'MQIsdp'
  protocolVersion: ProtocolVersion
  /** A bridge that says so, as Mosquitto does, by the highest bit of the protocol level. It wants nothing back that it sent, and the RETAIN flag as it was. */
  isBridge: boolean
  clean: boolean
  /** Seconds; 0 for none. */
  keepalive: number
  clientId: string
  will: Will | undefined
  username: string | undefined
  password: Buffer | undefined
  /** Empty before MQTT 5. */
  properties: Properties
}

type Protocol = Pick<ConnectPacket, 'protocolId' | 'protocolVersion' | 'isBridge'>

export const ALL_VERSIONS: readonly ProtocolVersion[] = [3, 4, 5]

const BRIDGE = 0x80

const CLEAN = 0x02
const WILL_FLAG = 0x04
const WILL_QOS = 0x18
const WILL_RETAIN = 0x20
const PASSWORD_FLAG = 0x40
const USER_NAME_FLAG = 0x80

/** Decodes the CONNECT whose variable header begins at `body`, of one of these versions. Throws as `decodeControl` does. */
export function decodeConnect(
  frame: Buffer,
  body: number,
  versions: readonly ProtocolVersion[],
  maxUserProperties?: number,
): ConnectPacket {
  const reader = new WireReader('CONNECT', frame, body, frame.length)
  const protocol = readProtocol(reader, versions)
  const { protocolVersion } = protocol
  const flags = readFlags(reader, protocolVersion)
  const keepalive = reader.twoByteInteger('keep alive')
  const properties = protocolVersion === 5 ? readProperties(reader, PacketType.CONNECT, maxUserProperties) : {}
  // The payload has its fields in this order [MQTT-3.1.3-1].
  const clientId = reader.string('client identifier')
  const will = (flags & WILL_FLAG) === 0 ? undefined : readWill(reader, flags, protocolVersion, maxUserProperties)
  const username = (flags & USER_NAME_FLAG) === 0 ? undefined : readLast(reader, protocolVersion, readUserName)
  const password = (flags & PASSWORD_FLAG) === 0 ? undefined : readLast(reader, protocolVersion, readPassword)
  // [MQTT-3.1.2-11] [MQTT-3.1.2-18] [MQTT-3.1.2-20] No field without its flag.
  reader.finish()
  const clean = (flags & CLEAN) !== 0
  return { cmd: 'connect', ...protocol, clean, keepalive, clientId, will, username, password, properties }
}

/**
 * The version that a whole CONNECT asks for, undefined when that cannot be told: it says in which form one that
 * is malformed may be answered.
 */
export function connectVersion(frame: Buffer): ProtocolVersion | undefined {
  try {
    return readProtocol(new WireReader('CONNECT', frame, bodyOf(frame), frame.length), ALL_VERSIONS).protocolVersion
  } catch {
    return undefined
  }
}

function readProtocol(reader: WireReader, versions: readonly ProtocolVersion[]): Protocol {
  const protocolId = reader.string('protocol name')
  // [MQTT-3.1.2-1]
  if (protocolId !== 'MQTT' && protocolId !== 'MQIsdp') {
    throw new MalformedPacketError('the protocol name is neither MQTT nor MQIsdp')
  }
  const level = reader.byte('protocol level')
  // MQTT 5 has subscription options for what a bridge wants, so its level has no such bit.
  const isBridge = level === (BRIDGE | 3) || level === (BRIDGE | 4)
  const protocolVersion = (isBridge ? level & ~BRIDGE : level) as ProtocolVersion
  // [MQTT-3.1.2-2]
  if (!versions.includes(protocolVersion) || (protocolVersion === 3) !== (protocolId === 'MQIsdp')) {
    throw new UnacceptableProtocolError(level)
  }
  return { protocolId, protocolVersion, isBridge }
}

function readFlags(reader: WireReader, protocolVersion: ProtocolVersion): number {
  const flags = reader.byte('connect flags')
  // [MQTT-3.1.2-14]; MQTT 5: [MQTT-3.1.2-12]
  if ((flags & WILL_FLAG) !== 0 && (flags & WILL_QOS) === WILL_QOS) {
    throw new MalformedPacketError('the will has QoS 3')
  }
  // [MQTT-3.1.2-22] of 3.1.1 and the same in 3.1; MQTT 5 allows it [MQTT-3.1.2-19].
  if (protocolVersion !== 5 && (flags & (USER_NAME_FLAG | PASSWORD_FLAG)) === PASSWORD_FLAG) {
    throw new MalformedPacketError('CONNECT has a password without a user name')
  }
  // MQTT 3.1 does not care for bits without a meaning.
  if (protocolVersion === 3) return flags
  // [MQTT-3.1.2-3]
  if ((flags & 1) !== 0) throw new MalformedPacketError('bit 0 of the connect flags is set')
  // [MQTT-3.1.2-13] [MQTT-3.1.2-15]; MQTT 5: [MQTT-3.1.2-11] [MQTT-3.1.2-13]
  if ((flags & WILL_FLAG) === 0 && (flags & (WILL_QOS | WILL_RETAIN)) !== 0) {
    throw new MalformedPacketError('there is a will QoS or will RETAIN without a will')
  }
  return flags
}

function readWill(
  reader: WireReader,
  flags: number,
  protocolVersion: ProtocolVersion,
  maxUserProperties?: number,
): Will {
  const properties = protocolVersion === 5 ? readProperties(reader, WILL, maxUserProperties) : {}
  return {
    topic: reader.string('will topic'),
    payload: reader.binaryData('will payload'),
    qos: ((flags & WILL_QOS) >> 3) as QoS,
    retain: (flags & WILL_RETAIN) !== 0,
    properties,
  }
}

/** In MQTT 3.1 §3.1 user name and password may be missing in spite of their flags, at the end of the packet. */
function readLast<T>(
  reader: WireReader,
  protocolVersion: ProtocolVersion,
  read: (reader: WireReader) => T,
): T | undefined {
  return protocolVersion === 3 && reader.at === reader.end ? undefined : read(reader)
}

function readUserName(reader: WireReader): string {
  return reader.string('user name')
}

function readPassword(reader: WireReader): Buffer {
  return reader.binaryData('password')
}
