/**
 * The queue of one persistent session. On disk it is a run of references in order of arrival; in
 * memory it is three numbers, the references that are not durable yet, and, while a connection is
 * attached, what that connection reads next:
 *
 *        head            next          memoryFirst        tail
 *   gone | sent, unacked | to be read  | in memory        |
 *
 * Everything below `memoryFirst` is on disk or gone, so a session with a million waiting messages
 * costs no more memory than an empty one. `take` serves from memory when it can and from pages read
 * ahead when it must.
 */
import type { Delivery, SessionExpiry, SessionQueue } from '../broker/ports.ts'
import { Deque } from '../kernel/deque.ts'
import { DURABLE, type Entry, PENDING, Ref, type RefOptions } from './entry.ts'
import { Places } from './places.ts'
import type { Page, QueueStore } from './queue-store.ts'
import type { Quota } from './quota.ts'
import type { Position } from './records.ts'

/** The expiry of a session of MQTT 3.x. */
export const NEVER: SessionExpiry = { interval: undefined, leftAt: undefined }

/** An attached queue keeps this many messages that it will send next in memory… */
const MEMORY_MESSAGES = 2_000
/** …unless they are larger than this together. */
const MEMORY_BYTES = 1024 * 1024

/** When fewer messages than this of a page are left, the next page is read, so that the disk and the connection work at the same time. */
const READ_AHEAD = 250

export class LevelQueue implements SessionQueue {
  readonly clientId: string
  readonly session: number
  onReady: (() => void) | null = null
  /** Deliveries below this index may have been sent by an earlier connection. */
  sentBefore: number
  expiry: SessionExpiry
  readonly losses = { dropped: 0, expired: 0 }
  /** The session has ended: nothing in the queue counts any more. */
  discarded = false
  readonly #places: Places
  #next: number
  #count: number
  #bytes: number
  /** No message expires before this. */
  #soonest: number
  #written: Position
  readonly #store: QueueStore
  readonly #quota: Quota
  readonly #memory = new Deque<Ref>()
  #memoryFirst: number
  #memoryBytes = 0
  readonly #page = new Deque<Ref>()
  /** Of what is on disk, everything below this was read for this connection. */
  #readTo: number
  /** Counts connections; a page that was read for an earlier one is thrown away. */
  #generation = 0
  #reading = false
  #dropping = false

  constructor(fields: {
    clientId: string
    session: number
    /** Lowest index that may be on disk. */
    head: number
    position: Position
    expiry?: SessionExpiry
    store: QueueStore
    quota: Quota
  }) {
    this.expiry = fields.expiry ?? NEVER
    this.clientId = fields.clientId
    this.session = fields.session
    this.#store = fields.store
    this.#quota = fields.quota
    this.#places = new Places({ head: fields.head, ...fields.position })
    this.#next = fields.head
    this.#readTo = fields.head
    this.#memoryFirst = fields.position.tail
    this.#count = 0
    this.#bytes = 0
    this.#soonest = fields.position.soonest
    this.#account(fields.position.count, fields.position.bytes)
    this.#written = fields.position
    this.sentBefore = fields.position.sent
  }

  get count(): number {
    return this.#count
  }

  get bytes(): number {
    return this.#bytes
  }

  get attached(): boolean {
    return this.onReady !== null
  }

