/** What goes out on a connection is what was put in, in that order, however packets that go on as they came lie among others. */
import { Duplex } from 'node:stream'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FlushTurn, Outbox } from '../../../src/broker/outbox.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'
import {
  decodePublish,
  type PublishView,
  publishLength,
  topicBytesOf,
  writePublish,
} from '../../../src/mqtt/publish.ts'

/** Bytes of memory that one byte may hold while a socket does not take it. */
const HELD_FOR_ONE = 4

function encoded(topic: string, payload: Buffer, retain: boolean): Buffer {
  const bytes = Buffer.alloc(publishLength(topic.length, payload.length, 0))
  writePublish(bytes, 0, { topicBytes: topicBytesOf(topic), payload }, 0, retain, false, 0)
  return bytes
}

/** The packets of one chunk as they came, in memory of its own. */
function chunkOf(sizes: readonly { size: number; retain: boolean }[], seed: number): PublishView[] {
  const packets = sizes.map(({ size, retain }, i) => encoded('a/b', Buffer.alloc(size, seed + i), retain))
  const chunk = Buffer.from(new Uint8Array(Buffer.concat(packets)).buffer)
  let at = 0
  return packets.map(bytes => {
    const start = at
    at += bytes.length
    const bodyAt = start + bytes.length - remainingLength(bytes)
    return decodePublish(bytes[0] as number, chunk, start, bodyAt, at)
  })
}

function remainingLength(packet: Buffer): number {
  let length = 0
  for (let at = 1, shift = 0; ; at++, shift += 7) {
    length |= ((packet[at] as number) & 0x7f) << shift
    if ((packet[at] as number) < 0x80) return length
  }
}

function sink(written: Buffer[]): Duplex {
  return new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      written.push(chunk)
      done()
    },
  })
}

const size = fc.oneof({ weight: 20, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(70_000) })
const chunks = fc.array(fc.array(fc.record({ size, retain: fc.boolean() }), { minLength: 1, maxLength: 20 }), {
  minLength: 1,
  maxLength: 4,
})
const step = fc.oneof(
  // Mostly the one that comes next, as a flood brings them.
  { weight: 20, arbitrary: fc.record({ what: fc.constant('plain' as const), skip: fc.constantFrom(0, 0, 0, 1, 7) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('other retain' as const), skip: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('ack' as const), skip: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('publish' as const), skip: fc.nat(30_000) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('flush' as const), skip: fc.constant(0) }) },
)

test('the bytes of all packets, in their order; and a slow socket holds little more memory than that', () => {
  fc.assert(
    fc.property(chunks, fc.array(step, { minLength: 5, maxLength: 80 }), (sizes, steps) => {
      const packets = sizes.flatMap((each, i) => chunkOf(each, 10 * i))
      const written: Buffer[] = []
      const stream = sink(written)
      const stats = { packetsSent: 0, bytesSent: 0 }
      let moved = 0
      const outbox = new Outbox({
        stream,
        turn: new FlushTurn(),
        memory: {
          moved: bytes => {
            moved += bytes
          },
        },
        stats,
        onFlushed: () => {},
        onAck: null,
      })
      const expected: Buffer[] = []
      let at = 0
      for (const { what, skip } of steps) {
        if (what === 'flush') outbox.flush()
        else if (what === 'ack') {
          outbox.ack(PacketType.PUBACK, 0x1234)
          expected.push(Buffer.from('40021234', 'hex'))
        } else if (what === 'publish') {
          const payload = Buffer.alloc(skip, 0xee)
          outbox.publish({ topicBytes: topicBytesOf('t'), payload }, 0, false, false, 0, undefined)
          expected.push(encoded('t', payload, false))
        } else {
          at += skip
          const packet = packets[at++ % packets.length] as PublishView
          const retain = packet.retain === (what === 'plain')
          outbox.plain(packet, retain)
          expected.push(encoded('a/b', packet.payload, retain))
        }
      }
      outbox.flush()
      const bytes = Buffer.concat(written)
      expect(bytes.equals(Buffer.concat(expected))).toBe(true)
      expect([stats.packetsSent, stats.bytesSent, moved]).toEqual([expected.length, bytes.length, bytes.length])
      const passed = written.filter(({ buffer }) => packets.some(packet => packet.buffer.buffer === buffer))
      for (const piece of passed) {
        expect(piece.length * HELD_FOR_ONE >= piece.buffer.byteLength || piece.length >= 16_384).toBe(true)
      }
    }),
    { numRuns: 400 },
  )
})

test('what comes right behind each other is not copied, for however many it is', () => {
  const packets = chunkOf(
    Array.from({ length: 500 }, () => ({ size: 64, retain: false })),
    0,
  )
  for (let receiver = 0; receiver < 3; receiver++) {
    const written: Buffer[] = []
    const stream = sink(written)
    const outbox = new Outbox({
      stream,
      turn: new FlushTurn(),
      memory: { moved() {} },
      stats: { packetsSent: 0, bytesSent: 0 },
      onFlushed: () => {},
      onAck: null,
    })
    for (const packet of packets) outbox.plain(packet, false)
    outbox.flush()
    expect(written.map(({ buffer, length }) => [buffer === packets[0]?.buffer.buffer, length])).toEqual([
      [true, packets.reduce((sum, { length }) => sum + length, 0)],
    ])
  }
})
