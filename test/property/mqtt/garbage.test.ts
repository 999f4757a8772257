/**
 * Whatever comes in, the answer is packets or MalformedPacketError, little is kept, and what was taken
 * for a packet is one: encoded again it gives the same bytes where there is only one way to encode it, and else
 * as many bytes that mean the same. So nothing that the standard forbids got through.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  type AckType,
  ackLength,
  ackPacketId,
  ackReasonCode,
  decodeAck,
  flagsFault,
  writeAck,
} from '../../../src/mqtt/acks.ts'
import { ALL_VERSIONS } from '../../../src/mqtt/connect.ts'
import { decodeControl } from '../../../src/mqtt/control.ts'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import { PacketType, type ProtocolVersion } from '../../../src/mqtt/packets.ts'
import { decodePublish, publishLength, writePublish } from '../../../src/mqtt/publish.ts'
import { encodeForwarded, forwardedProperties, payloadFormatOf } from '../../../src/mqtt/publish-properties.ts'
import { isReasonCodeOf } from '../../../src/mqtt/reason-codes.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import { clientPacket, cutAt, cuts, encode, version } from './arbitraries.ts'
import { encodeClient } from './encode-client.ts'

const MAX_PACKET_SIZE = 30_000

/** Bytes that mean something in some place of some packet, more often than others. */
const byte = fc.oneof(
  fc.nat(255),
  fc.constantFrom(0, 1, 2, 3, 4, 5, 8, 9, 0x0b, 0x10, 0x11, 0x15, 0x16, 0x1f, 0x21, 0x23, 0x26, 0x27),
  fc.constantFrom(0x30, 0x36, 0x62, 0x7f, 0x80, 0x82, 0x83, 0x84, 0xa2, 0xc3, 0xed, 0xf0, 0xff),
)
const garbage = fc.array(byte, { maxLength: 60 }).map(bytes => Buffer.from(bytes))

function mostly<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
}

/** A valid packet with some bytes changed, and perhaps cut off or lengthened; its remaining length is often made right again. */
function mutated(protocolVersion: ProtocolVersion): fc.Arbitrary<Buffer> {
  return fc
    .record({
      packet: clientPacket(protocolVersion),
      changes: fc.array(fc.tuple(fc.nat(80), byte), { maxLength: 2 }),
      drop: mostly(0, fc.nat(6)),
      tail: mostly<number[]>([], fc.array(byte, { maxLength: 4 })),
      mend: mostly(true, fc.constant(false)),
    })
    .map(({ packet, changes, drop, tail, mend }) => {
      const whole = encode(packet, protocolVersion)
      const bytes = Buffer.from([...whole.subarray(0, Math.max(2, whole.length - drop)), ...tail])
      for (const [place, value] of changes) bytes[place % bytes.length] = value
      if (mend && bytes.length < 130) bytes[1] = bytes.length - 2
      return bytes
    })
}

const streams = version.chain(protocolVersion =>
  fc.tuple(
    fc.constant(protocolVersion),
    fc.array(fc.oneof({ weight: 1, arbitrary: garbage }, { weight: 5, arbitrary: mutated(protocolVersion) }), {
      maxLength: 3,
    }),
  ),
)

test('garbage and mutated packets give packets or MalformedPacketError, and little is kept', () => {
  const taken = new Map<string, number>()
  let refused = 0
  fc.assert(
    fc.property(streams, cuts, ([protocolVersion, parts], places) => {
      const cache = new TopicCache()
      const reader = new FrameReader({
        maxPacketSize: MAX_PACKET_SIZE,
        onFrame(header, buffer, start, body, end) {
          if (end - start > MAX_PACKET_SIZE) throw new Error(`a packet of ${end - start} bytes`)
          const fault = flagsFault(header, protocolVersion)
          if (fault !== undefined) throw new MalformedPacketError(fault)
          check(header, buffer, start, body, end, protocolVersion, cache)
          const key = `${header >> 4}, version ${protocolVersion}`
          taken.set(key, (taken.get(key) ?? 0) + 1)
          return true
        },
      })
      reader.shortestLengths = protocolVersion === 5
      try {
        for (const chunk of cutAt(Buffer.concat(parts), places)) {
          reader.push(chunk)
          if (reader.buffered > MAX_PACKET_SIZE) throw new Error(`${reader.buffered} bytes kept`)
        }
      } catch (error) {
        if (!(error instanceof MalformedPacketError)) throw error
        expect(error.reason).toMatch(/^[^.]+$|protocol level/)
        const isAnswer = [PacketType.CONNACK, PacketType.DISCONNECT].some(type =>
          isReasonCodeOf(type, error.reasonCode),
        )
        expect([error.reasonCode, isAnswer]).toEqual([error.reasonCode, true])
        expect(reader.buffered).toBe(0)
        refused++
      }
    }),
    { numRuns: 4_000 },
  )
  // All must have happened often, or the test shows nothing.
  expect(refused).toBeGreaterThan(1_000)
  const types = [1, 3, 4, 5, 6, 7, 8, 10, 12, 14]
  const expected = [...ALL_VERSIONS.flatMap(each => types.map(type => `${type}, version ${each}`)), '15, version 5']
  for (const key of expected) expect([key, (taken.get(key) ?? 0) > 3]).toEqual([key, true])
}, 60_000)

