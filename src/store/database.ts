/**
 * LevelDB itself: opening it whatever state it is in, and writing batches to it. Opening never refuses
 * for damage: repair is tried, then the damaged folder is set aside under a dated name and an empty
 * store takes its place.
 */
import { mkdir, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type BatchOptions, Level } from 'level'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { BatchWriter, Operation } from './committer.ts'

export type Database = Level<Buffer, Buffer>

/** LevelDB's own write buffer: half of its default, since two of them must fit a Pi with 512 MB. */
const WRITE_BUFFER_BYTES = 2 * 1024 * 1024
/** Cache of blocks read: pages of a draining queue are read once, so a large cache serves nobody. */
const BLOCK_CACHE_BYTES = 4 * 1024 * 1024

const OPTIONS = {
  keyEncoding: 'buffer',
  valueEncoding: 'buffer',
  writeBufferSize: WRITE_BUFFER_BYTES,
  cacheSize: BLOCK_CACHE_BYTES,
} as const

/**
 * Opens the store in `location`, which is created (mode 0700) when it is not there.
 *
 * Throws LarderError DATA_DIR_UNUSABLE when the folder cannot be made or written, STORE_LOCKED when
 * another process has it open.
 */
export async function openDatabase(location: string, deps: { clock: Clock; log: Log }): Promise<Database> {
  try {
    await mkdir(location, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw unusable(location, error)
  }
  try {
    return await open(location)
  } catch (error) {
    refuseUnlessDamaged(location, error)
    deps.log.error({ location, reason: causeOf(error) }, 'the store is damaged; trying to repair it')
  }
  try {
    await repair(location)
    return await open(location)
  } catch (error) {
    refuseUnlessDamaged(location, error)
    const aside = `${location}.damaged-${new Date(deps.clock.wall()).toISOString().replaceAll(':', '-')}`
    await rename(location, aside)
    deps.log.error(
      { location, aside, reason: causeOf(error) },
      'the store could not be repaired; it was set aside and an EMPTY store takes its place',
    )
    await mkdir(location, { recursive: true, mode: 0o700 })
    return await open(location)
  }
}

/** Writes batches to `database`. */
export function batchWriter(database: Database): BatchWriter {
  return {
    write: (operations: Operation[], sync: boolean) => {
      // `sync` is classic-level's: the types of `level` leave it out, as browsers have none.
      const options: { sync: boolean } & BatchOptions<Buffer, Buffer> = { sync }
      return database.batch(operations, options)
    },
  }
}

async function open(location: string): Promise<Database> {
  const database = new Level<Buffer, Buffer>(location, OPTIONS)
  await database.open()
  return database
}

async function repair(location: string): Promise<void> {
  await (Level as unknown as { repair(location: string): Promise<void> }).repair(location)
}

function causeOf(error: unknown): string {
  return reasonOf((error as { cause?: unknown }).cause ?? error)
}

function refuseUnlessDamaged(location: string, error: unknown): void {
  const cause = (error as { cause?: unknown }).cause
  if (systemCodeOf(cause) === 'LEVEL_LOCKED') {
    throw new LarderError('STORE_LOCKED', `the store in ${location} is in use by another process.`, {
      hint: 'Is another gateway running with the same data_dir?',
      cause: error,
    })
  }
  if (/permission denied|read-only file system|no space left/i.test(causeOf(error))) throw unusable(location, error)
}

function unusable(location: string, error: unknown): LarderError {
  return new LarderError('DATA_DIR_UNUSABLE', `the store cannot be kept in ${location}: ${causeOf(error)}.`, {
    hint: `Set data_dir to a folder that this user may write to (${dirname(location)} is not, or is not a folder).`,
    cause: error,
  })
}
