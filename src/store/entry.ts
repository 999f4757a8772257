/**
 * A message in the store, and its references: one for each session whose queue it stands in.
 *
 * An entry begins *pending*: in memory, waiting for the next commit. If all its references are removed
 * while it is pending it is never written (elision). A commit makes it *durable*.
 */
import type { Delivery, Message, Settlement } from '../broker/ports.ts'
import type { LevelQueue } from './queue.ts'

export const PENDING = 0
export const COMMITTING = 1
export const DURABLE = 2

/** Where a message waits: a queue and a place in it. */
export interface Place {
  readonly queue: LevelQueue
  readonly index: number
}

export class Entry {
  /** Number of the message; its body's key. */
  readonly id: number
  readonly message: Message
  /** The references, of an entry that was not read from disk. Those removed before the commit are taken out by it. */
  refs: Ref[] = []
  /** The places written in the body, of an entry that was read from disk. */
  readonly #places: readonly Place[] | undefined
  state: typeof PENDING | typeof COMMITTING | typeof DURABLE
  /** References not removed yet. Only counted before the entry is durable; after that the queues are asked. */
  waiting = 0
  /** The publisher waits for the commit even if nobody waits for the message: it is retained, or of QoS 2. */
  readonly mustCommit: boolean
  #settlement: Settlement | null
  /** Places before this one are known to be gone. */
  #gone = 0

  constructor(fields: {
    id: number
    message: Message
    state: typeof PENDING | typeof DURABLE
    mustCommit: boolean
    settlement: Settlement | null
    places?: readonly Place[]
  }) {
    this.id = fields.id
    this.message = fields.message
    this.state = fields.state
    this.mustCommit = fields.mustCommit
    this.#settlement = fields.settlement
    this.#places = fields.places
  }

  /** QoS 2 is delivered only when it is durable: exactly once must survive a pulled plug. */
  get held(): boolean {
    return this.state !== DURABLE && this.message.qos === 2
  }

  settle(): void {
    const settlement = this.#settlement
    if (settlement === null) return
    this.#settlement = null
    settlement.settled()
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
}

export class Ref implements Delivery {
  readonly entry: Entry
  readonly queue: LevelQueue
  readonly index: number
  readonly qos: 1 | 2
  readonly retain: boolean
  /** Packet identifier given through aedes' contract; undefined when it follows from the index. */
  packetId: number | undefined = undefined
  released = false
  removed = false

  constructor(fields: { entry: Entry; queue: LevelQueue; index: number; qos: 1 | 2; retain: boolean }) {
    this.entry = fields.entry
    this.queue = fields.queue
    this.index = fields.index
    this.qos = fields.qos
    this.retain = fields.retain
  }

  get message(): Message {
    return this.entry.message
  }

  get dup(): boolean {
    return this.index < this.queue.sentBefore
  }

  /** Bytes of topic and payload: what limits count. */
  get size(): number {
    return sizeOf(this.entry.message)
  }
}

/** Bytes of topic and payload of a message: what limits count. */
export function sizeOf(message: Message): number {
  return message.topicBytes.length + message.payload.length
}
