import { describe, expect, test } from 'vitest'
import { PacketType } from '../../../src/mqtt/packets.ts'
import { encodeProperties, type Properties, readProperties } from '../../../src/mqtt/properties.ts'
import { WILL } from '../../../src/mqtt/property-table.ts'
import { WireReader } from '../../../src/mqtt/wire.ts'
import { bytesOf, faultOf, properties } from './hex.ts'

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const TOPIC_ALIAS_INVALID = 0x94
const QUOTA_EXCEEDED = 0x97

function read(bytes: Buffer, place: number, maxUserProperties?: number): Properties {
  const reader = new WireReader('a packet', bytes, 0, bytes.length)
  const found = readProperties(reader, place, maxUserProperties)
  reader.finish()
  return found
}

const { CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK } = PacketType
const { UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT, AUTH } = PacketType
const REASONS = [CONNACK, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK, DISCONNECT, AUTH]
const EVERYWHERE = [WILL, ...Object.values(PacketType)]

/** Table 2-4: identifier, an example of the value in hex, what it is read as, where it is allowed. */
const TABLE: [number, string, Properties, number[]][] = [
  [0x01, '01', { payloadFormatIndicator: 1 }, [PUBLISH, WILL]],
  [0x02, 'ffffffff', { messageExpiryInterval: 4_294_967_295 }, [PUBLISH, WILL]],
  [0x03, '0001 63', { contentType: 'c' }, [PUBLISH, WILL]],
  [0x08, '0003 612f62', { responseTopic: 'a/b' }, [PUBLISH, WILL]],
  [0x09, '0002 00ff', { correlationData: bytesOf('00ff') }, [PUBLISH, WILL]],
  [0x0b, '8001', { subscriptionIdentifiers: [128] }, [PUBLISH, SUBSCRIBE]],
  [0x11, '00000e10', { sessionExpiryInterval: 3_600 }, [CONNECT, CONNACK, DISCONNECT]],
  [0x12, '0001 63', { assignedClientIdentifier: 'c' }, [CONNACK]],
  [0x13, 'ffff', { serverKeepAlive: 65_535 }, [CONNACK]],
  [0x15, '0001 73', { authenticationMethod: 's' }, [CONNECT, CONNACK, AUTH]],
  [0x17, '00', { requestProblemInformation: false }, [CONNECT]],
  [0x18, '0000000a', { willDelayInterval: 10 }, [WILL]],
  [0x19, '01', { requestResponseInformation: true }, [CONNECT]],
  [0x1a, '0001 72', { responseInformation: 'r' }, [CONNACK]],
  [0x1c, '0001 72', { serverReference: 'r' }, [CONNACK, DISCONNECT]],
  [0x1f, '0004 f09f8ca1', { reasonString: '🌡' }, REASONS],
  [0x21, '0001', { receiveMaximum: 1 }, [CONNECT, CONNACK]],
  [0x22, '0000', { topicAliasMaximum: 0 }, [CONNECT, CONNACK]],
  [0x23, '0001', { topicAlias: 1 }, [PUBLISH]],
  [0x24, '00', { maximumQoS: 0 }, [CONNACK]],
  [0x25, '01', { retainAvailable: true }, [CONNACK]],
  [0x26, '0001 61 0000', { userProperties: [['a', '']] }, [...REASONS, CONNECT, PUBLISH, WILL, SUBSCRIBE, UNSUBSCRIBE]],
  [0x27, '00000001', { maximumPacketSize: 1 }, [CONNECT, CONNACK]],
  [0x28, '00', { wildcardSubscriptionAvailable: false }, [CONNACK]],
  [0x29, '01', { subscriptionIdentifiersAvailable: true }, [CONNACK]],
  [0x2a, '01', { sharedSubscriptionAvailable: true }, [CONNACK]],
]

function hexOf(id: number, value: string): string {
  return `${id.toString(16).padStart(2, '0')}${value.replaceAll(' ', '')}`
}

