/**
 * The receiving half of a bridge's session with its upstream, on one connection: subscribes there, publishes here what
 * comes, and acknowledges it when it is settled, in the order it came [MQTT-4.6.0-2]. QoS 2 is kept apart by packet
 * identifiers in our store, so that it comes exactly once over a crash.
 *
 * MQTT.js would hold up everything, our own acknowledgements too, until one message is settled. So each PUBLISH is
 * shown to it as one of QoS 0, and PUBACK and PUBREC are ours; before its PUBCOMP it asks its "incoming store".
 */
import { Readable } from 'node:stream'
import type { IClientOptions, IPublishPacket, MqttClient } from 'mqtt'
import type { Settlement } from '../broker/ports.ts'
import { Deque } from '../kernel/deque.ts'
import type { Log } from '../kernel/log.ts'
import { ACK_LENGTH, writeAck } from '../mqtt/acks.ts'
import { PacketType } from '../mqtt/packets.ts'
import type { Echoes } from './echoes.ts'
import { fetchedBy } from './hops.ts'
import type { UpstreamLimits } from './limits.ts'
import type { BridgeBroker, BridgeRule } from './ports.ts'
import { localRouteOf, upstreamFilters } from './remap.ts'
import { propertiesOf } from './wire-properties.ts'

/** QoS > 0 that the upstream may have under way to us (MQTT 5): a round trip of 100 ms then still carries 2,000 a second. */
const RECEIVE_MAXIMUM = 200
/** Seconds that an upstream is asked to keep our session: for ever [MQTT-3.1.2-23]. */
const SESSION_EXPIRY = 0xffff_ffff
/** Reason codes from here on are failures (MQTT 5 §2.4, and 3.1.1's one). */
const FAILURE = 0x80

type Store = NonNullable<IClientOptions['incomingStore']>

export interface IncomingCounts {
  received: number
  ignored: number
}

export class Incoming {
  readonly #clientId: string
  readonly #rules: readonly BridgeRule[]
  readonly #broker: BridgeBroker
  readonly #echoes: Echoes
  readonly #log: Log
  readonly #counts: IncomingCounts
  readonly #cut: (error: Error) => void
  readonly #owed = new Deque<Owed>()
  #client: MqttClient | undefined

  constructor(deps: {
    /** The bridge's session here. */
    clientId: string
    rules: readonly BridgeRule[]
    broker: BridgeBroker
    echoes: Echoes
    log: Log
    counts: IncomingCounts
    /** Ends the connection: what was not acknowledged comes again on the next. */
    cut: (error: Error) => void
  }) {
    this.#clientId = deps.clientId
    this.#rules = deps.rules
    this.#broker = deps.broker
    this.#echoes = deps.echoes
    this.#log = deps.log
    this.#counts = deps.counts
    this.#cut = deps.cut
  }

  /** What CONNECT is to say, and MQTT.js is to use. `keepsSession`: the upstream is to remember us over connections. */
  options(keepsSession: boolean): Partial<IClientOptions> {
    if (!keepsSession) return {}
    const store: Store = {
      put: (_packet, done) => {
        done()
        return store
      },
      createStream: () => Readable.from([]) as ReturnType<Store['createStream']>,
      del: (_packet, done) => {
        done()
        return store
      },
      // PUBREL came.
      get: (packet, done) => {
        this.#broker.forget(this.#clientId, packet.messageId as number, () => done(new Error('published already')))
        return store
      },
      close: done => done(),
    }
    const properties = { receiveMaximum: RECEIVE_MAXIMUM, sessionExpiryInterval: SESSION_EXPIRY }
    return { clean: false, incomingStore: store, properties }
  }

  /** CONNACK has come; what waited for us upstream may be right behind it. */
  listen(client: MqttClient): void {
    this.#client = client
    client.on('packetreceive', packet => {
      if (packet.cmd === 'publish') this.#receive(packet)
    })
  }

