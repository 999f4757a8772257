/** Our codec against mqtt-packet's answers, on random packets that are cut at random places. */
import fc from 'fast-check'
import { parser } from 'mqtt-packet'
import { expect, test } from 'vitest'
import { ACK_LENGTH, decodePacketId, writeAck } from '../../../src/mqtt/acks.ts'
import { decodeControl } from '../../../src/mqtt/control.ts'
import { FrameReader } from '../../../src/mqtt/frames.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'
import { decodePublish, publishLength, TopicCache, topicBytesOf, writePublish } from '../../../src/mqtt/publish.ts'
import { ack, clientPacket, cutAt, cuts, encode, publish } from './arbitraries.ts'

const ACK_TYPES = {
  puback: PacketType.PUBACK,
  pubrec: PacketType.PUBREC,
  pubrel: PacketType.PUBREL,
  pubcomp: PacketType.PUBCOMP,
}
const ACK_NAMES = new Map(Object.entries(ACK_TYPES).map(([name, type]) => [type as number, name]))

test('a PUBLISH of ours is the bytes of mqtt-packet', () => {
  fc.assert(
    fc.property(publish, fc.nat(3), (packet, at) => {
      const p = { topicBytes: topicBytesOf(packet.topic), payload: packet.payload }
      const length = publishLength(p.topicBytes.length - 2, packet.payload.length, packet.qos)
      const target = Buffer.alloc(at + length)
      const end = writePublish(target, at, p, packet.qos, packet.retain, packet.dup, packet.messageId ?? 0)
      expect(end).toBe(target.length)
      expect(target.subarray(at).equals(encode(packet))).toBe(true)
    }),
    { numRuns: 1_000 },
  )
})

test('an acknowledgement of ours is the bytes of mqtt-packet', () => {
  fc.assert(
    fc.property(ack, packet => {
      const target = Buffer.alloc(ACK_LENGTH)
      writeAck(target, 0, ACK_TYPES[packet.cmd], packet.messageId)
      expect(target).toEqual(encode(packet))
    }),
  )
})

test('any stream, cut anywhere and paused anywhere, gives the packets that mqtt-packet finds in it whole', () => {
  const stop = fc.infiniteStream(fc.boolean())
  const packets = fc.array(clientPacket, { maxLength: 8 })
  fc.assert(
    fc.property(packets, cuts, stop, (sent, places, stops) => {
      const stream = Buffer.concat(sent.map(encode))
      const cache = new TopicCache()
      const got: object[] = []
      const reader = new FrameReader({
        maxPacketSize: 100_000,
        onFrame(header, buffer, start, body, end) {
          got.push(decode(header, buffer, start, body, end, cache))
          return stops.next().value === false
        },
      })
      for (const chunk of cutAt(stream, places)) {
        reader.push(chunk)
        if (reader.paused && stops.next().value) reader.resume()
      }
      while (reader.paused) reader.resume()
      expect(reader.buffered).toBe(0)
      expect(got).toEqual(sent.map(packet => expected(encode(packet))))
    }),
    { numRuns: 500 },
  )
}, 30_000)

/** One packet through our codec, with the fields that `expected` keeps. */
function decode(header: number, buffer: Buffer, start: number, body: number, end: number, cache: TopicCache): object {
  const type = header >> 4
  if (type === PacketType.PUBLISH) {
    const { topic, topicBytes, packetId, payload, qos, retain, dup } = decodePublish(header, buffer, body, end, cache)
    expect(topicBytes).toEqual(topicBytesOf(topic))
    return { cmd: 'publish', topic, packetId, payload: payload.toString('hex'), qos, retain, dup }
  }
  const name = ACK_NAMES.get(type)
  if (name !== undefined) return { cmd: name, packetId: decodePacketId(buffer, body, end) }
  return plain(decodeControl(buffer.subarray(start, end), undefined))
}

/** The same through mqtt-packet. */
function expected(bytes: Buffer): object {
  let packet: Record<string, unknown> = {}
  const oracle = parser()
  oracle.on('packet', parsed => {
    packet = parsed as unknown as Record<string, unknown>
  })
  oracle.parse(bytes)
  const { cmd, topic, messageId, payload, qos, retain, dup } = packet
  if (cmd === 'publish') {
    return { cmd, topic, packetId: messageId ?? 0, payload: (payload as Buffer).toString('hex'), qos, retain, dup }
  }
  if (typeof cmd === 'string' && cmd in ACK_TYPES) return { cmd, packetId: messageId }
  return plain(packet)
}

function plain(packet: object): object {
  return JSON.parse(JSON.stringify(packet))
}
