import { describe, expect, test } from 'vitest'
import { decodeControl, encodeControl, type ServerPacket } from '../../../src/mqtt/control.ts'
import type { ProtocolVersion } from '../../../src/mqtt/packets.ts'
import { encodePacket } from '../../../src/mqtt/wire.ts'
import { bytesOf, faultOf, frame, properties } from './hex.ts'

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

/** [clause, first byte, body, reason code, part of the reason] */
type Refused = [string, number, string, number, string]

const REQUEST = { nl: false, rap: false, rh: 0 }

describe('SUBSCRIBE', () => {
  test('takes filters in order', () => {
    expect(decodeControl(frame(0x82, '000a 0003 612f23 02 0001 2b 00'), 4)).toEqual({
      cmd: 'subscribe',
      messageId: 10,
      subscriptions: [
        { topic: 'a/#', qos: 2, ...REQUEST },
        { topic: '+', qos: 0, ...REQUEST },
      ],
      properties: {},
    })
  })

  test('of MQTT 3.1 may be a repetition', () => {
    const bytes = frame(0x8a, '000a 0001 61 01')
    expect(decodeControl(bytes, 3)).toMatchObject({ messageId: 10, subscriptions: [{ topic: 'a', qos: 1 }] })
    expect(bytes[0]).toBe(0x8a)
  })

  test.each([
    ['00', { qos: 0, nl: false, rap: false, rh: 0 }],
    ['01', { qos: 1, nl: false, rap: false, rh: 0 }],
    ['02', { qos: 2, nl: false, rap: false, rh: 0 }],
    ['04', { qos: 0, nl: true, rap: false, rh: 0 }],
    ['08', { qos: 0, nl: false, rap: true, rh: 0 }],
    ['10', { qos: 0, nl: false, rap: false, rh: 1 }],
    ['2e', { qos: 2, nl: true, rap: true, rh: 2 }],
  ])('of MQTT 5 has subscription options %s [§3.8.3.1]', (options, expected) => {
    expect(decodeControl(frame(0x82, `000a 00 0001 61 ${options}`), 5)).toMatchObject({
      subscriptions: [{ topic: 'a', ...expected }],
    })
  })

  test('of MQTT 5 has properties', () => {
    const list = properties('0bffffff7f 2600016100016226000161000163')
    expect(decodeControl(frame(0x82, `000a ${list} 0001 61 00`), 5)).toMatchObject({
      properties: {
        subscriptionIdentifiers: [268_435_455],
        userProperties: [
          ['a', 'b'],
          ['a', 'c'],
        ],
      },
    })
  })

  test.each<Refused>([
    ['MQTT-3.8.1-1', 0x80, '000a 0001 61 00', MALFORMED, 'flags'],
    ['MQTT-3.8.1-1', 0x8a, '000a 0001 61 00', MALFORMED, 'flags'],
    ['MQTT-2.3.1-1', 0x82, '0000 0001 61 00', PROTOCOL_ERROR, 'packet identifier is 0'],
    ['MQTT-3.8.3-3', 0x82, '000a', PROTOCOL_ERROR, 'no topic filter'],
    ['', 0x82, '', MALFORMED, 'too short for its packet identifier'],
    ['', 0x82, '00', MALFORMED, 'too short for its packet identifier'],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 03', PROTOCOL_ERROR, 'QoS 3'],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 04', MALFORMED, 'reserved bits'],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 80', MALFORMED, 'reserved bits'],
    ['', 0x82, '000a 0001 61', MALFORMED, 'too short for its subscription options'],
    ['', 0x82, '000a 0002 61', MALFORMED, 'too short for its topic filter'],
    ['', 0x82, '000a 0001 61 00 00', MALFORMED, 'too short for its topic filter'],
    ['', 0x82, '000a 0001 61 00 0001', MALFORMED, 'too short for its topic filter'],
    ['MQTT-3.8.3-1', 0x82, '000a 0001 61 00 0001 ff 00', MALFORMED, 'UTF-8'],
    ['MQTT-1.5.3-2', 0x82, '000a 0003 610062 00', MALFORMED, 'U+0000'],
  ])('%s refuses %i %s', (_clause, header, body, reasonCode, reason) => {
    const error = faultOf(() => decodeControl(frame(header, body), 4))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })

  test.each<Refused>([
    ['MQTT-3.8.1-1', 0x80, '000a 00 0001 61 00', MALFORMED, 'flags'],
    ['MQTT-2.2.1-3', 0x82, '0000 00 0001 61 00', PROTOCOL_ERROR, 'packet identifier is 0'],
    ['MQTT-3.8.3-2', 0x82, '000a 00', PROTOCOL_ERROR, 'no topic filter'],
    ['MQTT-2.2.2-1', 0x82, '000a', MALFORMED, 'property length'],
    ['§3.8.3.1', 0x82, '000a 00 0001 61 03', PROTOCOL_ERROR, 'QoS 3'],
    ['§3.8.3.1', 0x82, '000a 00 0001 61 30', PROTOCOL_ERROR, 'retain handling 3'],
    ['MQTT-3.8.3-5', 0x82, '000a 00 0001 61 40', MALFORMED, 'reserved bits'],
    ['MQTT-3.8.3-5', 0x82, '000a 00 0001 61 80', MALFORMED, 'reserved bits'],
    ['MQTT-3.8.3-4', 0x82, '000a 00 000a 2473686172652f672f61 04', PROTOCOL_ERROR, 'no local'],
    ['§3.8.2.1.2', 0x82, '000a 02 0b00 0001 61 00', PROTOCOL_ERROR, 'subscriptionIdentifiers is 0'],
    ['§3.8.2.1.2', 0x82, '000a 04 0b01 0b02 0001 61 00', PROTOCOL_ERROR, 'twice'],
    ['MQTT-1.5.5-1', 0x82, '000a 03 0b8100 0001 61 00', MALFORMED, 'more bytes than it needs'],
    ['§1.5.5', 0x82, '000a 06 0b8080808001 0001 61 00', MALFORMED, 'more than four bytes'],
    ['§2.2.2.2', 0x82, '000a 03 210001 0001 61 00', MALFORMED, 'not allowed'],
    ['MQTT-3.8.3-1', 0x82, '000a 00 0001 ff 00', MALFORMED, 'UTF-8'],
  ])('5: %s refuses %i %s', (_clause, header, body, reasonCode, reason) => {
    const error = faultOf(() => decodeControl(frame(header, body), 5))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })
})

