/** Properties of MQTT 5 (§2.2.2), read and written as `property-table.ts` says. */
import { MalformedPacketError, protocolError } from './malformed.ts'
import { PacketType } from './packets.ts'
import {
  PROPERTIES,
  PROPERTY_BY_ID,
  type Properties,
  type PropertyDefinition,
  type PropertyPlace,
  type PropertyType,
} from './property-table.ts'
import { ReasonCode } from './reason-codes.ts'
import { topicNameFault } from './topics.ts'
import {
  encodeBinaryData,
  encodeString,
  encodeTwoByteInteger,
  encodeVariableByteInteger,
  type WireReader,
} from './wire.ts'

export type { Properties } from './property-table.ts'

/**
 * User properties taken with one packet: devices send a handful, and a packet full of empty ones would
 * else become ten times its size in memory (CVE-2021-41039).
 */
export const MAX_USER_PROPERTIES = 1_000

/**
 * Reads the length of the properties and the properties, as `place` may have them. Throws
 * MalformedPacketError: 0x81 for what cannot be read or is not allowed there, 0x82 for what is repeated or
 * out of range, 0x97 for more than `maxUserProperties`.
 */
export function readProperties(
  packet: WireReader,
  place: PropertyPlace,
  maxUserProperties = MAX_USER_PROPERTIES,
): Properties {
  const reader = packet.part(packet.variableByteInteger('property length'), 'property list')
  return readPropertyList(reader, place, maxUserProperties)
}

/** As `readProperties`, for properties without their length: all that `reader` has. */
export function readPropertyList(
  reader: WireReader,
  place: PropertyPlace,
  maxUserProperties = MAX_USER_PROPERTIES,
): Properties {
  const properties: Properties = {}
  const values = properties as Record<string, unknown>
  while (reader.at < reader.end) {
    // Officially a variable byte integer; all there are have one byte, and none may be written with more.
    const id = reader.byte('property identifier')
    const definition = PROPERTY_BY_ID.get(id)
    if (definition === undefined || (definition.places & (1 << place)) === 0) throw notAllowed(id, definition?.what)
    const { name, what } = definition
    if (name === 'userProperties') {
      properties.userProperties ??= []
      if (properties.userProperties.length >= maxUserProperties) throw tooManyUserProperties(maxUserProperties)
      properties.userProperties.push([reader.string(what), reader.string(what)])
    } else if (name === 'subscriptionIdentifiers' && place === PacketType.PUBLISH) {
      properties.subscriptionIdentifiers ??= []
      properties.subscriptionIdentifiers.push(readValue(reader, definition) as number)
    } else {
      if (values[name] !== undefined) throw repeated(what)
      const value = readValue(reader, definition)
      values[name] = name === 'subscriptionIdentifiers' ? [value] : value
    }
  }
  if (properties.responseTopic !== undefined) checkResponseTopic(properties.responseTopic)
  // §3.1.2.11.10
  if (properties.authenticationData !== undefined && properties.authenticationMethod === undefined) {
    throw protocolError('there is authentication data without an authentication method')
  }
  return properties
}

function readValue(reader: WireReader, { type, what, minimum, name }: PropertyDefinition): unknown {
  switch (type) {
    case 'bit':
      return checkBit(reader.byte(what), what)
    case 'boolean':
      return checkBit(reader.byte(what), what) === 1
    case 'string':
      return reader.string(what)
    case 'binary data':
      return reader.binaryData(what)
    case 'string pair':
      return [reader.string(what), reader.string(what)]
  }
  const value =
    type === 'two byte integer'
      ? reader.twoByteInteger(what)
      : type === 'four byte integer'
        ? reader.fourByteInteger(what)
        : reader.variableByteInteger(what)
  if (value < minimum) {
    // [MQTT-3.3.2-8]
    if (name === 'topicAlias') throw new MalformedPacketError('the topic alias is 0', ReasonCode.TOPIC_ALIAS_INVALID)
    throw protocolError(`the ${what} is 0`)
  }
  return value
}

/** Throws when `value` is neither 0 nor 1, as every property of one byte must be. */
export function checkBit(value: number, what: string): number {
  if (value > 1) throw protocolError(`the ${what} is neither 0 nor 1`)
  return value
}

/** [MQTT-3.3.2-14] [MQTT-4.7.3-1]. How many levels it may have is the business of whoever publishes on it. */
export function checkResponseTopic(topic: string): void {
  const fault = topicNameFault(topic, Number.POSITIVE_INFINITY)
  if (fault !== undefined) throw protocolError(`the response topic is no topic name: ${fault}`)
}

/** MQTT 5 §2.2.2.2. */
export function notAllowed(id: number, what = `property 0x${id.toString(16)}`): MalformedPacketError {
  return new MalformedPacketError(`the ${what} is not allowed here`)
}

export function repeated(what: string): MalformedPacketError {
  return protocolError(`the ${what} is there twice`)
}

export function tooManyUserProperties(limit: number): MalformedPacketError {
  return new MalformedPacketError(`there are more than ${limit} user properties`, ReasonCode.QUOTA_EXCEEDED)
}

/** The properties behind their length [MQTT-2.2.2-1]. That they are allowed where they go is the caller's business. Throws RangeError. */
export function encodeProperties(properties: Properties): Buffer {
  const list = encodePropertyList(properties)
  return Buffer.concat([encodeVariableByteInteger(list.length), list])
}

/** As `encodeProperties`, without the length. */
export function encodePropertyList(properties: Properties): Buffer {
  const parts: Buffer[] = []
  for (const { id, name, type } of PROPERTIES) {
    const value = properties[name]
    if (value === undefined) continue
    if (name === 'userProperties') {
      for (const [key, text] of value as [string, string][]) {
        parts.push(Buffer.from([id]), encodeString(key), encodeString(text))
      }
    } else if (name === 'subscriptionIdentifiers') {
      for (const each of value as number[]) parts.push(Buffer.from([id]), encodeVariableByteInteger(each))
    } else {
      parts.push(Buffer.from([id]), encodeValue(type, value))
    }
  }
  return Buffer.concat(parts)
}

function encodeValue(type: PropertyType, value: unknown): Buffer {
  switch (type) {
    case 'string':
      return encodeString(value as string)
    case 'binary data':
      return encodeBinaryData(value as Buffer)
    case 'two byte integer':
      return encodeTwoByteInteger(value as number)
    case 'four byte integer': {
      const bytes = Buffer.allocUnsafe(4)
      bytes.writeUInt32BE(value as number)
      return bytes
    }
    default:
      return Buffer.from([Number(value)])
  }
}
