/**
 * What a peer may not send. Whoever catches one closes the connection it came in on
 * [MQTT-4.8.0-1], in MQTT 5 after a CONNACK or DISCONNECT that says why [MQTT-4.13.1-1]; the catalogue of
 * `kernel/errors.ts` is for faults that an owner can mend, this is not one.
 */
import { ReasonCode } from './reason-codes.ts'

/** A packet that breaks the standard. `reason` is a sentence without its full stop: 'the packet identifier is 0'. */
export class MalformedPacketError extends Error {
  readonly reason: string
  /** What MQTT 5 calls it: a code that both CONNACK and DISCONNECT may carry, or only DISCONNECT where only a PUBLISH can be meant. */
  readonly reasonCode: number

  constructor(reason: string, reasonCode: number = ReasonCode.MALFORMED_PACKET) {
    super(reason)
    this.name = 'MalformedPacketError'
    this.reason = reason
    this.reasonCode = reasonCode
  }
}

/** A packet that can be read, but says what is not allowed: a Protocol Error (MQTT 5 §1.2). */
export function protocolError(reason: string): MalformedPacketError {
  return new MalformedPacketError(reason, ReasonCode.PROTOCOL_ERROR)
}

/** A CONNECT for a protocol level that is not spoken here: answered with CONNACK 1, then closed [MQTT-3.1.2-2]. */
export class UnacceptableProtocolError extends MalformedPacketError {
  readonly level: number

  constructor(level: number) {
    super(`protocol level ${level} is not supported`, ReasonCode.UNSUPPORTED_PROTOCOL_VERSION)
    this.name = 'UnacceptableProtocolError'
    this.level = level
  }
}
