/**
 * Subscribers with persistent sessions, and the watcher, who is a new subscriber each time. Everything that comes is
 * written down. At QoS 2 a subscriber does what the receiver must (MQTT 3.1.1 §4.3.3): it holds a packet identifier
 * from PUBLISH to PUBREL, over broken lines too, and a PUBLISH with one that it holds is the same message again.
 */
import type { IConnackPacket, IPublishPacket, ISubackPacket, Packet } from 'mqtt-packet'
import type { RawClient } from '../support/mqtt-client.ts'
import type { PublisherBook, SubscriberBook } from './books.ts'
import { numberOf } from './publishers.ts'
import type { Random } from './random.ts'
import { Standing, type World } from './world.ts'

/** online: always; away: from its subscription to the finale; passing: comes and goes at random. */
export type Habit = 'online' | 'away' | 'passing'

/** ms that one who comes and goes stays, and stays away. */
const STAY = { min: 1, max: 400 }
const AWAY = { min: 1, max: 900 }
/** Grants from here on are refusals. */
const REFUSAL = 0x80

export class Subscriber {
  readonly book: SubscriberBook
  readonly #world: World
  readonly #random: Random
  readonly #version: 4 | 5
  readonly #habit: Habit
  readonly #hesitation: number
  readonly #standing: Standing
  /** QoS 2, by packet identifier, from PUBLISH to PUBREL. */
  readonly #held = new Map<number, { publisher: PublisherBook; number: number }>()
  #isSubscribed = false

  /** `hesitation` in milliseconds: the answer to a message comes so much later. */
  constructor(fields: {
    world: World
    random: Random
    book: SubscriberBook
    version: 4 | 5
    habit: Habit
    hesitation?: number
  }) {
    this.#world = fields.world
    this.#random = fields.random
    this.book = fields.book
    this.#version = fields.version
    this.#habit = fields.habit
    this.#hesitation = fields.hesitation ?? 0
    this.#standing = new Standing({ world: fields.world, clientId: fields.book.name })
  }

