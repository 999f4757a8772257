/**
 * What a peer may not send. Whoever catches one closes the connection it came in on
 * [MQTT-4.8.0-1]; the catalogue of `kernel/errors.ts` is for faults that an owner can mend, this is not one.
 */

/** A packet that breaks the standard. `reason` is a sentence without its full stop: 'the packet identifier is 0'. */
export class MalformedPacketError extends Error {
  readonly reason: string

  constructor(reason: string) {
    super(reason)
    this.name = 'MalformedPacketError'
    this.reason = reason
  }
}

/** A CONNECT for a protocol level that is not spoken here: answered with CONNACK 1, then closed [MQTT-3.1.2-2]. */
export class UnacceptableProtocolError extends MalformedPacketError {
  readonly level: number

  constructor(level: number) {
    super(`protocol level ${level} is not supported`)
    this.name = 'UnacceptableProtocolError'
    this.level = level
  }
}
