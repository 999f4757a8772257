/** Our codec against mqtt-packet's, both ways, on random packets of all versions that are cut at random places. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ackLength, writeAck } from '../../../src/mqtt/acks.ts'
import { encodeControl, type ServerPacket } from '../../../src/mqtt/control.ts'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { PacketType, type QoS } from '../../../src/mqtt/packets.ts'
import { encodeProperties, type Properties, readProperties } from '../../../src/mqtt/properties.ts'
import { WILL } from '../../../src/mqtt/property-table.ts'
import { decodePublish, publishLength, topicBytesOf, writePublish } from '../../../src/mqtt/publish.ts'
import { encodeForwarded, forwardedProperties, type SentProperties } from '../../../src/mqtt/publish-properties.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import { WireReader } from '../../../src/mqtt/wire.ts'
import {
  ack,
  clientPacket,
  cutAt,
  cuts,
  encode,
  PLACES,
  packetId,
  properties,
  publish,
  type Theirs,
  text,
  version,
} from './arbitraries.ts'
import { ACK_TYPES, ours, parse, propertiesInOurs, theirs } from './theirs.ts'

describe('what a client sends', () => {
  const streams = version.chain(protocolVersion =>
    fc.tuple(fc.constant(protocolVersion), fc.array(clientPacket(protocolVersion), { maxLength: 8 })),
  )

  test('any stream, cut anywhere and paused anywhere, gives the packets that mqtt-packet finds in it whole', () => {
    const stop = fc.infiniteStream(fc.boolean())
    fc.assert(
      fc.property(streams, cuts, stop, ([protocolVersion, sent], places, stops) => {
        const packets = sent.map(packet => encode(packet, protocolVersion))
        const cache = new TopicCache()
        const got: object[] = []
        const reader = new FrameReader({
          maxPacketSize: 100_000,
          onFrame(header, buffer, start, body, end) {
            got.push(ours(header, buffer, start, body, end, protocolVersion, cache))
            return stops.next().value === false
          },
        })
        reader.shortestLengths = protocolVersion === 5
        for (const chunk of cutAt(Buffer.concat(packets), places)) {
          reader.push(chunk)
          if (reader.paused && stops.next().value) reader.resume()
        }
        while (reader.paused) reader.resume()
        expect(reader.buffered).toBe(0)
        expect(got).toEqual(packets.map((packet, i) => expected(packet, sent[i] as Theirs, protocolVersion)))
      }),
      { numRuns: 1_000 },
    )
  }, 60_000)

  /** What mqtt-packet reads in its own packet; of an acknowledgement we leave out the properties. */
  function expected(bytes: Buffer, sent: Theirs, protocolVersion: 3 | 4 | 5): object {
    const found = theirs(parse(bytes, protocolVersion))
    return sent.cmd in ACK_TYPES ? { ...found, properties: {} } : found
  }

  test('user properties come in the order of the wire', () => {
    fc.assert(
      fc.property(publish(5), packet => {
        const bytes = encode(packet, 5)
        const body = bytes.length - remainingLength(bytes)
        const view = decodePublish(bytes[0] as number, bytes, 0, body, bytes.length, undefined, 5)
        const found = view.properties === undefined ? {} : forwardedProperties(view.properties)
        const sent = propertiesInOurs(packet.properties as Record<string, unknown>)
        expect(found.userProperties).toEqual(sent.userProperties)
      }),
    )
  })
})

function remainingLength(packet: Buffer): number {
  let length = 0
  let shift = 0
  for (let at = 1; ; at++) {
    length |= ((packet[at] as number) & 0x7f) << shift
    shift += 7
    if ((packet[at] as number) < 0x80) return length
  }
}