/** Decodes a packet as a server does, encodes it again and throws when that is not the same. Throws MalformedPacketError. */
function check(
  header: number,
  buffer: Buffer,
  start: number,
  body: number,
  end: number,
  protocolVersion: ProtocolVersion,
  cache: TopicCache,
): void {
  const frame = normal(buffer.subarray(start, end), body - start)
  const type = header >> 4
  switch (type) {
    case PacketType.PUBLISH: {
      const view = decodePublish(header, buffer, start, body, end, cache, protocolVersion)
      if (!view.topic.isWellFormed() || view.topic.includes('\0'))
        throw new Error(`topic ${JSON.stringify(view.topic)}`)
      const sent = protocolVersion === 5 ? { ...view, subscriptionIdentifiers: undefined } : undefined
      const again = Buffer.alloc(publishLength(view.topicBytes.length - 2, view.payload.length, view.qos, sent))
      writePublish(again, 0, view, view.qos, view.retain, view.dup, view.packetId, sent)
      const read = (bytes: Buffer) => {
        const at = bytes.length - (end - body)
        const again = decodePublish(header, bytes, 0, at, bytes.length, undefined, protocolVersion)
        const { topic, packetId, payload, qos, retain, dup, topicAlias, messageExpiryInterval, properties } = again
        return { topic, packetId, payload, qos, retain, dup, topicAlias, messageExpiryInterval, properties }
      }
      expectSame(frame, again, protocolVersion !== 5, read)
      if (view.properties === undefined) return
      const properties = forwardedProperties(view.properties)
      expect(encodeForwarded(properties)?.length).toBe(view.properties.length)
      expect(payloadFormatOf(view.properties)).toBe(properties.payloadFormatIndicator)
      return
    }
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP: {
      const ack = decodeAck(type as AckType, buffer, body, end, protocolVersion)
      const again = Buffer.alloc(ackLength(ackReasonCode(ack)))
      writeAck(again, 0, type as AckType, ackPacketId(ack), ackReasonCode(ack))
      // In a longer form the reason code need not be left out when it is 0, and there may be properties.
      if (end - body <= 3 && (end - body === 2 || ackReasonCode(ack) !== 0)) expectSame(frame, again, true)
      return
    }
    default: {
      const read = (bytes: Buffer) => decodeControl(bytes, protocolVersion)
      const packet = read(buffer.subarray(start, end))
      const again = encodeClient(packet, protocolVersion)
      const isCanonical = packet.cmd === 'connect' ? packet.protocolVersion === 4 : protocolVersion !== 5
      // A reason code of 0 need not be left out, nor no properties.
      const canBeShorter = (packet.cmd === 'disconnect' || packet.cmd === 'auth') && end - body <= 2
      expectSame(canBeShorter ? again : frame, again, isCanonical, read)
    }
  }
}

function expectSame(frame: Buffer, again: Buffer, isCanonical: boolean, read?: (bytes: Buffer) => unknown): void {
  const isSame = isCanonical ? again.equals(frame) : again.length === frame.length
  if (!isSame) throw new Error(`${frame.toString('hex')} was taken for ${again.toString('hex')}`)
  if (!isCanonical && read !== undefined) expect(read(again)).toEqual(read(frame))
}

/** The packet with its shortest remaining length, and without the DUP that MQTT 3.1 allows in some. */
function normal(frame: Buffer, headerLength: number): Buffer {
  const lengths: number[] = []
  let rest = frame.length - headerLength
  do {
    lengths.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0))
    rest >>= 7
  } while (rest > 0)
  const first = frame[0] as number
  const header = first >> 4 === PacketType.PUBLISH ? first : first & 0xf7
  return Buffer.concat([Buffer.from([header, ...lengths]), frame.subarray(headerLength)])
}
