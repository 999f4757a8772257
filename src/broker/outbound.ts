/**
 * The sending half of a session: QoS 0 as it comes, QoS 1 and 2 from the session's queue through an
 * in-flight window. A socket that does not drain is not queued to: QoS 0 beyond a limit is dropped for
 * it, everything else waits in its queue, and nobody else is slowed.
 */
import type { AckType } from '../mqtt/acks.ts'
import { PacketType, type QoS } from '../mqtt/packets.ts'
import type { Hub } from './hub.ts'
import { SEND_HIGH_WATER } from './limits.ts'
import type { Outbox } from './outbox.ts'
import type { Delivery, Message, OutQueue } from './ports.ts'
import type { Session } from './session.ts'

/** Packet identifiers are 1 to 65,535 [MQTT-2.3.1-1]. */
const PACKET_IDS = 65_535

export class Outbound {
  readonly #session: Session
  readonly #hub: Hub
  readonly #outbox: Outbox
  readonly #inFlight = new Map<number, Delivery>()
  #queue: OutQueue | null = null
  /** Retained messages of new subscriptions, not yet sent: they wait for the socket, not in memory. */
  #retained: Iterator<void>[] = []
  #pumping = false
  /** Taken from the queue, but its packet identifier is still in flight. */
  #held: Delivery | undefined = undefined

  constructor(deps: { session: Session; hub: Hub; outbox: Outbox }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#outbox = deps.outbox
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Begins to send from `queue`. */
  open(queue: OutQueue): void {
    this.#queue = queue
    this.pump()
  }

  close(): void {
    this.#queue = null
    this.#retained = []
    this.#inFlight.clear()
  }

  /** Sends a message at QoS 0 now, or drops it when the socket is too far behind. */
  sendNow(message: Message, retain: boolean): void {
    if (this.#outbox.unsent > this.#hub.limits.maxUnsent) {
      this.#hub.stats.dropped++
      return
    }
    this.#send(message, 0, retain, false, 0)
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

  /** PUBACK, PUBREC or PUBCOMP came. */
  acknowledged(type: AckType, packetId: number): void {
    const delivery = this.#inFlight.get(packetId)
    if (type === PacketType.PUBREC) {
      this.#received(delivery, packetId)
      return
    }
    // An identifier that is not in flight was acknowledged before [MQTT-4.3.2-1]; nothing is left to do.
    if (delivery === undefined || delivery.qos !== (type === PacketType.PUBACK ? 1 : 2)) return
    this.#inFlight.delete(packetId)
    this.#queue?.remove(delivery)
    this.#hub.emit('ack', delivery.message, this.#session)
    this.pump()
  }

  #received(delivery: Delivery | undefined, packetId: number): void {
    if (delivery === undefined || delivery.qos !== 2 || delivery.released) {
      // [MQTT-4.3.3-1] PUBREC is answered with PUBREL, also when it is repeated or the message is long gone.
      this.#outbox.ack(PacketType.PUBREL, packetId)
      return
    }
    this.#queue?.release(delivery, () => {
      if (this.#queue !== null) this.#outbox.ack(PacketType.PUBREL, packetId)
    })
  }

  #pumpRetained(): void {
    for (let next = this.#retained[0]; next !== undefined; next = this.#retained[0]) {
      if (this.#isSocketFull()) return
      if (next.next().done === true) this.#retained.shift()
    }
  }

  #pumpQueue(): void {
    const queue = this.#queue
    if (queue === null) return
    const inFlight = this.#inFlight
    while (inFlight.size < this.#hub.limits.maxInflight && !this.#isSocketFull()) {
      const delivery = this.#takeSendable(queue)
      if (delivery === undefined) return
      const packetId = packetIdOf(delivery)
      inFlight.set(packetId, delivery)
      if (delivery.released) this.#outbox.ack(PacketType.PUBREL, packetId)
      else this.#send(delivery.message, delivery.qos, delivery.retain, delivery.dup, packetId)
    }
  }

  /** The next delivery of the queue that the session may have. */
  #takeSendable(queue: OutQueue): Delivery | undefined {
    for (;;) {
      const next = this.#held ?? queue.take()
      this.#held = undefined
      if (next === undefined) return undefined
      // An old message that is still not acknowledged keeps its identifier: the window waits for it [MQTT-2.3.1-4].
      if (this.#inFlight.has(packetIdOf(next))) {
        this.#held = next
        return undefined
      }
      if (this.#hub.mayForward(this.#session, next.message)) return next
      queue.remove(next)
    }
  }

  #send(message: Message, qos: QoS, retain: boolean, dup: boolean, packetId: number): void {
    this.#outbox.publish(message, qos, retain, dup, packetId)
    this.#hub.stats.sent++
  }

  #isSocketFull(): boolean {
    return this.#outbox.unsent >= SEND_HIGH_WATER
  }
}

/** The identifier follows from the place in the queue, so that it is the same after a restart [MQTT-4.4.0-1]. */
function packetIdOf(delivery: Delivery): number {
  return (delivery.index % PACKET_IDS) + 1
}

function* each(messages: Iterable<Message>, deliver: (message: Message) => void): Generator<void> {
  for (const message of messages) {
    deliver(message)
    yield
  }
}
