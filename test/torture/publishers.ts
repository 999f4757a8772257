/**
 * Publishers that behave as clients must: a window of messages in flight, and after a broken line everything that
 * was not acknowledged again, in order, with the same packet identifiers, marked DUP; and the PUBRELs in the order
 * of the PUBRECs (MQTT 3.1.1 §4.4, [MQTT-4.6.0-1], [MQTT-4.6.0-4]). What they publish is the business of a source.
 * PUBACK and PUBREC are the promises that are written down.
 */
import type { IConnackPacket, IPubackPacket, IPubrecPacket, Packet } from 'mqtt-packet'
import type { RawClient } from '../support/mqtt-client.ts'
import type { PublisherBook, Qos, RetainedBook } from './books.ts'
import type { Random } from './random.ts'
import { Standing, type World } from './world.ts'

/** Messages in flight at most. */
const WINDOW = 20
/** Packet identifiers are taken in turn from so few that each is used again soon: a gateway must have forgotten it in time. */
const PACKET_IDS = WINDOW * 2
/** Bursts begin so many ms after each other: some fill the window, and between them there is quiet. */
const BURST_EVERY = { min: 5, max: 95 }
/** Bytes of a payload. */
const PAYLOAD = { min: 20, max: 400 }
/** Reason codes from here on are failures (MQTT 5 §2.4). */
const FAILURE = 0x80

export interface Outgoing {
  topic: string
  payload: Buffer
  retain: boolean
  acknowledged(): void
}

export interface Source {
  next(): Outgoing
}

interface Flight {
  message: Outgoing
  sent: boolean
  released: boolean
}

export class Publisher {
  readonly name: string
  readonly #world: World
  readonly #random: Random
  readonly #qos: Qos
  readonly #version: 4 | 5
  readonly #rate: number
  readonly #source: Source
  readonly #rest: number
  readonly #isResting: () => boolean
  readonly #standing: Standing
  /** By packet identifier, oldest first. */
  readonly #inFlight = new Map<number, Flight>()
  /** Packet identifiers whose PUBREC came, in that order. */
  readonly #released = new Set<number>()
  #packetId = 0
  #due = 0
  #finishing = false

  /**
   * `rate` in messages a second, on the average and while connected. Nothing new is published while `isResting`, and
   * in up to `rest` milliseconds after a connection was made; what was in flight goes at once.
   */
  constructor(fields: {
    world: World
    random: Random
    name: string
    qos: Qos
    version: 4 | 5
    rate: number
    source: Source
    rest?: number
    isResting?: () => boolean
  }) {
    this.#world = fields.world
    this.#random = fields.random
    this.name = fields.name
    this.#qos = fields.qos
    this.#version = fields.version
    this.#rate = fields.rate
    this.#source = fields.source
    this.#rest = fields.rest ?? 0
    this.#isResting = fields.isResting ?? (() => false)
    this.#standing = new Standing({ world: fields.world, clientId: fields.name })
  }

  get inFlight(): number {
    return this.#inFlight.size
  }

  /** Nothing new from here on: `run` resolves when everything in flight is acknowledged. */
  finish(): void {
    this.#finishing = true
  }

  /** Publishes over all lives of the gateway. */
  async run(): Promise<void> {
    while (!this.#isDone()) {
      const client = await this.#world.connect({
        clientId: this.name,
        version: this.#version,
        clean: false,
        random: this.#random,
        onPacket: (from, packet) => this.#take(from, packet),
      })
      if (client === undefined) return
      await Promise.race([client.closed, this.#world.pause(this.#random.between(0, this.#rest))])
      while (client.open && !this.#isDone()) {
        await this.#world.pause(this.#random.between(BURST_EVERY.min, BURST_EVERY.max))
        this.#due = this.#isResting() ? 0 : this.#due + this.#burst()
        this.#pump(client)
      }
      client.socket.destroy()
      await client.closed
    }
  }

