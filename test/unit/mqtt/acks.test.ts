import { describe, expect, test } from 'vitest'
import { ACK_LENGTH, type AckType, decodePacketId, flagsFault, PINGRESP, writeAck } from '../../../src/mqtt/acks.ts'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'

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

describe('flagsFault [MQTT-2.2.2-1] [MQTT-2.2.2-2]', () => {
  test('takes the flags of the table and no others', () => {
    const taken: number[] = []
    for (let header = 0; header < 256; header++) {
      if (header >> 4 !== PacketType.PUBLISH && flagsFault(header) === undefined) taken.push(header)
    }
    expect(taken).toEqual([0x10, 0x20, 0x40, 0x50, 0x62, 0x70, 0x82, 0x90, 0xa2, 0xb0, 0xc0, 0xd0, 0xe0])
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
