import { describe, expect, test } from 'vitest'
import { decodeControl, encodeControl } from '../../../src/mqtt/control.ts'
import { MalformedPacketError, UnacceptableProtocolError } from '../../../src/mqtt/malformed.ts'
import type { ProtocolVersion } from '../../../src/mqtt/packets.ts'

/** Fixed header and body, the latter in hex with spaces. */
function frame(header: number, body: string): Buffer {
  const bytes = Buffer.from(body.replaceAll(' ', ''), 'hex')
  return Buffer.concat([Buffer.from([header, bytes.length]), bytes])
}

const MQTT = '0004 4d515454'
const MQISDP = '0006 4d5149736470'

/** [clause, body of a CONNECT, what comes of it] */
const CONNECTS: [string, string, object][] = [
  ['', `${MQTT} 04 02 003c 0001 61`, { protocolVersion: 4, clean: true, keepalive: 60, clientId: 'a' }],
  ['', `${MQISDP} 03 00 0000 0001 61`, { protocolVersion: 3, clean: false, keepalive: 0, clientId: 'a' }],
  ['MQTT-3.1.3-8 is the answer of the session', `${MQTT} 04 00 0000 0000`, { clean: false, clientId: '' }],
  [
    'MQTT-3.1.3-1',
    `${MQTT} 04 f6 000a 0001 61 0001 74 0002 00ff 0001 75 0002 ff00`,
    {
      will: { topic: 't', payload: Buffer.from('00ff', 'hex'), qos: 2, retain: true },
      username: 'u',
      password: Buffer.from('ff00', 'hex'),
    },
  ],
  [
    '',
    `${MQTT} 04 04 000a 0001 61 0001 74 0000`,
    { will: { topic: 't', payload: Buffer.alloc(0), qos: 0, retain: false } },
  ],
  ['MQTT-1.5.3-3', `${MQTT} 04 02 000a 0004 efbbbf61`, { clientId: '\ufeffa' }],
  ['', `${MQTT} 04 02 000a 0003 efbfbd`, { clientId: '\ufffd' }],
  ['', `${MQTT} 04 82 000a 0001 61 0000`, { username: '' }],
]

