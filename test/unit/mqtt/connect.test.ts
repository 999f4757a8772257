import { describe, expect, test } from 'vitest'
import { ALL_VERSIONS, connectVersion } from '../../../src/mqtt/connect.ts'
import { decodeControl } from '../../../src/mqtt/control.ts'
import { UnacceptableProtocolError } from '../../../src/mqtt/malformed.ts'
import type { ProtocolVersion } from '../../../src/mqtt/packets.ts'
import { faultOf, frame, properties } from './hex.ts'

const MQTT = '0004 4d515454'
const MQISDP = '0006 4d5149736470'

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82

function decode(body: string): unknown {
  return decodeControl(frame(0x10, body), undefined)
}

/** [clause of 3.1.1, body of a CONNECT, what comes of it] */
const GOOD: [string, string, object][] = [
  [
    '',
    `${MQTT} 04 02 003c 0001 61`,
    { protocolId: 'MQTT', protocolVersion: 4, isBridge: false, clean: true, keepalive: 60, clientId: 'a' },
  ],
  [
    '',
    `${MQISDP} 03 00 0000 0001 61`,
    { protocolId: 'MQIsdp', protocolVersion: 3, isBridge: false, clean: false, keepalive: 0, clientId: 'a' },
  ],
  ['as of a Mosquitto bridge', `${MQTT} 84 02 003c 0001 61`, { protocolVersion: 4, isBridge: true, clientId: 'a' }],
  ['as of a Mosquitto bridge', `${MQISDP} 83 02 003c 0001 61`, { protocolVersion: 3, isBridge: true, clientId: 'a' }],
  ['MQTT-3.1.3-8 is the answer of the session', `${MQTT} 04 00 0000 0000`, { clean: false, clientId: '' }],
  [
    'MQTT-3.1.3-1',
    `${MQTT} 04 f6 000a 0001 61 0001 74 0002 00ff 0001 75 0002 ff00`,
    {
      will: { topic: 't', payload: Buffer.from('00ff', 'hex'), qos: 2, retain: true, properties: {} },
      username: 'u',
      password: Buffer.from('ff00', 'hex'),
      properties: {},
    },
  ],
  [
    '',
    `${MQTT} 04 04 000a 0001 61 0001 74 0000`,
    { will: { topic: 't', payload: Buffer.alloc(0), qos: 0, retain: false } },
  ],
  ['', `${MQTT} 04 02 000a 0001 61`, { will: undefined, username: undefined, password: undefined }],
  ['MQTT-1.5.3-3', `${MQTT} 04 02 000a 0004 efbbbf61`, { clientId: '\ufeffa' }],
  ['', `${MQTT} 04 02 000a 0003 efbfbd`, { clientId: '\ufffd' }],
  ['', `${MQTT} 04 82 000a 0001 61 0000`, { username: '' }],
  ['3.1: the end of the packet counts more', `${MQISDP} 03 82 003c 0001 61`, { clientId: 'a', username: undefined }],
  [
    '3.1: the end of the packet counts more',
    `${MQISDP} 03 c2 003c 0001 61 0001 75`,
    { username: 'u', password: undefined },
  ],
  [
    '3.1: the end of the packet counts more',
    `${MQISDP} 03 c2 003c 0001 61`,
    { username: undefined, password: undefined },
  ],
  ['3.1: disregarded without a will', `${MQISDP} 03 3a 003c 0001 61`, { clientId: 'a', will: undefined }],
  ['3.1: reserved, not checked', `${MQISDP} 03 03 003c 0001 61`, { clientId: 'a', clean: true }],
]

