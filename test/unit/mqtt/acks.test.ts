import { describe, expect, test } from 'vitest'
import {
  ACK_LENGTH,
  type AckType,
  ackLength,
  ackPacketId,
  ackReasonCode,
  decodeAck,
  decodePacketId,
  flagsFault,
  PINGRESP,
  writeAck,
} from '../../../src/mqtt/acks.ts'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'
import { bytesOf, faultOf } from './hex.ts'

describe('acknowledgements', () => {
  test.each<[AckType, number, string]>([
    [PacketType.PUBACK, 1, '40020001'],
    [PacketType.PUBREC, 0x1234, '50021234'],
    [PacketType.PUBREL, 256, '62020100'],
    [PacketType.PUBCOMP, 0xffff, '7002ffff'],
  ])('type %i, packet identifier %i', (type, packetId, hex) => {
    const target = Buffer.alloc(ACK_LENGTH + 2)
    expect(writeAck(target, 1, type, packetId)).toBe(1 + ACK_LENGTH)
    expect(target.toString('hex')).toBe(`00${hex}00`)
    expect(decodePacketId(target, 3, 5)).toBe(packetId)
  })

  test.each([
    ['MQTT-2.3.1-1', '0000', 'packet identifier 0'],
    ['', '', 'remaining length'],
    ['', '01', 'remaining length'],
    ['', '000100', 'remaining length'],
  ])('%s refuses %j', (_clause, hex, reason) => {
    const body = Buffer.from(hex, 'hex')
    expect(() => decodePacketId(body, 0, body.length)).toThrow(MalformedPacketError)
    expect(() => decodePacketId(body, 0, body.length)).toThrow(reason)
  })

  test('PINGRESP', () => {
    expect(PINGRESP.toString('hex')).toBe('d000')
  })
})

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const { PUBACK, PUBREC, PUBREL, PUBCOMP } = PacketType