/** [clause, body of a CONNECT, part of the reason] */
const BAD_CONNECTS: [string, string, string][] = [
  ['MQTT-3.1.2-1', '0004 4d515458 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-1', '0004 6d717474 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-1', '0000 04 02 003c 0001 61', 'protocol name'],
  ['MQTT-3.1.2-3', `${MQTT} 04 03 003c 0001 61`, 'bit 0'],
  ['MQTT-3.1.2-14', `${MQTT} 04 1e 003c 0001 61 0001 74 0000`, 'QoS 3'],
  ['MQTT-3.1.2-13', `${MQTT} 04 0a 003c 0001 61`, 'QoS must be'],
  ['MQTT-3.1.2-15', `${MQTT} 04 22 003c 0001 61`, 'Retain'],
  ['MQTT-3.1.2-22', `${MQTT} 04 42 003c 0001 61 0001 70`, 'without a user name'],
  ['MQTT-3.1.2-9', `${MQTT} 04 06 003c 0001 61`, 'will topic'],
  ['MQTT-3.1.2-9', `${MQTT} 04 06 003c 0001 61 0001 74`, 'will payload'],
  ['MQTT-3.1.2-19', `${MQTT} 04 82 003c 0001 61`, 'username'],
  ['MQTT-3.1.2-21', `${MQTT} 04 c2 003c 0001 61 0001 75`, 'password'],
  ['MQTT-3.1.2-11', `${MQTT} 04 02 003c 0001 61 0001 74 0000`, 'behind its payload'],
  ['MQTT-3.1.2-18', `${MQTT} 04 02 003c 0001 61 00`, 'behind its payload'],
  ['MQTT-3.1.2-20', `${MQTT} 04 82 003c 0001 61 0001 75 0001 70`, 'behind its payload'],
  ['MQTT-3.1.3-3', `${MQTT} 04 02 003c`, 'too short'],
  ['', `${MQTT} 04 02 003c 0002 61`, 'too short'],
  ['', `${MQTT} 04 02 00`, 'too short'],
  ['', `${MQTT} 04 02`, 'too short'],
  ['', `${MQTT} 04`, 'too short'],
  ['', MQTT, 'protocol level'],
  ['', '0004 4d51', 'protocol level'],
  ['', 'ffff', 'protocol level'],
  ['', '00', 'protocol level'],
  ['', '', 'protocol level'],
  ['MQTT-3.1.3-4', `${MQTT} 04 02 003c 0001 ff`, 'client identifier is not valid UTF-8'],
  ['MQTT-1.5.3-1', `${MQTT} 04 02 003c 0003 eda080`, 'client identifier is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 02 003c 0003 610062`, 'client identifier contains U+0000'],
  ['MQTT-3.1.3-10', `${MQTT} 04 06 003c 0001 61 0001 80 0000`, 'will topic is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 06 003c 0001 61 0001 00 0000`, 'will topic contains U+0000'],
  ['MQTT-3.1.3-11', `${MQTT} 04 82 003c 0001 61 0001 c3`, 'user name is not valid UTF-8'],
  ['MQTT-1.5.3-2', `${MQTT} 04 82 003c 0001 61 0001 00`, 'user name contains U+0000'],
]

/** [clause, body of a CONNECT, level] */
const UNACCEPTABLE: [string, string, number][] = [
  ['MQTT-3.1.2-2', `${MQTT} 05 02 003c 00 0001 61`, 5],
  ['MQTT-3.1.2-2', `${MQTT} 06 02 003c 0001 61`, 6],
  ['MQTT-3.1.2-2', `${MQTT} 03 02 003c 0001 61`, 3],
  ['MQTT-3.1.2-2', `${MQISDP} 04 02 003c 0001 61`, 4],
  ['MQTT-3.1.2-2, as of a Mosquitto bridge, which then tries 4', `${MQTT} 84 02 003c 0001 61`, 0x84],
  ['MQTT-3.1.2-2, whatever follows', `${MQTT} 00 ff`, 0],
]

describe('CONNECT', () => {
  test.each(CONNECTS)('%s takes %s', (_clause, body, expected) => {
    expect(decodeControl(frame(0x10, body), undefined)).toMatchObject({ cmd: 'connect', ...expected })
  })

  test.each(BAD_CONNECTS)('%s refuses %s', (_clause, body, reason) => {
    const error = faultOf(frame(0x10, body), undefined)
    expect(error.reason).toContain(reason)
    expect(error).not.toBeInstanceOf(UnacceptableProtocolError)
  })

  test.each(UNACCEPTABLE)('%s refuses %s in its own way', (_clause, body, level) => {
    expect(faultOf(frame(0x10, body), undefined)).toMatchObject({ name: 'UnacceptableProtocolError', level })
  })

  test('a will does not keep the bytes that it came with', () => {
    const bytes = frame(0x10, `${MQTT} 04 06 003c 0001 61 0001 74 0002 6869`)
    const packet = decodeControl(bytes, undefined)
    bytes.fill(0)
    expect(packet).toMatchObject({ will: { payload: Buffer.from('hi') } })
  })
})

describe('SUBSCRIBE', () => {
  test('takes filters in order', () => {
    expect(decodeControl(frame(0x82, '000a 0003 612f23 02 0001 2b 00'), 4)).toMatchObject({
      cmd: 'subscribe',
      messageId: 10,
      subscriptions: [
        { topic: 'a/#', qos: 2 },
        { topic: '+', qos: 0 },
      ],
    })
  })

  test('of MQTT 3.1 may be a repetition', () => {
    const bytes = frame(0x8a, '000a 0001 61 01')
    expect(decodeControl(bytes, 3)).toMatchObject({ messageId: 10, subscriptions: [{ topic: 'a', qos: 1 }] })
    expect(bytes[0]).toBe(0x8a)
  })

  test.each<[string, number, string, string]>([
    ['MQTT-3.8.1-1', 0x80, '000a 0001 61 00', 'flags'],
    ['MQTT-3.8.1-1', 0x8a, '000a 0001 61 00', 'flags'],
    ['MQTT-2.3.1-1', 0x82, '0000 0001 61 00', 'packet identifier is 0'],
    ['MQTT-3.8.3-3', 0x82, '000a', 'no topic filter'],
    ['', 0x82, '', ''],
    ['', 0x82, '00', ''],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 03', 'QoS'],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 04', 'bits'],
    ['MQTT-3.8.3-4', 0x82, '000a 0001 61 80', 'bits'],
    ['', 0x82, '000a 0001 61', 'Malformed'],
    ['', 0x82, '000a 0002 61 00', 'Malformed'],
    ['', 0x82, '000a 0001 61 00 00', 'topic'],
    ['', 0x82, '000a 0001 61 00 0001', 'topic'],
    ['MQTT-3.8.3-1', 0x82, '000a 0001 61 00 0001 ff 00', 'UTF-8'],
    ['MQTT-1.5.3-2', 0x82, '000a 0003 610062 00', 'U+0000'],
  ])('%s refuses %i %s', (_clause, header, body, reason) => {
    expect(faultOf(frame(header, body), 4).reason).toContain(reason)
  })
})

describe('UNSUBSCRIBE', () => {
  test('takes filters in order', () => {
    expect(decodeControl(frame(0xa2, '000a 0003 612f23 0001 2b'), 4)).toMatchObject({
      cmd: 'unsubscribe',
      messageId: 10,
      unsubscriptions: ['a/#', '+'],
    })
  })

  test.each<[string, number, string, string]>([
    ['MQTT-3.10.1-1', 0xa0, '000a 0001 61', 'flags'],
    ['MQTT-2.3.1-1', 0xa2, '0000 0001 61', 'packet identifier is 0'],
    ['MQTT-3.10.3-2', 0xa2, '000a', 'no topic filter'],
    ['', 0xa2, '00', ''],
    ['', 0xa2, '', ''],
    ['', 0xa2, '000a 0001 61 00', 'topic'],
    ['', 0xa2, '000a 0002 61', 'topic'],
    ['MQTT-3.10.3-1', 0xa2, '000a 0002 c328', 'UTF-8'],
    ['MQTT-1.5.3-2', 0xa2, '000a 0001 00', 'U+0000'],
  ])('%s refuses %i %s', (_clause, header, body, reason) => {
    expect(faultOf(frame(header, body), 4).reason).toContain(reason)
  })
})

describe('packets without a body, and packets that are none', () => {
  test('DISCONNECT and PINGREQ', () => {
    expect(decodeControl(Buffer.from('e000', 'hex'), 4).cmd).toBe('disconnect')
    expect(decodeControl(Buffer.from('c000', 'hex'), 4).cmd).toBe('pingreq')
    expect(decodeControl(Buffer.from('c080808000', 'hex'), 4).cmd).toBe('pingreq')
  })

  test.each<[string, string, string]>([
    ['MQTT-3.14.1-1', 'e100', 'flags'],
    ['', 'e00100', 'remaining length'],
    ['', 'c00100', 'remaining length'],
    ['MQTT-2.2.2-2', 'c100', 'flags'],
    ['CVE-2021-28166', '20020000', 'not for a server'],
    ['', 'd000', 'not for a server'],
    ['', '9003000100', 'not for a server'],
    ['', '0000', 'reserved'],
    ['', 'f000', 'reserved'],
    ['', '', 'reserved'],
    ['', 'c0', 'length of the packet'],
    ['', 'c001', 'length of the packet'],
    ['', 'c000c000', 'length of the packet'],
    ['', 'c08080808000', 'length of the packet'],
  ])('%s refuses %j', (_clause, hex, reason) => {
    expect(faultOf(Buffer.from(hex, 'hex'), 4).reason).toContain(reason)
  })
})

describe('encodeControl', () => {
  test.each<[string, Parameters<typeof encodeControl>[0], string]>([
    ['MQTT-3.2.2-1', { cmd: 'connack', returnCode: 0, sessionPresent: false }, '20020000'],
    ['MQTT-3.2.2-2', { cmd: 'connack', returnCode: 0, sessionPresent: true }, '20020100'],
    ['MQTT-3.1.2-2', { cmd: 'connack', returnCode: 1, sessionPresent: false }, '20020001'],
    ['MQTT-3.9.3-1', { cmd: 'suback', messageId: 0x1234, granted: [0, 1, 2, 0x80] }, '9006123400010280'],
    ['MQTT-3.10.4-4', { cmd: 'unsuback', messageId: 0xffff }, 'b002ffff'],
  ])('%s', (_clause, packet, hex) => {
    for (const version of [3, 4] as ProtocolVersion[]) expect(encodeControl(packet, version).toString('hex')).toBe(hex)
  })
})

function faultOf(bytes: Buffer, protocolVersion: ProtocolVersion | undefined): MalformedPacketError {
  try {
    decodeControl(bytes, protocolVersion)
  } catch (error) {
    expect(error).toBeInstanceOf(MalformedPacketError)
    return error as MalformedPacketError
  }
  throw new Error(`${bytes.toString('hex')} was taken`)
}