describe('a property [§2.2.2.2]', () => {
  test.each(TABLE)('0x%s with %s is read where it is allowed, and only there', (id, value, expected, places) => {
    const bytes = bytesOf(properties(hexOf(id, value)))
    for (const place of EVERYWHERE) {
      if (places.includes(place)) {
        expect(read(bytes, place)).toEqual(expected)
      } else {
        const error = faultOf(() => read(bytes, place))
        expect(error.reason).toMatch(/^the property \w+ is not allowed here$/)
        expect(error.reasonCode).toBe(MALFORMED)
      }
    }
    expect(places).not.toContain(PINGREQ)
    expect(places).not.toContain(PINGRESP)
  })

  test.each(TABLE)('0x%s with %s is written as it is read', (id, value, expected) => {
    expect(encodeProperties(expected).toString('hex')).toBe(properties(hexOf(id, value)))
  })

  test.each(TABLE)('0x%s with %s is not read when it is cut off', (id, value, _expected, places) => {
    const bytes = bytesOf(hexOf(id, value))
    for (let length = 1; length < bytes.length; length++) {
      const cut = Buffer.concat([Buffer.from([length]), bytes.subarray(0, length), Buffer.alloc(20)])
      const error = faultOf(() => read(cut, places[0] as number))
      expect(error.reason).toContain('the property list is too short')
      expect(error.reasonCode).toBe(MALFORMED)
    }
  })

  test.each(TABLE)(
    '0x%s with %s may be repeated only when it may be there in numbers',
    (id, value, expected, places) => {
      const bytes = bytesOf(properties(hexOf(id, value).repeat(2)))
      const [name] = Object.keys(expected)
      for (const place of places) {
        if (name === 'userProperties' || (name === 'subscriptionIdentifiers' && place === PUBLISH)) {
          const once = Object.values(expected)[0] as unknown[]
          expect(read(bytes, place)).toEqual({ [name]: [...once, ...once] })
        } else {
          const error = faultOf(() => read(bytes, place))
          expect(error.reason).toBe(`the property ${name} is there twice`)
          expect(error.reasonCode).toBe(PROTOCOL_ERROR)
        }
      }
    },
  )

  test('with an identifier that is in no table is not allowed', () => {
    const known = new Set([...TABLE.map(([id]) => id), 0x16])
    for (let id = 0; id < 256; id++) {
      if (known.has(id)) continue
      for (const place of EVERYWHERE) {
        const error = faultOf(() => read(Buffer.from([3, id, 0, 0]), place))
        expect(error).toMatchObject({
          reason: `the property 0x${id.toString(16)} is not allowed here`,
          reasonCode: MALFORMED,
        })
      }
    }
  })

  test('authentication data comes with a method [§3.1.2.11.10]', () => {
    for (const place of [CONNECT, CONNACK, AUTH]) {
      expect(read(bytesOf(properties('16000100 15000173')), place)).toEqual({
        authenticationMethod: 's',
        authenticationData: bytesOf('00'),
      })
    }
    expect(faultOf(() => read(bytesOf(properties('16000100')), SUBACK)).reason).toContain('not allowed')
  })
})

/** [clause, place, properties in hex, reason code, part of the reason] */
const BAD: [string, number, string, number, string][] = [
  ['MQTT-1.5.4-1', PUBLISH, '030001 ff', MALFORMED, 'contentType is not valid UTF-8'],
  ['MQTT-1.5.4-1', PUBLISH, '080003 eda080', MALFORMED, 'responseTopic is not valid UTF-8'],
  ['MQTT-1.5.4-2', CONNECT, '150001 00', MALFORMED, 'contains U+0000'],
  ['MQTT-1.5.7-1', PUBLISH, '260001 ff 0000', MALFORMED, 'userProperties is not valid UTF-8'],
  ['MQTT-1.5.7-1', PUBLISH, '260000 0001 00', MALFORMED, 'contains U+0000'],
  ['MQTT-1.5.5-1', SUBSCRIBE, '0b 8000', MALFORMED, 'more bytes than it needs'],
  ['MQTT-1.5.5-1', SUBSCRIBE, '0b 80808000', MALFORMED, 'more bytes than it needs'],
  ['§1.5.5', SUBSCRIBE, '0b ffffffff7f', MALFORMED, 'more than four bytes'],
  ['§3.8.2.1.2', SUBSCRIBE, '0b 00', PROTOCOL_ERROR, 'subscriptionIdentifiers is 0'],
  ['§3.3.2.3.8', PUBLISH, '0b 00', PROTOCOL_ERROR, 'subscriptionIdentifiers is 0'],
  ['§3.1.2.11.3', CONNECT, '21 0000', PROTOCOL_ERROR, 'receiveMaximum is 0'],
  ['§3.2.2.3.3', CONNACK, '21 0000', PROTOCOL_ERROR, 'receiveMaximum is 0'],
  ['§3.1.2.11.4', CONNECT, '27 00000000', PROTOCOL_ERROR, 'maximumPacketSize is 0'],
  ['MQTT-3.3.2-8', PUBLISH, '23 0000', TOPIC_ALIAS_INVALID, 'topic alias is 0'],
  ['§3.1.2.11.6', CONNECT, '19 02', PROTOCOL_ERROR, 'requestResponseInformation is neither 0 nor 1'],
  ['§3.1.2.11.7', CONNECT, '17 02', PROTOCOL_ERROR, 'requestProblemInformation is neither 0 nor 1'],
  ['§3.3.2.3.2', PUBLISH, '01 02', PROTOCOL_ERROR, 'payloadFormatIndicator is neither 0 nor 1'],
  ['§3.2.2.3.4', CONNACK, '24 02', PROTOCOL_ERROR, 'maximumQoS is neither 0 nor 1'],
  ['§3.2.2.3.5', CONNACK, '25 ff', PROTOCOL_ERROR, 'retainAvailable is neither 0 nor 1'],
  ['§3.2.2.3.11', CONNACK, '28 02', PROTOCOL_ERROR, 'wildcardSubscriptionAvailable is neither 0 nor 1'],
  ['§3.2.2.3.12', CONNACK, '29 02', PROTOCOL_ERROR, 'subscriptionIdentifiersAvailable is neither 0 nor 1'],
  ['§3.2.2.3.13', CONNACK, '2a 02', PROTOCOL_ERROR, 'sharedSubscriptionAvailable is neither 0 nor 1'],
  ['MQTT-3.3.2-14', PUBLISH, '080003 612f23', PROTOCOL_ERROR, 'wildcards'],
  ['MQTT-3.3.2-14', WILL, '080001 2b', PROTOCOL_ERROR, 'wildcards'],
  ['MQTT-4.7.3-1', PUBLISH, '080000', PROTOCOL_ERROR, 'must not be empty'],
  ['§3.1.2.11.10', CONNECT, '160000', PROTOCOL_ERROR, 'without an authentication method'],
]

