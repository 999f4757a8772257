/**
 * The receiving half of a session: PUBLISH comes in, and is acknowledged when the store says that it is
 * settled, in the order it came [MQTT-4.6.0-2] [MQTT-4.6.0-3].
 */
import { isUtf8 } from 'node:buffer'
import { Deque } from '../kernel/deque.ts'
import type { AckType } from '../mqtt/acks.ts'
import { MalformedPacketError } from '../mqtt/malformed.ts'
import { Message } from '../mqtt/message.ts'
import { PacketType } from '../mqtt/packets.ts'
import type { PublishView } from '../mqtt/publish.ts'
import { payloadFormatOf } from '../mqtt/publish-properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { ReceivedAliases } from './aliases.ts'
import type { Hub } from './hub.ts'
import type { Outbox } from './outbox.ts'
import type { Parked } from './parking.ts'
import type { ReceivedIds, Settlement } from './ports.ts'
import type { Session } from './session.ts'

/** An acknowledgement that is owed: sent when its message is settled and those before it are sent. */
class Owed implements Settlement {
  readonly type: AckType
  readonly packetId: number
  reasonCode = 0
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

  refused(): void {
    this.#inbound.refused(this)
  }

  refuse(reasonCode: number): void {
    this.reasonCode = reasonCode
    this.settled()
  }
}

/** A message that the store had no room for, of a client that cannot be told so. */
interface ParkedMessage {
  readonly message: Message
  readonly owed: Owed
}

/** Most sessions never send a message of QoS 2. */
const NO_IDS: ReceivedIds = new Set<number>()

export class Inbound implements Parked {
  /** PUBLISH packets that came. */
  received = 0
  readonly #session: Session
  readonly #hub: Hub
  readonly #outbox: Outbox
  readonly #owed = new Deque<Owed>()
  /** QoS 2 identifiers between PUBLISH and PUBREL, of a session that ends with its connection. Those of another are in the store. */
  #received: Set<number> | null = null
  readonly #parked = new Deque<ParkedMessage>()
  #parkedBytes = 0
  #aliases: ReceivedAliases | null = null

  constructor(deps: { session: Session; hub: Hub; outbox: Outbox }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#outbox = deps.outbox
  }

  /** Bytes of topics that the client has given aliases. */
  get aliasBytes(): number {
    return this.#aliases === null ? 0 : this.#aliases.bytes
  }