describe('UNSUBSCRIBE', () => {
  test('takes filters in order', () => {
    const expected = { cmd: 'unsubscribe', messageId: 10, unsubscriptions: ['a/#', '+'], properties: {} }
    expect(decodeControl(frame(0xa2, '000a 0003 612f23 0001 2b'), 4)).toEqual(expected)
    expect(decodeControl(frame(0xaa, '000a 0003 612f23 0001 2b'), 3)).toEqual(expected)
    expect(decodeControl(frame(0xa2, '000a 00 0003 612f23 0001 2b'), 5)).toEqual(expected)
    expect(decodeControl(frame(0xa2, '000a 07 26000161000162 0001 2b'), 5)).toMatchObject({
      unsubscriptions: ['+'],
      properties: { userProperties: [['a', 'b']] },
    })
  })

  test.each<[ProtocolVersion, ...Refused]>([
    [4, 'MQTT-3.10.1-1', 0xa0, '000a 0001 61', MALFORMED, 'flags'],
    [4, 'MQTT-2.3.1-1', 0xa2, '0000 0001 61', PROTOCOL_ERROR, 'packet identifier is 0'],
    [4, 'MQTT-3.10.3-2', 0xa2, '000a', PROTOCOL_ERROR, 'no topic filter'],
    [4, '', 0xa2, '00', MALFORMED, 'packet identifier'],
    [4, '', 0xa2, '', MALFORMED, 'packet identifier'],
    [4, '', 0xa2, '000a 0001 61 00', MALFORMED, 'topic filter'],
    [4, '', 0xa2, '000a 0002 61', MALFORMED, 'topic filter'],
    [4, 'MQTT-3.10.3-1', 0xa2, '000a 0002 c328', MALFORMED, 'UTF-8'],
    [4, 'MQTT-1.5.3-2', 0xa2, '000a 0001 00', MALFORMED, 'U+0000'],
    [5, 'MQTT-2.2.1-3', 0xa2, '0000 00 0001 61', PROTOCOL_ERROR, 'packet identifier is 0'],
    [5, 'MQTT-3.10.3-2', 0xa2, '000a 00', PROTOCOL_ERROR, 'no topic filter'],
    [5, 'MQTT-3.10.3-1', 0xa2, '000a 00 0001 ff', MALFORMED, 'UTF-8'],
    [5, '§2.2.2.2', 0xa2, '000a 02 0b01 0001 61', MALFORMED, 'not allowed'],
  ])('%i %s refuses %i %s', (version, _clause, header, body, reasonCode, reason) => {
    const error = faultOf(() => decodeControl(frame(header, body), version))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })
})

