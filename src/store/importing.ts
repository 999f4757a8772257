/**
 * Takes in an exported store (archive.ts) in place of the one that is there, if any: into a folder beside it, which becomes
 * the store when all has come and is right (swap.ts). Whatever goes wrong before that changes nothing.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { silentLog } from '../kernel/log.ts'
import { type ArchiveHeader, readArchive } from './archive.ts'
import { Disk, isFull } from './disk.ts'
import { giveBack } from './looking.ts'
import { refuseIfLocked } from './opening.ts'
import { clearStaging, commitImport, settleImport, stagingOf, syncFolder } from './swap.ts'

export interface Imported {
  readonly records: number
  readonly header: ArchiveHeader
  /** Where the store that was there before is kept; undefined when there was none. */
  readonly kept: string | undefined
}

/**
 * Makes the archive `input` the store of `dataDir`, which no gateway may be using. With `replace` the store that is there
 * is set aside; without, there must be none.
 *
 * Throws LarderError STORE_LOCKED when a gateway has it open, STORE_EXISTS, ARCHIVE_INVALID, DATA_DIR_UNUSABLE when it cannot
 * be written. Nothing has changed then.
 */
export async function importStore(options: {
  dataDir: string
  input: AsyncIterable<Buffer>
  replace: boolean
}): Promise<Imported> {
  const { dataDir, input, replace } = options
  const location = join(dataDir, 'store')
  const staging = stagingOf(location)
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    await settleImport(location)
    await refuseUnlessFree(location, replace)
    await clearStaging(location)
    const { records, header } = await fill(staging, input)
    await giveBack(staging, await stat(dataDir))
    await syncFolder(staging)
    // It took a while: a gateway may have been started meanwhile.
    await refuseUnlessFree(location, replace)
    return { records, header, kept: await commitImport(location) }
  } catch (error) {
    await clearStaging(location).catch(() => {})
    if (error instanceof LarderError) throw error
    throw new LarderError('DATA_DIR_UNUSABLE', `the store cannot be kept in ${dataDir}: ${reasonOf(error)}.`, {
      hint: isFull(error) ? 'The disk is full: make room on it.' : 'May this user write there?',
      cause: error,
    })
  }
}

/** Reads an archive to its end without doing anything with it. Throws LarderError ARCHIVE_INVALID. */
export async function checkArchive(input: AsyncIterable<Buffer>): Promise<Omit<Imported, 'kept'>> {
  return through(input, async () => {})
}

async function refuseUnlessFree(location: string, replace: boolean): Promise<void> {
  if (!existsSync(location)) return
  await refuseIfLocked(location)
  const isEmpty = (await readdir(location).catch(() => ['?'])).length === 0
  if (!replace && !isEmpty) {
    throw new LarderError('STORE_EXISTS', `there is a store in ${location} already.`, {
      hint: 'Give --replace to set it aside and take the exported one.',
    })
  }
}

async function fill(staging: string, input: AsyncIterable<Buffer>): Promise<Omit<Imported, 'kept'>> {
  await mkdir(staging, { mode: 0o700 })
  const disk = new Disk(staging, { log: silentLog })
  await disk.open()
  try {
    return await through(input, records =>
      disk.write(
        records.map(({ key, value }) => ({ type: 'put' as const, key, value })),
        true,
      ),
    )
  } finally {
    await disk.close()
  }
}

async function through(
  input: AsyncIterable<Buffer>,
  take: (records: { key: Buffer; value: Buffer }[]) => Promise<void>,
): Promise<Omit<Imported, 'kept'>> {
  const blocks = readArchive(input)
  let records = 0
  for (;;) {
    const { value, done } = await blocks.next()
    if (done === true) return { records, header: value }
    records += value.length
    await take(value)
  }
}