  /** True when so much waits for the disk that the client must wait too. */
  get isFull(): boolean {
    if (this.#parked.length > 0 && this.#hub.parking.isFull) return true
    return this.#owed.length >= this.#hub.limits.receiveMaximum
  }

  /**
   * A PUBLISH came. Returns false when a hook answers later: the next packet must wait for `resume`, or
   * messages would overtake each other.
   */
  publish(packet: PublishView): boolean {
    const isV5 = this.#session.version === 5
    if (packet.topicAlias > 0) {
      this.#aliases ??= new ReceivedAliases(this.#session.rules.maxTopicAlias)
      this.#aliases.resolve(packet)
    }
    const fault = packet.name.fault(this.#hub.limits.maxTopicLevels)
    // [MQTT-3.3.2-2]
    if (fault !== undefined) throw new MalformedPacketError(fault, ReasonCode.TOPIC_NAME_INVALID)
    const { stats } = this.#hub
    stats.received++
    this.received++
    stats.payloadReceived += packet.payloadLength
    if (packet.qos === 2 && this.#isRepeated(packet.packetId)) return true
    if (isV5 && packet.qos > 0) this.#checkReceiveMaximum()
    const { mountPoint, maxQos } = this.#session.rules
    // [MQTT-3.2.2-11]
    if (packet.qos > maxQos) {
      throw new MalformedPacketError(`QoS ${packet.qos} is over ${maxQos}`, ReasonCode.QOS_NOT_SUPPORTED)
    }
    // [MQTT-3.2.2-14]; as Mosquitto does, the connection ends in every version.
    if (packet.retain && !this.#hub.limits.retainAvailable) {
      throw new MalformedPacketError('messages are not retained here', ReasonCode.RETAIN_NOT_SUPPORTED)
    }
    const message = this.#messageOf(packet, mountPoint)
    if (this.#isFalselyText(message)) {
      this.#refuse(message, packet.packetId, ReasonCode.PAYLOAD_FORMAT_INVALID)
      return true
    }
    const isAllowed = this.#hub.mayPublish(this.#session, message)
    if (isAllowed === undefined) {
      return this.#hub.whenMayPublish(this.#session, message, answer => this.#authorized(message, packet, answer))
    }
    this.#authorized(message, packet, isAllowed)
    return true
  }

  /** PUBREL came: the identifier is free again. PUBCOMP follows when that is on record [MQTT-4.3.3-2]. */
  pubrel(packetId: number): void {
    const isKnown = this.#ids().has(packetId)
    const reasonCode = isKnown || this.#session.version !== 5 ? 0 : ReasonCode.PACKET_IDENTIFIER_NOT_FOUND
    if (this.#session.queue !== null) {
      const { queues } = this.#hub.persistence
      queues.forget(this.#session.id, packetId, () => this.#complete(packetId, reasonCode))
      return
    }
    this.#received?.delete(packetId)
    this.#complete(packetId, reasonCode)
  }

  /** Sends the acknowledgements that are next in turn. */
  sendOwed(): void {
    if (this.#session.closed) return
    const owed = this.#owed
    for (let next = owed.at(0); next?.isSettled; next = owed.at(0)) {
      owed.shift()
      this.#outbox.ack(next.type, next.packetId, next.reasonCode)
    }
    if (owed.length <= this.#hub.limits.receiveMaximum / 2) this.#session.readOn()
  }

  /** The store has no room. An MQTT 5 client is told; a message of an older one waits, and those behind it with it. */
  refused(owed: Owed): void {
    if (this.#session.version === 5) owed.refuse(ReasonCode.QUOTA_EXCEEDED)
  }

  retry(): boolean {
    for (let next = this.#parked.at(0); next !== undefined; next = this.#parked.at(0)) {
      if (!this.#accept(next.message, next.owed)) return false
      this.#parked.shift()
      this.#parkedBytes -= next.message.size
      this.#hub.parking.free(next.message.size)
    }
    this.#session.readOn()
    return true
  }

  /** The connection has ended. */
  close(): void {
    if (this.#parked.length === 0) return
    this.#hub.parking.leave(this, this.#parkedBytes)
    this.#parked.clear()
    this.#parkedBytes = 0
  }

  #complete(packetId: number, reasonCode: number): void {
    if (!this.#session.closed) this.#outbox.ack(PacketType.PUBCOMP, packetId, reasonCode)
  }

  /** [MQTT-3.3.4-7] What the gateway announced is what it holds clients to. */
  #checkReceiveMaximum(): void {
    const { receiveMaximum } = this.#hub.limits
    const received = this.#ids()
    let count = this.#owed.length + received.size
    if (count < receiveMaximum) return
    // A QoS 2 message whose PUBREC is owed is counted in both.
    for (const owed of this.#owed) if (owed.type === PacketType.PUBREC && received.has(owed.packetId)) count--
    if (count < receiveMaximum) return
    throw new MalformedPacketError(
      `more than ${receiveMaximum} messages are not acknowledged`,
      ReasonCode.RECEIVE_MAXIMUM_EXCEEDED,
    )
  }

  #ids(): ReceivedIds {
    return this.#session.queue === null
      ? (this.#received ?? NO_IDS)
      : this.#hub.persistence.queues.received(this.#session.id)
  }

  /** A QoS 2 message that was taken before is not taken again [MQTT-4.3.3-2]; its PUBREC is repeated, unless it is still to come. */
  #isRepeated(packetId: number): boolean {
    if (!this.#ids().has(packetId)) return false
    for (const owed of this.#owed) if (owed.type === PacketType.PUBREC && owed.packetId === packetId) return true
    const owed = this.#owe(PacketType.PUBREC, packetId)
    if (this.#session.queue === null) owed.settled()
    else this.#hub.persistence.queues.repeated(this.#session.id, packetId, owed)
    return true
  }

  #messageOf(packet: PublishView, mountPoint: string): Message {
    const { id: clientId, userName } = this.#session
    const { messageExpiryInterval } = packet
    const expiresAt = messageExpiryInterval === undefined ? undefined : this.#hub.expiryOf(messageExpiryInterval)
    if (mountPoint === '') return Message.arrived(packet, clientId, userName, expiresAt)
    const { payload, qos, retain, properties: forwarded } = packet
    const topic = mountPoint + packet.topic
    return Message.of({ topic, payload, qos, retain, clientId, userName, forwarded, expiresAt })
  }

  #isFalselyText(message: Message): boolean {
    if (!this.#hub.limits.checkPayloadFormat || message.forwarded === undefined) return false
    return payloadFormatOf(message.forwarded) === 1 && !isUtf8(message.payload)
  }

  /** MQTT 3.1.1 has no negative acknowledgement: what is refused is acknowledged and goes nowhere [MQTT-3.3.5-2]. */
  #refuse(message: Message, packetId: number, reasonCode: number): void {
    if (message.qos === 0) return
    const owed = this.#owe(message.qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId)
    owed.refuse(this.#session.version === 5 ? reasonCode : 0)
  }

  #route(message: Message, packetId: number): void {
    const { qos } = message
    if (qos === 0) {
      this.#hand(message, null)
      return
    }
    const owed = this.#owe(qos === 1 ? PacketType.PUBACK : PacketType.PUBREC, packetId)
    if (this.#parked.length === 0 && this.#accept(message, owed)) return
    if (this.#session.version === 5) return
    this.#parked.push({ message, owed })
    this.#parkedBytes += message.size
    this.#hub.parking.add(this, message.size)
  }

  #authorized(message: Message, packet: PublishView, isAllowed: boolean): void {
    const { trace, stats } = this.#hub
    if (isAllowed) {
      trace?.publishReceived(this.#session, packet)
      this.#route(message, packet.packetId)
    } else {
      stats.denied++
      trace?.publishDenied(this.#session, packet)
      this.#refuse(message, packet.packetId, ReasonCode.NOT_AUTHORIZED)
    }
  }

  /** False when the store has no room for the message. */
  #accept(message: Message, owed: Owed): boolean {
    if (message.qos === 1) return this.#hand(message, owed)
    const { packetId } = owed
    const isKept = this.#session.queue !== null
    const received = isKept ? { clientId: this.#session.id, packetId } : undefined
    const isTaken = this.#hand(message, owed, received)
    if (isTaken && !isKept) {
      this.#received ??= new Set()
      this.#received.add(packetId)
    }
    return isTaken
  }

  /** False when the store has no room for the message. */
  #hand(message: Message, owed: Owed | null, received?: { clientId: string; packetId: number }): boolean {
    const session = this.#session
    if (!session.isLink) return this.#hub.route(message, session, owed, received)
    return this.#hub.links.arrive(message, { link: session.id }, session, owed, received) !== 'refused'
  }

  #owe(type: AckType, packetId: number): Owed {
    const owed = new Owed(this, type, packetId)
    this.#owed.push(owed)
    return owed
  }
}
