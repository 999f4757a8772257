/**
 * Reads queues back from the disk, by pages, and removes those of sessions that have ended. What cannot be read is
 * given up place by place and counted, so that one bad record does not stand before everything behind it.
 */
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Committer, Operation } from './committer.ts'
import { after, type Disk, isDamage } from './disk.ts'
import { DURABLE, Entry, type Place, Ref } from './entry.ts'
import { bodyKey, indexOfKey, queueKey, queueRange, sessionKey } from './keys.ts'
import type { LevelQueue } from './queue.ts'
import type { Page } from './queue-store.ts'
import { decodeBody, decodeReference, type Reference } from './records.ts'
import { SEAL_LENGTH } from './seal.ts'
import type { Sessions } from './sessions.ts'

/** References read from disk at a time… */
const PAGE_MESSAGES = 500
/** …unless their messages are larger than this together. */
const PAGE_BYTES = 1024 * 1024

/** Records of a queue; the value of a damaged one is undefined. */
interface RecordsRead {
  values: (Buffer | undefined)[]
  /** Their places; undefined when they follow one another. */
  places: number[] | undefined
  /** Bytes behind each value that are not part of it. */
  tail: number
}

export class QueueReader {
  /** References whose message was not on disk, or that could not be read themselves. */
  dangling = 0
  readonly #disk: Disk
  readonly #committer: Committer
  readonly #sessions: Sessions
  readonly #log: Log
  /** To be deleted when it is known whether the message goes, too. */
  readonly #doubted: { entry: Entry; reference: Operation; queue: LevelQueue }[] = []
  #settling: Promise<void> | undefined

  constructor(deps: { disk: Disk; committer: Committer; sessions: Sessions; log: Log }) {
    this.#disk = deps.disk
    this.#committer = deps.committer
    this.#sessions = deps.sessions
    this.#log = deps.log
  }

  /** References with `from <= index < until` in order, as many as fit a page, with their messages. */
  async readPage(queue: LevelQueue, from: number, until: number): Promise<Page> {
    const { values, places, tail } = await this.#readRecords(queue, from, until)
    const refs: Ref[] = []
    const apart: { index: number; reference: Reference }[] = []
    let readUntil = until
    let bytes = 0
    for (let i = 0; i < values.length; i++) {
      const value = values[i]
      const index = places === undefined ? from + i : (places[i] as number)
      if (value === undefined) this.#lose(queue, index, 0)
      else {
        const end = value.length - tail
        const reference = decodeReference(value, end)
        const { bodyAt } = reference
        bytes += reference.size
        if (bytes > PAGE_BYTES && refs.length + apart.length > 0) break
        if (bodyAt === undefined) apart.push({ index, reference })
        else refs.push(refOf(this.#loadInline(reference.message, value, bodyAt, end), queue, index, reference))
      }
      readUntil = index + 1
    }
    if (apart.length > 0) {
      const bodies = await this.#disk.getMany(apart.map(({ reference }) => bodyKey(reference.message)))
      for (const [i, { index, reference }] of apart.entries()) {
        const body = bodies[i]
        if (body === undefined) this.#lose(queue, index, reference.size)
        else refs.push(refOf(this.#load(reference.message, body), queue, index, reference))
      }
      refs.sort((one, other) => one.index - other.index)
    }
    return { refs, readUntil }
  }

  /** The records of a page. Mostly no place was left before its turn: then only their values are read. */
  async #readRecords(queue: LevelQueue, from: number, until: number): Promise<RecordsRead> {
    const count = Math.min(PAGE_MESSAGES, until - from)
    const values = await this.#disk.run(queueKey(queue.session, from), count).catch(passOverDamage)
    if (values !== undefined) return { values, places: undefined, tail: SEAL_LENGTH }
    const records = await this.#readAround(queue, from, until)
    return { values: records.map(([, value]) => value), places: records.map(([key]) => indexOfKey(key)), tail: 0 }
  }

  /**
   * The same where places are missing. Where a part of the disk cannot be read, goes on behind it, by strides that double,
   * so that one bad block does not stand before everything that comes after it.
   */
  async #readAround(queue: LevelQueue, from: number, until: number) {
    const range = (begin: number) => ({ gte: queueKey(queue.session, begin), lt: queueKey(queue.session, until) })
    for (let begin = from, stride = 1; ; begin = Math.min(until, begin + stride), stride *= 2) {
      if (begin === until) return []
      try {
        return await this.#disk.page(range(begin), PAGE_MESSAGES)
      } catch (error) {
        if (!isDamage(error)) throw error
        this.#log.error(
          { client: queue.clientId, place: begin, reason: reasonOf(error) },
          'a part of a session queue cannot be read and is passed over',
        )
      }
    }
  }

  /** A message that cannot be read: its place is given up, and it is counted. */
  #lose(queue: LevelQueue, index: number, size: number): void {
    if (!queue.has(index)) return
    this.dangling++
    queue.lose(index, size)
    this.#committer.write({ type: 'del', key: queueKey(queue.session, index) }, 'lazy', { queue })
  }

