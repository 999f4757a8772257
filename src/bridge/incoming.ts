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
import { ReceivedAliases } from './aliases.ts'
import type { LinkMemory } from './connection.ts'
import type { Echoes } from './echoes.ts'
import type { UpstreamLimits } from './limits.ts'
import { BRIDGE_PROPERTY, type BridgeBroker, type BridgeRule } from './ports.ts'
import { localRouteOf, upstreamFilters } from './remap.ts'
import { propertiesOf } from './wire-properties.ts'

/** QoS > 0 that the upstream may have under way to us (MQTT 5): a round trip of 100 ms then still carries 2,000 a second. */
const RECEIVE_MAXIMUM = 200
/** Bytes of the largest packet that MQTT knows. */
const MAX_PACKET = 268_435_460
/** Seconds that an upstream is asked to keep our session: for ever [MQTT-3.1.2-23]. */
const SESSION_EXPIRY = 0xffff_ffff
/** Topic filters of one SUBSCRIBE: what the strictest of clouds takes. */
const MAX_FILTERS = 8
/** Topics that an upstream may have retained, as far as it is remembered which came: those of a large house. */
const MAX_REPLAYED = 10_000
/** MQTT 5 §3.8.3.1. */
const RetainHandling = { ALWAYS: 0, IF_NEW: 1, NEVER: 2 } as const
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
  readonly #aliases = new ReceivedAliases()
  readonly #leftOver: readonly string[]
  readonly #memory: LinkMemory
  #client: MqttClient | undefined
  /** Topics of which a retained message has come since we subscribed: the first may be an old one. */
  #replayed: Set<string> | undefined

  constructor(deps: {
    /** The bridge's session here. */
    clientId: string
    rules: readonly BridgeRule[]
    broker: BridgeBroker
    echoes: Echoes
    log: Log
    counts: IncomingCounts
    /** Topic filters that the upstream may still hold from rules of before; it is asked to drop them. */
    leftOver: readonly string[]
    /** Outlives this connection. */
    memory: LinkMemory
    /** Ends the connection: what was not acknowledged comes again on the next. */
    cut: (error: Error) => void
  }) {
    this.#clientId = deps.clientId
    this.#rules = deps.rules
    this.#broker = deps.broker
    this.#echoes = deps.echoes
    this.#log = deps.log
    this.#counts = deps.counts
    this.#leftOver = deps.leftOver
    this.#memory = deps.memory
    this.#cut = deps.cut
  }

  /** What CONNECT is to say, and MQTT.js is to use. `keepsSession`: the upstream is to remember us over connections. */
  options(keepsSession: boolean): Partial<IClientOptions> {
    // By this another gateway knows what comes here twice.
    const saysBridge = { userProperties: { [BRIDGE_PROPERTY]: '1' } }
    // MQTT.js holds whatever comes whole in memory: what is too large is better not sent at all [MQTT-3.1.2-24].
    const always = { ...saysBridge, maximumPacketSize: Math.min(this.#broker.maxPacketSize, MAX_PACKET) }
    if (!keepsSession) return { properties: always }
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
    const properties = { ...always, receiveMaximum: RECEIVE_MAXIMUM, sessionExpiryInterval: SESSION_EXPIRY }
    return { clean: false, incomingStore: store, properties }
  }

  /** CONNACK has come; what waited for us upstream may be right behind it. */
  listen(client: MqttClient): void {
    this.#client = client
    client.on('packetreceive', packet => {
      if (packet.cmd === 'publish') this.#receive(packet)
    })
  }

  /**
   * The connection is up. `isNew`: the first since the start, when the rules may be others. `hasNews`: what waits here is
   * newer than what the upstream has retained, which should come later (see `fetchRetained`). `done` when the upstream has
   * answered.
   */
  open(
    client: MqttClient,
    { sessionPresent, version }: UpstreamLimits,
    { isNew, hasNews }: { isNew: boolean; hasNews: boolean },
    done: () => void,
  ): void {
    if (sessionPresent && isNew && this.#leftOver.length > 0) client.unsubscribe([...this.#leftOver])
    if (this.#rules.length === 0) {
      done()
      return
    }
    const memory = this.#memory
    if (!sessionPresent) {
      this.#forgetAll()
      memory.isSubscribed = false
      memory.owesRetained = version === 5 && hasNews
    }
    // A connection may have ended before the upstream had our SUBSCRIBE, or before it had sent what it has retained.
    if (sessionPresent && memory.isSubscribed === true) {
      if (!hasNews) this.fetchRetained()
      done()
      return
    }
    // Retained messages come with a subscription that is new, not with each connection.
    const rh = memory.owesRetained === true ? RetainHandling.NEVER : RetainHandling.IF_NEW
    const filters = [...upstreamFilters(this.#rules)].map(([filter, qos]): [string, object] => {
      return [filter, version === 5 ? { qos, nl: true, rap: true, rh } : { qos }]
    })
    this.#replayed = new Set()
    this.#subscribe(client, filters, () => {
      memory.isSubscribed = true
      if (!hasNews) this.fetchRetained()
      done()
    })
  }

  /** What waited here is there: what the upstream has retained may come now, if it was put off. */
  fetchRetained(): void {
    if (this.#memory.owesRetained !== true || this.#client === undefined) return
    this.#replayed ??= new Set()
    const rh = RetainHandling.ALWAYS
    const filters = [...upstreamFilters(this.#rules)].map(([filter, qos]): [string, object] => {
      return [filter, { qos, nl: true, rap: true, rh }]
    })
    this.#subscribe(this.#client, filters, () => {
      this.#memory.owesRetained = false
    })
  }

  #subscribe(client: MqttClient, filters: [string, object][], done: () => void): void {
    const [some, others] = [filters.slice(0, MAX_FILTERS), filters.slice(MAX_FILTERS)]
    client.subscribe(Object.fromEntries(some) as Parameters<MqttClient['subscribe']>[0], (error, _all, suback) => {
      const granted = (suback?.granted ?? []) as number[]
      const refused = some.map(([filter]) => filter).filter((_filter, at) => (granted[at] ?? 0) >= FAILURE)
      // What it does let us do goes on.
      if (refused.length > 0) this.#log.warn({ filters: refused }, 'the upstream does not let this bridge subscribe')
      else if (error) {
        this.#cut(error)
        return
      }
      if (others.length === 0) done()
      else if (!client.disconnecting && client.connected) this.#subscribe(client, others, done)
    })
  }

  /** The connection is gone. */
  close(): void {
    this.#client = undefined
    this.#owed.clear()
  }

  #receive(packet: IPublishPacket & { messageId?: number }): void {
    const { qos, messageId: packetId = 0 } = packet
    const topic = this.#aliases.topicOf(packet.topic, packet.properties?.topicAlias)
    if (topic === undefined) return
    packet.topic = topic
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

  /** What is wrong with it; undefined when it is published, or was before. */
  #publish(packet: IPublishPacket, qos: 0 | 1 | 2, owed: Owed | null, packetId: number): string | undefined {
    const { topic, retain } = packet
    const payload = Buffer.isBuffer(packet.payload) ? packet.payload : Buffer.from(packet.payload)
    if (this.#echoes.isEcho(topic, payload)) {
      this.#counts.ignored++
      owed?.settled()
      return undefined
    }
    const route = localRouteOf(this.#rules, topic)
    if (route === undefined) return 'no rule maps its topic to a topic name'
    const message = {
      topic: route.topic,
      payload,
      qos,
      retain: retain && route.keepsRetain,
      properties: propertiesOf(packet.properties),
      upstreamTopic: topic,
      isReplay: retain && this.#isFirst(topic),
    }
    const receipt = this.#broker.receive(this.#clientId, message, owed, qos === 2 ? packetId : undefined)
    if (typeof receipt === 'object') return receipt.fault
    if (receipt === 'known') this.#counts.ignored++
    else this.#counts.received++
    return undefined
  }

  #isFirst(topic: string): boolean {
    const replayed = this.#replayed
    if (replayed === undefined || replayed.has(topic)) return false
    if (replayed.size >= MAX_REPLAYED) this.#replayed = undefined
    else replayed.add(topic)
    return true
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
