/**
 * The properties of a PUBLISH. Most of them are the application's: the gateway checks them and passes them on
 * as the bytes they came in [MQTT-3.3.2-4] [MQTT-3.3.2-15] to [MQTT-3.3.2-20]; nobody decodes them who does not ask.
 * Topic alias and subscription identifiers belong to one connection, message expiry counts down: these
 * are taken out of what comes, and put before what goes.
 */
import { MalformedPacketError, protocolError } from './malformed.ts'
import { PacketType } from './packets.ts'
import {
  checkBit,
  checkResponseTopic,
  encodePropertyList,
  notAllowed,
  type Properties,
  readPropertyList,
  repeated,
  tooManyUserProperties,
} from './properties.ts'
import { PropertyId } from './property-table.ts'
import { ReasonCode } from './reason-codes.ts'
import { variableLength, WireReader, writeVariable } from './wire.ts'

/** What the properties of a PUBLISH from a client say. */
export interface ReceivedProperties {
  /** 0 for none. */
  topicAlias: number
  /** Seconds. */
  messageExpiryInterval: number | undefined
  /** Those to pass on, as on the wire; undefined when there are none. A view of the buffer if they came in one piece. */
  properties: Buffer | undefined
}

/** What goes into the properties of a PUBLISH to a client. */
export interface SentProperties {
  /** As `ReceivedProperties.properties`. */
  properties: Buffer | undefined
  /** Seconds that are left. */
  messageExpiryInterval: number | undefined
  /** 0 for none. */
  topicAlias: number
  subscriptionIdentifiers: readonly number[] | undefined
  /** The client knows the alias: the topic itself is not sent. */
  withoutTopic?: boolean
}

/**
 * Reads the length of the properties at `at` and the properties, of a PUBLISH from a client that ends at
 * `end`, into `found`. Returns where they end. Throws MalformedPacketError, with 0x94 for topic alias 0.
 */
export function readPublishProperties(
  buffer: Buffer,
  at: number,
  end: number,
  maxUserProperties: number,
  found: ReceivedProperties,
): number {
  if (at < end && buffer[at] === 0) return at + 1
  const packet = new WireReader('PUBLISH', buffer, at, end)
  const reader = packet.part(packet.variableByteInteger('property length'), 'property list')
  let seen = 0
  let userProperties = 0
  let first = -1
  let last = -1
  let length = 0
  while (reader.at < reader.end) {
    const start = reader.at
    const id = reader.byte('property identifier')
    // Of identifiers over 31, only two are allowed in a PUBLISH; they are counted by themselves.
    if (id < 32) {
      if ((seen & (1 << id)) !== 0) throw repeated(`property 0x0${id.toString(16)}`)
      seen |= 1 << id
    }
    switch (id) {
      case PropertyId.TOPIC_ALIAS:
        if (found.topicAlias !== 0) throw repeated('topic alias')
        found.topicAlias = reader.twoByteInteger('topic alias')
        // [MQTT-3.3.2-8]
        if (found.topicAlias === 0) {
          throw new MalformedPacketError('the topic alias is 0', ReasonCode.TOPIC_ALIAS_INVALID)
        }
        continue
      case PropertyId.MESSAGE_EXPIRY_INTERVAL:
        found.messageExpiryInterval = reader.fourByteInteger('message expiry interval')
        continue
      case PropertyId.PAYLOAD_FORMAT_INDICATOR:
        checkBit(reader.byte('payload format indicator'), 'payload format indicator')
        break
      case PropertyId.CONTENT_TYPE:
        // [MQTT-3.3.2-19]
        reader.skipString('content type')
        break
      case PropertyId.RESPONSE_TOPIC:
        // [MQTT-3.3.2-13]
        checkResponseTopic(reader.string('response topic'))
        break
      case PropertyId.CORRELATION_DATA:
        reader.skipBinaryData('correlation data')
        break
      case PropertyId.USER_PROPERTY:
        if (userProperties++ === maxUserProperties) throw tooManyUserProperties(maxUserProperties)
        reader.skipString('user property')
        reader.skipString('user property')
        break
      case PropertyId.SUBSCRIPTION_IDENTIFIER:
        // [MQTT-3.3.4-6]
        throw protocolError('a PUBLISH from a client has a subscription identifier')
      default:
        throw notAllowed(id)
    }
    if (first < 0) first = start
    last = reader.at
    length += last - start
  }
  if (length > 0) {
    found.properties = length === last - first ? buffer.subarray(first, last) : gather(buffer, first, last, length)
  }
  return reader.end
}

