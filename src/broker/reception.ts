/**
 * Which packet goes where: each whole packet of a connection is decoded and handed to the part of the session that
 * deals with it. A packet that takes longer holds up those behind it until the session resumes.
 */
import { type AckType, ackPacketId, ackReasonCode, decodeAck, flagsFault, PINGRESP } from '../mqtt/acks.ts'
import { type ControlPacket, decodeControl, type SubscribePacket, type UnsubscribePacket } from '../mqtt/control.ts'
import type { DisconnectPacket } from '../mqtt/disconnect.ts'
import { MalformedPacketError, protocolError } from '../mqtt/malformed.ts'
import { PacketType, type ProtocolVersion } from '../mqtt/packets.ts'
import { decodePublish } from '../mqtt/publish.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { connect } from './connect.ts'
import type { Hub } from './hub.ts'
import { Pace } from './pace.ts'
import type { Session } from './session.ts'

export class Reception {
  readonly #session: Session
  readonly #hub: Hub
  /** Once there was a limit to the rate. */
  #pace: Pace | null = null

  constructor(deps: { session: Session; hub: Hub }) {
    this.#session = deps.session
    this.#hub = deps.hub
  }

  /** One whole packet came. Returns false when the next must wait for `Session.resume`. Throws MalformedPacketError. */
  receive(header: number, buffer: Buffer, start: number, body: number, end: number): boolean {
    const session = this.#session
    if (session.closed) return false
    this.#hub.stats.packetsReceived++
    const type = header >> 4
    const version = session.version ?? 4
    if (type === PacketType.PUBLISH && session.connected) {
      const { topics, limits } = this.#hub
      const packet = decodePublish(header, buffer, start, body, end, topics, version, limits.maxUserProperties)
      const isDone = session.inbound.publish(packet)
      return limits.maxPublishRate === 0 ? isDone : this.#pacing().take(isDone)
    }
    if (!session.connected) return this.#receiveFirst(type, buffer.subarray(start, end))
    const fault = flagsFault(header, version)
    if (fault !== undefined) throw new MalformedPacketError(fault)
    switch (type) {
      case PacketType.PUBACK:
      case PacketType.PUBREC:
      case PacketType.PUBCOMP:
        session.outbound.acknowledged(type, this.#acknowledgement(type, buffer, body, end, version))
        return true
      case PacketType.PUBREL:
        session.inbound.pubrel(ackPacketId(this.#acknowledgement(type, buffer, body, end, version)))
        return true
      default:
        return this.#receiveControl(type, buffer.subarray(start, end))
    }
  }

  /** What was being dealt with is done: true when the client may still not be read, because of its rate. */
  holds(): boolean {
    return this.#pace?.holds() === true
  }

  close(): void {
    this.#pace?.close()
  }

  #acknowledgement(type: AckType, buffer: Buffer, body: number, end: number, version: ProtocolVersion): number {
    const ack = decodeAck(type, buffer, body, end, version, this.#hub.limits.maxUserProperties)
    this.#hub.trace?.ackReceived(this.#session, type, ackPacketId(ack), ackReasonCode(ack))
    return ack
  }

  /** The first packet must be CONNECT, and only the first [MQTT-3.1.0-1]; an AUTH may be part of it (MQTT 5 §4.12). */
  #receiveFirst(type: number, frame: Buffer): boolean {
    const session = this.#session
    if (session.version === null && type === PacketType.CONNECT) {
      this.#hub.stats.connects++
      void connect(session, frame)
      return false
    }
    if (type === PacketType.AUTH && session.version === 5) return session.authentication.receive(this.#decode(frame))
    throw protocolError('the first packet is not CONNECT')
  }

  #receiveControl(type: number, frame: Buffer): boolean {
    const session = this.#session
    switch (type) {
      case PacketType.SUBSCRIBE:
        this.#later(session.subscribing.subscribe(this.#decode<SubscribePacket>(frame)))
        return false
      case PacketType.UNSUBSCRIBE:
        this.#later(session.subscribing.unsubscribe(this.#decode<UnsubscribePacket>(frame)))
        return false
      case PacketType.PINGREQ:
        this.#decode(frame)
        session.outbox.packet(PINGRESP)
        this.#hub.emit('ping', { cmd: 'pingreq' }, session)
        return true
      case PacketType.DISCONNECT:
        this.#disconnect(this.#decode<DisconnectPacket>(frame))
        return false
      case PacketType.AUTH:
        return session.authentication.receive(this.#decode(frame))
      default:
        // [MQTT-3.1.0-2] A second CONNECT, and what only a server sends.
        throw protocolError(`packet type ${type} is not expected`)
    }
  }

  #disconnect(packet: DisconnectPacket): void {
    const session = this.#session
    const asked = packet.properties?.sessionExpiryInterval
    if (asked !== undefined) {
      // [MQTT-3.14.2-2] and §3.14.2.2.2
      if (session.terms.sessionExpiryInterval === 0 && asked > 0) {
        throw protocolError('DISCONNECT gives an expiry to a session that ends with its connection')
      }
      session.terms.sessionExpiryInterval = Math.min(asked, this.#hub.longestExpiry)
    }
    // [MQTT-3.14.4-3]
    if (packet.reasonCode === ReasonCode.NORMAL_DISCONNECTION) session.will = null
    session.leave()
  }

  #decode<T extends ControlPacket>(frame: Buffer): T {
    const { maxUserProperties } = this.#hub.limits
    return decodeControl(frame, this.#session.version ?? undefined, { maxUserProperties }) as T
  }

  #later(work: Promise<void>): void {
    work.catch(error => this.#session.fail(error))
  }

  #pacing(): Pace {
    const { limits, clock } = this.#hub
    this.#pace ??= new Pace({ limits, clock, onReady: () => this.#session.resume() })
    return this.#pace
  }
}