describe('properties', () => {
  test.each(BAD)('%s is kept: in %i, %s', (_clause, place, hex, reasonCode, reason) => {
    const error = faultOf(() => read(bytesOf(properties(hex)), place))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })

  test('are none when their length is 0 [MQTT-2.2.2-1]', () => {
    expect(read(bytesOf('00'), CONNECT)).toEqual({})
    expect(encodeProperties({})).toEqual(bytesOf('00'))
    expect(encodeProperties({ reasonString: undefined, userProperties: [] })).toEqual(bytesOf('00'))
  })

  test.each([
    ['', 'property length'],
    ['80', 'property length'],
    ['8000', 'more bytes than it needs'],
    ['8080808001', 'more than four bytes'],
    ['01', 'too short for its property list'],
    ['ffffff7f', 'too short for its property list'],
  ])('are refused with the length %j', (hex, reason) => {
    expect(faultOf(() => read(bytesOf(hex), CONNECT))).toMatchObject({ reasonCode: MALFORMED })
    expect(faultOf(() => read(bytesOf(hex), CONNECT)).reason).toContain(reason)
  })

  test('end where their length says, though the packet goes on', () => {
    const bytes = bytesOf('03 210001 21 0002')
    const reader = new WireReader('a packet', bytes, 0, bytes.length)
    expect(readProperties(reader, CONNECT)).toEqual({ receiveMaximum: 1 })
    expect(reader.at).toBe(4)
    expect(faultOf(() => read(bytesOf('02 2100 01'), CONNECT)).reason).toContain('too short for its property receive')
  })

  test('of users keep their order and their repetitions [MQTT-3.3.2-18], whatever their names', () => {
    const pairs: [string, string][] = [
      ['b', '1'],
      ['__proto__', 'x'],
      ['a', '2'],
      ['b', '1'],
      ['1', ''],
      ['constructor', 'y'],
      ['', 'z'],
    ]
    const found = read(encodeProperties({ userProperties: pairs }), PUBLISH)
    expect(found).toEqual({ userProperties: pairs })
    expect(Object.getPrototypeOf(found)).toBe(Object.prototype)
  })

  test('of users are bounded, and cost no more than their length [CVE-2021-41039]', () => {
    const many = Buffer.alloc(5 * 50_000)
    for (let at = 0; at < many.length; at += 5) many[at] = 0x26
    const bytes = bytesOf(properties(many.toString('hex')))
    expect(faultOf(() => read(bytes, CONNECT))).toMatchObject({
      reasonCode: QUOTA_EXCEEDED,
      reason: 'there are more than 1000 user properties',
    })
    expect(faultOf(() => read(bytes, CONNECT, 49_999)).reasonCode).toBe(QUOTA_EXCEEDED)
    // Some ten milliseconds; if each looked at those before it, it would be minutes.
    expect(read(bytes, CONNECT, 50_000).userProperties?.length).toBe(50_000)
  })

  test('are not written when they are too long for the wire', () => {
    const long = 'x'.repeat(65_536)
    expect(() => encodeProperties({ reasonString: long })).toThrow(RangeError)
    expect(() => encodeProperties({ userProperties: [['a', long]] })).toThrow(RangeError)
    expect(() => encodeProperties({ authenticationData: Buffer.alloc(65_536) })).toThrow(RangeError)
    expect(() => encodeProperties({ subscriptionIdentifiers: [268_435_456] })).toThrow(RangeError)
    const longest = { reasonString: 'x'.repeat(65_535) }
    expect(read(encodeProperties(longest), PUBACK)).toEqual(longest)
  })
})
