import { describe, expect, test } from 'vitest'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import type { Properties } from '../../../src/mqtt/properties.ts'
import {
  decodePublish,
  type PublishView,
  publishLength,
  topicBytesOf,
  writePublish,
  writePublishHead,
} from '../../../src/mqtt/publish.ts'
import {
  encodeForwarded,
  forwardedProperties,
  payloadFormatOf,
  type SentProperties,
} from '../../../src/mqtt/publish-properties.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import { bytesOf, faultOf, frame, properties } from './hex.ts'

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

/** Decodes a PUBLISH of MQTT 5 whose remaining length is less than 16,384. */
function decode(packet: Buffer, maxUserProperties?: number): PublishView {
  const body = (packet[1] as number) > 0x7f ? 3 : 2
  return decodePublish(packet[0] as number, packet, 0, body, packet.length, new TopicCache(), 5, maxUserProperties)
}

const NONE = { topicAlias: 0, messageExpiryInterval: undefined, properties: undefined }

/** Properties in hex, what comes of them, and which of them are passed on. */
const GOOD: [string, Partial<PublishView>, string | undefined][] = [
  ['', NONE, undefined],
  ['23 0001', { ...NONE, topicAlias: 1 }, undefined],
  ['23 ffff', { ...NONE, topicAlias: 65_535 }, undefined],
  ['02 00000000', { ...NONE, messageExpiryInterval: 0 }, undefined],
  ['02 ffffffff', { ...NONE, messageExpiryInterval: 4_294_967_295 }, undefined],
  ['23 0001 02 0000000a', { topicAlias: 1, messageExpiryInterval: 10 }, undefined],
  ['01 01', {}, '0101'],
  ['03 0001 63', {}, '03000163'],
  ['08 0003 612f62', {}, '080003612f62'],
  ['09 0003 00ff23', {}, '09000300ff23'],
  ['26 0001 61 0001 62 26 0000 0000', {}, '26000161000162 2600000000'],
  ['23 0001 01 00 03 0000', { topicAlias: 1 }, '0100 030000'],
  ['01 00 03 0000 02 0000000a', { messageExpiryInterval: 10 }, '0100 030000'],
  ['02 0000000a 01 00 03 0000 23 0002', { topicAlias: 2, messageExpiryInterval: 10 }, '0100 030000'],
  // In pieces.
  ['01 01 23 0001 03 0000', { topicAlias: 1 }, '0101 030000'],
  ['26 0001 62 0000 02 0000000a 26 0001 61 0000', { messageExpiryInterval: 10 }, '2600016200002600016 10000'],
  [
    '09 0001 ff 23 0003 08 0001 72 02 00000001 26 0000 0001 78 01 01',
    { topicAlias: 3, messageExpiryInterval: 1 },
    '090001ff 08000172 26000000 0178 0101',
  ],
]

