/**
 * The receiving half of a session: PUBLISH comes in, and is acknowledged when the store says that it is
 * settled, in the order it came [MQTT-4.6.0-2] [MQTT-4.6.0-3].
 */

import { Deque } from '../kernel/deque.ts'
import type { AckType } from '../mqtt/acks.ts'
import { MalformedPacketError } from '../mqtt/malformed.ts'
import { Message } from '../mqtt/message.ts'
import { PacketType } from '../mqtt/packets.ts'
import type { PublishView } from '../mqtt/publish.ts'
import { topicNameFault } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import { MAX_UNSETTLED } from './limits.ts'
import type { Outbox } from './outbox.ts'
import type { Settlement } from './ports.ts'
import type { Session } from './session.ts'

/** An acknowledgement that is owed: sent when its message is settled and those before it are sent. */
class Owed implements Settlement {
  readonly type: AckType
  readonly packetId: number
  isSettled = false
  readonly #inbound: Inbound

  constructor(inbound: Inbound, type: AckType, packetId: number) {
    this.#inbound = inbound
    this.type = type
    this.packetId = packetId
  }

  settled(): void {
    this.isSettled = true
    this.#inbound.sendOwed()
  }
}

export class Inbound {
  readonly #session: Session
  readonly #hub: Hub
  readonly #outbox: Outbox
  readonly #owed = new Deque<Owed>()
  /** QoS 2 identifiers of a clean session, between PUBLISH and PUBREL. Those of a persistent one are in the store. */
  readonly #received = new Set<number>()

  constructor(deps: { session: Session; hub: Hub; outbox: Outbox }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#outbox = deps.outbox
  }

  /** True when so much waits for the disk that the client must wait too. */
  get isFull(): boolean {
    return this.#owed.length >= MAX_UNSETTLED
  }

  /**
   * A PUBLISH came. Returns false when a hook answers later: the next packet must wait for `resume`, or
   * messages would overtake each other.
   */
  publish(packet: PublishView): boolean {
    const fault = topicNameFault(packet.topic, this.#hub.limits.maxTopicLevels)
    // [MQTT-3.3.2-2]
    if (fault !== undefined) throw new MalformedPacketError(fault)
    this.#hub.stats.received++
    if (packet.qos === 2 && this.#isRepeated(packet.packetId)) return true
    const message = new Message({
      topic: packet.topic,
      topicBytes: packet.topicBytes,
      payload: packet.payload,
      qos: packet.qos,
      retain: packet.retain,
      clientId: this.#session.id,
    })
    return this.#hub.whenMayPublish(this.#session, message, allowed => this.#route(message, packet.packetId, allowed))
  }

  /** PUBREL came: the identifier is free again. PUBCOMP follows when that is on record [MQTT-4.3.3-2]. */
  pubrel(packetId: number): void {
    if (!this.#session.clean) {
      this.#hub.persistence.queues.forget(this.#session.id, packetId, () => this.#complete(packetId))
      return
    }
    this.#received.delete(packetId)
    this.#complete(packetId)
  }

  /** Sends the acknowledgements that are next in turn. */
  sendOwed(): void {
    if (this.#session.closed) return
    const owed = this.#owed
    for (let next = owed.at(0); next?.isSettled; next = owed.at(0)) {
      owed.shift()
      this.#outbox.ack(next.type, next.packetId)
    }
    if (owed.length < MAX_UNSETTLED / 2) this.#session.readOn()
  }

  #complete(packetId: number): void {
    if (!this.#session.closed) this.#outbox.ack(PacketType.PUBCOMP, packetId)
  }

  /** A QoS 2 message that was taken before is not taken again [MQTT-4.3.3-2]; its PUBREC is repeated, unless it is still to come. */
  #isRepeated(packetId: number): boolean {
    const received = this.#session.clean ? this.#received : this.#hub.persistence.queues.received(this.#session.id)
    if (!received.has(packetId)) return false
    for (const owed of this.#owed) if (owed.type === PacketType.PUBREC && owed.packetId === packetId) return true
    this.#owe(PacketType.PUBREC, packetId).settled()
    return true
  }

  #route(message: Message, packetId: number, allowed: boolean): void {
    const { qos } = message
    if (qos === 0) {
      if (allowed) this.#hub.route(message, this.#session, null)
      return
    }
    const owed = this.#owe(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId)
    // MQTT 3.1.1 has no negative acknowledgement: what is not allowed is acknowledged and goes nowhere [MQTT-3.3.5-2].
    if (!allowed) {
      owed.settled()
      return
    }
    if (qos === 1) {
      this.#hub.route(message, this.#session, owed)
      return
    }
    const isKept = !this.#session.clean
    if (!isKept) this.#received.add(packetId)
    this.#hub.route(message, this.#session, owed, isKept ? { clientId: this.#session.id, packetId } : undefined)
  }

  #owe(type: AckType, packetId: number): Owed {
    const owed = new Owed(this, type, packetId)
    this.#owed.push(owed)
    return owed
  }
}