describe('DISCONNECT and AUTH', () => {
  test.each<[ProtocolVersion, string, object]>([
    [3, 'e000', { cmd: 'disconnect', reasonCode: 0, properties: {} }],
    [4, 'e000', { cmd: 'disconnect', reasonCode: 0, properties: {} }],
    [5, 'e000', { cmd: 'disconnect', reasonCode: 0, properties: {} }],
    [5, 'e001 04', { cmd: 'disconnect', reasonCode: 4, properties: {} }],
    [5, 'e002 00 00', { cmd: 'disconnect', reasonCode: 0, properties: {} }],
    [
      5,
      'e012 81 10 1100000000 1f0001 72 26000161000162',
      {
        cmd: 'disconnect',
        reasonCode: 0x81,
        properties: { sessionExpiryInterval: 0, reasonString: 'r', userProperties: [['a', 'b']] },
      },
    ],
    [
      5,
      'f00b 18 09 15000173 160002 00ff',
      {
        cmd: 'auth',
        reasonCode: 0x18,
        properties: { authenticationMethod: 's', authenticationData: Buffer.from('00ff', 'hex') },
      },
    ],
    [5, 'f006 19 04 15000173', { cmd: 'auth', reasonCode: 0x19, properties: { authenticationMethod: 's' } }],
  ])('%i takes %s', (version, hex, expected) => {
    const packet = bytesOf(hex)
    packet[1] = packet.length - 2
    expect(decodeControl(packet, version)).toEqual(expected)
  })

  test.each<[ProtocolVersion, ...Refused]>([
    [4, 'MQTT-3.14.1-1', 0xe1, '', MALFORMED, 'flags'],
    [4, '', 0xe0, '00', MALFORMED, 'behind the end of DISCONNECT'],
    [5, 'MQTT-3.14.1-1', 0xe1, '', MALFORMED, 'flags'],
    [5, 'MQTT-3.14.2-1', 0xe0, '01', PROTOCOL_ERROR, 'reason code 1'],
    [5, 'MQTT-3.14.2-1', 0xe0, '8c 00', PROTOCOL_ERROR, 'reason code 140'],
    [5, '§3.14.2.2.2', 0xe0, '00 0a 1100000000 1100000000', PROTOCOL_ERROR, 'twice'],
    [5, '§2.2.2.2', 0xe0, '00 03 210001', MALFORMED, 'not allowed'],
    [5, '', 0xe0, '00 00 00', MALFORMED, 'behind the end of DISCONNECT'],
    [5, '', 0xe0, '00 01', MALFORMED, 'too short for its property list'],
    [4, '', 0xf0, '', MALFORMED, 'reserved'],
    [5, 'MQTT-3.15.1-1', 0xf1, '18 04 15000173', MALFORMED, 'flags'],
    [5, 'MQTT-3.15.2-1', 0xf0, '1a 04 15000173', PROTOCOL_ERROR, 'reason code 26'],
    [5, 'MQTT-4.12.0-3', 0xf0, '00 04 15000173', PROTOCOL_ERROR, 'reason code 0'],
    [5, '§3.15.2.2.2', 0xf0, '', PROTOCOL_ERROR, 'reason code 0'],
    [5, '§3.15.2.2.2', 0xf0, '18', PROTOCOL_ERROR, 'no authentication method'],
    [5, '§3.15.2.2.2', 0xf0, '18 00', PROTOCOL_ERROR, 'no authentication method'],
    [5, '§3.15.2.2.2', 0xf0, '18 04 160001ff', PROTOCOL_ERROR, 'without an authentication method'],
    [5, '§3.15.2.2.2', 0xf0, '18 08 15000173 15000173', PROTOCOL_ERROR, 'twice'],
    [5, '§3.15.2.2.3', 0xf0, '18 0a 15000173 160000 160000', PROTOCOL_ERROR, 'twice'],
    [5, '', 0xf0, '18 04 15000173 00', MALFORMED, 'behind the end of AUTH'],
  ])('%i %s refuses %i %s', (version, _clause, header, body, reasonCode, reason) => {
    const error = faultOf(() => decodeControl(frame(header, body), version))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })
})

