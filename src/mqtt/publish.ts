/**
 * PUBLISH, the packet that everything else is there for (MQTT 3.1.1 §3.3, MQTT 5 §3.3). Nothing is copied:
 * topic, properties and payload are views of the bytes that came in, so who keeps them keeps those bytes. The
 * dear part of decoding is the topic; `topic-cache.ts` gives a topic that came before the same string again.
 */
import { MalformedPacketError, protocolError } from './malformed.ts'
import { MAX_REMAINING_LENGTH, PacketType, type ProtocolVersion, type QoS } from './packets.ts'
import { MAX_USER_PROPERTIES } from './properties.ts'
import {
  type ReceivedProperties,
  readPublishProperties,
  type SentProperties,
  sentPropertiesLength,
  writeSentProperties,
} from './publish-properties.ts'
import type { TopicCache } from './topic-cache.ts'
import { decodeUtf8 } from './utf8.ts'
import { encodeString, variableLength, writeVariable } from './wire.ts'

/** The properties are those of no properties before MQTT 5. */
export interface PublishView extends ReceivedProperties {
  topic: string
  /** The topic as on the wire: UTF-8 behind two length bytes. Shared, so never written to. */
  topicBytes: Buffer
  /** 0 for QoS 0. */
  packetId: number
  /** A view of the buffer that was decoded. */
  payload: Buffer
  qos: QoS
  retain: boolean
  dup: boolean
}

const RETAIN = 0x01
const DUP = 0x08

const NOTHING = Buffer.alloc(0)

/**
 * Decodes the PUBLISH whose variable header is buffer[body..end). Throws MalformedPacketError. That the
 * topic has no wildcards and is not empty is left to `topicNameFault`; in MQTT 5 it is empty where a topic
 * alias stands for it, and only there.
 */
export function decodePublish(
  header: number,
  buffer: Buffer,
  body: number,
  end: number,
  cache?: TopicCache,
  protocolVersion: ProtocolVersion = 4,
  maxUserProperties = MAX_USER_PROPERTIES,
): PublishView {
  const qos = (header >> 1) & 3
  const dup = (header & DUP) !== 0
  if (qos === 3 || (qos === 0 && dup)) throw headerFault(qos)
  const topicStart = body + 2
  const topicEnd = topicStart + ((buffer[body]! << 8) | buffer[body + 1]!)
  let packetId = 0
  let payloadStart = topicEnd
  // [MQTT-2.3.1-5]
  if (qos > 0) {
    payloadStart += 2
    packetId = (buffer[topicEnd]! << 8) | buffer[topicEnd + 1]!
  }
  if (payloadStart > end) throw lengthFault(topicStart, topicEnd, end)
  // [MQTT-2.3.1-1]
  if (qos > 0 && packetId === 0) throw protocolError('PUBLISH has packet identifier 0')

  // [MQTT-3.3.2-1]
  const cached = cache?.find(buffer, topicStart, topicEnd)
  const view: PublishView = {
    topic: cached === undefined ? decodeUtf8(buffer, topicStart, topicEnd, 'topic') : cached.topic,
    topicBytes: cached === undefined ? buffer.subarray(body, topicEnd) : cached.topicBytes,
    packetId,
    payload: protocolVersion === 5 ? NOTHING : buffer.subarray(payloadStart, end),
    qos: qos as QoS,
    retain: (header & RETAIN) !== 0,
    dup,
    topicAlias: 0,
    messageExpiryInterval: undefined,
    properties: undefined,
  }
  if (protocolVersion === 5) addProperties(view, buffer, payloadStart, end, maxUserProperties)
  return view
}

function headerFault(qos: number): MalformedPacketError {
  // [MQTT-3.3.1-4] [MQTT-3.3.1-2]
  return new MalformedPacketError(qos === 3 ? 'PUBLISH has QoS 3' : 'PUBLISH has DUP set at QoS 0')
}

function lengthFault(topicStart: number, topicEnd: number, end: number): MalformedPacketError {
  if (topicStart > end) return new MalformedPacketError('PUBLISH ends before its topic')
  if (topicEnd > end) return new MalformedPacketError('the topic is longer than its PUBLISH')
  return new MalformedPacketError('PUBLISH ends before its packet identifier')
}

/** What MQTT 5 has between packet identifier and payload. */
function addProperties(view: PublishView, buffer: Buffer, at: number, end: number, maxUserProperties: number): void {
  const payloadStart = readPublishProperties(buffer, at, end, maxUserProperties, view)
  view.payload = buffer.subarray(payloadStart, end)
  // §3.3.2.1
  if (view.topic === '' && view.topicAlias === 0) {
    throw protocolError('PUBLISH has neither a topic nor a topic alias')
  }
}

/**
 * Bytes of a whole PUBLISH; `topicByteLength` is without the two length bytes. `sent` is for MQTT 5 and
 * makes it one. Throws RangeError when no packet can hold that much.
 */
export function publishLength(topicByteLength: number, payloadLength: number, qos: QoS, sent?: SentProperties): number {
  const remaining = remainingLength(topicByteLength + 2, payloadLength, qos, sent)
  if (remaining > MAX_REMAINING_LENGTH) throw new RangeError(`a PUBLISH cannot hold ${payloadLength} bytes of payload`)
  return 1 + variableLength(remaining) + remaining
}

/**
 * Writes a whole PUBLISH into `target` from `at` on and returns the offset after it. `target` must have
 * room for `publishLength` bytes; `packetId` is not used at QoS 0; `sent` is for MQTT 5 and makes it one.
 */
export function writePublish(
  target: Buffer,
  at: number,
  p: { topicBytes: Buffer; payload: Buffer },
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  sent?: SentProperties,
): number {
  return copyTo(target, writePublishHead(target, at, p, qos, retain, dup, packetId, sent), p.payload)
}

/** As `writePublish`, but leaves out the payload itself, which the caller sends right behind: for large ones. */
export function writePublishHead(
  target: Buffer,
  at: number,
  p: { topicBytes: Buffer; payload: Buffer },
  qos: QoS,
  retain: boolean,
  dup: boolean,
  packetId: number,
  sent?: SentProperties,
): number {
  target[at++] = (PacketType.PUBLISH << 4) | (dup ? DUP : 0) | (qos << 1) | (retain ? RETAIN : 0)
  at = writeVariable(target, at, remainingLength(p.topicBytes.length, p.payload.length, qos, sent))
  if (sent?.withoutTopic === true) {
    target[at++] = 0
    target[at++] = 0
  } else {
    at = copyTo(target, at, p.topicBytes)
  }
  // [MQTT-2.3.1-5]
  if (qos > 0) {
    target[at++] = packetId >> 8
    target[at++] = packetId & 0xff
  }
  return sent === undefined ? at : writeSentProperties(target, at, sent, sentPropertiesLength(sent))
}

/** A topic as on the wire, behind its two length bytes. The topic must be without fault (`topicNameFault`). */
export function topicBytesOf(topic: string): Buffer {
  return encodeString(topic)
}

function remainingLength(topicBytes: number, payload: number, qos: QoS, sent: SentProperties | undefined): number {
  const length = topicBytes + (qos > 0 ? 2 : 0) + payload
  if (sent === undefined) return length
  const properties = sentPropertiesLength(sent)
  return length - (sent.withoutTopic === true ? topicBytes - 2 : 0) + variableLength(properties) + properties
}

function copyTo(target: Buffer, at: number, source: Buffer): number {
  target.set(source, at)
  return at + source.length
}
