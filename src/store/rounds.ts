/**
 * One round through the records of a store, family by family, in the order of their keys: who exists (s), what waits
 * for whom (q, b), what belongs to sessions (p, u, i, d), and the rest. Of the messages, one page is in memory at a time; of the
 * sessions, a few numbers each, as in the gateway.
 */

import { checkedReceipt, checkedReference, decodeSubscription, decodeWill, knows, tried } from './checks.ts'
import type { BatchWriter, Operation } from './committer.ts'
import { after, type Range, type Records } from './disk.ts'
import { type FaultKind, Findings } from './findings.ts'
import {
  bodyKey,
  EVERYTHING,
  familyRange,
  filterOfKey,
  incomingOfKey,
  indexOfKey,
  messageOfKey,
  nameKey,
  nameOfKey,
  queueKey,
  queueRange,
  SCHEMA_VERSION,
  sessionKey,
  sessionOfKey,
} from './keys.ts'
import {
  type Body,
  decodeBody,
  decodePosition,
  decodeRetained,
  encodePosition,
  type Position,
  type Reference,
} from './records.ts'
import { decodeSession, numberValue, valueNumber } from './sessions.ts'
import { decodeTime, encodeTime, FIRST_TIME } from './time.ts'

/** Records read at a time. */
const PAGE_RECORDS = 500
/** Mending operations written at a time. */
const BATCH_OPERATIONS = 500

/** Every family, in the order of the keys. */
const FAMILIES = ['b', 'd', 'i', 'm', 'p', 'q', 'r', 's', 'u', 'w'] as const
/** Bytes of the keys of families that have fixed lengths. */
const KEY_LENGTHS: Readonly<Record<string, number>> = { b: 7, d: 5, p: 5, q: 11 }

/** What is found of a session. */
class Found {
  readonly clientId: string
  position: Position | undefined
  count = 0
  bytes = 0
  last = -1
  /** When the first of its messages expires. */
  soonest = Number.POSITIVE_INFINITY

  constructor(clientId: string) {
    this.clientId = clientId
  }
}

type Page = [key: Buffer, value: Buffer | undefined][]

export class Rounds {
  readonly #disk: Records
  /** Null: nothing is mended. */
  readonly #writer: BatchWriter | null
  readonly #findings = new Findings()
  readonly #sessions = new Map<number, Found>()
  readonly #clientIds = new Set<string>()
  /** Sessions that have ended: what is left of them is one fault each. */
  readonly #ended = new Set<number>()
  #operations: Operation[] = []
  #lastSession = -1
  #lastMessage = -1
  /** The latest time at which a message was accepted. */
  #lastTime = 0

  /** What does not fit together is mended if there is a `writer`. */
  constructor(records: Records, writer: BatchWriter | null = null) {
    this.#disk = records
    this.#writer = writer
  }

  async run(): Promise<Findings> {
    await this.#strangers()
    await this.#sessionRecords()
    await this.#discards()
    await this.#positions()
    await this.#queues()
    await this.#flush()
    await this.#bodies()
    await this.#wrongPositions()
    await this.#subscriptions()
    await this.#incoming()
    await this.#retained()
    await this.#wills()
    await this.#itself()
    await this.#flush()
    return this.#findings
  }

  /** Keys of no family. */
  async #strangers(): Promise<void> {
    let gte: Buffer = EVERYTHING.gte
    for (const family of [...FAMILIES, undefined]) {
      const lt = family === undefined ? EVERYTHING.lt : familyRange(family).gte
      for await (const page of this.#pages({ gte, lt }))
        for (const [key] of page) this.#remove('unknown', key, named(key))
      if (family !== undefined) gte = familyRange(family).lt
    }
  }

