/**
 * LevelDB behind the four things that the store does with it: read a record, read a page, write a batch,
 * open again. Every value is sealed (seal.ts). A record whose seal is wrong reads as absent, and is counted and said.
 *
 * After a batch that failed, the state of LevelDB's log is unknown, and it refuses every later one; so the
 * database is closed and opened before the next. Reads wait meanwhile.
 */
import { type KeyIteratorOptions, Level } from 'level'
import type { Log } from '../kernel/log.ts'
import type { BatchWriter, Operation } from './committer.ts'
import { NativeMemory } from './native-memory.ts'
import { isSealed, SEAL_LENGTH, seal } from './seal.ts'

/** LevelDB's own write buffer: half of its default, since two of them must fit a Pi with 512 MB. */
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024
/** Cache of blocks read: pages of a draining queue are read once, so a large cache serves nobody. */
const BLOCK_CACHE_BYTES = 4 * 1024 * 1024
/** Records read at a time where all of a family are read… */
const PAGE_RECORDS = 1_000
/** …and the bytes of them, and of any page, after which it ends early. */
const PAGE_BYTES = 512 * 1024
/** Damaged records that are said one by one; all are counted. */
const MAX_TOLD = 20

const OPTIONS = {
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  writeBufferSize: WRITE_BUFFER_BYTES,
  cacheSize: BLOCK_CACHE_BYTES,
} as const

export interface Range {
  gte: Buffer
  lt: Buffer
}

export type StoredRecord = [key: Buffer, value: Buffer]

/** Records to be read: as they are now, or as they were at one moment. */
export interface Records {
  get(key: Buffer): Promise<Buffer | undefined>
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]>
  getRaw(key: Buffer): Promise<Buffer | undefined>
  page(range: Range, limit: number): Promise<[key: Buffer, value: Buffer | undefined][]>
}

type LevelSnapshot = ReturnType<Level<Buffer, Buffer>['snapshot']>

export interface DiskStats {
  /** Records whose seal was wrong. */
  damaged: number
  /** Times that the database was opened again because a batch had failed. */
  reopened: number
}

export class Disk implements BatchWriter, Records {
  readonly location: string
  readonly stats: DiskStats = { damaged: 0, reopened: 0 }
  readonly #log: Log
  readonly #level: Level<Buffer, Buffer>
  /** Resolves when the database may be read. Replaced while it is opened again. */
  #readable: Promise<void> = Promise.resolve()
  readonly #native = new NativeMemory()
  #hasFailed = false
  #closed = false

  constructor(location: string, deps: { log: Log }) {
    this.location = location
    this.#log = deps.log
    this.#level = new Level<Buffer, Buffer>(location, OPTIONS)
  }

  get isOpen(): boolean {
    return !this.#closed
  }

  /** Throws what LevelDB throws: the store is damaged, locked, or may not be written. */
  async open(): Promise<void> {
    await this.#level.open()
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#level.close()
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    const [value] = await this.getMany([key])
    return value
  }

  /** The values of the keys; undefined for one that is not there or cannot be read. */
  getMany(keys: Buffer[]): Promise<(Buffer | undefined)[]> {
    return this.#getMany(keys)
  }

