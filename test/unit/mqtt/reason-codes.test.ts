import { expect, test } from 'vitest'
import { MalformedPacketError, protocolError, UnacceptableProtocolError } from '../../../src/mqtt/malformed.ts'
import { PacketType } from '../../../src/mqtt/packets.ts'
import { checkReasonCode, isReasonCodeOf, ReasonCode } from '../../../src/mqtt/reason-codes.ts'

/** Table 2-6: code, name, packets. */
const TABLE: [number, string, string][] = [
  [0x00, 'Success', 'CONNACK PUBACK PUBREC PUBREL PUBCOMP UNSUBACK AUTH'],
  [0x00, 'Normal disconnection', 'DISCONNECT'],
  [0x00, 'Granted QoS 0', 'SUBACK'],
  [0x01, 'Granted QoS 1', 'SUBACK'],
  [0x02, 'Granted QoS 2', 'SUBACK'],
  [0x04, 'Disconnect with Will Message', 'DISCONNECT'],
  [0x10, 'No matching subscribers', 'PUBACK PUBREC'],
  [0x11, 'No subscription existed', 'UNSUBACK'],
  [0x18, 'Continue authentication', 'AUTH'],
  [0x19, 'Re-authenticate', 'AUTH'],
  [0x80, 'Unspecified error', 'CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT'],
  [0x81, 'Malformed Packet', 'CONNACK DISCONNECT'],
  [0x82, 'Protocol Error', 'CONNACK DISCONNECT'],
  [0x83, 'Implementation specific error', 'CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT'],
  [0x84, 'Unsupported Protocol Version', 'CONNACK'],
  [0x85, 'Client Identifier not valid', 'CONNACK'],
  [0x86, 'Bad User Name or Password', 'CONNACK'],
  [0x87, 'Not authorized', 'CONNACK PUBACK PUBREC SUBACK UNSUBACK DISCONNECT'],
  [0x88, 'Server unavailable', 'CONNACK'],
  [0x89, 'Server busy', 'CONNACK DISCONNECT'],
  [0x8a, 'Banned', 'CONNACK'],
  [0x8b, 'Server shutting down', 'DISCONNECT'],
  // For DISCONNECT too, but not in table 3-10, which [MQTT-3.14.2-1] is about.
  [0x8c, 'Bad authentication method', 'CONNACK'],
  [0x8d, 'Keep Alive timeout', 'DISCONNECT'],
  [0x8e, 'Session taken over', 'DISCONNECT'],
  [0x8f, 'Topic Filter invalid', 'SUBACK UNSUBACK DISCONNECT'],
  [0x90, 'Topic Name invalid', 'CONNACK PUBACK PUBREC DISCONNECT'],
  [0x91, 'Packet Identifier in use', 'PUBACK PUBREC SUBACK UNSUBACK'],
  [0x92, 'Packet Identifier not found', 'PUBREL PUBCOMP'],
  [0x93, 'Receive Maximum exceeded', 'DISCONNECT'],
  [0x94, 'Topic Alias invalid', 'DISCONNECT'],
  [0x95, 'Packet too large', 'CONNACK DISCONNECT'],
  [0x96, 'Message rate too high', 'DISCONNECT'],
  [0x97, 'Quota exceeded', 'CONNACK PUBACK PUBREC SUBACK DISCONNECT'],
  [0x98, 'Administrative action', 'DISCONNECT'],
  [0x99, 'Payload format invalid', 'CONNACK PUBACK PUBREC DISCONNECT'],
  [0x9a, 'Retain not supported', 'CONNACK DISCONNECT'],
  [0x9b, 'QoS not supported', 'CONNACK DISCONNECT'],
  [0x9c, 'Use another server', 'CONNACK DISCONNECT'],
  [0x9d, 'Server moved', 'CONNACK DISCONNECT'],
  [0x9e, 'Shared Subscriptions not supported', 'SUBACK DISCONNECT'],
  [0x9f, 'Connection rate exceeded', 'CONNACK DISCONNECT'],
  [0xa0, 'Maximum connect time', 'DISCONNECT'],
  [0xa1, 'Subscription Identifiers not supported', 'SUBACK DISCONNECT'],
  [0xa2, 'Wildcard Subscriptions not supported', 'SUBACK DISCONNECT'],
]

test('the names are those of table 2-6', () => {
  const expected = TABLE.map(([code, name]) => [name.toUpperCase().replaceAll(/[ -]/g, '_'), code])
  expect(ReasonCode).toEqual(Object.fromEntries(expected))
})

test('each packet has the codes that the table gives it, and no others', () => {
  const allowed = new Set(TABLE.flatMap(([code, , packets]) => packets.split(' ').map(packet => `${packet} ${code}`)))
  for (const [name, type] of Object.entries(PacketType)) {
    for (let code = 0; code < 256; code++) {
      const expected = allowed.has(`${name} ${code}`)
      expect([name, code, isReasonCodeOf(type, code)]).toEqual([name, code, expected])
      if (expected) checkReasonCode(type, code)
      else expect(() => checkReasonCode(type, code)).toThrow(RangeError)
    }
  }
})

test('what is malformed has a code for CONNACK and DISCONNECT', () => {
  expect(new MalformedPacketError('no')).toMatchObject({ reason: 'no', reasonCode: 0x81 })
  expect(new MalformedPacketError('no', ReasonCode.TOPIC_ALIAS_INVALID).reasonCode).toBe(0x94)
  expect(protocolError('no')).toMatchObject({ name: 'MalformedPacketError', reason: 'no', reasonCode: 0x82 })
  expect(new UnacceptableProtocolError(6)).toMatchObject({ level: 6, reasonCode: 0x84 })
})