  /** Subscribes and takes what comes, over all lives of the gateway, until the run is over. */
  async run(): Promise<void> {
    const world = this.#world
    while (!world.isOver) {
      if (this.#habit === 'away' && this.#isSubscribed) await world.finale()
      const client = await world.connect({
        clientId: this.book.name,
        version: this.#version,
        clean: false,
        random: this.#random,
        onPacket: (from, packet) => this.#take(from, packet),
      })
      if (client === undefined) return
      if (!this.#isSubscribed) await this.#subscribe(client)
      if (this.#isSubscribed) await this.#stay(client)
      await this.#leave(client)
      if (this.#habit === 'passing') await world.pause(this.#random.between(AWAY.min, AWAY.max))
    }
  }

  async #subscribe(client: RawClient): Promise<void> {
    const topic = `t/+/${this.book.topic ?? '+'}`
    // Fails when the gateway dies before it has answered: the next time, then.
    await client.subscribe({ topic, qos: this.book.qos }).catch(() => client.socket.destroy())
  }

  async #stay(client: RawClient): Promise<void> {
    const world = this.#world
    if (this.#habit === 'passing' && !world.isFinale) {
      await Promise.race([client.closed, world.pause(this.#random.between(STAY.min, STAY.max))])
    }
    if (this.#habit === 'online' || world.isFinale) await client.closed
  }

  /** With DISCONNECT or without. */
  async #leave(client: RawClient): Promise<void> {
    if (client.open && this.#random.chance(0.5)) await client.disconnect()
    else if (client.open) await client.cut()
  }

  #take(client: RawClient, packet: Packet): void {
    if (packet.cmd === 'connack') this.#resume(packet as IConnackPacket)
    else if (packet.cmd === 'suback') this.#subscribed(packet as ISubackPacket)
    else if (packet.cmd === 'publish') this.#receive(client, packet)
    else if (packet.cmd === 'pubrel') this.#release(client, packet.messageId as number)
  }

  #resume(connack: IConnackPacket): void {
    if (this.#standing.check(connack)) return
    this.#held.clear()
    this.#isSubscribed = false
  }

  #subscribed(suback: ISubackPacket): void {
    const { books } = this.#world
    const refusal = suback.granted.find(granted => (granted as number) >= REFUSAL)
    if (refusal !== undefined) books.odd(`${this.book.name}: the subscription was refused with ${refusal}`)
    this.book.subscribed(books.publishers.values())
    this.#isSubscribed = true
  }

  #receive(client: RawClient, packet: IPublishPacket): void {
    const { topic, qos, payload, messageId = 0 } = packet
    const publisher = this.#world.books.publishers.get(topic.split('/')[1] ?? '')
    const number = publisher === undefined ? undefined : numberOf(publisher.name, payload as Buffer)
    if (publisher === undefined || number === undefined || !this.#isRight(publisher, number, packet)) {
      const start = payload.toString('latin1', 0, 30)
      this.#odd(`${payload.length} bytes "${start}" came on ${topic} with QoS ${qos}, and never were sent so`)
    } else if (qos < 2) {
      this.book.receive(publisher, number, this.#world.now())
    } else {
      const held = this.#held.get(messageId)
      if (held === undefined) {
        this.#held.set(messageId, { publisher, number })
        this.book.receive(publisher, number, this.#world.now())
      } else if (held.publisher !== publisher || held.number !== number) {
        // [MQTT-2.3.1-4]
        const other = `${held.publisher.name}/${held.number}`
        this.#odd(`${publisher.name}/${number} came with packet identifier ${messageId}, which ${other} still has`)
      }
    }
    if (qos > 0) this.#answer(client, qos === 1 ? 'puback' : 'pubrec', messageId)
  }

  #isRight(publisher: PublisherBook, number: number, { topic, qos }: IPublishPacket): boolean {
    const granted = Math.min(publisher.qos, this.book.qos)
    const isSent = number < publisher.sent && topic === publisher.topicOf(number)
    return isSent && qos === granted && this.book.wants(publisher, number)
  }

  #answer(client: RawClient, cmd: 'puback' | 'pubrec', messageId: number): void {
    if (this.#hesitation === 0) client.send({ cmd, messageId })
    else setTimeout(() => client.open && client.send({ cmd, messageId }), this.#hesitation)
  }

  #release(client: RawClient, messageId: number): void {
    const held = this.#held.get(messageId)
    this.#held.delete(messageId)
    if (held !== undefined) this.book.of(held.publisher).complete(held.number, this.#world.now())
    client.send({ cmd: 'pubcomp', messageId })
  }

  #odd(sentence: string): void {
    this.#world.books.odd(`${this.book.name}, ${this.#world.now()} ms: ${sentence}`)
  }
}

/** ms between two looks of the watcher. */
const LOOK_EVERY = { min: 20, max: 400 }
/** Comes after the retained messages, because it was published after them. */
const FENCE = 'watch/fence'

/** Looks again and again at the retained messages, as a new subscriber. */
export class Watcher {
  readonly #world: World
  readonly #random: Random

  constructor(fields: { world: World; random: Random }) {
    this.#world = fields.world
    this.#random = fields.random
  }

  async run(): Promise<void> {
    while (!this.#world.isFinale) {
      await this.look()
      await this.#world.pause(this.#random.between(LOOK_EVERY.min, LOOK_EVERY.max))
    }
  }

  /** Looks once, as soon as it can. False when the gateway dies before it is done. */
  async look(): Promise<boolean> {
    const seen = new Map<string, Buffer>()
    let isOver: (withFence: boolean) => void = () => {}
    const over = new Promise<boolean>(resolve => (isOver = resolve))
    const client = await this.#world.connect({
      clientId: 'watcher',
      version: 4,
      clean: true,
      random: this.#random,
      onPacket: (from, packet) => {
        if (packet.cmd !== 'publish') return
        if (packet.retain) seen.set(packet.topic, packet.payload as Buffer)
        if (packet.topic === FENCE) isOver(true)
        if (packet.qos === 1) from.send({ cmd: 'puback', messageId: packet.messageId as number })
      },
    })
    if (client === undefined) return false
    const at = this.#world.now()
    void client.closed.then(() => isOver(false))
    try {
      await client.subscribe({ topic: 'r/#', qos: 1 }, { topic: FENCE, qos: 1 })
      client.send({ cmd: 'publish', topic: FENCE, payload: '', qos: 1, retain: false, dup: false, messageId: 1 })
      if (!(await over)) return false
      this.#record(at, seen)
      return true
    } catch {
      return false
    } finally {
      client.socket.destroy()
      await client.closed
    }
  }

  #record(at: number, seen: ReadonlyMap<string, Buffer>): void {
    const { books } = this.#world
    for (const topic of seen.keys()) if (!books.retained.has(topic)) books.odd(`${topic} is retained, by nobody`)
    for (const { topic, sent } of books.retained.values()) {
      const payload = seen.get(topic)
      const value = payload === undefined ? undefined : numberOf(topic, payload)
      if (payload !== undefined && value === undefined) books.odd(`the retained message of ${topic} is not whole`)
      else books.sightings.push({ topic, at, sent, value })
    }
  }
}
