/**
 * The values of the store. A message that waits in several queues has a record of its own, its body, which begins with
 * the places that wait for it, so that it can be told, without counting references on disk, when nobody does any
 * more. A message that waits in one queue only stands in the reference itself: one record to write, read and delete.
 */
import { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'

/** A place in a queue, as written in a body. */
export interface Place {
  session: number
  index: number
}

/** Value of a queue entry. */
export interface Reference {
  message: number
  qos: QoS
  retain: boolean
  subscriptionIdentifiers: readonly number[] | undefined
  isShared: boolean
  /** Number of its PUBREC; undefined before that. */
  released: number | undefined
  /** Bytes of topic, payload and properties: a page of the queue is cut by it before the bodies are read. */
  size: number
  /** Packet identifier given from outside through aedes' contract; undefined when it follows from the index. */
  packetId: number | undefined
  /** Where in the value the message itself stands, as `encodeBody` wrote it without places, when no other queue holds it; else it has a record of its own. */
  bodyAt: number | undefined
}

/** Value of a queue's position. */
export interface Position {
  /** Index of the next message. */
  tail: number
  /** Messages below this index may have been sent before. */
  sent: number
  count: number
  bytes: number
  /** No message of the queue expires before this, in the time of the store; Infinity when none does. */
  soonest: number
}

/** A message as it lies on disk. */
export interface Body {
  message: Message
  /** When it was accepted, in the time of the store. */
  acceptedAt: number
  places: Place[]
}

const PLACE_LENGTH = 10
const NO_PLACES: readonly Place[] = []
const NO_IDENTIFIERS: readonly number[] = []
/** Six bytes that stand for a time that never comes. */
const NEVER = 2 ** 48 - 1
const REFERENCE_LENGTH = 13

const FLAG_RETAIN = 0b0000_0100
/** Of references. */
const FLAG_IDENTIFIERS = 0b0000_1000
const FLAG_RELEASED = 0b0001_0000
const FLAG_PACKET_ID = 0b0010_0000
const FLAG_SHARED = 0b0100_0000
const FLAG_BODY = 0b1000_0000
/** Of bodies. */
const FLAG_DUP = 0b0000_1000
const FLAG_FORWARDED = 0b0001_0000
const FLAG_EXPIRY = 0b0010_0000
const FLAG_BROKER = 0b0100_0000
const FLAG_TEXT = 0b1000_0000

/** With `content`, the message stands in the reference itself; without, it has a record of its own. */
export function encodeReference(
  reference: Omit<Reference, 'bodyAt'>,
  content: Pick<Body, 'message' | 'acceptedAt'> | undefined,
): Buffer {
  const { packetId, released, subscriptionIdentifiers: identifiers = NO_IDENTIFIERS } = reference
  const named = packetId !== undefined
  const releasedLength = released === undefined ? 0 : 6
  const contentLength = content === undefined ? 0 : 2 + bodyLength(content.message, NO_PLACES)
  const value = Buffer.allocUnsafe(
    REFERENCE_LENGTH + (named ? 2 : 0) + releasedLength + contentLength + 4 * identifiers.length,
  )
  value.writeUIntBE(reference.message, 0, 6)
  value[6] =
    reference.qos |
    (reference.retain ? FLAG_RETAIN : 0) |
    (identifiers.length > 0 ? FLAG_IDENTIFIERS : 0) |
    (released === undefined ? 0 : FLAG_RELEASED) |
    (named ? FLAG_PACKET_ID : 0) |
    (reference.isShared ? FLAG_SHARED : 0) |
    (content === undefined ? 0 : FLAG_BODY)
  let at = value.writeUIntBE(reference.size, 7, 6)
  if (named) at = value.writeUInt16BE(packetId, at)
  if (released !== undefined) at = value.writeUIntBE(released, at, 6)
  // Without a body, the length says how many there are.
  if (content !== undefined) at = value.writeUInt16BE(identifiers.length, at)
  for (const identifier of identifiers) at = value.writeUInt32BE(identifier, at)
  if (content !== undefined) writeBody(value, at, content.message, content.acceptedAt, NO_PLACES)
  return value
}

/** Reads what `encodeReference` wrote, up to `length`. Throws a RangeError when the record is too short. */
export function decodeReference(value: Buffer, length = value.length): Reference {
  const flags = value.readUInt8(6)
  let at = REFERENCE_LENGTH
  let packetId: number | undefined
  if ((flags & FLAG_PACKET_ID) !== 0) {
    packetId = value.readUInt16BE(at)
    at += 2
  }
  let released: number | undefined
  if ((flags & FLAG_RELEASED) !== 0) {
    released = value.readUIntBE(at, 6)
    at += 6
  }
  let end = length
  if ((flags & FLAG_BODY) !== 0) {
    end = at + 2 + 4 * value.readUInt16BE(at)
    at += 2
  }
  let identifiers: number[] | undefined
  if ((flags & FLAG_IDENTIFIERS) !== 0) {
    identifiers = []
    for (; at < end; at += 4) identifiers.push(value.readUInt32BE(at))
  }
  return {
    message: value.readUIntBE(0, 6),
    qos: (flags & 3) as QoS,
    retain: (flags & FLAG_RETAIN) !== 0,
    subscriptionIdentifiers: identifiers,
    isShared: (flags & FLAG_SHARED) !== 0,
    released,
    size: value.readUIntBE(7, 6),
    packetId,
    bodyAt: (flags & FLAG_BODY) === 0 ? undefined : end,
  }
}

export function encodePosition(position: Position): Buffer {
  const value = Buffer.allocUnsafe(30)
  value.writeUIntBE(position.tail, 0, 6)
  value.writeUIntBE(position.sent, 6, 6)
  value.writeUIntBE(position.count, 12, 6)
  value.writeUIntBE(position.bytes, 18, 6)
  value.writeUIntBE(Math.min(position.soonest, NEVER), 24, 6)
  return value
}

export function decodePosition(value: Buffer): Position {
  const soonest = value.readUIntBE(24, 6)
  return {
    tail: value.readUIntBE(0, 6),
    sent: value.readUIntBE(6, 6),
    count: value.readUIntBE(12, 6),
    bytes: value.readUIntBE(18, 6),
    soonest: soonest === NEVER ? Number.POSITIVE_INFINITY : soonest,
  }
}

/** A message, when it came, and the places that wait for it. Retained messages are written with no places. */
export function encodeBody(message: Message, acceptedAt: number, places: readonly Place[]): Buffer {
  const value = Buffer.allocUnsafe(bodyLength(message, places))
  writeBody(value, 0, message, acceptedAt, places)
  return value
}

function bodyLength(
  { brokerId, forwarded, expiresAt, topicBytes, payload }: Message,
  places: readonly Place[],
): number {
  return (
    4 +
    places.length * PLACE_LENGTH +
    6 +
    1 +
    (brokerId === undefined ? 0 : 1 + Buffer.byteLength(brokerId) + 6) +
    (forwarded === undefined ? 0 : 4 + forwarded.length) +
    (expiresAt === undefined ? 0 : 6) +
    topicBytes.length +
    // Aedes' contract lets a payload be a string and wants it back as one.
    (typeof (payload as unknown) === 'string' ? Buffer.byteLength(payload) : payload.length)
  )
}

function writeBody(value: Buffer, at: number, message: Message, acceptedAt: number, places: readonly Place[]): void {
  const { brokerId, forwarded, expiresAt } = message
  const payload = message.payload as Buffer | string
  const isText = typeof payload === 'string'
  at = value.writeUInt32BE(places.length, at)
  for (const place of places) {
    at = value.writeUInt32BE(place.session, at)
    at = value.writeUIntBE(place.index, at, 6)
  }
  at = value.writeUIntBE(Math.round(acceptedAt), at, 6)
  value[at++] =
    message.qos |
    (message.retain ? FLAG_RETAIN : 0) |
    (message.dup ? FLAG_DUP : 0) |
    (forwarded === undefined ? 0 : FLAG_FORWARDED) |
    (expiresAt === undefined ? 0 : FLAG_EXPIRY) |
    (brokerId === undefined ? 0 : FLAG_BROKER) |
    (isText ? FLAG_TEXT : 0)
  if (brokerId !== undefined) {
    const length = value.write(brokerId, at + 1)
    value[at] = length
    at += 1 + length
    at = value.writeUIntBE(message.brokerCounter, at, 6)
  }
  if (forwarded !== undefined) {
    at = value.writeUInt32BE(forwarded.length, at)
    at += forwarded.copy(value, at)
  }
  if (expiresAt !== undefined) at = value.writeUIntBE(Math.max(0, Math.round(expiresAt)), at, 6)
  value.set(message.topicBytes, at)
  at += message.topicBytes.length
  if (isText) value.write(payload, at)
  else value.set(payload, at)
}

/** Reads what `encodeBody` wrote, from `at` to `end`. Throws a RangeError when the record is too short. */
export function decodeBody(value: Buffer, at = 0, end = value.length): Body {
  const places: Place[] = []
  let left = value.readUInt32BE(at)
  at += 4
  for (; left > 0; left--) {
    places.push({ session: value.readUInt32BE(at), index: value.readUIntBE(at + 4, 6) })
    at += PLACE_LENGTH
  }
  const acceptedAt = value.readUIntBE(at, 6)
  at += 6
  const flags = value.readUInt8(at++)
  let brokerId: string | undefined
  let brokerCounter = 0
  if ((flags & FLAG_BROKER) !== 0) {
    const length = value.readUInt8(at++)
    brokerId = value.toString('utf8', at, at + length)
    at += length
    brokerCounter = value.readUIntBE(at, 6)
    at += 6
  }
  let forwarded: Buffer | undefined
  if ((flags & FLAG_FORWARDED) !== 0) {
    const length = value.readUInt32BE(at)
    at += 4
    forwarded = value.subarray(at, at + length)
    at += length
  }
  let expiresAt: number | undefined
  if ((flags & FLAG_EXPIRY) !== 0) {
    expiresAt = value.readUIntBE(at, 6)
    at += 6
  }
  const topicLength = value.readUInt16BE(at)
  const topicEnd = at + 2 + topicLength
  if (topicEnd > end) throw new RangeError('the record of a message is cut short')
  const payload = value.subarray(topicEnd, end)
  const message = Message.of({
    topic: value.toString('utf8', at + 2, topicEnd),
    topicBytes: value.subarray(at, topicEnd),
    payload: (flags & FLAG_TEXT) !== 0 ? (payload.toString() as unknown as Buffer) : payload,
    qos: (flags & 3) as QoS,
    retain: (flags & FLAG_RETAIN) !== 0,
    dup: (flags & FLAG_DUP) !== 0,
    forwarded,
    expiresAt,
  })
  message.brokerId = brokerId
  message.brokerCounter = brokerCounter
  return { message, acceptedAt, places }
}

/**
 * A retained message: who published it, for whoever checks later whether they still may, then the body. A length of 0
 * stands for nobody, that is, the gateway itself, or for no user name.
 */
export function encodeRetained(message: Message, acceptedAt: number): Buffer {
  const { clientId = '', userName = '' } = message
  const publisher = Buffer.allocUnsafe(4 + Buffer.byteLength(clientId) + Buffer.byteLength(userName))
  let at = 0
  for (const name of [clientId, userName]) {
    const length = publisher.write(name, at + 2)
    at = publisher.writeUInt16BE(length, at) + length
  }
  return Buffer.concat([publisher, encodeBody(message, acceptedAt, [])])
}

/** Reads what `encodeRetained` wrote. Throws a RangeError when the record is too short. */
export function decodeRetained(value: Buffer): Body {
  const names: (string | undefined)[] = []
  let at = 0
  for (let i = 0; i < 2; i++) {
    const end = at + 2 + value.readUInt16BE(at)
    names.push(end === at + 2 ? undefined : value.toString('utf8', at + 2, end))
    at = end
  }
  const [clientId, userName] = names
  const body = decodeBody(value, at)
  const { topic, topicBytes, payload, qos, retain, dup, forwarded, expiresAt } = body.message
  const message = Message.of({
    topic,
    topicBytes,
    payload,
    qos,
    retain,
    dup,
    forwarded,
    expiresAt,
    clientId,
    userName,
  })
  return { ...body, message }
}