  async #sessionRecords(): Promise<void> {
    for await (const [key, { session }] of this.#decoded('s', decodeSession)) {
      const clientId = nameOfKey(key)
      if (this.#sessions.has(session)) {
        this.#remove('doubled', key, `'${clientId}' and '${this.#sessions.get(session)?.clientId}'`)
        continue
      }
      this.#sessions.set(session, new Found(clientId))
      this.#clientIds.add(clientId)
      this.#lastSession = Math.max(this.#lastSession, session)
      this.#findings.sessions++
    }
  }

  /** What ended sessions left: their queues are removed, then the marks. */
  async #discards(): Promise<void> {
    for await (const [key] of this.#decoded('d', value => value)) {
      const session = sessionOfKey(key)
      this.#lastSession = Math.max(this.#lastSession, session)
      if (!this.#sessions.has(session)) {
        this.#ended.add(session)
        for await (const page of this.#pages(queueRange(session)))
          for (const [place] of page) await this.#write(del(place))
      }
      await this.#flush()
      this.#remove('discards', key, `session number ${session}`)
    }
  }

  async #positions(): Promise<void> {
    for await (const [key, position] of this.#decoded('p', decodePosition)) {
      const found = this.#owner(key)
      if (found !== undefined) found.position = position
    }
  }

  async #queues(): Promise<void> {
    for await (const page of this.#pages(familyRange('q'))) {
      const places: { key: Buffer; value: Buffer | undefined; found: Found; reference: Reference }[] = []
      for (const [key, value] of page) {
        const reference = this.#decode(key, value, checkedReference)
        if (reference === undefined) continue
        this.#lastMessage = Math.max(this.#lastMessage, reference.message, reference.released ?? 0)
        const found = this.#owner(key)
        if (found !== undefined) places.push({ key, value, found, reference })
      }
      const apart = places.filter(({ reference }) => reference.bodyAt === undefined)
      const bodies = await this.#disk.getMany(apart.map(({ reference }) => bodyKey(reference.message)))
      for (const { key, value, found, reference } of places) {
        const { bodyAt } = reference
        const body = tried(bodyAt === undefined ? bodies.shift() : value, bytes => decodeBody(bytes, bodyAt))
        const isThere = body !== undefined && (bodyAt !== undefined || knows(body, key))
        if (isThere) this.#count(found, indexOfKey(key), reference, body)
        else this.#remove('dangling', key, `place ${indexOfKey(key)} of '${found.clientId}'`)
      }
    }
  }

  #count(found: Found, index: number, { size }: Reference, { message, acceptedAt }: Body): void {
    found.count++
    found.bytes += size
    found.last = index
    found.soonest = Math.min(found.soonest, message.expiresAt ?? Number.POSITIVE_INFINITY)
    this.#findings.waiting++
    this.#findings.waitingBytes += size
    this.#findings.oldest = Math.min(this.#findings.oldest, acceptedAt)
    this.#lastTime = Math.max(this.#lastTime, acceptedAt)
  }

  /** Messages none of whose places waits for them. */
  async #bodies(): Promise<void> {
    for await (const page of this.#pages(familyRange('b'))) {
      for (const [key, value] of page) {
        const body = this.#decode(key, value, bytes => decodeBody(bytes))
        if (body === undefined) continue
        const message = messageOfKey(key)
        this.#lastMessage = Math.max(this.#lastMessage, message)
        if (await this.#isWaitedFor(message, body)) this.#findings.bodies++
        else this.#remove('abandoned', key, `message ${message} on '${body.message.topic}'`)
      }
    }
  }

  async #isWaitedFor(message: number, { places }: Body): Promise<boolean> {
    const alive = places.filter(({ session }) => this.#sessions.has(session))
    for (let i = 0; i < alive.length; i += PAGE_RECORDS) {
      const keys = alive.slice(i, i + PAGE_RECORDS).map(({ session, index }) => queueKey(session, index))
      for (const value of await this.#disk.getMany(keys)) {
        const reference = tried(value, checkedReference)
        if (reference?.message === message && reference.bodyAt === undefined) return true
      }
    }
    return false
  }

  /** What is noted of a queue, against what was found. After a crash the count may be that of more than was written. */
  async #wrongPositions(): Promise<void> {
    for (const [session, found] of this.#sessions) {
      const { position, count, bytes, last } = found
      if (position === undefined && count === 0) continue
      const isRight =
        position !== undefined &&
        position.count === count &&
        position.bytes === bytes &&
        position.tail > last &&
        position.sent <= position.tail &&
        position.soonest <= found.soonest
      if (isRight) continue
      const noted = position === undefined ? 'nothing is noted' : `${position.count} are noted`
      this.#findings.note('positions', `'${found.clientId}': ${count} messages wait and ${noted}`)
      const tail = Math.max(position?.tail ?? 0, last + 1)
      const mended = { tail, sent: Math.min(position?.sent ?? tail, tail), count, bytes, soonest: 0 }
      const soonest = count === 0 ? Number.POSITIVE_INFINITY : mended.soonest
      await this.#write({ type: 'put', key: sessionKey('p', session), value: encodePosition({ ...mended, soonest }) })
    }
  }

  async #subscriptions(): Promise<void> {
    for await (const [key] of this.#decoded('u', decodeSubscription)) {
      const found = this.#owner(key)
      if (found === undefined) continue
      if (filterOfKey(key) === '') this.#remove('damaged', key, `a subscription of '${found.clientId}' to nothing`)
      else this.#findings.subscriptions++
    }
  }

  /** Left behind, an identifier would make a new session's message pass for a repeated one. */
  async #incoming(): Promise<void> {
    for await (const [key] of this.#decoded('i', checkedReceipt)) {
      const { clientId, packetId } = incomingOfKey(key)
      if (this.#clientIds.has(clientId)) this.#findings.incoming++
      else this.#remove('ownerless', key, `packet identifier ${packetId} of '${clientId}'`)
    }
  }

  async #retained(): Promise<void> {
    for await (const [key, { message, acceptedAt }] of this.#decoded('r', decodeRetained)) {
      this.#lastTime = Math.max(this.#lastTime, acceptedAt)
      if (message.topic === nameOfKey(key)) {
        this.#findings.retained++
        this.#findings.retainedBytes += message.size
      } else this.#remove('damaged', key, `the retained message of '${nameOfKey(key)}'`)
    }
  }

  /** Also a client whose session ends with its connection has one. */
  async #wills(): Promise<void> {
    for await (const _ of this.#decoded('w', decodeWill)) this.#findings.wills++
  }

  /** What the store knows of itself (family m). */
  async #itself(): Promise<void> {
    await this.#nextNumber('nextSession', this.#lastSession)
    await this.#nextNumber('nextMessage', this.#lastMessage)
    const [schema, time] = await this.#disk.getMany([nameKey('m', 'schema'), nameKey('m', 'time')])
    if (schema === undefined) {
      this.#findings.note('schema', `schema ${SCHEMA_VERSION}`)
      await this.#write({ type: 'put', key: nameKey('m', 'schema'), value: numberValue(SCHEMA_VERSION) })
    }
    const elapsed = Math.max(this.#lastTime, FIRST_TIME.elapsed)
    if (tried(time, decodeTime) === undefined && (await this.#disk.getRaw(nameKey('m', 'time'))) !== undefined) {
      this.#findings.note('damaged', 'the time of the store')
      await this.#write({ type: 'put', key: nameKey('m', 'time'), value: encodeTime({ elapsed, wall: undefined }) })
    }
    for await (const [key, value] of this.#records('m')) {
      const name = nameOfKey(key)
      if (value === undefined && !MENDED.has(name)) this.#remove('damaged', key, named(key))
    }
  }

  async #nextNumber(name: 'nextSession' | 'nextMessage', last: number): Promise<void> {
    const value = await this.#disk.get(nameKey('m', name))
    const next = tried(value, valueNumber) ?? 0
    if (next > last && (value !== undefined || last < 0) && !(await this.#isDamaged(name))) return
    this.#findings.note('numbers', `${name} is ${next}, and ${last} is there`)
    await this.#write({ type: 'put', key: nameKey('m', name), value: numberValue(Math.max(next, last + 1)) })
  }

  async #isDamaged(name: string): Promise<boolean> {
    const key = nameKey('m', name)
    return (await this.#disk.getRaw(key)) !== undefined && (await this.#disk.get(key)) === undefined
  }

  /** The session whose number stands in the key; without one the record is removed. */
  #owner(key: Buffer): Found | undefined {
    const session = sessionOfKey(key)
    this.#lastSession = Math.max(this.#lastSession, session)
    const found = this.#sessions.get(session)
    if (found !== undefined) return found
    if (!this.#ended.has(session)) this.#remove('ownerless', key, named(key))
    else if (this.#writer !== null) this.#operations.push(del(key))
    return undefined
  }

  /** The records of a family that read and make sense; the others are removed. */
  async *#decoded<T>(family: string, decode: (value: Buffer, key: Buffer) => T): AsyncGenerator<[Buffer, T]> {
    for await (const [key, value] of this.#records(family)) {
      const decoded = this.#decode(key, value, decode)
      if (decoded !== undefined) yield [key, decoded]
    }
  }

  async *#records(family: string): AsyncGenerator<Page[number]> {
    for await (const page of this.#pages(familyRange(family))) yield* page
  }

  async *#pages(range: Range): AsyncGenerator<Page> {
    for (let { gte } = range; ; ) {
      const page = await this.#disk.page({ gte, lt: range.lt }, PAGE_RECORDS)
      const last = page.at(-1)
      if (last === undefined) return
      yield page
      if (this.#operations.length >= BATCH_OPERATIONS) await this.#flush()
      gte = after(last[0])
    }
  }

  #decode<T>(key: Buffer, value: Buffer | undefined, decode: (value: Buffer, key: Buffer) => T): T | undefined {
    const length = KEY_LENGTHS[String.fromCharCode(key[0] as number)]
    const decoded = length === undefined || key.length === length ? tried(value, each => decode(each, key)) : undefined
    if (decoded === undefined) this.#remove('damaged', key, named(key))
    return decoded
  }

  #remove(kind: FaultKind, key: Buffer, example: string): void {
    this.#findings.note(kind, example)
    if (this.#writer !== null) this.#operations.push(del(key))
  }

  async #write(operation: Operation): Promise<void> {
    if (this.#writer === null) return
    this.#operations.push(operation)
    if (this.#operations.length >= BATCH_OPERATIONS) await this.#flush()
  }

  async #flush(): Promise<void> {
    const operations = this.#operations
    this.#operations = []
    if (operations.length > 0) await this.#writer?.write(operations, true)
  }
}

/** Records of family m that are written anew, not removed. */
const MENDED = new Set(['schema', 'time', 'nextSession', 'nextMessage'])

function del(key: Buffer): Operation {
  return { type: 'del', key }
}

/** A key for a person. */
function named(key: Buffer): string {
  return `record ${JSON.stringify(key.toString('latin1'))}`
}