describe('PINGREQ, and packets that are none', () => {
  test('PINGREQ', () => {
    for (const hex of ['c000', 'c080808000']) {
      expect(decodeControl(bytesOf(hex), 4)).toEqual({ cmd: 'pingreq' })
    }
  })

  test.each<[string, string, string]>([
    ['', 'c00100', 'behind the end of PINGREQ'],
    ['MQTT-2.2.2-2', 'c100', 'flags'],
    ['CVE-2021-28166', '20020000', 'not for a server'],
    ['', 'd000', 'not for a server'],
    ['', '9003000100', 'not for a server'],
    ['', '0000', 'reserved'],
    ['', '', 'reserved'],
    ['', 'c0', 'length of the packet'],
    ['', 'c001', 'length of the packet'],
    ['', 'c000c000', 'length of the packet'],
    ['', 'c08080808000', 'length of the packet'],
  ])('%s refuses %j', (_clause, hex, reason) => {
    for (const version of [3, 4, 5] as const) {
      expect(faultOf(() => decodeControl(bytesOf(hex), version)).reason).toContain(reason)
    }
  })
})

describe('encodeControl before MQTT 5', () => {
  test.each<[string, ServerPacket, string]>([
    ['MQTT-3.2.2-1', { cmd: 'connack', returnCode: 0, sessionPresent: false }, '20020000'],
    ['MQTT-3.2.2-2', { cmd: 'connack', returnCode: 0, sessionPresent: true }, '20020100'],
    ['MQTT-3.1.2-2', { cmd: 'connack', returnCode: 1, sessionPresent: false }, '20020001'],
    ['MQTT-3.9.3-1', { cmd: 'suback', messageId: 0x1234, granted: [0, 1, 2, 0x80] }, '9006123400010280'],
    ['MQTT-3.9.3-2', { cmd: 'suback', messageId: 1, granted: [0x87, 0x8f] }, '900400018080'],
    ['MQTT-3.10.4-4', { cmd: 'unsuback', messageId: 0xffff }, 'b002ffff'],
    ['', { cmd: 'unsuback', messageId: 1, granted: [0x11], properties: { reasonString: 'r' } }, 'b0020001'],
    ['', { cmd: 'connack', returnCode: 0, sessionPresent: false, properties: { reasonString: 'r' } }, '20020000'],
  ])('%s', (_clause, packet, hex) => {
    for (const version of [3, 4] as const) expect(encodeControl(packet, version).toString('hex')).toBe(hex)
  })

  test('a server sends neither DISCONNECT nor AUTH', () => {
    expect(() => encodeControl({ cmd: 'disconnect', reasonCode: 0 }, 4)).toThrow(RangeError)
    expect(() => encodeControl({ cmd: 'auth', reasonCode: 0, properties: {} }, 3)).toThrow(RangeError)
  })
})

