/**
 * What a torture run remembers: for every publisher what it sent and when it was acknowledged, for every subscriber
 * what came, when first, in which order and how often, what new subscribers saw of the retained messages, and when
 * the gateway lived. Numbers only, some ten bytes a message and subscriber; `judge.ts` reads nothing else.
 *
 * Message n of a publisher is on topic `firstTopic` + n mod `topics`. Times are whole milliseconds since the run began,
 * monotonic, given by whoever writes.
 */
import { bytes, words } from './columns.ts'

/** Oddities are kept until there are so many: one is enough to fail, a flood would fill the memory. */
const MAX_ODDITIES = 100

export type Qos = 1 | 2

export class PublisherBook {
  readonly name: string
  readonly qos: Qos
  readonly topics: number
  readonly firstTopic: number
  /** So many were sent: those with the numbers from 0 on. */
  sent = 0
  acknowledged = 0
  readonly #acknowledgedAt = words()

  constructor(fields: { name: string; qos: Qos; topics: number; firstTopic?: number }) {
    this.name = fields.name
    this.qos = fields.qos
    this.topics = fields.topics
    this.firstTopic = fields.firstTopic ?? 0
  }

  topicOf(number: number): string {
    return `t/${this.name}/${this.topicNumber(number)}`
  }

  topicNumber(number: number): number {
    return this.firstTopic + (number % this.topics)
  }

  /** PUBACK or PUBREC came. Called again for the same number, it changes nothing. */
  acknowledge(number: number, at: number): void {
    if (this.acknowledgedAt(number) !== undefined) return
    this.acknowledged++
    this.#acknowledgedAt.set(number, at + 1)
  }

  acknowledgedAt(number: number): number | undefined {
    const cell = this.#acknowledgedAt.get(number)
    return cell === 0 ? undefined : cell - 1
  }
}

/** What one subscriber got of one publisher. */
class Receipts {
  readonly #times = bytes()
  readonly #places = words()
  readonly #at = words()

  add(number: number, place: number, at: number): boolean {
    const times = this.#times.get(number) + 1
    this.#times.set(number, times)
    if (times > 1) return false
    this.#places.set(number, place)
    this.#at.set(number, at)
    return true
  }

  /** A QoS 2 exchange is over: PUBREL came. */
  complete(number: number, at: number): void {
    this.#at.set(number, at)
  }

  /** How often it came, at most 255. */
  times(number: number): number {
    return this.#times.get(number)
  }

  /** The place of its first coming among everything that came to the subscriber. */
  place(number: number): number {
    return this.#places.get(number)
  }

  /** When the gateway could forget it: when it came, and for QoS 2 when its exchange was over. */
  at(number: number): number {
    return this.#at.get(number)
  }
}

export class SubscriberBook {
  readonly name: string
  readonly qos: Qos
  /** The one topic of each publisher that it subscribes to; undefined for all. */
  readonly topic: number | undefined
  /** Different messages that came. */
  delivered = 0
  /** Messages that came again. */
  repeated = 0
  readonly receipts = new Map<string, Receipts>()
  /** By publisher, the first number that was sent after the subscription was acknowledged. */
  readonly #since = new Map<string, number>()

  constructor(fields: { name: string; qos: Qos; topic?: number | undefined }) {
    this.name = fields.name
    this.qos = fields.qos
    this.topic = fields.topic
  }

  /** SUBACK came: from here on, everything counts. Called again, it changes nothing. */
  subscribed(publishers: Iterable<PublisherBook>): void {
    for (const { name, sent } of publishers) if (!this.#since.has(name)) this.#since.set(name, sent)
  }

  /** The first number of `publisher` that must come; undefined while the subscription is not acknowledged. */
  since(publisher: PublisherBook): number | undefined {
    return this.#since.get(publisher.name)
  }

  wants(publisher: PublisherBook, number: number): boolean {
    return this.topic === undefined || publisher.topicNumber(number) === this.topic
  }

  receive(publisher: PublisherBook, number: number, at: number): void {
    const receipts = this.of(publisher)
    if (receipts.add(number, this.delivered + 1, at)) this.delivered++
    else this.repeated++
  }

  of(publisher: PublisherBook): Receipts {
    let receipts = this.receipts.get(publisher.name)
    if (receipts === undefined) {
      receipts = new Receipts()
      this.receipts.set(publisher.name, receipts)
    }
    return receipts
  }
}

/** One retained topic. Its values count up from 0; some of them are removals. */
export class RetainedBook {
  readonly topic: string
  sent = 0
  acknowledged = 0
  readonly #acknowledgedAt = words()
  readonly #removals = bytes()

  constructor(topic: string) {
    this.topic = topic
  }

  /** The next value is sent; gives its number. */
  send(isRemoval: boolean): number {
    if (isRemoval) this.#removals.set(this.sent, 1)
    return this.sent++
  }

  acknowledge(value: number, at: number): void {
    if (this.acknowledgedAt(value) !== undefined) return
    this.acknowledged++
    this.#acknowledgedAt.set(value, at + 1)
  }

  acknowledgedAt(value: number): number | undefined {
    const cell = this.#acknowledgedAt.get(value)
    return cell === 0 ? undefined : cell - 1
  }

  isRemoval(value: number): boolean {
    return this.#removals.get(value) === 1
  }
}

/** What a new subscriber saw of one retained topic. */
export interface Sighting {
  topic: string
  /** When it began to ask. */
  at: number
  /** So many values had been sent when it had its answer. */
  sent: number
  /** Undefined: nothing. */
  value: number | undefined
}

/** From one start of the gateway to its end. */
export interface Life {
  startedAt: number
  /** Undefined while it lives. */
  killedAt: number | undefined
}

/** A session that was not there when its client came back. */
export interface LostSession {
  client: string
  /** When the client was first told that it stands. */
  stoodAt: number
  goneAt: number
}

export class Books {
  readonly publishers = new Map<string, PublisherBook>()
  readonly subscribers = new Map<string, SubscriberBook>()
  readonly retained = new Map<string, RetainedBook>()
  readonly sightings: Sighting[] = []
  readonly lives: Life[] = []
  readonly lostSessions: LostSession[] = []
  /** What cannot be right whenever it happens, as sentences. */
  readonly oddities: string[] = []

  addPublisher(fields: ConstructorParameters<typeof PublisherBook>[0]): PublisherBook {
    const book = new PublisherBook(fields)
    this.publishers.set(book.name, book)
    return book
  }

  addSubscriber(fields: ConstructorParameters<typeof SubscriberBook>[0]): SubscriberBook {
    const book = new SubscriberBook(fields)
    this.subscribers.set(book.name, book)
    return book
  }

  addRetained(topic: string): RetainedBook {
    const book = new RetainedBook(topic)
    this.retained.set(topic, book)
    return book
  }

  odd(sentence: string): void {
    if (this.oddities.length < MAX_ODDITIES) this.oddities.push(sentence)
  }

  get acknowledged(): number {
    return sum([...this.publishers.values(), ...this.retained.values()], book => book.acknowledged)
  }

  get delivered(): number {
    return sum(this.subscribers.values(), book => book.delivered)
  }

  get repeated(): number {
    return sum(this.subscribers.values(), book => book.repeated)
  }
}

function sum<T>(books: Iterable<T>, of: (book: T) => number): number {
  let total = 0
  for (const book of books) total += of(book)
  return total
}