  /**
   * What is to be on record of the queue. It counts what the disk has: a message that is written later may have been
   * taken by then, and never be written.
   */
  position(): Position {
    let count = this.#count
    let bytes = this.#bytes
    // Messages are written in their order: those that are not stand last.
    for (let i = this.#memory.length - 1; i >= 0; i--) {
      const ref = this.#memory.at(i) as Ref
      if (ref.entry.state !== PENDING) break
      if (ref.removed) continue
      count--
      bytes -= ref.size
    }
    const { tail } = this.#places
    return { tail, sent: Math.max(this.sentBefore, this.#next), count, bytes, soonest: this.#soonest }
  }

  /** No message of the queue expires before this, in the time of the store; Infinity when none does. */
  get soonest(): number {
    return this.#soonest
  }

  /** True while a scan for expired messages is at work. */
  isSweeping = false

  /** True when the position on disk is no longer the true one. */
  isPositionNew(): boolean {
    const { tail, sent, count } = this.position()
    return tail !== this.#written.tail || sent !== this.#written.sent || count !== this.#written.count
  }

  positionWritten(position: Position): void {
    this.#written = position
  }

  /** True when a message of the queue is not durable yet. */
  get hasPending(): boolean {
    for (const ref of this.#memory) if (!ref.removed && ref.entry.state !== DURABLE) return true
    return false
  }

  /** True while the message at `index` waits for this session. */
  has(index: number): boolean {
    return !this.discarded && this.#places.has(index)
  }

  /** See `Places`. */
  isDoubtful(index: number): boolean {
    return this.#places.isDoubtful(index)
  }

  /** Appends a message that the next commit will write. */
  append(entry: Entry, options: RefOptions): Ref {
    const ref = new Ref(entry, this, this.#places.next(), options)
    this.#memory.push(ref)
    this.#memoryBytes += ref.size
    this.#account(1, ref.size)
    this.#soonest = Math.min(this.#soonest, this.#store.deadlineOf(entry))
    if (this.#quota.isOver(this)) void this.dropOldest(() => !this.#quota.isOver(this))
    return ref
  }

  attach(onReady: () => void): void {
    this.rewind()
    this.onReady = onReady
  }

  detach(): void {
    this.onReady = null
    this.rewind()
    this.#trim()
    this.#store.sessionLeft(this)
  }

  rewind(): void {
    this.#generation++
    this.#reading = false
    this.#page.clear()
    this.sentBefore = Math.max(this.sentBefore, this.#next)
    this.#next = this.#places.head
    this.#readTo = this.#places.head
  }

  take(): Delivery | undefined {
    while (this.#next < this.#places.tail) {
      const fromPage = this.#page.at(0)
      if (fromPage !== undefined) {
        this.#page.shift()
        if (this.#page.length < READ_AHEAD && this.#readTo < this.#memoryFirst) void this.#readAhead()
        if (fromPage.index < this.#next || !this.has(fromPage.index)) continue
        this.#next = fromPage.index + 1
        if (this.#isExpired(fromPage)) continue
        if (fromPage.index >= this.sentBefore) this.#store.sent(this)
        return fromPage
      }
      if (this.#next < this.#memoryFirst) {
        void this.#readAhead()
        return undefined
      }
      const ref = this.#memory.at(this.#next - this.#memoryFirst) as Ref
      if (!ref.removed && ref.entry.held) return undefined
      this.#next++
      if (ref.removed || this.#isExpired(ref)) continue
      // One that is still to be written has it written along.
      if (ref.entry.state !== PENDING && ref.index >= this.sentBefore) this.#store.sent(this)
      return ref
    }
    return undefined
  }

  remove(delivery: Delivery): void {
    const ref = delivery as Ref
    if (ref.removed || !this.has(ref.index)) return
    ref.removed = true
    this.#account(-1, -ref.size)
    this.#pass(ref.index)
    const { entry } = ref
    if (entry.state === DURABLE) this.#store.erase(ref)
    else if (--entry.waiting === 0 && !entry.mustCommit) entry.settle()
    this.#trim()
  }

  assign(delivery: Delivery, packetId: number, done: () => void): void {
    const ref = delivery as Ref
    ref.packetId = packetId
    this.#record(ref, done)
  }

  release(delivery: Delivery, done: () => void): void {
    const ref = delivery as Ref
    ref.releasing ??= this.#store.nextRelease()
    this.#record(ref, () => ref.release(done))
  }

  /** Writes what changed of a reference. If it is not durable yet, its first write will say so. */
  #record(ref: Ref, done: () => void): void {
    if (ref.entry.state === PENDING && !ref.entry.mayBeWritten) done()
    else this.#store.rewrite(ref, done)
  }

  /** The store calls this when messages of this queue became durable. */
  committed(): void {
    this.#trim()
    this.onReady?.()
  }

  /** A reference on disk whose message is not there: it is passed over. */
  lose(index: number, size: number): void {
    if (!this.has(index)) return
    this.#account(-1, -size)
    this.#pass(index)
  }

  /** Ends the queue: what is only in memory is given up, its publishers are settled. */
  discard(): void {
    for (const ref of [...this.#memory]) this.remove(ref)
    this.#account(-this.#count, -this.#bytes)
    this.discarded = true
    this.onReady = null
    this.#memory.clear()
    this.#page.clear()
    this.#places.clear()
    this.#generation++
  }

  async *all(placesAtOnce = Number.POSITIVE_INFINITY): AsyncGenerator<Ref> {
    let at = this.#places.head
    while (at < this.#memoryFirst) {
      const page = await this.#store.readPage(this, at, Math.min(at + placesAtOnce, this.#memoryFirst))
      at = page.readUntil
      for (const ref of page.refs) if (this.has(ref.index)) yield ref
    }
    for (const ref of [...this.#memory]) if (ref.index >= at && !ref.removed) yield ref
  }

  #pass(index: number): void {
    this.#places.leave(index)
    if (this.#next < this.#places.head) this.#next = this.#places.head
    this.#recount()
  }

  /** After a crash the counts may include what the crash took: an empty queue puts them right. */
  #recount(): void {
    if (!this.#places.isEmpty) return
    this.#account(-this.#count, -this.#bytes)
    this.#soonest = Number.POSITIVE_INFINITY
  }

  #account(count: number, bytes: number): void {
    // More may be there than was noted: records of a salvaged store are not all of the same age.
    const countChange = Math.max(count, -this.#count)
    const bytesChange = Math.max(bytes, -this.#bytes)
    this.#count += countChange
    this.#bytes += bytesChange
    this.#quota.add(countChange, bytesChange)
  }

  /** True when the message's time is over: then it is removed. One that may have been sent already is finished. */
  #isExpired(ref: Ref): boolean {
    const expiry = this.#store.deadlineOf(ref.entry)
    if (expiry === Number.POSITIVE_INFINITY || ref.dup || ref.released !== undefined) return false
    if (expiry > this.#store.now()) return false
    this.remove(ref)
    this.losses.expired++
    this.#store.expired()
    return true
  }

  /** Gives back memory: from the front, what is removed, and what is durable and not to be sent next. */
  #trim(): void {
    for (let ref = this.#memory.at(0); ref !== undefined; ref = this.#memory.at(0)) {
      const keep =
        !ref.removed &&
        (ref.entry.state !== DURABLE || (this.attached && ref.index >= this.#next && !this.#isMemoryFull()))
      if (keep) return
      this.#memory.shift()
      this.#memoryFirst = ref.index + 1
      this.#memoryBytes -= ref.size
    }
  }

  #isMemoryFull(): boolean {
    return this.#memory.length > MEMORY_MESSAGES || this.#memoryBytes > MEMORY_BYTES
  }

  async #readAhead(): Promise<void> {
    if (this.#reading) return
    this.#reading = true
    const generation = this.#generation
    const from = Math.max(this.#readTo, this.#next)
    try {
      const page = await this.#store.readPage(this, from, this.#memoryFirst)
      if (generation !== this.#generation) return
      this.#reading = false
      this.#takePage(from, page)
      this.onReady?.()
    } catch (error) {
      if (generation !== this.#generation) return
      this.#reading = false
      this.#store.readFailed(this, error)
    }
  }

  #takePage(from: number, page: Page): void {
    let expected = from
    for (const ref of page.refs) {
      if (ref.index > expected) this.#places.skip(expected, ref.index)
      expected = ref.index + 1
      if (this.has(ref.index)) this.#page.push(ref)
    }
    if (page.readUntil > expected) this.#places.skip(expected, page.readUntil)
    this.#recount()
    this.#readTo = page.readUntil
    this.#places.seen(page.readUntil)
    if (this.#page.length === 0) this.#next = Math.max(this.#next, page.readUntil)
  }

  /** Makes room: removes the oldest messages that no connection has in flight, until it is enough. */
  async dropOldest(isEnough: () => boolean): Promise<void> {
    if (this.#dropping) return
    this.#dropping = true
    try {
      // More may have come meanwhile than was there at first.
      for (let hasDropped = true; hasDropped; ) {
        hasDropped = false
        for await (const ref of this.all()) {
          if (isEnough()) return
          if (this.attached && ref.index < this.#next) continue
          this.remove(ref)
          this.#store.dropped(this)
          hasDropped = true
        }
      }
    } catch (error) {
      this.#store.readFailed(this, error)
    } finally {
      this.#dropping = false
    }
  }

  /** Removes the messages whose time is over, and yields after each that it looked at, so that the caller sets the pace. */
  async *sweep(): AsyncGenerator<void> {
    this.isSweeping = true
    let before = this.#soonest
    this.#soonest = Number.POSITIVE_INFINITY
    try {
      for await (const ref of this.all()) {
        const isSent = this.attached && ref.index < this.#next
        if (isSent || !this.#isExpired(ref)) this.#soonest = Math.min(this.#soonest, this.#store.deadlineOf(ref.entry))
        yield
      }
      before = Number.POSITIVE_INFINITY
    } finally {
      this.isSweeping = false
      this.#soonest = Math.min(this.#soonest, before)
    }
  }
}
