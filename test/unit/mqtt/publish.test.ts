import { describe, expect, test } from 'vitest'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import type { QoS } from '../../../src/mqtt/packets.ts'
import {
  decodePublish,
  type PublishView,
  publishLength,
  topicBytesOf,
  writePublish,
  writePublishHead,
} from '../../../src/mqtt/publish.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'

/** Decodes a packet whose remaining length has one byte. */
function decode(hex: string, cache?: TopicCache): PublishView {
  const packet = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  return decodePublish(packet[0] as number, packet, 0, 2, packet.length, cache)
}

/** [clause, packet, what comes of it] */
const GOOD: [string, string, Partial<PublishView>][] = [
  ['MQTT-2.3.1-5', '30 05 0003 612f62', { topic: 'a/b', packetId: 0, qos: 0, retain: false, dup: false }],
  ['', '31 05 0001 61 ffff', { topic: 'a', qos: 0, retain: true, payload: Buffer.from('ffff', 'hex') }],
  ['', '32 06 0001 61 0102 ff', { topic: 'a', packetId: 0x0102, qos: 1, payload: Buffer.from('ff', 'hex') }],
  ['', '3d 05 0001 61 ffff', { packetId: 0xffff, qos: 2, retain: true, dup: true, payload: Buffer.alloc(0) }],
  ['MQTT-1.5.3-3', '30 06 0004 efbbbf61', { topic: '\ufeffa' }],
  ['', '30 06 0004 f09f8ca1', { topic: '🌡' }],
  ['', '30 05 0003 efbfbd', { topic: '\ufffd' }],
  ['', '30 03 0001 7f', { topic: '\x7f' }],
  ['left to topicNameFault', '30 02 0000', { topic: '' }],
  ['left to topicNameFault', '30 03 0001 23', { topic: '#' }],
]

/** [clause, packet, part of the reason] */
const BAD: [string, string, string][] = [
  ['MQTT-3.3.1-4', '36 05 0001 61 0001', 'QoS 3'],
  ['MQTT-3.3.1-2', '38 03 0001 61', 'DUP'],
  ['MQTT-2.3.1-1', '32 05 0001 61 0000', 'packet identifier 0'],
  ['', '30 00', 'before its topic'],
  ['', '30 01 00', 'before its topic'],
  ['', '30 03 0002 61', 'longer than its PUBLISH'],
  ['', '32 03 0001 61', 'before its packet identifier'],
  ['', '34 04 0001 61 00', 'before its packet identifier'],
  ['MQTT-1.5.3-2', '30 05 0003 610062', 'U+0000'],
  ['MQTT-1.5.3-1', '30 03 0001 ff', 'UTF-8'],
  ['MQTT-1.5.3-1', '30 05 0003 eda080', 'UTF-8'],
  ['MQTT-1.5.3-1', '30 04 0002 c080', 'UTF-8'],
  ['MQTT-1.5.3-1', '30 04 0002 61c3', 'UTF-8'],
  ['MQTT-1.5.3-1', '30 06 0004 f5808080', 'UTF-8'],
]

describe.each([
  ['without a cache', () => undefined],
  ['with a cache', () => new TopicCache()],
])('decodePublish %s', (_name, makeCache) => {
  test.each(GOOD)('%s takes %s', (_clause, hex, expected) => {
    const cache = makeCache()
    for (let i = 0; i < 2; i++) {
      const view = decode(hex, cache)
      expect(view).toMatchObject(expected)
      expect(view.topicBytes).toEqual(topicBytesOf(view.topic))
    }
  })

  test.each(BAD)('%s refuses %s', (_clause, hex, reason) => {
    const cache = makeCache()
    for (let i = 0; i < 2; i++) {
      expect(() => decode(hex, cache)).toThrow(MalformedPacketError)
      expect(() => decode(hex, cache)).toThrow(reason)
    }
  })

  test.each<[string, 3 | 4 | 5, string, 0 | 4 | 5]>([
    ['MQTT 3.1', 3, '30 05 0001 61 ffff', 4],
    ['MQTT 3.1.1', 4, '31 05 0001 61 ffff', 4],
    ['a remaining length that is longer than it needs to be', 4, '30 8500 0001 61 ffff', 0],
    ['QoS 1', 4, '32 05 0001 61 0001', 0],
    ['MQTT 5', 5, '30 06 0001 61 00 ffff', 5],
    ['MQTT 5 with a property', 5, '30 08 0001 61 02 0101 ffff', 0],
    ['MQTT 5 with an alias', 5, '30 09 0001 61 03 230001 ffff', 0],
    ['MQTT 5, QoS 2', 5, '34 06 0001 61 0001 00', 0],
  ])('whether it may go on as it is: %s', (_case, version, hex, plainIn) => {
    const packet = Buffer.from(hex.replaceAll(' ', ''), 'hex')
    const body = (packet[1] as number) > 0x7f ? 3 : 2
    const view = decodePublish(packet[0] as number, packet, 0, body, packet.length, makeCache(), version)
    expect(view.plainIn).toBe(plainIn)
    expect([view.length, view.body]).toEqual([packet.length, packet.subarray(body)])
    expect(view.payloadLength).toBe(view.payload.length)
  })

  test('gives views, and looks at nothing outside the packet', () => {
    const buffer = Buffer.from('ff 3006 0001 61 010203 ff'.replaceAll(' ', ''), 'hex')
    const view = decodePublish(0x30, buffer, 1, 3, 9, makeCache())
    expect(view.payload).toEqual(Buffer.from([1, 2, 3]))
    buffer[6] = 9
    expect(view.payload[0]).toBe(9)
  })
})

describe('writePublish', () => {
  const SIZES = [0, 1, 31, 32, 33, 119, 120, 121, 122, 123, 124, 125, 16_378, 16_379, 16_380, 2_097_146, 2_097_147]
  test.each(SIZES)('says how long it is: payload of %i bytes', size => {
    for (const qos of [0, 1, 2] as QoS[]) {
      const p = { topicBytes: topicBytesOf('a/b'), payload: Buffer.alloc(size, 7) }
      const length = publishLength(3, size, qos)
      const target = Buffer.alloc(length + 10, 0xaa)
      expect(writePublish(target, 5, p, qos, true, qos > 0, 0x1234)).toBe(5 + length)
      expect(target.subarray(0, 5).equals(Buffer.alloc(5, 0xaa))).toBe(true)
      expect(target.subarray(5 + length).equals(Buffer.alloc(5, 0xaa))).toBe(true)
      const head = Buffer.alloc(20)
      const end = writePublishHead(head, 0, p, qos, true, qos > 0, 0x1234)
      expect(end).toBe(length - size)
      expect(head.subarray(0, end)).toEqual(target.subarray(5, 5 + end))
    }
  })

  test.each<[boolean, boolean, QoS, string]>([
    [false, false, 0, '30050003612f62'],
    [true, false, 0, '31050003612f62'],
    [false, false, 1, '32070003612f621234'],
    [true, true, 2, '3d070003612f621234'],
  ])('retain %s, dup %s, QoS %i', (retain, dup, qos, hex) => {
    const p = { topicBytes: topicBytesOf('a/b'), payload: Buffer.alloc(0) }
    const target = Buffer.alloc(publishLength(3, 0, qos))
    writePublish(target, 0, p, qos, retain, dup, 0x1234)
    expect(target.toString('hex')).toBe(hex)
  })

  test('the largest packet, and one byte more', () => {
    expect(publishLength(3, 268_435_455 - 5, 0)).toBe(268_435_460)
    expect(() => publishLength(3, 268_435_455 - 4, 0)).toThrow(RangeError)
  })
})
