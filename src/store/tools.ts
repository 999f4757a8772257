/**
 * What is done with a store besides keeping messages in it: looked at, exported, compacted. The same for the store of a
 * running gateway, which goes on meanwhile, and for one that nobody has open. Everything but the compaction sees the store at
 * one moment, by a snapshot of LevelDB.
 */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import { writeArchive } from './archive.ts'
import { tried } from './checks.ts'
import type { Disk } from './disk.ts'
import { type DumpOptions, dump } from './dump.ts'
import { EVERYTHING, nameKey } from './keys.ts'
import { openToLook } from './looking.ts'
import { Rounds } from './rounds.ts'
import { decodeTime, FIRST_TIME } from './time.ts'

export interface StoreStatistics {
  readonly location: string
  readonly sessions: number
  readonly subscriptions: number
  /** Messages in queues, each counted for every session that it waits for; `oldest` in seconds, undefined when none waits. */
  readonly waiting: { readonly messages: number; readonly bytes: number; readonly oldest: number | undefined }
  readonly retained: { readonly messages: number; readonly bytes: number }
  readonly wills: number
  /** Of QoS 2, between PUBLISH and PUBREL. */
  readonly packetIdentifiers: number
  /** On the disk. */
  readonly files: { readonly count: number; readonly bytes: number }
  readonly levels: readonly { readonly level: number; readonly files: number; readonly bytes: number }[]
}

export class StoreTools {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #settle: () => Promise<void>

  /** `settle` sees to it that what is only in memory is on the disk. */
  constructor(deps: { disk: Disk; clock: Clock; settle: () => Promise<void> }) {
    this.#disk = deps.disk
    this.#clock = deps.clock
    this.#settle = deps.settle
  }

  /**
   * The bytes of one file with everything that another machine's store needs (archive.ts). Every message that was
   * acknowledged before the first is asked for is in it. Throws LarderError STORE_FAILED when the disk takes nothing.
   */
  async *export(by: string): AsyncGenerator<Buffer> {
    await this.#settle()
    await using snapshot = await this.#disk.snapshot()
    yield* writeArchive(snapshot, { made: new Date(this.#clock.wall()).toISOString(), by })
  }

  /** Lines of JSON, without their line breaks. */
  async *dump(options: DumpOptions): AsyncGenerator<string> {
    await this.#settle()
    await using snapshot = await this.#disk.snapshot()
    for await (const each of dump(snapshot, options)) yield safeJson(each)
  }

  async statistics(): Promise<StoreStatistics> {
    await this.#settle()
    await using snapshot = await this.#disk.snapshot()
    const found = await new Rounds(snapshot).run()
    const { elapsed } = tried(await snapshot.get(nameKey('m', 'time')), decodeTime) ?? FIRST_TIME
    const { location } = this.#disk
    return {
      location,
      sessions: found.sessions,
      subscriptions: found.subscriptions,
      waiting: {
        messages: found.waiting,
        bytes: found.waitingBytes,
        oldest: found.waiting === 0 ? undefined : Math.max(0, Math.round((elapsed - found.oldest) / 1000)),
      },
      retained: { messages: found.retained, bytes: found.retainedBytes },
      wills: found.wills,
      packetIdentifiers: found.incoming,
      files: await filesIn(location),
      levels: await this.#disk.levels(),
    }
  }

  /** Gives the space of what was deleted back to the disk. Resolves to the bytes of the store before and after. */
  async compact(): Promise<{ before: number; after: number }> {
    await this.#settle()
    const { bytes: before } = await filesIn(this.#disk.location)
    await this.#disk.compact(EVERYTHING)
    const { bytes: after } = await filesIn(this.#disk.location)
    return { before, after }
  }
}

/** The tools of a store that nobody has open, until they are disposed of; undefined when there is no store. See `openToLook`. */
export async function openTools(dataDir: string, clock: Clock): Promise<(StoreTools & AsyncDisposable) | undefined> {
  const disk = await openToLook(dataDir)
  if (disk === undefined) return undefined
  const tools = new StoreTools({ disk, clock, settle: async () => {} })
  return Object.assign(tools, { [Symbol.asyncDispose]: () => disk[Symbol.asyncDispose]() })
}

async function filesIn(location: string): Promise<{ count: number; bytes: number }> {
  const names = await readdir(location)
  // LevelDB removes files whenever it likes.
  const sizes = await Promise.all(
    names.map(name =>
      stat(join(location, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return { count: names.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
}

/** A terminal obeys what it is sent, and JSON.stringify lets some of it through. */
function safeJson(value: object): string {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  return JSON.stringify(value, jsonable).replace(/[\u007f-\u009f\u2028\u2029]/g, escaped)
}

function jsonable(_key: string, value: unknown): unknown {
  // Buffers come as what their toJSON made of them.
  const bytes = value as { type?: unknown; data?: unknown } | null
  if (bytes?.type === 'Buffer' && Array.isArray(bytes.data))
    return Buffer.from(bytes.data as number[]).toString('base64')
  return value
}