/** [clause, properties in hex, reason code, part of the reason] */
const BAD: [string, string, number, string][] = [
  ['MQTT-3.3.2-8', '23 0000', 0x94, 'topic alias is 0'],
  ['§3.3.2.3.4', '23 0001 23 0002', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.2', '01 00 01 00', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.3', '02 00000000 02 00000000', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.5', '08 0001 72 08 0001 72', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.6', '09 0000 09 0000', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.9', '03 0000 03 0000', PROTOCOL_ERROR, 'twice'],
  ['§3.3.2.3.2', '01 02', PROTOCOL_ERROR, 'payload format indicator is neither 0 nor 1'],
  ['MQTT-3.3.4-6', '0b 01', PROTOCOL_ERROR, 'subscription identifier'],
  ['MQTT-3.3.2-13', '08 0001 ff', MALFORMED, 'response topic is not valid UTF-8'],
  ['MQTT-3.3.2-14', '08 0003 612f2b', PROTOCOL_ERROR, 'wildcards'],
  ['MQTT-3.3.2-14', '08 0001 23', PROTOCOL_ERROR, 'wildcards'],
  ['MQTT-4.7.3-1', '08 0000', PROTOCOL_ERROR, 'must not be empty'],
  ['MQTT-3.3.2-19', '03 0001 ff', MALFORMED, 'content type is not valid UTF-8'],
  ['MQTT-1.5.4-2', '03 0001 00', MALFORMED, 'content type contains U+0000'],
  ['MQTT-1.5.7-1', '26 0001 80 0000', MALFORMED, 'user property is not valid UTF-8'],
  ['MQTT-1.5.7-1', '26 0000 0003 eda080', MALFORMED, 'user property is not valid UTF-8'],
  ['§2.2.2.2', '00', MALFORMED, 'property 0x0 is not allowed'],
  ['§2.2.2.2', '11 00000001', MALFORMED, 'property 0x11 is not allowed'],
  ['§2.2.2.2', '18 00000001', MALFORMED, 'property 0x18 is not allowed'],
  ['§2.2.2.2', '21 0001', MALFORMED, 'property 0x21 is not allowed'],
  ['§2.2.2.2', '22 0001', MALFORMED, 'property 0x22 is not allowed'],
  ['§2.2.2.2', '1f 0000', MALFORMED, 'property 0x1f is not allowed'],
  ['MQTT-1.5.5-1', 'a600 0000 0000', MALFORMED, 'property 0xa6 is not allowed'],
  ['', '01', MALFORMED, 'too short'],
  ['', '02 000000', MALFORMED, 'too short'],
  ['', '23 00', MALFORMED, 'too short'],
  ['', '03 0002 61', MALFORMED, 'too short'],
  ['', '09 ffff', MALFORMED, 'too short'],
  ['', '26 0000 00', MALFORMED, 'too short'],
  ['', '26 0000', MALFORMED, 'too short'],
]

describe('the properties of a PUBLISH', () => {
  test.each(GOOD)('%j are taken', (hex, expected, forwarded) => {
    for (const [header, id] of [
      [0x30, ''],
      [0x32, '1234'],
    ] as const) {
      const view = decode(frame(header, `0001 61 ${id} ${properties(hex)} ff00`))
      expect(view).toMatchObject({ topic: 'a', packetId: header === 0x30 ? 0 : 0x1234, ...expected })
      expect(view.payload).toEqual(bytesOf('ff00'))
      expect(view.properties).toEqual(forwarded === undefined ? undefined : bytesOf(forwarded))
    }
  })

  test.each(BAD)('%s: %s are refused', (_clause, hex, reasonCode, reason) => {
    // What follows must not be taken for more of them.
    const error = faultOf(() => decode(frame(0x30, `0001 61 ${properties(hex)} 0000000000000000`)))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })

  test.each([
    ['MQTT-2.2.2-1', '0001 61', 'property length'],
    ['', '0001 61 80', 'property length'],
    ['', '0001 61 01', 'property list'],
    ['', '0001 61 0a 01 00', 'property list'],
    ['MQTT-1.5.5-1', '0001 61 8000', 'more bytes than it needs'],
    ['§1.5.5', '0001 61 8080808001 00', 'more than four bytes'],
  ])('%s: the packet %s is refused', (_clause, body, reason) => {
    const error = faultOf(() => decode(frame(0x30, body)))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(MALFORMED)
  })

  test('of a packet do not reach into the next', () => {
    const two = Buffer.concat([frame(0x30, '0001 61'), Buffer.from([0])])
    expect(() => decodePublish(0x30, two, 0, 2, 5, undefined, 5)).toThrow('property length')
  })

  test('are passed on as a view when they came in one piece', () => {
    const packet = frame(0x30, `0001 61 ${properties('230001 0101 030000 0200000001')}`)
    const view = decode(packet)
    packet.fill(0x7f)
    expect(view.properties).toEqual(Buffer.alloc(5, 0x7f))
    const inPieces = frame(0x30, `0001 61 ${properties('0101 230001 030000')}`)
    const other = decode(inPieces)
    inPieces.fill(0x7f)
    expect(other.properties).toEqual(bytesOf('0101030000'))
  })

  test('are bounded in number, and cost no more than their length [CVE-2021-41039]', () => {
    const many = Buffer.alloc(5 * 50_000)
    for (let at = 0; at < many.length; at += 5) many[at] = 0x26
    const sent = { ...NONE, properties: many, subscriptionIdentifiers: undefined }
    const p = { topicBytes: topicBytesOf('a'), payload: Buffer.alloc(0) }
    const packet = Buffer.alloc(publishLength(1, 0, 0, sent))
    writePublish(packet, 0, p, 0, false, false, 0, sent)
    const at = (limit?: number) => decodePublish(0x30, packet, 0, 4, packet.length, undefined, 5, limit)
    expect(faultOf(() => at())).toMatchObject({ reasonCode: 0x97, reason: 'there are more than 1000 user properties' })
    expect(faultOf(() => at(49_999)).reasonCode).toBe(0x97)
    // Some ten milliseconds; if each looked at those before it, it would be minutes.
    expect(at(50_000).properties?.equals(many)).toBe(true)
    expect(forwardedProperties(many).userProperties?.length).toBe(50_000)
  })

  test('are not looked for before MQTT 5', () => {
    const packet = frame(0x30, '0001 61 03 230001')
    for (const version of [undefined, 3, 4] as const) {
      expect(decodePublish(0x30, packet, 0, 2, packet.length, undefined, version)).toMatchObject({
        ...NONE,
        payload: bytesOf('03230001'),
      })
    }
  })
})

describe('the topic of a PUBLISH', () => {
  test('may be empty when there is a topic alias, and only then [MQTT-4.7.3-1]', () => {
    expect(decode(frame(0x30, `0000 ${properties('230005')}`))).toMatchObject({ topic: '', topicAlias: 5 })
    expect(faultOf(() => decode(frame(0x30, '0000 00')))).toMatchObject({
      reason: 'PUBLISH has neither a topic nor a topic alias',
      reasonCode: PROTOCOL_ERROR,
    })
  })
})

describe('forwarded properties', () => {
  const ALL: Properties = {
    payloadFormatIndicator: 1,
    contentType: 'text/plain',
    responseTopic: 'a/b',
    correlationData: bytesOf('00ff'),
    userProperties: [
      ['b', '1'],
      ['a', ''],
      ['b', '1'],
    ],
  }

  test('are decoded and encoded', () => {
    const bytes = encodeForwarded(ALL)
    expect(bytes?.toString('hex')).toBe(
      '0101 03000a746578742f706c61696e 080003612f62 09000200ff 26000162000131 2600016100 00 26000162000131'.replaceAll(
        ' ',
        '',
      ),
    )
    expect(forwardedProperties(bytes as Buffer)).toEqual(ALL)
    expect(payloadFormatOf(bytes as Buffer)).toBe(1)
  })

  test('are only those that are passed on', () => {
    expect(encodeForwarded({})).toBeUndefined()
    expect(encodeForwarded({ userProperties: [] })).toBeUndefined()
    expect(
      encodeForwarded({
        ...{ topicAlias: 1, messageExpiryInterval: 1, subscriptionIdentifiers: [1] },
        ...{ willDelayInterval: 1, sessionExpiryInterval: 1, reasonString: 'r' },
        contentType: 'c',
      }),
    ).toEqual(bytesOf('03000163'))
  })

  test('are refused when no client could send them', () => {
    expect(() => encodeForwarded({ responseTopic: 'a/#' })).toThrow(MalformedPacketError)
    expect(() => encodeForwarded({ contentType: 'a\0' })).toThrow(MalformedPacketError)
    expect(() => encodeForwarded({ payloadFormatIndicator: 2 as 1 })).toThrow(MalformedPacketError)
    expect(() => encodeForwarded({ contentType: 'x'.repeat(65_536) })).toThrow(RangeError)
    // A lone surrogate becomes U+FFFD, as everywhere in Node.
    expect(encodeForwarded({ contentType: '\ud800' })).toEqual(bytesOf('030003efbfbd'))
  })

  test.each<[string, 0 | 1 | undefined]>([
    ['', undefined],
    ['0100', 0],
    ['0101', 1],
    ['030001 01 0101', 1],
    ['26000101 000101 090002 0101 080001 61 0100', 0],
    ['030002 0101', undefined],
  ])('payload format indicator of %s is %s', (hex, expected) => {
    expect(payloadFormatOf(bytesOf(hex))).toBe(expected)
  })
})

describe('writePublish for MQTT 5', () => {
  const p = { topicBytes: topicBytesOf('a/b'), payload: Buffer.from('hi') }
  const SENT: SentProperties = {
    properties: undefined,
    messageExpiryInterval: undefined,
    topicAlias: 0,
    subscriptionIdentifiers: undefined,
  }

  test.each<[string, Partial<SentProperties>, string]>([
    ['MQTT-2.2.2-1', {}, '32 0a 0003 612f62 1234 00 6869'],
    ['', { subscriptionIdentifiers: [] }, '32 0a 0003 612f62 1234 00 6869'],
    ['§3.3.2.3.4', { topicAlias: 0x0102 }, '32 0d 0003 612f62 1234 03 230102 6869'],
    ['§3.3.2.3.4', { topicAlias: 1, withoutTopic: true }, '32 0a 0000 1234 03 230001 6869'],
    ['MQTT-3.3.2-6', { messageExpiryInterval: 0 }, '32 0f 0003 612f62 1234 05 0200000000 6869'],
    ['MQTT-3.3.2-6', { messageExpiryInterval: 0xffffffff }, '32 0f 0003 612f62 1234 05 02ffffffff 6869'],
    [
      'MQTT-3.3.4-4',
      { subscriptionIdentifiers: [1, 128, 268_435_455, 1] },
      '32 16 0003 612f62 1234 0c 0b01 0b8001 0bffffff7f 0b01 6869',
    ],
    ['MQTT-3.3.2-4', { properties: bytesOf('0101') }, '32 0c 0003 612f62 1234 02 0101 6869'],
    [
      '',
      {
        topicAlias: 2,
        messageExpiryInterval: 1,
        subscriptionIdentifiers: [3],
        properties: bytesOf('26000161000162'),
        withoutTopic: true,
      },
      '32 18 0000 1234 11 230002 0200000001 0b03 26000161000162 6869',
    ],
  ])('%s %j', (_clause, sent, hex) => {
    const expected = bytesOf(hex)
    const all = { ...SENT, ...sent }
    expect(publishLength(3, 2, 1, all)).toBe(expected.length)
    const target = Buffer.alloc(expected.length + 2, 0xaa)
    expect(writePublish(target, 1, p, 1, false, false, 0x1234, all)).toBe(1 + expected.length)
    expect(target.toString('hex')).toBe(`aa${expected.toString('hex')}aa`)
    expect(writePublishHead(target, 0, p, 1, false, false, 0x1234, all)).toBe(expected.length - 2)
    expect(target.subarray(0, expected.length - 2)).toEqual(expected.subarray(0, -2))
  })

  test.each([0, 119, 120, 121, 122, 123, 124, 125, 127, 128, 129, 16_376, 16_384, 2_097_152])(
    'says how long it is: properties of %i bytes',
    size => {
      for (const withoutTopic of [false, true]) {
        const sent = { ...SENT, properties: Buffer.alloc(size, 7), topicAlias: 1, withoutTopic }
        const length = publishLength(3, 2, 0, sent)
        const target = Buffer.alloc(length + 1, 0xaa)
        expect(writePublish(target, 0, p, 0, false, false, 0, sent)).toBe(length)
        expect(target[length]).toBe(0xaa)
        expect(target.subarray(length - 2, length).toString()).toBe('hi')
      }
    },
  )

  test('the largest packet, and one byte more', () => {
    // Topic, property length and properties take 5 + 1 + 3 bytes.
    const sent = { ...SENT, topicAlias: 1 }
    expect(publishLength(3, 268_435_455 - 9, 0, sent)).toBe(268_435_460)
    expect(() => publishLength(3, 268_435_455 - 8, 0, sent)).toThrow(RangeError)
  })
})