  /** The connection is up. `isNew`: the first since the start, when the rules may be others. `done` when the upstream has answered. */
  open(client: MqttClient, { sessionPresent, version }: UpstreamLimits, isNew: boolean, done: () => void): void {
    if (this.#rules.length === 0) {
      done()
      return
    }
    if (!sessionPresent) this.#forgetAll()
    if (sessionPresent && !isNew) {
      done()
      return
    }
    const filters: Record<string, object> = {}
    // Retained messages come with a subscription that is new, not with each connection.
    for (const [filter, qos] of upstreamFilters(this.#rules)) {
      filters[filter] = version === 5 ? { qos, nl: true, rap: true, rh: 1 } : { qos }
    }
    client.subscribe(filters as Parameters<MqttClient['subscribe']>[0], (error, _subscriptions, suback) => {
      const granted = (suback?.granted ?? []) as number[]
      const refused = Object.keys(filters).filter((_filter, at) => (granted[at] ?? 0) >= FAILURE)
      // What it does let us do goes on.
      if (refused.length > 0) this.#log.warn({ filters: refused }, 'the upstream does not let this bridge subscribe')
      else if (error) this.#cut(error)
      done()
    })
  }

  /** The connection is gone. */
  close(): void {
    this.#client = undefined
    this.#owed.clear()
  }

  #receive(packet: IPublishPacket & { messageId?: number }): void {
    const { qos, messageId: packetId = 0 } = packet
    packet.qos = 0
    const type = qos === 2 ? PacketType.PUBREC : PacketType.PUBACK
    const owed = qos === 0 ? null : new Owed(this, type, packetId)
    if (owed !== null) this.#owed.push(owed)
    // [MQTT-4.3.3-2]
    if (owed !== null && qos === 2 && this.#broker.received(this.#clientId).has(packetId)) {
      this.#broker.repeated(this.#clientId, packetId, owed)
      return
    }
    const fault = this.#publish(packet, qos, owed, packetId)
    if (fault === undefined) return
    if (this.#counts.ignored === 0) {
      this.#log.warn({ topic: packet.topic.slice(0, 100), fault }, 'bridge passes over a message from the upstream')
    }
    this.#counts.ignored++
    // Acknowledged all the same: it would only come again.
    owed?.settled()
  }

  /** Undefined when it is published. */
  #publish(packet: IPublishPacket, qos: 0 | 1 | 2, owed: Owed | null, packetId: number): string | undefined {
    const { topic, retain } = packet
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
    const properties = fetchedBy(this.#broker.gatewayId, propertiesOf(packet.properties) ?? {})
    if (properties === undefined) return 'it has come through this gateway before'
    if (this.#echoes.isEcho(topic, payload)) return 'this gateway sent it'
    const route = localRouteOf(this.#rules, topic)
    if (route === undefined) return 'no rule maps its topic to a topic name'
    const message = { topic: route.topic, payload, qos, retain: retain && route.keepsRetain, properties }
    const fault = this.#broker.receive(this.#clientId, message, owed, qos === 2 ? packetId : undefined)
    if (fault === undefined) this.#counts.received++
    return fault
  }

  sendOwed(): void {
    const stream = this.#client?.stream
    for (let next = this.#owed.at(0); next?.isSettled && stream !== undefined; next = this.#owed.at(0)) {
      this.#owed.shift()
      const ack = Buffer.allocUnsafe(ACK_LENGTH)
      writeAck(ack, 0, next.type, next.packetId)
      if (!stream.destroyed) stream.write(ack)
    }
  }

  refused(): void {
    this.#cut(new Error('the store has no room for what the upstream sends'))
  }

  /** The upstream has forgotten us: its packet identifiers mean nothing any more. */
  #forgetAll(): void {
    const received = this.#broker.received(this.#clientId)
    if (received.size === 0) return
    for (let packetId = 1; packetId <= 0xffff; packetId++) {
      if (received.has(packetId)) this.#broker.forget(this.#clientId, packetId, () => {})
    }
  }
}

/** An acknowledgement that is owed to the upstream. */
class Owed implements Settlement {
  readonly type: typeof PacketType.PUBACK | typeof PacketType.PUBREC
  readonly packetId: number
  isSettled = false
  readonly #incoming: Incoming

  constructor(incoming: Incoming, type: Owed['type'], packetId: number) {
    this.#incoming = incoming
    this.type = type
    this.packetId = packetId
  }

  settled(): void {
    this.isSettled = true
    this.#incoming.sendOwed()
  }

  refused(): void {
    this.#incoming.refused()
  }
}