  #isDone(): boolean {
    return this.#world.isOver || (this.#finishing && this.#inFlight.size === 0)
  }

  /** Messages of one burst: as many as keep the rate, on the average. */
  #burst(): number {
    const average = (this.#rate * (BURST_EVERY.min + BURST_EVERY.max)) / 2 / 1000
    return this.#random.between(0, average * 2 + 1)
  }

  #take(client: RawClient, packet: Packet): void {
    if (packet.cmd === 'connack') this.#resume(client, packet as IConnackPacket)
    if (packet.cmd !== 'puback' && packet.cmd !== 'pubrec' && packet.cmd !== 'pubcomp') return
    const packetId = packet.messageId as number
    const flight = this.#inFlight.get(packetId)
    const { reasonCode = 0 } = packet as IPubackPacket & IPubrecPacket
    // PUBCOMP may say that the identifier is not known: after a broken line that is no error (MQTT 5 §3.7.2.1).
    if (flight === undefined || (reasonCode >= FAILURE && packet.cmd !== 'pubcomp')) {
      const why = flight === undefined ? 'nobody waits for' : `says ${reasonCode}`
      this.#world.books.odd(`${this.name}: ${packet.cmd} ${packetId} at ${this.#world.now()} ms ${why}`)
      return
    }
    if (packet.cmd === 'pubrec') {
      if (!flight.released) flight.message.acknowledged()
      flight.released = true
      this.#released.add(packetId)
      client.send({ cmd: 'pubrel', messageId: packetId })
      return
    }
    if (packet.cmd === 'puback') flight.message.acknowledged()
    this.#inFlight.delete(packetId)
    this.#released.delete(packetId)
    this.#pump(client)
  }

  #resume(client: RawClient, connack: IConnackPacket): void {
    this.#standing.check(connack)
    this.#due = 0
    for (const messageId of this.#released) client.send({ cmd: 'pubrel', messageId })
    for (const [packetId, flight] of this.#inFlight) if (!flight.released) this.#send(client, packetId, flight)
  }

  #pump(client: RawClient): void {
    client.socket.cork()
    for (; this.#due > 0 && client.open && !this.#finishing && this.#inFlight.size < WINDOW; this.#due--) {
      do this.#packetId = (this.#packetId % PACKET_IDS) + 1
      while (this.#inFlight.has(this.#packetId))
      const flight = { message: this.#source.next(), sent: false, released: false }
      this.#inFlight.set(this.#packetId, flight)
      this.#send(client, this.#packetId, flight)
    }
    client.socket.uncork()
  }

  #send(client: RawClient, messageId: number, flight: Flight): void {
    const { topic, payload, retain } = flight.message
    client.send({ cmd: 'publish', topic, payload, retain, qos: this.#qos, dup: flight.sent, messageId })
    flight.sent = true
  }
}

/** Numbered messages on several topics in turn. */
export class NumberedSource implements Source {
  readonly #world: World
  readonly #book: PublisherBook

  constructor(fields: { world: World; book: PublisherBook }) {
    this.#world = fields.world
    this.#book = fields.book
  }

  next(): Outgoing {
    const world = this.#world
    const book = this.#book
    const number = book.sent++
    return {
      topic: book.topicOf(number),
      payload: payloadOf(book.name, number),
      retain: false,
      acknowledged: () => {
        const now = world.now()
        book.acknowledge(number, now)
        world.note(`${now} acknowledged ${book.name}/${number}`)
      },
    }
  }
}

/** One retained message in ten takes its topic's value away. */
const REMOVALS = 0.1

/** Retained values that count up, on one of a few topics at a time. */
export class RetainedSource implements Source {
  readonly #world: World
  readonly #random: Random
  readonly #books: readonly RetainedBook[]

  constructor(fields: { world: World; random: Random; books: readonly RetainedBook[] }) {
    this.#world = fields.world
    this.#random = fields.random
    this.#books = fields.books
  }

  next(): Outgoing {
    const world = this.#world
    const book = this.#books[this.#random.between(0, this.#books.length)] as RetainedBook
    const isRemoval = this.#random.chance(REMOVALS)
    const value = book.send(isRemoval)
    return {
      topic: book.topic,
      payload: isRemoval ? Buffer.alloc(0) : payloadOf(book.topic, value),
      retain: true,
      acknowledged: () => {
        const now = world.now()
        book.acknowledge(value, now)
        world.note(`${now} acknowledged ${book.topic}/${value}`)
      },
    }
  }
}

/** Begins with `<name>/<number>/`; its length follows from the number. */
export function payloadOf(name: string, number: number): Buffer {
  const length = PAYLOAD.min + ((number * 37) % (PAYLOAD.max - PAYLOAD.min + 1))
  return Buffer.from(`${name}/${number}/`.padEnd(length, 'larder '))
}

/** The number in a payload of `name`; undefined when that is not what it is, whole and to the byte. */
export function numberOf(name: string, payload: Buffer): number | undefined {
  const number = Number(payload.toString('latin1', name.length + 1, payload.indexOf(0x2f, name.length + 1)))
  return Number.isSafeInteger(number) && payload.equals(payloadOf(name, number)) ? number : undefined
}