describe('what we send', () => {
  test('a PUBLISH of ours is the bytes of mqtt-packet', () => {
    const packets = version.chain(protocolVersion => fc.tuple(fc.constant(protocolVersion), publish(protocolVersion)))
    const identifiers = fc.array(fc.integer({ min: 1, max: 268_435_455 }), { maxLength: 3 })
    fc.assert(
      fc.property(packets, identifiers, fc.nat(3), ([protocolVersion, packet], subscriptionIdentifiers, at) => {
        const { topic, payload, qos, retain, dup, messageId } = packet as unknown as {
          topic: string
          payload: Buffer
          qos: QoS
          retain: boolean
          dup: boolean
          messageId?: number
        }
        const p = { topicBytes: topicBytesOf(topic === '' ? 'some/topic' : topic), payload }
        const all = propertiesInOurs((packet.properties ?? {}) as Record<string, unknown>)
        const sent: SentProperties | undefined =
          protocolVersion !== 5
            ? undefined
            : {
                properties: encodeForwarded(all),
                messageExpiryInterval: all.messageExpiryInterval,
                topicAlias: all.topicAlias ?? 0,
                subscriptionIdentifiers,
                withoutTopic: topic === '',
              }
        const length = publishLength(p.topicBytes.length - 2, payload.length, qos, sent)
        const target = Buffer.alloc(at + length)
        const end = writePublish(target, at, p, qos, retain, dup, messageId ?? 0, sent)
        expect(end).toBe(target.length)
        const wanted = { ...packet, properties: inOurOrder(packet.properties, subscriptionIdentifiers) }
        expect(target.subarray(at).equals(encode(wanted, protocolVersion))).toBe(true)
      }),
      { numRuns: 1_000 },
    )
  }, 30_000)

  /** mqtt-packet writes properties in the order in which the object has them. */
  function inOurOrder(sent: unknown, subscriptionIdentifier: number[]): object {
    const { topicAlias, messageExpiryInterval, ...forwarded } = (sent ?? {}) as Record<string, unknown>
    const order = ['payloadFormatIndicator', 'contentType', 'responseTopic', 'correlationData', 'userProperties']
    return {
      topicAlias,
      messageExpiryInterval,
      ...(subscriptionIdentifier.length > 0 && { subscriptionIdentifier }),
      ...Object.fromEntries(order.map(name => [name, forwarded[name]])),
    }
  }

  test('an acknowledgement of ours is what mqtt-packet reads in it', () => {
    const packets = version.chain(protocolVersion => fc.tuple(fc.constant(protocolVersion), ack(protocolVersion)))
    fc.assert(
      fc.property(packets, fc.option(text), ([protocolVersion, packet], reason) => {
        const type = ACK_TYPES[packet.cmd as keyof typeof ACK_TYPES]
        const reasonCode = (packet.reasonCode ?? 0) as number
        const reasonString = protocolVersion === 5 ? (reason ?? undefined) : undefined
        const target = Buffer.alloc(ackLength(reasonCode, reasonString))
        const end = writeAck(target, 0, type, packet.messageId as number, reasonCode, reasonString)
        expect(end).toBe(target.length)
        const { cmd, messageId } = packet
        expect(theirs(parse(target, protocolVersion))).toEqual({
          ...{ cmd, messageId, reasonCode },
          properties: reasonString === undefined ? {} : { reasonString },
        })
        if (reasonCode === 0 && reasonString === undefined) {
          expect(target).toEqual(encode({ cmd, messageId, reasonCode }, protocolVersion))
        }
      }),
      { numRuns: 1_000 },
    )
  })

  const codes = (...all: number[]) => fc.array(fc.constantFrom(...all), { minLength: 1, maxLength: 150 })
  const serverPacket: fc.Arbitrary<[Theirs, keyof typeof PLACES]> = fc.oneof(
    fc
      .record({ cmd: fc.constant('connack'), sessionPresent: fc.boolean(), reasonCode: fc.constantFrom(0, 0x80, 0x95) })
      .map(packet => [packet, 'connack'] as [Theirs, keyof typeof PLACES]),
    fc
      .record({ cmd: fc.constant('suback'), messageId: packetId, granted: codes(0, 1, 2, 0x80) })
      .map(packet => [packet, 'suback'] as [Theirs, keyof typeof PLACES]),
    fc
      .record({ cmd: fc.constant('unsuback'), messageId: packetId, granted: codes(0, 0x11, 0x87) })
      .map(packet => [packet, 'unsuback'] as [Theirs, keyof typeof PLACES]),
    fc
      .record({ cmd: fc.constant('disconnect'), reasonCode: fc.constantFrom(0, 0x8b, 0x8e, 0x9d) })
      .map(packet => [packet, 'disconnect'] as [Theirs, keyof typeof PLACES]),
    fc
      .record({ cmd: fc.constant('auth'), reasonCode: fc.constantFrom(0, 0x18) })
      .map(packet => [packet, 'auth'] as [Theirs, keyof typeof PLACES]),
  )
  const serverPackets = serverPacket.chain(([packet, where]) =>
    fc.tuple(fc.constant(packet), properties(PLACES[where])),
  )

  test('any other packet of ours is what mqtt-packet reads in it', () => {
    fc.assert(
      fc.property(serverPackets, ([packet, chosen]) => {
        // AUTH that says nothing is as short as DISCONNECT, but mqtt-packet does not read it.
        fc.pre(packet.cmd !== 'auth' || packet.reasonCode !== 0 || Object.keys(chosen).length > 0)
        const mine = { ...packet, returnCode: packet.reasonCode, properties: propertiesInOurs(chosen) }
        const bytes = encodeControl(mine as unknown as ServerPacket, 5)
        const { reasonCode = 0, ...rest } = packet
        expect(theirs(parse(bytes, 5))).toEqual(JSON.parse(JSON.stringify({ ...rest, reasonCode, properties: chosen })))
      }),
      { numRuns: 1_000 },
    )
  })

  test('before MQTT 5, it is the bytes of mqtt-packet', () => {
    fc.assert(
      fc.property(serverPackets, fc.constantFrom(3 as const, 4 as const), ([packet, chosen], protocolVersion) => {
        fc.pre(packet.cmd !== 'disconnect' && packet.cmd !== 'auth')
        const mine = { ...packet, returnCode: packet.reasonCode, properties: propertiesInOurs(chosen) }
        const bytes = encodeControl(mine as unknown as ServerPacket, protocolVersion)
        expect(bytes).toEqual(encode(mine, protocolVersion))
      }),
    )
  })
})