/** A copy of those properties in buffer[at..end) that are passed on; they have `length` bytes. */
function gather(buffer: Buffer, at: number, end: number, length: number): Buffer {
  const gathered = Buffer.allocUnsafe(length)
  let filled = 0
  while (at < end) {
    const next = propertyEnd(buffer, at)
    const id = buffer[at]
    if (id !== PropertyId.TOPIC_ALIAS && id !== PropertyId.MESSAGE_EXPIRY_INTERVAL) {
      filled += buffer.copy(gathered, filled, at, next)
    }
    at = next
  }
  return gathered
}

/** Where the property at `at` ends. It was found to be well-formed. */
function propertyEnd(buffer: Buffer, at: number): number {
  switch (buffer[at]) {
    case PropertyId.PAYLOAD_FORMAT_INDICATOR:
      return at + 2
    case PropertyId.TOPIC_ALIAS:
      return at + 3
    case PropertyId.MESSAGE_EXPIRY_INTERVAL:
      return at + 5
    case PropertyId.USER_PROPERTY:
      return fieldEnd(buffer, fieldEnd(buffer, at + 1))
    default:
      return fieldEnd(buffer, at + 1)
  }
}

function fieldEnd(buffer: Buffer, at: number): number {
  return at + 2 + buffer.readUInt16BE(at)
}

/** Decodes properties that are passed on: `ReceivedProperties.properties`, or what `encodeForwarded` made. */
export function forwardedProperties(bytes: Buffer): Properties {
  const reader = new WireReader('the property list', bytes, 0, bytes.length)
  return readPropertyList(reader, PacketType.PUBLISH, Number.POSITIVE_INFINITY)
}

/**
 * The properties among `properties` that are passed on, as on the wire, for a message or a will that comes
 * otherwise than in a PUBLISH; undefined when there are none. Throws RangeError for a string that is too long,
 * and MalformedPacketError for what no client may send either.
 */
export function encodeForwarded(properties: Properties): Buffer | undefined {
  const { payloadFormatIndicator, contentType, responseTopic, correlationData, userProperties } = properties
  const bytes = encodePropertyList({
    payloadFormatIndicator,
    contentType,
    responseTopic,
    correlationData,
    userProperties,
  })
  if (bytes.length === 0) return undefined
  forwardedProperties(bytes)
  return bytes
}

/** The payload format indicator among properties that are passed on; 1 means UTF-8. */
export function payloadFormatOf(bytes: Buffer): 0 | 1 | undefined {
  for (let at = 0; at < bytes.length; at = propertyEnd(bytes, at)) {
    if (bytes[at] === PropertyId.PAYLOAD_FORMAT_INDICATOR) return bytes[at + 1] as 0 | 1
  }
  return undefined
}

/** Bytes of the properties without their length. */
export function sentPropertiesLength(sent: SentProperties): number {
  let length = sent.properties === undefined ? 0 : sent.properties.length
  if (sent.topicAlias > 0) length += 3
  if (sent.messageExpiryInterval !== undefined) length += 5
  if (sent.subscriptionIdentifiers !== undefined) {
    for (const identifier of sent.subscriptionIdentifiers) length += 1 + variableLength(identifier)
  }
  return length
}

/** Writes the properties, of `length` bytes, behind their length into `target` from `at` on and returns the offset after them. */
export function writeSentProperties(target: Buffer, at: number, sent: SentProperties, length: number): number {
  at = writeVariable(target, at, length)
  if (sent.topicAlias > 0) {
    target[at++] = PropertyId.TOPIC_ALIAS
    target[at++] = sent.topicAlias >> 8
    target[at++] = sent.topicAlias & 0xff
  }
  if (sent.messageExpiryInterval !== undefined) {
    target[at++] = PropertyId.MESSAGE_EXPIRY_INTERVAL
    at = target.writeUInt32BE(sent.messageExpiryInterval, at)
  }
  if (sent.subscriptionIdentifiers !== undefined) {
    for (const identifier of sent.subscriptionIdentifiers) {
      target[at++] = PropertyId.SUBSCRIPTION_IDENTIFIER
      at = writeVariable(target, at, identifier)
    }
  }
  if (sent.properties !== undefined) {
    target.set(sent.properties, at)
    at += sent.properties.length
  }
  return at
}