  /**
   * Removes what a discarded session left on disk, page by page. Begun again at the next start when it
   * is interrupted: the session's mark (family d) goes last.
   */
  async purge(session: number): Promise<void> {
    try {
      for (let range = queueRange(session); ; ) {
        const records = await this.#disk.page(range, PAGE_MESSAGES)
        const last = records.at(-1)
        if (last === undefined) break
        range = { ...range, gte: after(last[0]) }
        const known: number[] = []
        for (const [, value] of records) {
          const reference = value === undefined ? undefined : decodeReference(value)
          if (reference !== undefined && reference.bodyAt === undefined) known.push(reference.message)
        }
        const bodies = await this.#disk.getMany(known.map(bodyKey))
        const entries = known.flatMap((message, i) => (bodies[i] === undefined ? [] : [this.#load(message, bodies[i])]))
        const abandoned = await this.#abandoned(entries)
        for (const [key] of records) this.#committer.write({ type: 'del', key }, 'lazy')
        for (const entry of abandoned) {
          this.#committer.write({ type: 'del', key: bodyKey(entry.id) }, 'lazy')
        }
        await this.#committer.durable()
      }
      await this.#committer.durable({ type: 'del', key: sessionKey('d', session) })
    } catch (error) {
      this.#log.warn(
        { reason: reasonOf(error) },
        'a discarded session could not be removed from disk; tried again at the next start',
      )
    }
  }

  /**
   * Deletes a reference, and the message with it if no other queue holds it: which only the disk can tell, since those
   * queues have not been read since the start. Both go in one batch, so that a crash leaves both or neither.
   */
  eraseLater(entry: Entry, reference: Operation, queue: LevelQueue): void {
    this.#doubted.push({ entry, reference, queue })
    this.#settling ??= this.#settleDoubts()
  }

  /** Resolves when what `eraseLater` was given is on its way to the disk. */
  async settled(): Promise<void> {
    await this.#settling
  }

  async #settleDoubts(): Promise<void> {
    while (this.#doubted.length > 0) {
      const doubted = this.#doubted.splice(0, PAGE_MESSAGES)
      let abandoned = new Set<Entry>()
      try {
        abandoned = new Set(await this.#abandoned(doubted.map(({ entry }) => entry)))
      } catch (error) {
        this.#log.warn(
          { reason: reasonOf(error) },
          'messages that nobody waits for may stay on disk: larder store verify removes them',
        )
      }
      for (const { entry, reference, queue } of doubted) {
        this.#committer.write(reference, 'lazy', { queue })
        if (abandoned.has(entry)) this.#committer.write({ type: 'del', key: bodyKey(entry.id) }, 'lazy')
      }
    }
    this.#settling = undefined
  }

  /** Those of `entries`, which were read from disk, that no queue holds any more. */
  async #abandoned(entries: readonly Entry[]): Promise<Entry[]> {
    const places = entries.map(entry => entry.doubtfulPlaces())
    const there = await this.#disk.getMany(places.flat().map(({ queue, index }) => queueKey(queue.session, index)))
    return entries.filter((entry, i) => {
      const records = there.splice(0, places[i]?.length ?? 0)
      return entry.isAbandoned() || (records.length > 0 && records.every(record => record === undefined))
    })
  }

  #loadInline(id: number, value: Buffer, at: number, end: number): Entry {
    const { message, acceptedAt } = decodeBody(value, at, end)
    return new Entry({ id, message, acceptedAt, state: DURABLE, isInline: true })
  }

  #load(id: number, body: Buffer): Entry {
    const { message, acceptedAt, places: written } = decodeBody(body)
    const places: Place[] = []
    for (const { session, index } of written) {
      const queue = this.#sessions.byNumber(session)
      if (queue !== undefined) places.push({ queue, index })
    }
    return new Entry({ id, message, acceptedAt, state: DURABLE, places })
  }
}

function refOf(entry: Entry, queue: LevelQueue, index: number, reference: Reference): Ref {
  const ref = new Ref(entry, queue, index, reference)
  ref.released = reference.released
  ref.packetId = reference.packetId
  return ref
}

function passOverDamage(error: unknown): undefined {
  if (!isDamage(error)) throw error
}