/** [clause of 5, body of a CONNECT, what comes of it] */
const GOOD_5: [string, string, object][] = [
  [
    '',
    `${MQTT} 05 02 003c 00 0001 61`,
    { protocolVersion: 5, isBridge: false, clean: true, keepalive: 60, clientId: 'a', properties: {} },
  ],
  ['MQTT-3.1.3-6', `${MQTT} 05 00 0000 00 0000`, { clean: false, clientId: '' }],
  ['MQTT-3.1.2-19', `${MQTT} 05 42 003c 00 0001 61 0001 70`, { username: undefined, password: Buffer.from('p') }],
  [
    '§3.1.2.11',
    `${MQTT} 05 02 003c ${properties('1100000e10 21000a 2700010000 220005 1901 1700 26000161000162 1500026162 160001ff')} 0001 61`,
    {
      properties: {
        sessionExpiryInterval: 3_600,
        receiveMaximum: 10,
        maximumPacketSize: 65_536,
        topicAliasMaximum: 5,
        requestResponseInformation: true,
        requestProblemInformation: false,
        userProperties: [['a', 'b']],
        authenticationMethod: 'ab',
        authenticationData: Buffer.from('ff', 'hex'),
      },
    },
  ],
  [
    'MQTT-3.1.3-1',
    `${MQTT} 05 ee 003c 00 0001 61 ${properties('180000000a 0101 020000003c 03000163 08000172 09000164 2600000000')} 0001 74 0002 6869 0001 75 0001 70`,
    {
      will: {
        topic: 't',
        payload: Buffer.from('hi'),
        qos: 1,
        retain: true,
        properties: {
          willDelayInterval: 10,
          payloadFormatIndicator: 1,
          messageExpiryInterval: 60,
          contentType: 'c',
          responseTopic: 'r',
          correlationData: Buffer.from('d'),
          userProperties: [['', '']],
        },
      },
      username: 'u',
      password: Buffer.from('p'),
      properties: {},
    },
  ],
]

