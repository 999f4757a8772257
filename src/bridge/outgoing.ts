/**
 * The sending half of a bridge's session with its upstream, on one connection. MQTT.js does the exchanges; what it would
 * remember of them stands in our queues, so that a crash ends none: the packet identifier follows from the place in
 * the queue, or is on record when that one was in use, and PUBREL waits until PUBREC is on record (its "outgoing store"
 * is asked just before PUBREL is sent).
 */
import { Readable } from 'node:stream'
import type { IClientOptions, MqttClient } from 'mqtt'
import type { Delivery } from '../broker/ports.ts'
import { ACK_LENGTH, writeAck } from '../mqtt/acks.ts'
import { PacketType } from '../mqtt/packets.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { SentAliases } from './aliases.ts'
import { PACKET_IDS } from './lanes.ts'
import type { Parcel } from './parcels.ts'
import type { Taken } from './spool.ts'
import { wirePropertiesOf } from './wire-properties.ts'

type Store = NonNullable<IClientOptions['outgoingStore']>

export interface Outcome {
  /** The upstream has it: PUBACK, PUBCOMP, or at QoS 0 the socket took it. */
  done(): void
  /** The upstream says why it does not take it (MQTT 5 §4.13.2). */
  refused(reasonCode: number): void
}

export class Outgoing {
  /** Of QoS 1 and 2, under their packet identifiers; also what only has its identifier yet. */
  readonly #inFlight = new Map<number, Taken>()
  /** Of QoS 0: the socket has not taken them yet. */
  readonly #unsent = new Set<Taken>()
  #bytes = 0
  /** PUBREC came and is being put on record. */
  readonly #releasing = new Set<Delivery>()
  /** Of the PUBLISH that is being handed to MQTT.js. */
  #nextId: number | undefined
  #lastId: number | null = null
  /** Of SUBSCRIBE and whatever else is no message of the spool: the last one that was given. */
  #lastSpareId = PACKET_IDS + 1
  #aliases = new SentAliases(0)
  #closed = false
  readonly #onSession: () => void

  /** `onSession` is called when CONNACK has come, before MQTT.js looks at anything behind it. */
  constructor(deps: { onSession: () => void }) {
    this.#onSession = deps.onSession
  }

  /** PUBLISH packets sent and not done with, those of QoS 0 that the socket has not taken among them. */
  get size(): number {
    return this.#inFlight.size + this.#unsent.size
  }

  /** Bytes of their payloads. */
  get bytes(): number {
    return this.#bytes
  }

  /** The one that waits longest. */
  get oldest(): Taken | undefined {
    return this.#inFlight.values().next().value ?? this.#unsent.values().next().value
  }

  /** The upstream allows topic aliases up to `max` (MQTT 5). */
  allowAliases(max: number): void {
    this.#aliases = new SentAliases(max)
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

  /**
   * Gives the message its packet identifier, for QoS 1 and 2. `done` is called with it, now, or when it is on record
   * because it is another than follows from its place: the one that does belongs to a message in flight [MQTT-2.3.1-4].
   */
  claim(taken: Taken, done: (packetId: number) => void): void {
    const { spool, delivery } = taken
    let packetId = spool.packetIdOf(delivery)
    const isFree = !this.#inFlight.has(packetId)
    while (this.#inFlight.has(packetId)) packetId = (packetId % PACKET_IDS) + 1
    this.#inFlight.set(packetId, taken)
    if (isFree) {
      done(packetId)
      return
    }
    spool.queue.assign(delivery, packetId, () => {
      if (!this.#closed) done(packetId)
    })
  }

  /** Sends it. `packetId` as `claim` has given it for the first member; undefined for QoS 0. */
  send(client: MqttClient, parcel: Parcel, packetId: number | undefined, outcome: Outcome): void {
    const { route, payload, retain, dup, properties, members } = parcel
    const [first] = members as [Taken]
    const { qos } = route
    if (packetId === undefined) this.#unsent.add(first)
    this.#bytes += payload.length
    this.#nextId = packetId
    const { topic, alias } = this.#aliases.take(route.topic)
    const wire = properties === undefined ? {} : wirePropertiesOf(properties)
    const options = {
      qos,
      retain,
      dup: dup && qos > 0, // [MQTT-3.3.1-2]
      ...(properties === undefined ? {} : { properties: alias === undefined ? wire : { ...wire, topicAlias: alias } }),
    }
    client.publish(topic, payload, options, error => {
      if (error) this.#aliases.forget(route.topic)
      this.#onEnd(first, packetId, payload.length, error, outcome)
    })
    this.#nextId = undefined
  }

  /** Goes on with an exchange of QoS 2 whose PUBREC came on an earlier connection [MQTT-4.4.0-1]. */
  resume(client: MqttClient, taken: Taken, packetId: number, outcome: Outcome): void {
    client.outgoing[packetId] = {
      volatile: false,
      cmd: 'pubrel',
      cb: error => this.#onEnd(taken, packetId, 0, error, outcome),
    }
    const pubrel = Buffer.allocUnsafe(ACK_LENGTH)
    writeAck(pubrel, 0, PacketType.PUBREL, packetId)
    client.stream.write(pubrel)
  }

  /** The connection is gone: nothing more is told. */
  close(): void {
    this.#closed = true
    this.#inFlight.clear()
    this.#unsent.clear()
    this.#bytes = 0
  }

  #onEnd(taken: Taken, packetId: number | undefined, bytes: number, error: unknown, outcome: Outcome): void {
    if (this.#closed) return
    const code = (error as { code?: unknown } | null | undefined)?.code
    // MQTT.js says here, too, that the connection has ended; that has no code.
    if (error && typeof code !== 'number') return
    if (packetId === undefined) this.#unsent.delete(taken)
    else this.#inFlight.delete(packetId)
    this.#bytes -= bytes
    // PUBCOMP may say that the exchange had been ended before (MQTT 5 §3.7.2.1).
    const wasDone = code === ReasonCode.PACKET_IDENTIFIER_NOT_FOUND && taken.delivery.released !== undefined
    if (error && !wasDone) outcome.refused(code as number)
    else outcome.done()
  }

  #release(packetId: number, done: () => void): void {
    const taken = this.#inFlight.get(packetId)
    if (taken === undefined || taken.delivery.qos !== 2) {
      done()
      return
    }
    const { spool, delivery } = taken
    // PUBREL follows when the first PUBREC is on record.
    if (this.#releasing.has(delivery)) return
    this.#releasing.add(delivery)
    spool.queue.release(delivery, () => {
      this.#releasing.delete(delivery)
      if (!this.#closed) done()
    })
  }

  /** From the end, where messages come last; another each time, for several may be under way [MQTT-2.3.1-2]. */
  #spareId(): number {
    do {
      this.#lastSpareId = this.#lastSpareId > 1 ? this.#lastSpareId - 1 : PACKET_IDS
    } while (this.#inFlight.has(this.#lastSpareId))
    return this.#lastSpareId
  }
}
