/**
 * PUBLISH, the packet that everything else is there for (MQTT 3.1.1 §3.3, MQTT 5 §3.3). Nothing is copied:
 * properties and payload are views of the bytes that came in, so who keeps them keeps those bytes. The
 * dear part of decoding is the topic; `topic-cache.ts` gives a topic that came before the same object again.
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
import { readTopic, type TopicCache } from './topic-cache.ts'
import type { TopicName } from './topic-name.ts'
import { encodeString, variableLength, writeVariable } from './wire.ts'

const RETAIN = 0x01
const DUP = 0x08

/** The properties are those of no properties before MQTT 5. */
export class PublishView implements ReceivedProperties {
  /** What was decoded: the packet is buffer[start..end), its variable header begins at `bodyAt`. */
  readonly buffer: Buffer
  readonly start: number
  readonly bodyAt: number
  readonly end: number
  payloadAt: number
  /** In MQTT 5 empty where a topic alias stands for it. */
  name: TopicName
  /** 0 for QoS 0. */
  packetId = 0
  readonly qos: QoS
  readonly retain: boolean
  readonly dup: boolean
  /**
   * The version of those clients to whom it may go on as it is, with 4 for all before 5; 0 when it may not. It has QoS 0 and
   * no properties then.
   */
  plainIn: 0 | 4 | 5
  topicAlias = 0
  messageExpiryInterval: number | undefined = undefined
  properties: Buffer | undefined = undefined
  #body: Buffer | undefined = undefined

  constructor(header: number, buffer: Buffer, start: number, bodyAt: number, end: number, name: TopicName) {
    this.buffer = buffer
    this.start = start
    this.bodyAt = bodyAt
    this.end = end
    this.name = name
    this.payloadAt = bodyAt
    this.qos = ((header >> 1) & 3) as QoS
    this.retain = (header & RETAIN) !== 0
    this.dup = (header & DUP) !== 0
    // Before MQTT 5, the remaining length may take more bytes than it needs.
    const isShort = bodyAt - start === 1 + variableLength(end - bodyAt)
    this.plainIn = this.qos === 0 && isShort ? 4 : 0
  }

  get topic(): string {
    return this.name.text
  }

  /** The topic as on the wire: UTF-8 behind two length bytes. Shared, so never written to. */
  get topicBytes(): Buffer {
    return this.name.bytes
  }

  /** All behind the fixed header: a view. */
  get body(): Buffer {
    this.#body ??= this.buffer.subarray(this.bodyAt, this.end)
    return this.#body
  }

  /** A view. */
  get payload(): Buffer {
    return this.buffer.subarray(this.payloadAt, this.end)
  }

  get payloadLength(): number {
    return this.end - this.payloadAt
  }

  /** Bytes of the whole packet. */
  get length(): number {
    return this.end - this.start
  }
}

/**
 * Decodes the PUBLISH in buffer[start..end) whose variable header begins at `bodyAt`. Throws MalformedPacketError. That the
 * topic has no wildcards and is not empty is left to `TopicName.fault`; in MQTT 5 it is empty where a topic
 * alias stands for it, and only there.
 */
export function decodePublish(
  header: number,
  buffer: Buffer,
  start: number,
  bodyAt: number,
  end: number,
  cache?: TopicCache,
  protocolVersion: ProtocolVersion = 4,
  maxUserProperties = MAX_USER_PROPERTIES,
): PublishView {
  const qos = (header >> 1) & 3
  if (qos === 3 || (qos === 0 && (header & DUP) !== 0)) throw headerFault(qos)
  const topicStart = bodyAt + 2
  const topicEnd = topicStart + ((buffer[bodyAt]! << 8) | buffer[bodyAt + 1]!)
  let packetId = 0
  let payloadAt = topicEnd
  // [MQTT-2.3.1-5]
  if (qos > 0) {
    payloadAt += 2
    packetId = (buffer[topicEnd]! << 8) | buffer[topicEnd + 1]!
  }
  if (payloadAt > end) throw lengthFault(topicStart, topicEnd, end)
  // [MQTT-2.3.1-1]
  if (qos > 0 && packetId === 0) throw protocolError('PUBLISH has packet identifier 0')

  // [MQTT-3.3.2-1]
  const name = cache === undefined ? readTopic(buffer, topicStart, topicEnd) : cache.find(buffer, topicStart, topicEnd)
  const view = new PublishView(header, buffer, start, bodyAt, end, name)
  view.payloadAt = payloadAt
  view.packetId = packetId
  if (protocolVersion === 5) addProperties(view, maxUserProperties)
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
function addProperties(view: PublishView, maxUserProperties: number): void {
  const { buffer, payloadAt, end } = view
  view.payloadAt = readPublishProperties(buffer, payloadAt, end, maxUserProperties, view)
  // Of no properties there is their length.
  view.plainIn = view.qos === 0 && view.payloadAt === payloadAt + 1 ? 5 : 0
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

/** Writes the fixed header of a PUBLISH of QoS 0 with so many bytes behind it, and returns the offset after it. */
export function writePlainHead(target: Buffer, at: number, bodyLength: number, retain: boolean): number {
  target[at++] = (PacketType.PUBLISH << 4) | (retain ? RETAIN : 0)
  return writeVariable(target, at, bodyLength)
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