describe('encodeControl for MQTT 5', () => {
  test.each<[string, ServerPacket, string]>([
    ['MQTT-2.2.2-1', { cmd: 'connack', returnCode: 0, sessionPresent: true }, '2003 01 00 00'],
    [
      '§3.2.2.3',
      {
        cmd: 'connack',
        returnCode: 0,
        sessionPresent: false,
        properties: {
          assignedClientIdentifier: 'a',
          serverKeepAlive: 60,
          topicAliasMaximum: 10,
          maximumQoS: 1,
          retainAvailable: true,
          sharedSubscriptionAvailable: false,
          reasonString: undefined,
        },
      },
      '2013 00 00 10 120001 61 13003c 22000a 2401 2501 2a00',
    ],
    ['MQTT-3.9.3-1', { cmd: 'suback', messageId: 0x1234, granted: [2, 0x8f] }, '9005 1234 00 02 8f'],
    [
      '',
      { cmd: 'suback', messageId: 1, granted: [0], properties: { reasonString: 'r', userProperties: [['a', 'b']] } },
      '900f 0001 0b 1f0001 72 26000161000162 00',
    ],
    ['MQTT-3.11.3-1', { cmd: 'unsuback', messageId: 1, granted: [0, 0x11] }, 'b005 0001 00 00 11'],
    ['§3.14.2.1', { cmd: 'disconnect', reasonCode: 0 }, 'e000'],
    ['', { cmd: 'disconnect', reasonCode: 0x8e }, 'e001 8e'],
    ['', { cmd: 'disconnect', reasonCode: 0x9d, properties: { serverReference: 'x' } }, 'e006 9d 04 1c0001 78'],
    ['', { cmd: 'disconnect', reasonCode: 0, properties: { reasonString: 'r' } }, 'e006 00 04 1f0001 72'],
    ['', { cmd: 'auth', reasonCode: 0, properties: { authenticationMethod: 's' } }, 'f006 00 04 150001 73'],
    [
      '',
      {
        cmd: 'auth',
        reasonCode: 0x18,
        properties: { authenticationMethod: 's', authenticationData: Buffer.from([9]) },
      },
      'f00a 18 08 150001 73 160001 09',
    ],
  ])('%s', (_clause, packet, hex) => {
    expect(encodeControl(packet, 5).toString('hex')).toBe(hex.replaceAll(' ', ''))
  })

  test('with a remaining length of two bytes', () => {
    const packet = encodeControl({ cmd: 'suback', messageId: 1, granted: new Array(200).fill(1) }, 5)
    expect(packet.toString('hex')).toBe(`90cb01000100${'01'.repeat(200)}`)
  })

  test('not when no packet could hold it', () => {
    const sizes = [268_435_455, 1].map(length => ({ length }) as Uint8Array)
    expect(() => encodePacket(0x20, ...sizes)).toThrow(RangeError)
  })

  test.each<[string, ServerPacket]>([
    ['MQTT-3.2.2-8', { cmd: 'connack', returnCode: 0x8e, sessionPresent: false }],
    ['MQTT-3.9.3-2', { cmd: 'suback', messageId: 1, granted: [0, 3] }],
    ['MQTT-3.11.3-2', { cmd: 'unsuback', messageId: 1, granted: [1] }],
    ['MQTT-3.11.3-2', { cmd: 'unsuback', messageId: 1 }],
    ['MQTT-3.14.2-1', { cmd: 'disconnect', reasonCode: 0x8c }],
    ['MQTT-3.15.2-1', { cmd: 'auth', reasonCode: 0x87, properties: { authenticationMethod: 's' } }],
    ['§1.5.4', { cmd: 'disconnect', reasonCode: 0, properties: { reasonString: 'r'.repeat(65_536) } }],
  ])('%s is kept', (_clause, packet) => {
    expect(() => encodeControl(packet, 5)).toThrow(RangeError)
  })

  test.each<[string, ServerPacket]>([
    ['MQTT-3.2.2-19, MQTT-3.2.2-20', { cmd: 'connack', returnCode: 0x87, sessionPresent: false }],
    ['MQTT-3.9.2-1, MQTT-3.9.2-2', { cmd: 'suback', messageId: 1, granted: [0x87] }],
    ['MQTT-3.11.2-1, MQTT-3.11.2-2', { cmd: 'unsuback', messageId: 1, granted: [0x87] }],
    ['MQTT-3.14.2-3, MQTT-3.14.2-4', { cmd: 'disconnect', reasonCode: 0x87 }],
    ['MQTT-3.15.2-2, MQTT-3.15.2-3', { cmd: 'auth', reasonCode: 0x18, properties: {} }],
  ])('no reason string and user property beyond the maximum packet size [%s]', (_clause, packet) => {
    const kept = packet.cmd === 'auth' ? { authenticationMethod: 's' } : {}
    const reasons = { reasonString: 'because', userProperties: [['a', 'b']] as [string, string][] }
    const bare = encodeControl({ ...packet, properties: kept }, 5)
    const full = { ...packet, properties: { ...kept, ...reasons } }
    const whole = encodeControl(full, 5)
    expect(whole.includes('because')).toBe(true)
    expect(encodeControl(full, 5, whole.length)).toEqual(whole)
    expect(encodeControl(full, 5, whole.length - 1)).toEqual(bare)
    // What else is in it cannot be left out.
    expect(encodeControl(full, 5, 1)).toEqual(bare)
  })
})
