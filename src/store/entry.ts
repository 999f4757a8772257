/**
 * A message in the store, and its references: one for each session whose queue it stands in.
 *
 * An entry begins *pending*: in memory, waiting for the next commit. If all its references are removed
 * while it is pending it is never written (elision). A commit makes it *durable*.
 */
import type { Delivery, Message, Settlement } from '../broker/ports.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { LevelQueue } from './queue.ts'
import { encodeReference } from './records.ts'

export const PENDING = 0
export const COMMITTING = 1
export const DURABLE = 2

/** Where a message waits: a queue and a place in it. */
export interface Place {
  readonly queue: LevelQueue
  readonly index: number
}

/** QoS 2: packet identifiers between PUBLISH and PUBREL of one session, with the message of those that are not on record yet. */
export type Received = Map<number, Entry | null>

/** A packet identifier that is to be on record with its message. */
export interface Receipt {
  readonly key: Buffer
  readonly ids: Received
  readonly packetId: number
}

export class Entry {
  /** Number of the message; its body's key. */
  readonly id: number
  readonly message: Message
  /** When it was accepted, in the time of the store. */
  readonly acceptedAt: number
  /** The references, of an entry that was not read from disk. Those removed before the commit are taken out by it. */
  refs: Ref[] = []
  /** The places written in the body, of an entry that was read from disk. */
  readonly #places: readonly Place[] | undefined
  state: typeof PENDING | typeof COMMITTING | typeof DURABLE
  /** References not removed yet. Only counted before the entry is durable; after that the queues are asked. */
  waiting = 0
  /** The publisher waits for the commit even if nobody waits for the message: it is retained, or of QoS 2. */
  readonly mustCommit: boolean
  /** Milliseconds before a power cut in which it may be lost; 0 when it is acknowledged only once it is durable. */
  readonly window: number
  /** It stands in the record of its only reference, and has none of its own. */
  isInline: boolean
  /** The publisher's packet identifier (QoS 2): on record in the same batch, or a crash between two would lose the message. */
  readonly #receipt: Receipt | undefined
  /** A batch with it failed: what of it lies on the disk is not known, and is removed by the next. */
  mayBeWritten = false
  #settlement: Settlement | null
  #repeated: Settlement | null = null
  /** Places before this one are known to be gone. */
  #gone = 0

  constructor(fields: {
    id: number
    message: Message
    acceptedAt: number
    state: typeof PENDING | typeof DURABLE
    mustCommit?: boolean
    window?: number
    isInline?: boolean
    receipt?: Receipt | undefined
    settlement?: Settlement | null
    places?: readonly Place[]
  }) {
    this.id = fields.id
    this.message = fields.message
    this.acceptedAt = fields.acceptedAt
    this.state = fields.state
    this.mustCommit = fields.mustCommit === true
    this.window = fields.window ?? 0
    this.isInline = fields.isInline === true
    this.#receipt = fields.receipt
    this.#receipt?.ids.set(this.#receipt.packetId, this)
    this.#settlement = fields.settlement ?? null
    this.#places = fields.places
  }

  /** QoS 2 is delivered only when it is durable: exactly once must survive a pulled plug. */
  get held(): boolean {
    return this.state !== DURABLE && this.message.qos === 2
  }

  /** False when nothing of it need be written any more. */
  get isAlive(): boolean {
    return this.waiting > 0 || this.mustCommit || this.mayBeWritten
  }

  /** The packet identifier that is to be on record; undefined when there is none, or it was released meanwhile. */
  get receipt(): Receipt | undefined {
    const receipt = this.#receipt
    return receipt?.ids.get(receipt.packetId) === this ? receipt : undefined
  }

  /** The publisher sent it again, on another connection: `settlement` is told, too, in place of one that was given here before. */
  alsoTell(settlement: Settlement): void {
    this.#repeated = settlement
  }

  settle(): void {
    const settlement = this.#settlement
    if (settlement === null) return
    this.#settlement = null
    settlement.settled()
    this.#repeated?.settled()
    this.#repeated = null
  }

  /** What is to be written of it has changed: decides where the message itself stands. A record that is rewritten at PUBREC (QoS 2) stays small. */
  place(): void {
    const [only] = this.refs
    this.isInline = this.refs.length === 1 && only !== undefined && only.qos < 2
  }

  /** True when no queue holds the message any more, so that its body can go. */
  isAbandoned(): boolean {
    const places = this.#places ?? this.refs
    for (; this.#gone < places.length; this.#gone++) {
      const place = places[this.#gone] as Place
      if (place.queue.has(place.index)) return false
    }
    return true
  }

  /** Of a message that is not abandoned as far as can be told: where it waits, when only the disk can tell that of all places; else none. */
  doubtfulPlaces(): readonly Place[] {
    const waiting = (this.#places ?? this.refs).slice(this.#gone).filter(({ queue, index }) => queue.has(index))
    return waiting.every(({ queue, index }) => queue.isDoubtful(index)) ? waiting : []
  }
}

/** How a message is to be sent to one session. */
export interface RefOptions {
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | undefined
  readonly isShared: boolean
}

export class Ref implements Delivery {
  readonly entry: Entry
  readonly queue: LevelQueue
  readonly index: number
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | undefined
  readonly isShared: boolean
  /** Packet identifier given through aedes' contract; undefined when it follows from the index. */
  packetId: number | undefined = undefined
  released: number | undefined = undefined
  /** PUBREC came as the so-manieth, and that is on its way to the record. */
  releasing: number | undefined = undefined
  removed = false

  constructor(entry: Entry, queue: LevelQueue, index: number, options: RefOptions) {
    this.entry = entry
    this.queue = queue
    this.index = index
    this.qos = options.qos
    this.retain = options.retain
    this.subscriptionIdentifiers = options.subscriptionIdentifiers
    this.isShared = options.isShared
  }

  get message(): Message {
    return this.entry.message
  }

  get acceptedAt(): number {
    return this.entry.acceptedAt
  }

  get dup(): boolean {
    return this.index < this.queue.sentBefore
  }

  get size(): number {
    return this.entry.message.size
  }

  /** That PUBREC came is on record: PUBREL may be sent, also when PUBREC comes again. */
  release(done: () => void): void {
    this.released = this.releasing
    done()
  }

  /** Its record in the queue. */
  record(): Buffer {
    const { entry, qos, retain, subscriptionIdentifiers, isShared, size, packetId } = this
    const released = this.released ?? this.releasing
    const message = entry.id
    const reference = { message, qos, retain, subscriptionIdentifiers, isShared, released, size, packetId }
    return encodeReference(reference, entry.isInline ? entry : undefined)
  }
}
