/**
 * The broker under test, the clients that talk to it, and the reference beside them. Every deed is done to
 * both; then what came is held against the reference until nothing is missing, and a round trip shows that
 * nothing came that should not have. No deed waits for a time to pass.
 */
import type {
  IConnackPacket,
  IDisconnectPacket,
  IPublishPacket,
  IPubrelPacket,
  ISubackPacket,
  IUnsubackPacket,
  Packet,
} from 'mqtt-packet'
import { type Connect, type Message, Reference, type Subscription, type Version } from './reference.ts'
import { Wire } from './wire.ts'

/** What is under test: started, stopped and started again on the same data. */
export interface BrokerUnderTest {
  readonly port: number
  start(): Promise<void>
  stop(): Promise<void>
}

/** Never expires (MQTT 5 §3.1.2.11.2). */
const FOREVER = 0xffff_ffff
/** Reason codes of DISCONNECT (MQTT 5 §2.4). */
const SHUTTING_DOWN = 0x8b
const TAKEN_OVER = 0x8e

/** Sees every message once: what was published has been passed on when it came here. */
const OBSERVER = 'observer'
const OBSERVES: Subscription = { filter: '#', qos: 0, noLocal: false, retainAsPublished: false, retainHandling: 0 }

/** A client's own message of QoS 1 or 2 that the broker has not finished with. */
interface Pending {
  readonly packetId: number
  readonly message: Message
}

export class Household {
  readonly reference = new Reference()
  readonly #broker: BrokerUnderTest
  readonly #window: number
  readonly #patience: number
  readonly #saysGoodbye: boolean
  readonly #wires = new Map<string, Wire>()
  readonly #pending = new Map<string, Pending[]>()
  #packetId = 0
  #payload = 0

  /**
   * `window`: messages in flight to one client that the broker is configured with. `patience`: ms that
   * something may take. `saysGoodbye`: the broker tells clients of MQTT 5 why it ends their connection.
   */
  constructor(deps: { broker: BrokerUnderTest; window: number; patience: number; saysGoodbye: boolean }) {
    this.#broker = deps.broker
    this.#window = deps.window
    this.#patience = deps.patience
    this.#saysGoodbye = deps.saysGoodbye
  }