/** [clause of 3.1.1, body of a CONNECT, part of the reason] */
const BAD: [string, string, string][] = [
  ['MQTT-3.1.2-1', '0004 4d515458 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-1', '0004 6d717474 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-1', '0000 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-3', `${MQTT} 04 03 003c 0001 61`, 'bit 0'],
  ['MQTT-3.1.2-14', `${MQTT} 04 1e 003c 0001 61 0001 74 0000`, 'QoS 3'],
  ['3.1: QoS 3 is reserved', `${MQISDP} 03 1e 003c 0001 61 0001 74 0000`, 'QoS 3'],
  ['MQTT-3.1.2-13', `${MQTT} 04 0a 003c 0001 61`, 'without a will'],
  ['MQTT-3.1.2-13', `${MQTT} 04 1a 003c 0001 61`, 'without a will'],
  ['MQTT-3.1.2-15', `${MQTT} 04 22 003c 0001 61`, 'without a will'],
  ['MQTT-3.1.2-22', `${MQTT} 04 42 003c 0001 61 0001 70`, 'without a user name'],
  ['3.1: the same', `${MQISDP} 03 42 003c 0001 61 0001 70`, 'without a user name'],
  ['MQTT-3.1.2-9', `${MQTT} 04 06 003c 0001 61`, 'too short for its will topic'],
  ['MQTT-3.1.2-9', `${MQTT} 04 06 003c 0001 61 0001 74`, 'too short for its will payload'],
  ['3.1: only the last two fields may be missing', `${MQISDP} 03 06 003c 0001 61`, 'too short for its will topic'],
  ['MQTT-3.1.2-19', `${MQTT} 04 82 003c 0001 61`, 'too short for its user name'],
  ['MQTT-3.1.2-21', `${MQTT} 04 c2 003c 0001 61 0001 75`, 'too short for its password'],
  ['3.1: half a field is no missing one', `${MQISDP} 03 82 003c 0001 61 00`, 'too short for its user name'],
  ['MQTT-3.1.2-11', `${MQTT} 04 02 003c 0001 61 0001 74 0000`, 'behind the end'],
  ['MQTT-3.1.2-18', `${MQTT} 04 02 003c 0001 61 00`, 'behind the end'],
  ['MQTT-3.1.2-20', `${MQTT} 04 82 003c 0001 61 0001 75 0001 70`, 'behind the end'],
  ['MQTT-3.1.3-3', `${MQTT} 04 02 003c`, 'too short for its client identifier'],
  ['', `${MQTT} 04 02 003c 0002 61`, 'too short for its client identifier'],
  ['', `${MQTT} 04 02 00`, 'too short for its keep alive'],
  ['', `${MQTT} 04 02`, 'too short for its keep alive'],
  ['', `${MQTT} 04`, 'too short for its connect flags'],
  ['', MQTT, 'too short for its protocol level'],
  ['', '0004 4d51', 'too short for its protocol name'],
  ['', 'ffff', 'too short for its protocol name'],
  ['', '00', 'too short for its protocol name'],
  ['', '', 'too short for its protocol name'],
  ['MQTT-3.1.3-4', `${MQTT} 04 02 003c 0001 ff`, 'client identifier is not valid UTF-8'],
  ['MQTT-1.5.3-1', `${MQTT} 04 02 003c 0003 eda080`, 'client identifier is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 02 003c 0003 610062`, 'client identifier contains U+0000'],
  ['MQTT-3.1.3-10', `${MQTT} 04 06 003c 0001 61 0001 80 0000`, 'will topic is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 06 003c 0001 61 0001 00 0000`, 'will topic contains U+0000'],
  ['MQTT-3.1.3-11', `${MQTT} 04 82 003c 0001 61 0001 c3`, 'user name is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 82 003c 0001 61 0001 00`, 'user name contains U+0000'],
]

/** [clause of 5, body of a CONNECT, reason code, part of the reason] */
const BAD_5: [string, string, number, string][] = [
  ['MQTT-3.1.2-3', `${MQTT} 05 03 003c 00 0001 61`, MALFORMED, 'bit 0'],
  ['MQTT-3.1.2-12', `${MQTT} 05 1e 003c 00 0001 61 00 0001 74 0000`, MALFORMED, 'QoS 3'],
  ['MQTT-3.1.2-11', `${MQTT} 05 0a 003c 00 0001 61`, MALFORMED, 'without a will'],
  ['MQTT-3.1.2-13', `${MQTT} 05 22 003c 00 0001 61`, MALFORMED, 'without a will'],
  ['MQTT-2.2.2-1', `${MQTT} 05 02 003c`, MALFORMED, 'too short for its property length'],
  ['MQTT-3.1.2-9', `${MQTT} 05 06 003c 00 0001 61 0001 74 0000`, MALFORMED, 'too short for its will topic'],
  ['MQTT-3.1.2-9', `${MQTT} 05 06 003c 00 0001 61 00 0001 74`, MALFORMED, 'too short for its will payload'],
  ['MQTT-3.1.2-16', `${MQTT} 05 02 003c 00 0001 61 0001 75`, MALFORMED, 'behind the end'],
  ['MQTT-3.1.2-17', `${MQTT} 05 82 003c 00 0001 61`, MALFORMED, 'too short for its user name'],
  ['MQTT-3.1.2-18', `${MQTT} 05 82 003c 00 0001 61 0001 75 0001 70`, MALFORMED, 'behind the end'],
  ['MQTT-3.1.2-19', `${MQTT} 05 42 003c 00 0001 61`, MALFORMED, 'too short for its password'],
  ['MQTT-3.1.3-4', `${MQTT} 05 02 003c 00 0001 ff`, MALFORMED, 'client identifier'],
  ['MQTT-3.1.3-11', `${MQTT} 05 06 003c 00 0001 61 00 0001 ff 0000`, MALFORMED, 'will topic'],
  ['MQTT-3.1.3-12', `${MQTT} 05 82 003c 00 0001 61 0001 ff`, MALFORMED, 'user name'],
  ['MQTT-1.5.4-2', `${MQTT} 05 82 003c 00 0001 61 0001 00`, MALFORMED, 'U+0000'],
  ['§2.2.2.2, a property of the will', `${MQTT} 05 02 003c 05 180000000a 0001 61`, MALFORMED, 'not allowed'],
  ['§2.2.2.2, of CONNACK', `${MQTT} 05 02 003c 02 2401 0001 61`, MALFORMED, 'maximumQoS is not allowed'],
  ['§2.2.2.2, of CONNECT', `${MQTT} 05 06 003c 00 0001 61 03 21000a 0001 74 0000`, MALFORMED, 'not allowed'],
  ['§2.2.2.2, of PUBLISH', `${MQTT} 05 06 003c 00 0001 61 03 230001 0001 74 0000`, MALFORMED, 'not allowed'],
  ['§3.1.2.11.3', `${MQTT} 05 02 003c 03 210000 0001 61`, PROTOCOL_ERROR, 'receiveMaximum is 0'],
  ['§3.1.2.11.4', `${MQTT} 05 02 003c 05 2700000000 0001 61`, PROTOCOL_ERROR, 'maximumPacketSize is 0'],
  ['§3.1.2.11.6', `${MQTT} 05 02 003c 02 1902 0001 61`, PROTOCOL_ERROR, 'neither 0 nor 1'],
  ['§3.1.2.11.7', `${MQTT} 05 02 003c 02 17ff 0001 61`, PROTOCOL_ERROR, 'neither 0 nor 1'],
  ['§3.1.2.11.10', `${MQTT} 05 02 003c 04 160001 ff 0001 61`, PROTOCOL_ERROR, 'without an authentication method'],
  ['§3.1.2.11.2', `${MQTT} 05 02 003c 0a 1100000001 1100000001 0001 61`, PROTOCOL_ERROR, 'twice'],
  ['§3.1.3.2.2', `${MQTT} 05 06 003c 00 0001 61 0a 1800000000 1800000000 0001 74 0000`, PROTOCOL_ERROR, 'twice'],
  ['§3.1.3.2.3', `${MQTT} 05 06 003c 00 0001 61 02 0102 0001 74 0000`, PROTOCOL_ERROR, 'neither 0 nor 1'],
  ['MQTT-4.7.0-1', `${MQTT} 05 06 003c 00 0001 61 04 080001 23 0001 74 0000`, PROTOCOL_ERROR, 'wildcards'],
  ['CVE-2023-3592', `${MQTT} 05 06 003c 00 0001 61 02 1101 0001 74 0000`, MALFORMED, 'not allowed'],
]

/** [clause, body of a CONNECT, level] */
const UNACCEPTABLE: [string, string, number][] = [
  ['MQTT-3.1.2-2', `${MQTT} 06 02 003c 0001 61`, 6],
  ['MQTT-3.1.2-2', `${MQTT} 03 02 003c 0001 61`, 3],
  ['MQTT-3.1.2-2', `${MQISDP} 04 02 003c 0001 61`, 4],
  ['MQTT-3.1.2-2', `${MQISDP} 05 02 003c 0001 61`, 5],
  ['a bridge of MQTT 5 has subscription options', `${MQTT} 85 02 003c 00 0001 61`, 0x85],
  ['MQTT-3.1.2-2', `${MQTT} 83 02 003c 0001 61`, 0x83],
  ['MQTT-3.1.2-2, whatever follows', `${MQTT} 00 ff`, 0],
]

describe('CONNECT', () => {
  test.each(GOOD)('%s takes %s', (_clause, body, expected) => {
    expect(decode(body)).toMatchObject({ cmd: 'connect', ...expected })
  })

  test.each(GOOD_5)('5: %s takes %s', (_clause, body, expected) => {
    expect(decode(body)).toMatchObject({ cmd: 'connect', ...expected })
  })

  test.each(BAD)('%s refuses %s', (_clause, body, reason) => {
    const error = faultOf(() => decode(body))
    expect(error.reason).toContain(reason)
    expect(error).not.toBeInstanceOf(UnacceptableProtocolError)
  })

  test.each(BAD_5)('5: %s refuses %s', (_clause, body, reasonCode, reason) => {
    const error = faultOf(() => decode(body))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
    expect(error).not.toBeInstanceOf(UnacceptableProtocolError)
  })

  test.each(UNACCEPTABLE)('%s refuses %s in its own way', (_clause, body, level) => {
    expect(faultOf(() => decode(body))).toMatchObject({
      name: 'UnacceptableProtocolError',
      level,
      reasonCode: 0x84,
      reason: `protocol level ${level} is not supported`,
    })
  })

  test('refuses the versions that it is told to', () => {
    const bodies: [string, number][] = [
      [`${MQISDP} 03 02 003c 0001 61`, 3],
      [`${MQTT} 04 02 003c 0001 61`, 4],
      [`${MQTT} 05 02 003c 00 0001 61`, 5],
    ]
    for (const [body, level] of bodies) {
      const protocolVersions = ALL_VERSIONS.filter(version => version !== level)
      expect(faultOf(() => decodeControl(frame(0x10, body), undefined, { protocolVersions }))).toMatchObject({
        name: 'UnacceptableProtocolError',
        level,
      })
      expect(decode(body)).toMatchObject({ protocolVersion: level })
    }
  })

  test('bounds its user properties, those of the will by themselves', () => {
    const two = '0a 2600000000 2600000000'
    const body = `${MQTT} 05 06 003c ${two} 0001 61 ${two} 0001 74 0000`
    const packet = frame(0x10, body)
    expect(decodeControl(packet, undefined, { maxUserProperties: 2 })).toMatchObject({
      clientId: 'a',
    })
    const error = faultOf(() => decodeControl(packet, undefined, { maxUserProperties: 1 }))
    expect(error).toMatchObject({ reasonCode: 0x97, reason: 'there are more than 1 user properties' })
  })

  test('of MQTT 5 has the shortest remaining length [MQTT-1.5.5-1]', () => {
    const body = Buffer.from(`${MQTT} 05 02 003c 00 0001 61`.replaceAll(' ', ''), 'hex')
    const packet = Buffer.concat([Buffer.from([0x10, 0x80 | body.length, 0]), body])
    const error = faultOf(() => decodeControl(packet, undefined))
    expect(error).toMatchObject({
      reasonCode: MALFORMED,
      reason: 'the remaining length takes more bytes than it needs',
    })
    packet[9] = 4
    const older = Buffer.concat([packet.subarray(0, 13), packet.subarray(14)])
    older[1] = 0x80 | (body.length - 1)
    expect(decodeControl(older, undefined)).toMatchObject({ protocolVersion: 4, clientId: 'a' })
  })

  test('does not keep the bytes that it came with', () => {
    const bytes = frame(
      0x10,
      `${MQTT} 05 c6 003c 09 150001 61 160002 6869 0001 61 05 090002 6869 0001 74 0002 6869 0001 75 0002 6869`,
    )
    const packet = decodeControl(bytes, undefined)
    bytes.fill(0)
    const hi = Buffer.from('hi')
    expect(packet).toMatchObject({
      will: { payload: hi, properties: { correlationData: hi } },
      password: hi,
      properties: { authenticationData: hi },
    })
  })
})

describe('connectVersion', () => {
  test.each<[string, ProtocolVersion | undefined]>([
    [`${MQISDP} 03 02 003c 0001 61`, 3],
    [`${MQISDP} 83 02 003c 0001 61`, 3],
    [`${MQTT} 04 ff`, 4],
    [`${MQTT} 05 02 003c 03 210000 0001 61`, 5],
    [`${MQTT} 05`, 5],
    [`${MQTT} 06 02 003c 00 0001 61`, undefined],
    [MQTT, undefined],
    ['0004 4d515458 05', undefined],
    ['', undefined],
  ])('of %s is %s', (body, version) => {
    expect(connectVersion(frame(0x10, body))).toBe(version)
  })

  test('of what is no packet is undefined', () => {
    expect(connectVersion(Buffer.from([0x10]))).toBeUndefined()
  })
})
