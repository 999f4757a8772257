/**
 * The sending half of a session: QoS 0 as it comes, QoS 1 and 2 from the session's queue through an
 * in-flight window. A socket that does not drain is not queued to: QoS 0 beyond a limit is dropped for
 * it, everything else waits in its queue, and nobody else is slowed.
 */
import { Deque } from '../kernel/deque.ts'
import { type AckType, ackPacketId, ackReasonCode } from '../mqtt/acks.ts'
import { unmarked } from '../mqtt/identity.ts'
import { PacketType, type QoS } from '../mqtt/packets.ts'
import { type PublishView, publishLength } from '../mqtt/publish.ts'
import type { SentProperties } from '../mqtt/publish-properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { AssignedAliases } from './aliases.ts'
import type { Hub } from './hub.ts'
import { InFlight } from './in-flight.ts'
import { SEND_HIGH_WATER } from './limits.ts'
import { withoutMount } from './mount.ts'
import type { Outbox } from './outbox.ts'
import type { Delivery, Message, OutQueue } from './ports.ts'
import type { Session } from './session.ts'
import { Slices } from './slices.ts'

/** Packet identifiers are 1 to 65,535 [MQTT-2.3.1-1]. */
const PACKET_IDS = 65_535
/** Most messages have none. */
const NO_PROPERTIES: SentProperties = {
  properties: undefined,
  messageExpiryInterval: undefined,
  topicAlias: 0,
  subscriptionIdentifiers: undefined,
  withoutTopic: false,
}
/** Reason codes from here on are failures (MQTT 5 §2.4). */
const FAILURE = 0x80

export class Outbound {
  /** PUBLISH packets that were sent. */
  sent = 0
  readonly #session: Session
  readonly #hub: Hub
  readonly #outbox: Outbox
  /** The version of those whose packets of QoS 0 go on to its client as they are, with 4 for all before 5; 0: nobody's. */
  #plainVersion: 0 | 4 | 5 = 0
  readonly #inFlight = new InFlight()
  #inFlightBytes = 0
  #window = 0
  #aliases: AssignedAliases | null = null
  #queue: OutQueue | null = null
  /** Retained messages of new subscriptions, not yet sent: they wait for the socket, not in memory. */
  readonly #retained = new Deque<Iterator<void>>()
  /** Others have their turn before the retained messages go on. */
  #isResting = false
  #pumping = false
  /** Taken from the queue, but its packet identifier was still in flight: it waits for one of its own. */
  #held: Delivery | undefined = undefined

  constructor(deps: { session: Session; hub: Hub; outbox: Outbox }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#outbox = deps.outbox
  }