  async open(): Promise<void> {
    await this.#broker.start()
    await this.connect(OBSERVER, { version: 4, clean: true, kept: false, window: this.#window })
    await this.subscribe(OBSERVER, [OBSERVES])
  }

  async close(): Promise<void> {
    for (const wire of this.#wires.values()) wire.destroy()
    await this.#broker.stop()
  }

  isConnected(name: string): boolean {
    return this.#wires.has(name)
  }

  version(name: string): Version | undefined {
    return this.reference.connection(name)?.version
  }

  /** The version of a connection whose session outlives it. */
  keptVersion(name: string): Version | undefined {
    const connection = this.reference.connection(name)
    return connection?.kept === true ? connection.version : undefined
  }

  /** The next message of a client: its payload is told apart from all others. */
  message(options: { topic: string; qos: 0 | 1 | 2; retain: boolean; clears: boolean }): Message {
    const { topic, qos, retain, clears } = options
    return { topic, qos, retain, payload: clears ? '' : String(++this.#payload) }
  }

  async connect(name: string, connect: Connect): Promise<void> {
    const { version, clean, kept, will } = connect
    const wire = await Wire.open(this.#broker.port, version, this.#patience)
    const old = this.#wires.get(name)
    this.#wires.set(name, wire)
    const receiveMaximum = connect.window < this.#window ? { receiveMaximum: connect.window } : {}
    wire.send({
      cmd: 'connect',
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: version,
      clientId: name,
      clean,
      keepalive: 0,
      ...(will === undefined ? {} : { will: { ...will, payload: Buffer.from(will.payload) } }),
      ...(version === 5 ? { properties: { sessionExpiryInterval: kept ? FOREVER : 0, ...receiveMaximum } } : {}),
    })
    const connack = await wire.take<IConnackPacket>('connack')
    if ((connack.reasonCode ?? connack.returnCode) !== 0) throw new Error(`${name} was refused`)
    if (old !== undefined) await this.#farewell(name, old, TAKEN_OVER)
    const isPresent = this.reference.connect(name, connect)
    if (connack.sessionPresent !== isPresent) throw new Error(`${name}: session present is ${connack.sessionPresent}`)
    if (!isPresent && version !== 3) this.#pending.delete(name)
    if (version === 3 && clean) this.#pending.delete(name)
    await this.settle()
  }

  async disconnect(name: string, kept: boolean | undefined): Promise<void> {
    const wire = this.#wire(name)
    wire.send({
      cmd: 'disconnect',
      ...(kept === undefined ? {} : { reasonCode: 0, properties: { sessionExpiryInterval: kept ? FOREVER : 0 } }),
    })
    await wire.end()
    this.#wires.delete(name)
    this.reference.disconnect(name, kept)
    await this.settle()
  }

  async drop(name: string): Promise<void> {
    await this.#wire(name).end()
    this.#wires.delete(name)
    this.reference.drop(name)
    await this.settle()
  }

  async restart(): Promise<void> {
    await this.#broker.stop()
    for (const [name, wire] of this.#wires) await this.#farewell(name, wire, SHUTTING_DOWN)
    this.#wires.clear()
    this.reference.restart()
    await this.open()
  }

  async subscribe(name: string, subscriptions: readonly Subscription[]): Promise<void> {
    const wire = this.#wire(name)
    const messageId = this.#nextPacketId()
    const [identifier] = subscriptions.flatMap(({ identifier }) => identifier ?? [])
    wire.send({
      cmd: 'subscribe',
      messageId,
      subscriptions: subscriptions.map(({ filter, qos, noLocal, retainAsPublished, retainHandling }) =>
        wire.version === 5
          ? { topic: filter, qos, nl: noLocal, rap: retainAsPublished, rh: retainHandling }
          : { topic: filter, qos },
      ),
      ...(identifier === undefined ? {} : { properties: { subscriptionIdentifier: identifier } }),
    })
    const { granted } = await wire.take<ISubackPacket>('suback', messageId)
    if (String(granted) !== String(subscriptions.map(({ qos }) => qos)))
      throw new Error(`${name} was granted ${granted}`)
    for (const subscription of subscriptions) this.reference.subscribe(name, subscription)
    await this.settle()
  }

  async unsubscribe(name: string, filter: string): Promise<void> {
    const wire = this.#wire(name)
    const messageId = this.#nextPacketId()
    wire.send({ cmd: 'unsubscribe', messageId, unsubscriptions: [filter] })
    const unsuback = await wire.take<IUnsubackPacket>('unsuback', messageId)
    const existed = this.reference.unsubscribe(name, filter)
    const expected = existed ? 0 : 0x11
    if (wire.version === 5 && (unsuback.granted as number[])[0] !== expected)
      throw new Error(`${name}: the reason codes of UNSUBACK are ${unsuback.granted}`)
    await this.settle()
  }

  /**
   * Publishes all messages in one go. `until` says how far: until all are acknowledged, until PUBREC (and no
   * PUBREL follows), or not at all: the client breaks its line right behind them.
   */
  async publish(name: string, messages: readonly Message[], until: 'done' | 'PUBREC' | 'vanished'): Promise<void> {
    const wire = this.#wire(name)
    const pending: Pending[] = []
    const packets = messages.map((message): IPublishPacket => {
      const packet = { cmd: 'publish', ...message, dup: false } as const
      if (message.qos === 0) return packet
      const packetId = this.#nextPacketId()
      pending.push({ packetId, message })
      return { ...packet, messageId: packetId }
    })
    wire.send(...packets)
    if (until === 'vanished') {
      await wire.end()
      this.#wires.delete(name)
    }
    for (const { messageId, ...message } of packets) this.reference.publish(name, message as Message, messageId)
    if (until === 'vanished') {
      // What reached it on its way out counts as sent.
      wire.inbox.splice(0, wire.inbox.length, ...wire.inbox.filter(({ cmd }) => cmd === 'publish' || cmd === 'pubrel'))
      this.#compare(name, wire)
      this.reference.drop(name)
    }
    const unfinished = until === 'vanished' ? pending : await this.#finish(name, pending, until === 'done')
    this.#pending.set(name, [...(this.#pending.get(name) ?? []), ...unfinished])
    await this.settle()
  }

  /** Sends again, marked DUP, what the broker has not acknowledged, and finishes it. */
  async repeat(name: string): Promise<void> {
    const wire = this.#wire(name)
    const pending = this.#pending.get(name) ?? []
    wire.send(
      ...pending.map(
        ({ packetId, message }): IPublishPacket => ({
          cmd: 'publish',
          ...message,
          dup: true,
          messageId: packetId,
        }),
      ),
    )
    for (const { packetId, message } of pending) this.reference.publish(name, message, packetId)
    this.#pending.delete(name)
    await this.#finish(name, pending, true)
    await this.settle()
  }

  /**
   * Acknowledges the oldest `count` messages, or the newest and these backwards, which no client should.
   * Those of QoS 2 only by PUBREC when `half`.
   */
  async acknowledge(name: string, options: { count: number; isBackwards: boolean; half: boolean }): Promise<void> {
    const { count, isBackwards, half } = options
    const wire = this.#wire(name)
    const inFlight = this.reference.inFlight(name)
    for (const owed of (isBackwards ? inFlight.toReversed() : inFlight).slice(0, count)) {
      const messageId = owed.packetId as number
      if (owed.qos === 1) wire.send({ cmd: 'puback', messageId })
      if (owed.qos === 2 && owed.released === undefined) {
        wire.send({ cmd: 'pubrec', messageId })
        await wire.take<IPubrelPacket>('pubrel', messageId)
      }
      if (owed.qos === 2 && !half) wire.send({ cmd: 'pubcomp', messageId })
      this.reference.acknowledge(name, messageId, owed.qos === 2 && half)
    }
    await this.settle()
  }

  /** Everybody has what the reference says, and no more. */
  async settle(): Promise<void> {
    for (const [name, wire] of this.#wires) {
      await wire.until(
        () => {
          this.#compare(name, wire)
          return this.reference.isSettled(name)
        },
        () => `${name} waits for ${this.reference.missing(name)}`,
      )
    }
    await Promise.all([...this.#wires.values()].map(wire => wire.ping()))
    for (const [name, wire] of this.#wires) this.#compare(name, wire)
  }

  #compare(name: string, wire: Wire): void {
    for (const packet of wire.inbox.splice(0)) this.reference.arrived(name, packet)
  }

  /** The broker has ended this connection; a client of MQTT 5 was told why. */
  async #farewell(name: string, wire: Wire, reasonCode: number): Promise<void> {
    await wire.closed()
    if (wire.version !== 5 || !this.#saysGoodbye) return
    const told = wire.inbox.find((packet): packet is IDisconnectPacket => packet.cmd === 'disconnect')
    if (told?.reasonCode !== reasonCode) throw new Error(`${name} was told ${told?.reasonCode}, not ${reasonCode}`)
  }

  /** Waits for the acknowledgements, which must come in order [MQTT-4.6.0-2] [MQTT-4.6.0-3]. Gives what is not finished. */
  async #finish(name: string, pending: readonly Pending[], release: boolean): Promise<Pending[]> {
    const wire = this.#wire(name)
    for (const qos of [1, 2] as const) {
      const due = pending.filter(({ message }) => message.qos === qos).map(({ packetId }) => packetId)
      const cmd = qos === 1 ? 'puback' : 'pubrec'
      const came = (): Packet[] => wire.inbox.filter(packet => packet.cmd === cmd)
      await wire.until(
        () => came().length >= due.length,
        () => `${due.length} × ${cmd} for ${name}`,
      )
      const order = came().map(packet => packet.messageId)
      if (String(order) !== String(due)) throw new Error(`${name}: ${cmd} for ${order}, after PUBLISH ${due}`)
      for (const packetId of due) await wire.take(cmd, packetId)
    }
    const second = pending.filter(({ message }) => message.qos === 2)
    if (!release) return second
    for (const { packetId } of second) wire.send({ cmd: 'pubrel', messageId: packetId })
    for (const { packetId } of second) {
      await wire.take('pubcomp', packetId)
      this.reference.release(name, packetId)
    }
    return []
  }

  #wire(name: string): Wire {
    const wire = this.#wires.get(name)
    if (wire === undefined) throw new Error(`${name} is not connected`)
    return wire
  }

  #nextPacketId(): number {
    this.#packetId = (this.#packetId % 0xffff) + 1
    return this.#packetId
  }
}