describe('properties', () => {
  const TYPES = {
    ...{ connect: PacketType.CONNECT, connack: PacketType.CONNACK, will: WILL, ack: PacketType.PUBACK },
    ...{ suback: PacketType.SUBACK, unsuback: PacketType.UNSUBACK, publish: PacketType.PUBLISH },
    ...{ subscribe: PacketType.SUBSCRIBE, unsubscribe: PacketType.UNSUBSCRIBE },
    ...{ disconnect: PacketType.DISCONNECT, auth: PacketType.AUTH },
  }

  test('that are encoded and decoded are the same', () => {
    const pairs = fc.array(fc.tuple(text, text), { minLength: 1, maxLength: 5 })
    const places = fc.constantFrom(...(Object.keys(TYPES) as (keyof typeof TYPES)[]))
    const sets = places.chain(where => fc.tuple(fc.constant(TYPES[where]), properties(PLACES[where])))
    fc.assert(
      fc.property(sets, pairs, ([type, chosen], userProperties) => {
        const all: Properties = { ...propertiesInOurs(chosen), userProperties }
        const bytes = encodeProperties(all)
        const reader = new WireReader('a packet', bytes, 0, bytes.length)
        expect(readProperties(reader, type)).toEqual(all)
        reader.finish()
      }),
      { numRuns: 1_000 },
    )
  })
})