  /** Begins to send from `queue`, with at most `window` messages not acknowledged [MQTT-3.3.4-9]. */
  open(queue: OutQueue, options: { window: number; aliases: AssignedAliases | null }): void {
    this.#window = options.window
    this.#aliases = options.aliases
    const { isLink, rules, version } = this.#session
    if (this.#aliases === null && !isLink && rules.mountPoint === '') this.#plainVersion = version === 5 ? 5 : 4
    this.#queue = queue
    this.pump()
  }

  close(): void {
    this.#queue = null
    this.#retained.clear()
    this.#held = undefined
    this.#inFlight.clear()
    this.#inFlightBytes = 0
  }

  /** Bytes of messages that were sent and are not acknowledged. */
  get inFlightBytes(): number {
    return this.#inFlightBytes
  }

  /** What was sent and is not acknowledged. */
  unacknowledged(): Delivery[] {
    return this.#inFlight.inOrder()
  }

  /** Sends a message at QoS 0 now, or drops it when the socket is too far behind. */
  sendNow(message: Message, retain: boolean, subscriptionIdentifiers: readonly number[] | undefined): void {
    if (this.#outbox.isBehind(this.#hub.limits.maxUnsent) || this.#hub.memory.isFull) {
      this.#hub.stats.dropped++
      return
    }
    const addsNothing = subscriptionIdentifiers === undefined && message.expiresAt === undefined
    const packet = addsNothing ? message.plainFor(this.#plainVersion) : undefined
    if (packet === undefined) this.#send(message, 0, retain, false, 0, subscriptionIdentifiers)
    else this.#sendPlain(message, packet, retain)
  }

  /** Sends or enqueues what `deliver` does with each retained message, no faster than the socket takes it. */
  sendRetained(messages: Iterable<Message>, deliver: (message: Message) => void): void {
    this.#retained.push(each(messages, deliver))
    this.pump()
  }

  /** Sends what the window and the socket have room for. */
  pump(): void {
    // A queue may call back while it is being asked.
    if (this.#pumping) return
    this.#pumping = true
    try {
      this.#pumpRetained()
      this.#pumpQueue()
    } finally {
      this.#pumping = false
    }
  }

  /** PUBACK, PUBREC or PUBCOMP came; `ack` as `decodeAck` gives it. */
  acknowledged(type: AckType, ack: number): void {
    const packetId = ackPacketId(ack)
    const delivery = this.#inFlight.get(packetId)
    // A PUBREC that says why not ends the exchange (MQTT 5 §4.3.3).
    if (type === PacketType.PUBREC && ackReasonCode(ack) < FAILURE) {
      this.#received(delivery, packetId)
      return
    }
    // An identifier that is not in flight was acknowledged before [MQTT-4.3.2-1]; nothing is left to do.
    if (delivery === undefined || delivery.qos !== (type === PacketType.PUBACK ? 1 : 2)) return
    this.#inFlight.delete(packetId)
    this.#inFlightBytes -= delivery.message.size
    this.#queue?.remove(delivery)
    if (this.#hub.listenerCount('ack') > 0) this.#hub.emit('ack', delivery.message, this.#session)
    this.pump()
  }

  #received(delivery: Delivery | undefined, packetId: number): void {
    if (delivery === undefined || delivery.qos !== 2) {
      // [MQTT-4.3.3-1] PUBREC is answered with PUBREL, also when the message is long gone.
      const isKnown = this.#session.version !== 5
      this.#outbox.ack(PacketType.PUBREL, packetId, isKnown ? 0 : ReasonCode.PACKET_IDENTIFIER_NOT_FOUND)
      return
    }
    if (delivery.released !== undefined) {
      this.#outbox.ack(PacketType.PUBREL, packetId)
      return
    }
    this.#queue?.release(delivery, () => {
      if (this.#queue !== null) this.#outbox.ack(PacketType.PUBREL, packetId)
    })
  }

  #pumpRetained(): void {
    if (this.#isResting || this.#retained.length === 0) return
    const slices = new Slices({ clock: this.#hub.clock })
    for (let next = this.#retained.at(0); next !== undefined; next = this.#retained.at(0)) {
      if (this.#isSocketFull()) return
      if (next.next().done !== true) continue
      this.#retained.shift()
      // There may be thousands of subscriptions that nothing matches.
      if (!slices.isOver) continue
      this.#isResting = true
      void slices.next().then(() => {
        this.#isResting = false
        this.pump()
      })
      return
    }
    // Gives up its ring: most clients subscribe once.
    this.#retained.clear()
  }

  #pumpQueue(): void {
    const queue = this.#queue
    if (queue === null) return
    let released: Delivery[] | undefined
    while (this.#hasRoom() && !this.#isSocketFull() && this.#held === undefined) {
      const delivery = queue.take()
      if (delivery === undefined) break
      if (delivery.qos > 0 && this.#inFlight.has(packetIdOf(delivery))) this.#rename(queue, delivery)
      else if (delivery.released === undefined) this.#sendDelivery(queue, delivery, packetIdOf(delivery))
      else {
        this.#sent(packetIdOf(delivery), delivery)
        released ??= []
        released.push(delivery)
      }
    }
    if (released === undefined) return
    // [MQTT-4.6.0-4] In the order in which the PUBRECs came.
    released.sort((a, b) => (a.released as number) - (b.released as number))
    for (const delivery of released) this.#outbox.ack(PacketType.PUBREL, packetIdOf(delivery))
  }

  #sendDelivery(queue: OutQueue, delivery: Delivery, packetId: number): void {
    const { message, qos, retain, dup, subscriptionIdentifiers } = delivery
    if (
      this.#hub.mayForward(this.#session, message) &&
      this.#send(message, qos, retain, qos > 0 && dup, packetId, subscriptionIdentifiers) &&
      qos > 0
    ) {
      this.#sent(packetId, delivery)
    } else {
      queue.remove(delivery)
    }
  }

  #sent(packetId: number, delivery: Delivery): void {
    this.#inFlight.set(packetId, delivery)
    this.#inFlightBytes += delivery.message.size
  }

  /** One message is always sent, however large. */
  #hasRoom(): boolean {
    const { size } = this.#inFlight
    return size < this.#window && (size === 0 || this.#inFlightBytes < this.#hub.limits.maxInflightBytes)
  }

  /** An old message that is still not acknowledged keeps its identifier [MQTT-2.3.1-4]: the new one gets the next that is free. */
  #rename(queue: OutQueue, delivery: Delivery): void {
    let packetId = packetIdOf(delivery)
    while (this.#inFlight.has(packetId)) packetId = (packetId % PACKET_IDS) + 1
    this.#held = delivery
    queue.assign(delivery, packetId, () => {
      if (this.#held !== delivery) return
      this.#held = undefined
      this.#sendDelivery(queue, delivery, packetId)
      this.pump()
    })
  }

  /** False when the client may not be sent this message: it has expired, or is larger than the client takes. */
  #send(
    message: Message,
    qos: QoS,
    retain: boolean,
    dup: boolean,
    packetId: number,
    subscriptionIdentifiers: readonly number[] | undefined,
  ): boolean {
    const { expiresAt } = message
    let left: number | undefined
    if (expiresAt !== undefined) {
      // [MQTT-3.3.2-6]
      left = Math.ceil((expiresAt - this.#hub.persistence.time.now()) / 1000)
      // [MQTT-3.3.2-5] What was begun is finished: a message that may be there already is sent again.
      if (left <= 0 && !dup) {
        this.#hub.stats.expired++
        return false
      }
    }
    const packet = withoutMount(this.#session.rules.mountPoint, message)
    const { topic, topicBytes } = packet
    const sent =
      this.#session.version === 5
        ? this.#propertiesOf(message, topic, topicBytes, left, subscriptionIdentifiers)
        : undefined
    const { maximumPacketSize } = this.#session.terms
    if (
      maximumPacketSize !== Number.POSITIVE_INFINITY &&
      publishLength(topicBytes.length - 2, message.payloadLength, qos, sent) > maximumPacketSize
    ) {
      // [MQTT-3.1.2-24] [MQTT-3.1.2-25]
      this.#aliases?.forget(topic, sent)
      this.#hub.stats.tooLarge++
      return false
    }
    if (this.#session.isLink) this.#hub.links.left(this.#session.id, message, sent !== undefined, dup)
    this.#outbox.publish(packet, qos, retain, dup, packetId, sent)
    this.#count(message)
    const { payload } = message
    this.#hub.trace?.publishSent(this.#session, { topic, qos, retain, dup, packetId, payload })
    return true
  }

  /** Sends one of QoS 0 as it came. */
  #sendPlain(message: Message, packet: PublishView, retain: boolean): void {
    if (packet.length > this.#session.terms.maximumPacketSize) {
      this.#hub.stats.tooLarge++
      return
    }
    this.#outbox.plain(packet, retain)
    this.#count(message)
    const { trace } = this.#hub
    if (trace === null) return
    const { topic, payload } = message
    trace.publishSent(this.#session, { topic, qos: 0, retain, dup: false, packetId: 0, payload })
  }

  #count(message: Message): void {
    const { stats } = this.#hub
    stats.sent++
    this.sent++
    stats.payloadSent += message.payloadLength
  }

  #propertiesOf(
    message: Message,
    topic: string,
    topicBytes: Buffer,
    left: number | undefined,
    subscriptionIdentifiers: readonly number[] | undefined,
  ): SentProperties {
    const alias = this.#aliases?.find(topic, topicBytes) ?? 0
    const properties = this.#session.isLink ? message.forwarded : unmarked(message.forwarded)
    const isNone =
      alias === 0 && properties === undefined && left === undefined && subscriptionIdentifiers === undefined
    if (isNone) return NO_PROPERTIES
    return {
      properties,
      messageExpiryInterval: left === undefined ? undefined : Math.max(0, left),
      topicAlias: Math.abs(alias),
      subscriptionIdentifiers,
      withoutTopic: alias > 0,
    }
  }

  #isSocketFull(): boolean {
    return this.#outbox.unsent >= SEND_HIGH_WATER
  }
}

/** The identifier follows from the place in the queue, so that it is the same after a restart [MQTT-4.4.0-1]. */
function packetIdOf(delivery: Delivery): number {
  return delivery.packetId ?? (delivery.index % PACKET_IDS) + 1
}

function* each(messages: Iterable<Message>, deliver: (message: Message) => void): Generator<void> {
  for (const message of messages) {
    deliver(message)
    yield
  }
}