  async #getMany(keys: Buffer[], snapshot?: LevelSnapshot): Promise<(Buffer | undefined)[]> {
    await this.#readable
    try {
      const values = await (snapshot === undefined
        ? this.#level.getMany(keys)
        : this.#level.getMany(keys, { snapshot }))
      this.#native.moved(values.reduce((bytes, value) => bytes + (value?.length ?? 0), 0))
      return values.map((value, i) => (value === undefined ? undefined : this.#unseal(keys[i] as Buffer, value)))
    } catch (error) {
      if (!isDamage(error)) throw error
      if (keys.length > 1) return (await Promise.all(keys.map(key => this.#getMany([key], snapshot)))).flat()
      this.#tellDamaged(keys[0] as Buffer)
      return [undefined]
    }
  }

  /** A record as it lies there, with its checksum if it has one. */
  async getRaw(key: Buffer): Promise<Buffer | undefined> {
    await this.#readable
    return this.#level.get(key)
  }

  /**
   * The first records of a range: `limit` at most, fewer if they are large, none only if there are none. The value of
   * one that is damaged is undefined.
   */
  page(range: Range, limit: number): Promise<[key: Buffer, value: Buffer | undefined][]> {
    return this.#page(range, limit)
  }

  /**
   * The values of `count` records whose keys follow one another, seals still behind them; fewer if they are large. No key
   * is read: that it is `first`, with its last six bytes counted up for each, is told by the seal. Undefined when that is
   * not so of all of them, or one is missing or damaged: `page` tells more.
   */
  async run(first: Buffer, count: number): Promise<Buffer[] | undefined> {
    await this.#readable
    // A key that is left out comes as an empty string, which costs less than an empty buffer.
    const iterator = this.#level.iterator({ keys: false, keyEncoding: 'utf8', highWaterMarkBytes: PAGE_BYTES })
    try {
      iterator.seek(first, { keyEncoding: 'buffer' } as object)
      const records = await iterator.nextv(count)
      const key = Buffer.from(first)
      const values: Buffer[] = []
      let bytes = 0
      for (const [, value] of records) {
        if (!isSealed(key, value)) return undefined
        values.push(value)
        bytes += value.length
        countUp(key)
      }
      this.#native.moved(bytes)
      return values.length === count || bytes > PAGE_BYTES ? values : undefined
    } finally {
      await iterator.close()
    }
  }

  /** As `page`, with the seals still on the values and nothing checked. */
  pageRaw(range: Range, limit: number): Promise<StoredRecord[]> {
    return this.#pageRaw(range, limit)
  }

  /**
   * The records as they are at this moment, whatever is written while they are read. Costs the space of what is
   * deleted meanwhile; to be disposed of. Reading rejects when the database had to be opened again.
   */
  async snapshot(): Promise<Records & AsyncDisposable> {
    await this.#readable
    const snapshot = this.#level.snapshot()
    return {
      get: async key => (await this.#getMany([key], snapshot))[0],
      getMany: keys => this.#getMany(keys, snapshot),
      getRaw: key => this.#level.get(key, { snapshot }),
      page: (range, limit) => this.#page(range, limit, snapshot),
      [Symbol.asyncDispose]: () => snapshot.close(),
    }
  }

  /** Files and bytes of the tables of each level of LevelDB that has any. */
  async levels(): Promise<{ level: number; files: number; bytes: number }[]> {
    await this.#readable
    const text = (this.#level as unknown as { getProperty(name: string): string }).getProperty('leveldb.sstables')
    return text.split(/^--- level /m).flatMap(part => {
      // A file is ` 5:1234['first' .. 'last']`; what is not printable in its keys is escaped.
      const sizes = [...part.matchAll(/^ \d+:(\d+)\[/gm)].map(match => Number(match[1]))
      const bytes = sizes.reduce((sum, size) => sum + size, 0)
      return sizes.length === 0 ? [] : [{ level: Number.parseInt(part, 10), files: sizes.length, bytes }]
    })
  }

  async #page(range: Range, limit: number, snapshot?: LevelSnapshot): Promise<[Buffer, Buffer | undefined][]> {
    const records: [Buffer, Buffer | undefined][] = await this.#pageRaw(range, limit, snapshot)
    for (const record of records) record[1] = this.#unseal(record[0], record[1] as Buffer)
    return records
  }

  async #pageRaw(range: Range, limit: number, snapshot?: LevelSnapshot): Promise<StoredRecord[]> {
    await this.#readable
    // LevelDB's binding counts these bytes by itself: it would end a page at 16 KiB.
    const iterator = this.#level.iterator({
      ...range,
      limit,
      highWaterMarkBytes: PAGE_BYTES,
      ...(snapshot === undefined ? {} : { snapshot }),
    })
    try {
      const records = await iterator.nextv(limit)
      this.#native.moved(records.reduce((bytes, [, value]) => bytes + value.length, 0))
      return records
    } finally {
      await iterator.close()
    }
  }

  /** All records of a range that read, page by page. */
  async *records(range: Range): AsyncGenerator<StoredRecord> {
    for (let { gte } = range; ; ) {
      const page = await this.page({ gte, lt: range.lt }, PAGE_RECORDS)
      for (const [key, value] of page) if (value !== undefined) yield [key, value]
      const last = page.at(-1)
      if (last === undefined) return
      gte = after(last[0])
    }
  }

  /** The first or the last key of a range. */
  async edge(range: Range, side: 'first' | 'last'): Promise<Buffer | undefined> {
    await this.#readable
    const options: KeyIteratorOptions<Buffer> = { ...range, limit: 1, reverse: side === 'last' }
    const [key] = await this.#level.keys(options).all()
    return key
  }

  /** Has LevelDB give back the space of what was deleted, which it else does when it comes to it. */
  async compact(range: Range): Promise<void> {
    await this.#readable
    const level = this.#level as unknown as { compactRange(start: Buffer, end: Buffer): Promise<void> }
    await level.compactRange(range.gte, range.lt)
  }

  async write(operations: Operation[], sync: boolean): Promise<void> {
    if (this.#hasFailed) await this.#reopen()
    try {
      // One call for each: an array would be copied, operation by operation, at eight times the cost.
      const batch = this.#level.batch()
      let bytes = 0
      for (const operation of operations) {
        const { key } = operation
        if (operation.type === 'put') {
          batch.put(key, seal(key, operation.value))
          bytes += operation.value.length
        } else batch.del(key)
      }
      this.#native.moved(bytes)
      // `sync` is classic-level's: the types of `level` leave it out, as browsers have none.
      const options: object = { sync }
      await batch.write(options)
    } catch (error) {
      this.#hasFailed = true
      throw error
    }
  }

  #reopen(): Promise<void> {
    const opening = this.#openAgain()
    // Reads that find it closed after that say so themselves.
    this.#readable = opening.catch(() => {})
    return opening
  }

  async #openAgain(): Promise<void> {
    await this.#level.close()
    await this.#level.open()
    this.#hasFailed = false
    this.stats.reopened++
  }

  #unseal(key: Buffer, value: Buffer): Buffer | undefined {
    if (isSealed(key, value)) return value.subarray(0, value.length - SEAL_LENGTH)
    this.#tellDamaged(key)
    return undefined
  }

  #tellDamaged(key: Buffer): void {
    if (++this.stats.damaged > MAX_TOLD) return
    this.#log.error({ record: key.toString('latin1') }, 'a record of the store is damaged and left out')
  }
}

/** Has LevelDB bring a damaged folder into a state that opens. What it cannot read, it leaves out. */
export async function repairLevel(location: string): Promise<void> {
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(location)
}

/** True when LevelDB says that what lies on the disk is not what it wrote there. */
export function isDamage(error: unknown): boolean {
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (code === 'LEVEL_CORRUPTION') return true
  return cause !== undefined && isDamage(cause)
}

/** True when there is no space on the disk. */
export function isFull(error: unknown): boolean {
  const { message, cause } = error as { message?: unknown; cause?: unknown }
  return /no space left|quota exceeded/i.test(String(message)) || (cause !== undefined && isFull(cause))
}

/** The smallest key behind `key`. */
export function after(key: Buffer): Buffer {
  return Buffer.concat([key, Buffer.alloc(1)])
}

/** Counts up the number that a key ends with. */
function countUp(key: Buffer): void {
  const at = key.length - 6
  key.writeUIntBE(key.readUIntBE(at, 6) + 1, at, 6)
}