describe('acknowledgements of MQTT 5', () => {
  test.each<[string, AckType, string, number, number]>([
    ['MQTT-2.2.1-5', PUBACK, '0001', 1, 0],
    ['§3.4.2.1', PUBACK, 'ffff 00', 0xffff, 0],
    ['§3.4.2.1', PUBACK, '0102 10', 0x0102, 0x10],
    ['§3.4.2.2.1', PUBACK, '0102 87 00', 0x0102, 0x87],
    ['§3.5.2.1', PUBREC, 'ffff 99', 0xffff, 0x99],
    ['§3.6.2.1', PUBREL, '0001 92', 1, 0x92],
    ['§3.7.2.1', PUBCOMP, '0001 92 00', 1, 0x92],
    ['§3.4.2.2', PUBACK, '0001 00 0b 1f0001 72 26000161 000162', 1, 0],
    ['§3.4.2.2', PUBREC, '0001 80 0e 26000161 000162 26000161 000162', 1, 0x80],
  ])('%s: type %i takes %s', (_clause, type, hex, packetId, reasonCode) => {
    const body = bytesOf(hex)
    const ack = decodeAck(type, Buffer.concat([Buffer.from('xx'), body, Buffer.from('xx')]), 2, 2 + body.length, 5)
    expect([ackPacketId(ack), ackReasonCode(ack)]).toEqual([packetId, reasonCode])
    if (reasonCode === 0) expect(ack).toBe(packetId)
  })

  test.each<[string, AckType, string, number, string]>([
    ['', PUBACK, '', MALFORMED, 'packet identifier'],
    ['', PUBACK, '01', MALFORMED, 'packet identifier'],
    ['MQTT-2.2.1-5', PUBACK, '0000', PROTOCOL_ERROR, 'packet identifier 0'],
    ['MQTT-2.2.1-5', PUBREL, '0000 00', PROTOCOL_ERROR, 'packet identifier 0'],
    ['MQTT-3.4.2-1', PUBACK, '0001 92', PROTOCOL_ERROR, 'reason code 146'],
    ['MQTT-3.5.2-1', PUBREC, '0001 01', PROTOCOL_ERROR, 'reason code 1'],
    ['MQTT-3.6.2-1', PUBREL, '0001 10', PROTOCOL_ERROR, 'reason code 16'],
    ['MQTT-3.7.2-1', PUBCOMP, '0001 80', PROTOCOL_ERROR, 'reason code 128'],
    ['', PUBACK, '0001 00 01', MALFORMED, 'property list'],
    ['', PUBACK, '0001 00 00 00', MALFORMED, 'behind the end'],
    ['§2.2.2.2', PUBACK, '0001 00 02 0101', MALFORMED, 'not allowed'],
    ['§3.4.2.2.2', PUBACK, '0001 00 06 1f0000 1f0000', PROTOCOL_ERROR, 'twice'],
    ['MQTT-1.5.4-1', PUBACK, '0001 00 04 1f0001 ff', MALFORMED, 'UTF-8'],
  ])('%s: type %i refuses %j', (_clause, type, hex, reasonCode, reason) => {
    const body = bytesOf(hex)
    // What follows belongs to another packet.
    const buffer = Buffer.concat([body, Buffer.from('0001', 'hex')])
    const error = faultOf(() => decodeAck(type, buffer, 0, body.length, 5))
    expect(error.reason).toContain(reason)
    expect(error.reasonCode).toBe(reasonCode)
  })

  test('have no reason before', () => {
    for (const version of [3, 4] as const) {
      expect(decodeAck(PUBACK, bytesOf('0102'), 0, 2, version)).toBe(0x0102)
      expect(faultOf(() => decodeAck(PUBACK, bytesOf('010200'), 0, 3, version)).reason).toContain('remaining length')
    }
  })

  test.each<[AckType, number, string | undefined, string]>([
    [PUBACK, 0, undefined, '4002 1234'],
    [PUBREL, 0, undefined, '6202 1234'],
    [PUBACK, 0x10, undefined, '4003 1234 10'],
    [PUBREC, 0x97, undefined, '5003 1234 97'],
    [PUBREL, 0x92, undefined, '6203 1234 92'],
    [PUBCOMP, 0x92, 'r', '7008 1234 92 04 1f0001 72'],
    [PUBACK, 0, '', '4007 1234 00 03 1f0000'],
    [PUBREC, 0x87, '€'.repeat(50), `50 9e01 1234 87 9901 1f0096 ${'e282ac'.repeat(50)}`],
  ])('type %i with reason %i %j', (type, reasonCode, reasonString, hex) => {
    const expected = bytesOf(hex)
    expect(ackLength(reasonCode, reasonString)).toBe(expected.length)
    const target = Buffer.alloc(expected.length + 2)
    expect(writeAck(target, 1, type, 0x1234, reasonCode, reasonString)).toBe(1 + expected.length)
    expect(target.subarray(1, -1).toString('hex')).toBe(expected.toString('hex'))
    const start = 1 + ((expected[1] as number) > 0x7f ? 3 : 2)
    const ack = decodeAck(type, target, start, 1 + expected.length, 5)
    expect([ackPacketId(ack), ackReasonCode(ack)]).toEqual([0x1234, reasonCode])
  })

  test('say how long they are', () => {
    for (const size of [
      0, 1, 118, 119, 120, 121, 122, 123, 124, 125, 126, 16_376, 16_377, 16_378, 16_379, 16_380, 16_381,
    ]) {
      const length = ackLength(0x87, 'x'.repeat(size))
      const target = Buffer.alloc(length + 1, 0xaa)
      expect(writeAck(target, 0, PUBACK, 1, 0x87, 'x'.repeat(size))).toBe(length)
      expect(target[length]).toBe(0xaa)
      const body = (target[1] as number) < 0x80 ? 2 : (target[2] as number) < 0x80 ? 3 : 4
      expect(ackReasonCode(decodeAck(PUBACK, target, body, length, 5))).toBe(0x87)
    }
  })

  test('are not written with a reason that they cannot have', () => {
    const target = Buffer.alloc(10)
    expect(() => writeAck(target, 0, PUBREL, 1, 0x80)).toThrow(RangeError)
    expect(() => writeAck(target, 0, PUBACK, 1, 0x92)).toThrow(RangeError)
    expect(() => writeAck(target, 0, PUBACK, 1, 0x80, 'x'.repeat(65_536))).toThrow(RangeError)
    expect(target.equals(Buffer.alloc(10))).toBe(true)
  })
})

describe('flagsFault [MQTT-2.2.2-1] [MQTT-2.2.2-2]', () => {
  test('takes the flags of the table and no others', () => {
    const taken: number[] = []
    for (let header = 0; header < 256; header++) {
      if (header >> 4 !== PacketType.PUBLISH && flagsFault(header) === undefined) taken.push(header)
    }
    expect(taken).toEqual([0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0])
  })

  test('MQTT 5 has AUTH besides [MQTT-2.1.3-1] [MQTT-3.15.1-1]', () => {
    const taken: number[] = []
    for (let header = 0; header < 256; header++) {
      if (flagsFault(header, 5) === undefined && flagsFault(header, 4) !== undefined) taken.push(header)
      if (flagsFault(header, 4) === undefined) expect(flagsFault(header, 5)).toBeUndefined()
    }
    expect(taken).toEqual([0xf0])
  })

  test('a PUBLISH has no reserved flags', () => {
    for (let flags = 0; flags < 16; flags++) expect(flagsFault(0x30 | flags)).toBeUndefined()
  })

  test('MQTT 3.1 may repeat a PUBREL, SUBSCRIBE and UNSUBSCRIBE with DUP', () => {
    const taken: number[] = []
    for (let header = 0; header < 256; header++) {
      if (flagsFault(header, 3) === undefined && flagsFault(header) !== undefined) taken.push(header)
    }
    expect(taken).toEqual([0x6a, 0x8a, 0xaa])
  })
})
