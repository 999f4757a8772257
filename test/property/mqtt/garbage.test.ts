/**
 * Whatever comes in, the answer is packets or MalformedPacketError, little is kept, and what was taken
 * for a packet is one: encoded again it gives the same bytes, so nothing that the standard forbids got through.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ACK_LENGTH, type AckType, decodePacketId, flagsFault, writeAck } from '../../../src/mqtt/acks.ts'
import { type ConnectPacket, decodeControl } from '../../../src/mqtt/control.ts'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'
import { decodePublish, publishLength, TopicCache, writePublish } from '../../../src/mqtt/publish.ts'
import { clientPacket, cutAt, cuts, encode } from './arbitraries.ts'

const MAX_PACKET_SIZE = 30_000

/** Bytes that mean something in some place of some packet, more often than others. */
const byte = fc.oneof(
  fc.nat(255),
  fc.constantFrom(0, 1, 2, 3, 4, 0x10, 0x30, 0x36, 0x62, 0x7f, 0x80, 0x82, 0xa2, 0xc3, 0xed, 0xff),
)
const garbage = fc.array(byte, { maxLength: 60 }).map(bytes => Buffer.from(bytes))

function mostly<T>(usual: T, other: fc.Arbitrary<T>): fc.Arbitrary<T> {
  return fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other })
}

/** A valid packet with some bytes changed, and perhaps cut off or lengthened; its remaining length is often made right again. */
const mutated = fc
  .record({
    packet: clientPacket,
    changes: fc.array(fc.tuple(fc.nat(80), byte), { maxLength: 2 }),
    drop: mostly(0, fc.nat(6)),
    tail: mostly<number[]>([], fc.array(byte, { maxLength: 4 })),
    mend: mostly(true, fc.constant(false)),
  })
  .map(({ packet, changes, drop, tail, mend }) => {
    const whole = encode(packet)
    const bytes = Buffer.from([...whole.subarray(0, Math.max(2, whole.length - drop)), ...tail])
    for (const [place, value] of changes) bytes[place % bytes.length] = value
    if (mend && bytes.length < 130) bytes[1] = bytes.length - 2
    return bytes
  })

test('garbage and mutated packets give packets or MalformedPacketError, and little is kept', () => {
  let taken = 0
  let refused = 0
  const streams = fc.array(fc.oneof({ weight: 1, arbitrary: garbage }, { weight: 5, arbitrary: mutated }), {
    maxLength: 3,
  })
  fc.assert(
    fc.property(streams, cuts, fc.constantFrom(undefined, 3 as const, 4 as const), (parts, places, version) => {
      const cache = new TopicCache()
      const reader = new FrameReader({
        maxPacketSize: MAX_PACKET_SIZE,
        onFrame(header, buffer, start, body, end) {
          if (end - start > MAX_PACKET_SIZE) throw new Error(`a packet of ${end - start} bytes`)
          const frame = buffer.subarray(start, end)
          const again = recode(header, buffer, frame, body, end, version, cache)
          if (again?.equals(normal(frame, body - start)) === false) {
            throw new Error(`${frame.toString('hex')} was taken for ${again.toString('hex')}`)
          }
          taken++
          return true
        },
      })
      try {
        for (const chunk of cutAt(Buffer.concat(parts), places)) {
          reader.push(chunk)
          if (reader.buffered >= MAX_PACKET_SIZE) throw new Error(`${reader.buffered} bytes kept`)
        }
      } catch (error) {
        if (!(error instanceof MalformedPacketError)) throw error
        expect(error.reason).toMatch(/^[^.]+$|protocol level/)
        expect(reader.buffered).toBe(0)
        refused++
      }
    }),
    { numRuns: 2_000 },
  )
  // Both must have happened often, or the test shows nothing.
  expect(taken).toBeGreaterThan(300)
  expect(refused).toBeGreaterThan(300)
}, 30_000)

/** Decodes a packet as a server does and encodes it again; undefined when mqtt-packet refuses to encode what is allowed. */
function recode(
  header: number,
  buffer: Buffer,
  frame: Buffer,
  body: number,
  end: number,
  version: 3 | 4 | undefined,
  cache: TopicCache,
): Buffer | undefined {
  const fault = flagsFault(header, version)
  if (fault !== undefined) throw new MalformedPacketError(fault)
  const type = header >> 4
  switch (type) {
    case PacketType.PUBLISH: {
      const p = decodePublish(header, buffer, body, end, cache)
      if (!p.topic.isWellFormed() || p.topic.includes('\0')) throw new Error(`topic ${JSON.stringify(p.topic)}`)
      const target = Buffer.alloc(publishLength(p.topicBytes.length - 2, p.payload.length, p.qos))
      writePublish(target, 0, p, p.qos, p.retain, p.dup, p.packetId)
      return target
    }
    case PacketType.PUBACK:
    case PacketType.PUBREC:
    case PacketType.PUBREL:
    case PacketType.PUBCOMP: {
      const target = Buffer.alloc(ACK_LENGTH)
      writeAck(target, 0, type as AckType, decodePacketId(buffer, body, end))
      return target
    }
    default: {
      const packet = decodeControl(frame, version)
      if (packet.cmd === 'connect' && isUnencodable(packet)) return undefined
      return encode(packet)
    }
  }
}

/** What the standard leaves to a CONNACK or to `topicNameFault`, and mqtt-packet does not encode. */
function isUnencodable(packet: ConnectPacket): boolean {
  return packet.clientId === '' || packet.will?.topic === ''
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
