/**
 * The queue of one persistent session, in an engine that speaks aedes' contract. What waits is in the engine, in order;
 * while a connection of this gateway is attached, the front of it is in memory:
 *
 *        the engine's list:  | sent, unacked | to be sent next | not read yet |
 *        in memory:          | #loaded ------------------------|
 *
 * A message enters in the engine first. If all that waits is in memory, it is then appended there too; else it is read when
 * its turn comes. A message of another gateway is read when that gateway tells of it (`wake`).
 *
 * The place in the queue is given when the message enters and goes with it, so the packet identifier that follows from it is
 * the same on every gateway.
 */
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import { Deque } from '../kernel/deque.ts'
import type { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { ContractPacket } from './contract.ts'
import { PAGE } from './link.ts'
import { keyOf, type PacketId, type Place, packetOf, placed } from './wire.ts'

/** What a queue needs of the store. Promises reject only when the gateway stops. */
export interface QueueStore {
  /** Packets from the front, in order: at most `PAGE`, and no more new ones than fit in so many bytes. */
  read(
    clientId: string,
    isNew: (packet: ContractPacket) => boolean,
  ): Promise<{ packets: ContractPacket[]; isCut: boolean }>
  /** Appends the places in their order, and gives each its number. */
  append(clientId: string, places: readonly Place[]): Promise<PacketId[]>
  /** Writes a packet again. */
  rewrite(clientId: string, packet: ContractPacket): Promise<void>
  /** Removes a packet for good. */
  clear(clientId: string, id: PacketId, released: boolean): Promise<void>
  /** Records that PUBREC came, as the so-manieth. */
  release(clientId: string, id: PacketId, number: number): Promise<void>
  /** Everything that is in the engine. */
  all(clientId: string): AsyncIterable<ContractPacket>
  /** Something was appended that no connection of this gateway takes. */
  tell(clientId: string): void
  /** A packet that cannot be read was removed. */
  unreadable(clientId: string, error: unknown): void
}

/** Places that enter together: two round trips to Redis serve them all. */
const WRITE_BATCH = 200
/** When fewer than this are to be sent next, more are read. */
const LOW = PAGE / 2
/** Bytes of messages that are to be sent next and are kept in memory. */
export const MEMORY_BYTES = 4 * 1024 * 1024
/** Acknowledged messages that Redis is still to remove: beyond, the client is sent nothing new. */
const MAX_REMOVING = 1_000

class Item implements Delivery, PacketId {
  readonly brokerId: string
  readonly brokerCounter: number
  readonly index: number
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | undefined
  readonly isShared: boolean
  readonly key: string
  dup: boolean
  released: number | undefined = undefined
  packetId: number | undefined = undefined
  isRemoved = false

  constructor(id: PacketId, place: Place, dup: boolean) {
    this.brokerId = id.brokerId
    this.brokerCounter = id.brokerCounter
    this.index = id.index
    this.message = place.message
    this.qos = place.qos
    this.retain = place.retain
    this.subscriptionIdentifiers = place.subscriptionIdentifiers
    this.isShared = place.isShared
    this.key = keyOf(id)
    this.dup = dup
  }
}

interface Entering {
  readonly place: Place
  readonly done: () => void
}

/** What the engine knows of a session besides its messages. */
export interface Remembered {
  /** Places below this may have been sent by an earlier connection. */
  readonly sentBefore: number
  /** The order in which PUBRECs came, by packet. */
  readonly released: ReadonlyMap<string, number>
}

export class ContractQueue implements SessionQueue {
  readonly clientId: string
  onReady: (() => void) | null = null
  readonly #store: QueueStore
  /** In order; what is sent and not acknowledged is there too. */
  readonly #loaded = new Map<string, Item>()
  readonly #next = new Deque<Item>()
  readonly #entering = new Deque<Entering>()
  readonly #removing = new Set<string>()
  /** Removed while a look is under way that may have seen them. */
  readonly #goneMeanwhile = new Set<string>()
  #nextBytes = 0
  #isWriting = false
  #isReading = false
  #mustReadAgain = false
  /** All that waits is in memory. */
  #isWhole = false
  #hasEnded = false
  /** Counts connections: what was read for an earlier one is thrown away. */
  #generation = 0
  #sentUpTo = 0
  #sentBefore = 0
  #releases = 0
  #released: ReadonlyMap<string, number> = new Map()

  constructor(deps: { clientId: string; store: QueueStore }) {
    this.clientId = deps.clientId
    this.#store = deps.store
  }

  /** What waits and is in memory. What is in the engine only is not counted. */
  get count(): number {
    return this.#loaded.size + this.#entering.length
  }

  get attached(): boolean {
    return this.onReady !== null
  }

  /** Places below this were sent, or may have been. */
  get sentUpTo(): number {
    return Math.max(this.#sentUpTo, this.#sentBefore)
  }

  /** The session was opened on this gateway. */
  remember(remembered: Remembered): void {
    this.#sentBefore = Math.max(this.#sentBefore, remembered.sentBefore)
    this.#released = remembered.released
    this.#releases = Math.max(this.#releases, ...remembered.released.values())
  }

  /** `done` when the engine has it, or the session has ended. */
  enter(place: Place, done: () => void): void {
    if (this.#hasEnded) {
      done()
      return
    }
    this.#entering.push({ place, done })
    if (!this.#isWriting) void this.#write()
  }

  /** Another gateway has put something in. */
  wake(): void {
    if (this.attached) void this.#read()
  }

  /** The session has ended: what has not entered is given up. */
  end(): void {
    this.#hasEnded = true
    this.detach()
    for (let entering = this.#entering.shift(); entering !== undefined; entering = this.#entering.shift()) {
      entering.done()
    }
  }

  attach(onReady: () => void): void {
    this.onReady = onReady
    this.rewind()
  }

  detach(): void {
    this.onReady = null
    this.#forget()
  }

  rewind(): void {
    this.#forget()
    if (this.attached) void this.#read()
  }

  take(): Delivery | undefined {
    // An acknowledgement that comes faster than Redis removes must not pile up here.
    if (this.#removing.size >= MAX_REMOVING) return undefined
    let item = this.#next.shift()
    while (item?.isRemoved) item = this.#next.shift()
    if (item !== undefined) {
      this.#nextBytes -= item.message.size
      this.#sentUpTo = Math.max(this.#sentUpTo, item.index + 1)
    }
    if (!this.#isWhole && this.#isLow) void this.#read()
    return item
  }

  remove(delivery: Delivery): void {
    const item = delivery as Item
    if (item.isRemoved) return
    item.isRemoved = true
    this.#loaded.delete(item.key)
    void this.#clear(item, item.released !== undefined)
  }

  assign(delivery: Delivery, packetId: number, done: () => void): void {
    const item = delivery as Item
    item.packetId = packetId
    this.#store.rewrite(this.clientId, packetOf(item, item, packetId)).then(done, ignore)
  }

  release(delivery: Delivery, done: () => void): void {
    const item = delivery as Item
    item.released = ++this.#releases
    this.#store.release(this.clientId, item, item.released).then(done, ignore)
  }

  async *all(): AsyncGenerator<Delivery> {
    for await (const packet of this.#store.all(this.clientId)) {
      const item = this.#itemOf(packet)
      if (item !== undefined && !this.#removing.has(item.key)) yield item
    }
  }

  get #isLow(): boolean {
    return this.#next.length < LOW && this.#nextBytes < MEMORY_BYTES
  }

  #forget(): void {
    this.#generation++
    this.#sentBefore = Math.max(this.#sentBefore, this.#sentUpTo)
    // What was released by this connection is known to the next one.
    const released = new Map(this.#released)
    for (const { key, released: number } of this.#loaded.values()) if (number !== undefined) released.set(key, number)
    this.#released = released
    this.#loaded.clear()
    this.#next.clear()
    this.#nextBytes = 0
    this.#isWhole = false
  }

  async #write(): Promise<void> {
    this.#isWriting = true
    try {
      while (this.#entering.length > 0) {
        const batch: Entering[] = []
        while (batch.length < WRITE_BATCH && this.#entering.length > 0) batch.push(this.#entering.shift() as Entering)
        const ids = await this.#store.append(
          this.clientId,
          batch.map(({ place }) => place),
        )
        // Every queue of a message has it, or will: the order of these two is nobody's concern.
        for (const [i, { place, done }] of batch.entries()) {
          this.#append(ids[i] as PacketId, place)
          done()
        }
        if (this.attached) this.onReady?.()
        else this.#store.tell(this.clientId)
      }
    } catch {
      // The gateway stops: nobody is told that it is kept.
    } finally {
      this.#isWriting = false
    }
  }

  /** The engine has a new message at its end. */
  #append(id: PacketId, place: Place): void {
    if (!this.attached) return
    if (this.#isReading) this.#mustReadAgain = true
    else if (this.#isWhole && (this.#next.length >= PAGE || this.#nextBytes >= MEMORY_BYTES)) this.#isWhole = false
    else if (this.#isWhole) this.#load(new Item(id, place, false))
    else if (this.#isLow) void this.#read()
  }

  #load(item: Item): void {
    this.#loaded.set(item.key, item)
    this.#next.push(item)
    this.#nextBytes += item.message.size
  }

  async #read(): Promise<void> {
    this.#mustReadAgain = true
    if (this.#isReading) return
    this.#isReading = true
    try {
      while (this.#mustReadAgain && this.attached) {
        this.#mustReadAgain = false
        const generation = this.#generation
        const { packets, isCut } = await this.#store.read(this.clientId, packet => !this.#knows(keyOf(packet)))
        if (generation === this.#generation) this.#take(packets, isCut)
        else this.#mustReadAgain = true
        this.#goneMeanwhile.clear()
      }
    } catch {
      // The gateway stops.
    } finally {
      this.#isReading = false
    }
  }

  #take(packets: readonly ContractPacket[], isCut: boolean): void {
    let fresh = 0
    for (const packet of packets) {
      if (this.#knows(keyOf(packet))) continue
      const item = this.#itemOf(packet)
      if (item === undefined) continue
      fresh++
      this.#load(item)
    }
    // Only a look that finds nothing new says that there is nothing more.
    this.#isWhole = fresh === 0 && !isCut && packets.length < PAGE
    if (fresh === 0) return
    if (this.#isLow) this.#mustReadAgain = true
    this.onReady?.()
  }

  #knows(key: string): boolean {
    return this.#loaded.has(key) || this.#removing.has(key) || this.#goneMeanwhile.has(key)
  }

  /** Undefined for what is no message that waits: it is removed. */
  #itemOf(packet: ContractPacket): Item | undefined {
    try {
      const place = placed(packet)
      if (!place.isGone) {
        const item = new Item(place, place, place.index < this.#sentBefore)
        item.packetId = place.packetId
        item.released = this.#released.get(item.key)
        return item
      }
      void this.#clear(place, true)
    } catch (error) {
      this.#store.unreadable(this.clientId, error)
      void this.#clear({ brokerId: `${packet.brokerId}`, brokerCounter: packet.brokerCounter ?? 0, index: 0 }, true)
    }
    return undefined
  }

  async #clear(id: PacketId, released: boolean): Promise<void> {
    const key = keyOf(id)
    if (this.#removing.has(key)) return
    this.#removing.add(key)
    try {
      await this.#store.clear(this.clientId, id, released)
    } catch {
      return
    }
    if (this.#isReading) this.#goneMeanwhile.add(key)
    const wasFull = this.#removing.size >= MAX_REMOVING
    this.#removing.delete(key)
    if (!this.attached) return
    if (!this.#isWhole && this.#isLow) void this.#read()
    if (wasFull) this.onReady?.()
  }
}

function ignore(): void {}
