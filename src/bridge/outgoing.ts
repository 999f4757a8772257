/**
 * The sending half of a bridge's session with its upstream, on one connection. MQTT.js does the exchanges; what it would
 * remember of them stands in our queue, so that a crash ends none: the packet identifier follows from the place in
 * the queue, and PUBREL waits until PUBREC is on record (its "outgoing store" is asked just before PUBREL is sent).
 */
import { Readable } from 'node:stream'
import type { IClientOptions, MqttClient } from 'mqtt'
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import { ACK_LENGTH, writeAck } from '../mqtt/acks.ts'
import { PacketType } from '../mqtt/packets.ts'
import type { Properties } from '../mqtt/properties.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import type { Route } from './remap.ts'
import { wirePropertiesOf } from './wire-properties.ts'

/** [MQTT-2.3.1-1] */
const PACKET_IDS = 65_535

type Store = NonNullable<IClientOptions['outgoingStore']>

export interface OutgoingMessage {
  readonly route: Route
  readonly retain: boolean
  readonly dup: boolean
  readonly properties: Properties | undefined
}

export interface Outcome {
  /** The upstream has it: PUBACK, PUBCOMP, or at QoS 0 the socket took it. */
  done(): void
  /** The upstream says why it does not take it (MQTT 5 §4.13.2). */
  refused(reasonCode: number): void
}

export class Outgoing {
  readonly #queue: SessionQueue
  /** Under their packet identifiers. */
  readonly #inFlight = new Map<number, Delivery>()
  /** PUBREC came and is being put on record. */
  readonly #releasing = new Set<Delivery>()
  /** Of the PUBLISH that is being handed to MQTT.js. */
  #nextId: number | undefined
  #lastId: number | null = null
  #closed = false
  readonly #onSession: () => void

  /** `onSession` is called when CONNACK has come, before MQTT.js looks at anything behind it. */
  constructor(deps: { queue: SessionQueue; onSession: () => void }) {
    this.#queue = deps.queue
    this.#onSession = deps.onSession
  }

  /** Messages sent and not done with, those of QoS 0 that the socket has not taken among them. */
  get size(): number {
    return this.#inFlight.size
  }

  /** The one that waits longest. */
  get oldest(): Delivery | undefined {
    return this.#inFlight.values().next().value
  }

  /** What MQTT.js is to use. */
  options(): Partial<IClientOptions> {
    const none: Store = {
      put: (packet, done) => {
        if (packet.cmd === 'pubrel') this.#release(packet.messageId as number, done)
        else done()
        return none
      },
      createStream: () => {
        this.#onSession()
        return Readable.from([]) as ReturnType<Store['createStream']>
      },
      del: (_packet, done) => {
        done()
        return none
      },
      get: (_packet, done) => {
        done(new Error('kept elsewhere'))
        return none
      },
      close: done => done(),
    }
    return {
      outgoingStore: none,
      messageIdProvider: {
        allocate: () => {
          this.#lastId = this.#nextId ?? this.#spareId()
          return this.#lastId
        },
        getLastAllocated: () => this.#lastId,
        register: () => true,
        deallocate: () => {},
        clear: () => {},
      },
    }
  }

  /** False when its packet identifier belongs to a message that is still in flight [MQTT-2.3.1-4]: 65,534 others were faster. */
  send(client: MqttClient, delivery: Delivery, message: OutgoingMessage, outcome: Outcome): boolean {
    const { route, retain, dup, properties } = message
    const { qos } = route
    const packetId = packetIdOf(delivery)
    if (this.#inFlight.has(packetId)) return false
    this.#inFlight.set(packetId, delivery)
    this.#nextId = packetId
    const options = {
      qos,
      retain,
      dup: dup && qos > 0, // [MQTT-3.3.1-2]
      ...(properties === undefined ? {} : { properties: wirePropertiesOf(properties) }),
    }
    client.publish(route.topic, delivery.message.payload, options, error => this.#onEnd(packetId, error, outcome))
    this.#nextId = undefined
    return true
  }

  /** Goes on with an exchange of QoS 2 whose PUBREC came on an earlier connection [MQTT-4.4.0-1]. */
  resume(client: MqttClient, delivery: Delivery, outcome: Outcome): void {
    const packetId = packetIdOf(delivery)
    this.#inFlight.set(packetId, delivery)
    client.outgoing[packetId] = {
      volatile: false,
      cmd: 'pubrel',
      cb: error => this.#onEnd(packetId, error, outcome),
    }
    const pubrel = Buffer.allocUnsafe(ACK_LENGTH)
    writeAck(pubrel, 0, PacketType.PUBREL, packetId)
    client.stream.write(pubrel)
  }

  /** The connection is gone: nothing more is told. */
  close(): void {
    this.#closed = true
    this.#inFlight.clear()
  }

  #onEnd(packetId: number, error: unknown, outcome: Outcome): void {
    if (this.#closed) return
    const code = (error as { code?: unknown } | null | undefined)?.code
    // MQTT.js says here, too, that the connection has ended; that has no code.
    if (error && typeof code !== 'number') return
    const delivery = this.#inFlight.get(packetId)
    this.#inFlight.delete(packetId)
    // PUBCOMP may say that the exchange had been ended before (MQTT 5 §3.7.2.1).
    const wasDone = code === ReasonCode.PACKET_IDENTIFIER_NOT_FOUND && delivery?.released !== undefined
    if (error && !wasDone) outcome.refused(code as number)
    else outcome.done()
  }

  #release(packetId: number, done: () => void): void {
    const delivery = this.#inFlight.get(packetId)
    if (delivery === undefined || delivery.qos !== 2) {
      done()
      return
    }
    // PUBREL follows when the first PUBREC is on record.
    if (this.#releasing.has(delivery)) return
    this.#releasing.add(delivery)
    this.#queue.release(delivery, () => {
      this.#releasing.delete(delivery)
      if (!this.#closed) done()
    })
  }

  /** For SUBSCRIBE: from the end, where messages come last. */
  #spareId(): number {
    let packetId = PACKET_IDS
    while (this.#inFlight.has(packetId)) packetId--
    return packetId
  }
}

/** The same after a restart: what the upstream remembers of an exchange of QoS 2 must not be about another message. */
function packetIdOf(delivery: Delivery): number {
  return delivery.packetId ?? (delivery.index % PACKET_IDS) + 1
}
