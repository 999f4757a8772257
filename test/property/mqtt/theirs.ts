/**
 * The words of `mqtt-packet`: what it reads in bytes, and what we read, brought into one form that can be
 * compared. It has no order of user properties, no empty properties and other names for some things.
 */
import { parser } from 'mqtt-packet'
import { type AckType, ackPacketId, ackReasonCode, decodeAck } from '../../../src/mqtt/acks.ts'
import { decodeControl } from '../../../src/mqtt/control.ts'
import { PacketType, type ProtocolVersion } from '../../../src/mqtt/packets.ts'
import type { Properties } from '../../../src/mqtt/properties.ts'
import { decodePublish, type PublishView } from '../../../src/mqtt/publish.ts'
import { forwardedProperties } from '../../../src/mqtt/publish-properties.ts'
import type { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import type { Theirs } from './arbitraries.ts'

export const ACK_TYPES = {
  puback: PacketType.PUBACK,
  pubrec: PacketType.PUBREC,
  pubrel: PacketType.PUBREL,
  pubcomp: PacketType.PUBCOMP,
} as const
const ACK_NAMES = new Map(Object.entries(ACK_TYPES).map(([name, type]) => [type as number, name]))

/** Fields that mqtt-packet puts into every packet, whatever it is. */
const COMMON = {
  retain: undefined,
  qos: undefined,
  dup: undefined,
  length: undefined,
  topic: undefined,
  payload: undefined,
}

/** The one packet that mqtt-packet finds in `bytes`. */
export function parse(bytes: Buffer, protocolVersion: ProtocolVersion): Theirs {
  const packets: Theirs[] = []
  const oracle = parser({ protocolVersion })
  oracle.on('packet', packet => packets.push(packet as unknown as Theirs))
  oracle.parse(bytes)
  const [packet] = packets
  if (packet === undefined || packets.length > 1) throw new Error(`mqtt-packet finds ${packets.length} packets`)
  return packet
}

/** What mqtt-packet found, to be compared. */
export function theirs(packet: Theirs): object {
  const { will, ...rest } = packet
  const isPublish = packet.cmd === 'publish'
  return plain({
    ...rest,
    ...(isPublish ? { length: undefined } : COMMON),
    ...(packet.cmd === 'connect' && { bridgeMode: packet.bridgeMode === true }),
    ...(will !== undefined && { will: { ...(will as object), properties: (will as Theirs).properties ?? {} } }),
    ...('subscriptions' in packet && {
      subscriptions: (packet.subscriptions as object[]).map(each => ({ nl: false, rap: false, rh: 0, ...each })),
    }),
    reasonCode: packet.reasonCode ?? 0,
    properties: packet.properties ?? {},
  })
}

/** What we read in a packet of a client, in the form that `theirs` has. */
export function ours(
  header: number,
  buffer: Buffer,
  start: number,
  body: number,
  end: number,
  protocolVersion: ProtocolVersion,
  cache?: TopicCache,
): object {
  const type = header >> 4
  const none = { reasonCode: 0, properties: {} }
  if (type === PacketType.PUBLISH) {
    return { ...none, ...publishInTheirs(decodePublish(header, buffer, start, body, end, cache, protocolVersion)) }
  }
  const name = ACK_NAMES.get(type)
  if (name !== undefined) {
    const ack = decodeAck(type as AckType, buffer, body, end, protocolVersion)
    return { cmd: name, messageId: ackPacketId(ack), reasonCode: ackReasonCode(ack), properties: {} }
  }
  const packet = decodeControl(buffer.subarray(start, end), protocolVersion)
  switch (packet.cmd) {
    case 'pingreq':
      return { ...none, ...packet }
    case 'connect': {
      const { isBridge, will, ...rest } = packet
      return plain({
        ...none,
        ...rest,
        bridgeMode: isBridge,
        properties: propertiesInTheirs(packet.properties),
        will: will && { ...will, properties: propertiesInTheirs(will.properties) },
      })
    }
    default:
      return plain({ ...none, ...packet, properties: propertiesInTheirs(packet.properties) })
  }
}

function publishInTheirs(view: PublishView): object {
  const { topic, payload, qos, retain, dup } = view
  return plain({
    cmd: 'publish',
    ...{ topic, payload, qos, retain, dup },
    messageId: qos > 0 ? view.packetId : undefined,
    properties: {
      ...propertiesInTheirs(view.properties === undefined ? {} : forwardedProperties(view.properties)),
      messageExpiryInterval: view.messageExpiryInterval,
      topicAlias: view.topicAlias > 0 ? view.topicAlias : undefined,
    },
  })
}

export function propertiesInTheirs(properties: Properties): Record<string, unknown> {
  const { payloadFormatIndicator, subscriptionIdentifiers, userProperties, ...rest } = properties
  const grouped: Record<string, string | string[]> = Object.create(null)
  for (const [name, value] of userProperties ?? []) {
    const known = grouped[name]
    grouped[name] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value]
  }
  const [identifier] = subscriptionIdentifiers ?? []
  return {
    ...rest,
    ...(payloadFormatIndicator !== undefined && { payloadFormatIndicator: payloadFormatIndicator === 1 }),
    ...(identifier !== undefined && {
      subscriptionIdentifier: subscriptionIdentifiers?.length === 1 ? identifier : subscriptionIdentifiers,
    }),
    ...(userProperties !== undefined && { userProperties: grouped }),
  }
}

/** The way back, for packets that are made in mqtt-packet's words. User properties come in the order in which it writes them. */
export function propertiesInOurs(properties: Record<string, unknown>): Properties {
  const { payloadFormatIndicator, subscriptionIdentifier, userProperties, ...rest } = properties
  const pairs = Object.getOwnPropertyNames(userProperties ?? {}).flatMap(name =>
    [(userProperties as Record<string, string | string[]>)[name] ?? []]
      .flat()
      .map(value => [name, value] as [string, string]),
  )
  return {
    ...rest,
    ...(payloadFormatIndicator !== undefined && { payloadFormatIndicator: payloadFormatIndicator ? 1 : 0 }),
    ...(subscriptionIdentifier !== undefined && {
      subscriptionIdentifiers: [subscriptionIdentifier].flat() as number[],
    }),
    ...(userProperties !== undefined && { userProperties: pairs }),
  }
}

/** Without what is undefined, and with buffers as numbers. */
function plain(packet: object): object {
  return JSON.parse(JSON.stringify(packet))
}
