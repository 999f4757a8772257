/**
 * Opens the store whatever state it is in:
 *
 *   as it is  ->  repaired  ->  empty, with every record put back that still reads
 *
 * Its files are looked at before LevelDB sees them (inspection.ts). Before anything is changed, the damaged folder is
 * kept under a dated name. Opening means reading and writing too: what must be in memory is loaded on the way, since a
 * table may turn out to be damaged only when it is read, and the opening is put on record.
 */
import { existsSync } from 'node:fs'
import { chmod, copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Level } from 'level'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Disk, isFull } from './disk.ts'
import { inspect } from './inspection.ts'
import { nameKey } from './keys.ts'
import { repair, salvage } from './salvage.ts'
import { numberValue, valueNumber } from './sessions.ts'
import { settleImport } from './swap.ts'

/** Damaged folders that are kept: the last ones, so that a card which fails every week is not filled by them. */
const MAX_KEPT = 3

/** A file that is there while the store is open, and after a crash: then every block is checked before it is read. */
const IN_USE = 'in-use'
/** How often the store was opened. */
const OPENED = nameKey('m', 'opened')

/** How the store came up. `aside`: where the damaged folder is kept. `salvaged`: records that were put back. */
export type Opening =
  | { readonly state: 'whole' }
  | { readonly state: 'repaired'; readonly aside: string }
  | { readonly state: 'replaced'; readonly aside: string; readonly salvaged: number }

interface Deps {
  clock: Clock
  log: Log
  /** The disk is full: whoever can gives up space. */
  onFull: () => Promise<void>
}

/**
 * Opens the store in `location`, which is created (mode 0700) when it is not there, and has `load` read it; `load` is
 * called again for each attempt.
 *
 * Throws LarderError DATA_DIR_UNUSABLE when the folder cannot be made or written, STORE_LOCKED when another process
 * has it open, and whatever LarderError `load` throws.
 */
export async function openStore<T>(
  location: string,
  deps: Deps,
  load: (disk: Disk) => Promise<T>,
): Promise<{ disk: Disk; opening: Opening; loaded: T }> {
  const { log } = deps
  const attempt = () => tryOpen(location, deps, load)
  await settleImport(location).catch(error => {
    throw unusable(location, error)
  })
  const unplaced = await makeWay(location, deps.clock)
  await prepare(location)
  if (unplaced !== undefined) {
    log.error(
      { location, aside: unplaced },
      'the store was no folder; it was set aside and an EMPTY store takes its place',
    )
    return { ...(await attempt()), opening: { state: 'replaced', aside: unplaced, salvaged: 0 } }
  }
  await refuseIfLocked(location)
  const { faults, tableFaults, losses } = await inspect(location, { thorough: existsSync(join(location, IN_USE)) })
  for (const reason of losses) log.warn({ location, reason }, 'a part of what was written last may be gone')
  try {
    if (faults.length > 0) throw new Error(faults.join('; '))
    return { ...(await attempt()), opening: { state: 'whole' } }
  } catch (error) {
    if (error instanceof LarderError) throw error
    log.error({ location, reason: causeOf(error) }, 'the store is damaged; trying to repair it')
  }
  const aside = await keepAside(location, deps)
  try {
    await repair(location, { tablesToo: faults.length === 0 || tableFaults })
    const opened = await attempt()
    log.error({ location, aside }, 'the store was repaired; what could not be read is gone (a copy of before is kept)')
    return { ...opened, opening: { state: 'repaired', aside } }
  } catch (error) {
    if (isFull(error)) {
      await rm(location, { recursive: true, force: true })
      await rename(aside, location)
      throw unusable(location, error)
    }
    if (error instanceof LarderError) throw error
    log.error({ location, reason: causeOf(error) }, 'the store could not be repaired')
  }
  await clear(location, aside)
  await prepare(location)
  const disk = new Disk(location, { log })
  await disk.open()
  const salvaged = await salvage(aside, disk, log)
  await disk.close()
  log.error(
    { location, aside, salvaged },
    'the damaged store was set aside and an EMPTY store takes its place, with the records that could still be read',
  )
  return { ...(await attempt()), opening: { state: 'replaced', aside, salvaged } }
}

/** Closes what `openStore` opened, and puts on record that this was done in order. */
export async function closeStore(disk: Disk): Promise<void> {
  await disk.close()
  // What was met damaged is to be mended at the next start.
  if (disk.stats.damaged === 0) await rm(join(disk.location, IN_USE), { force: true })
}

async function tryOpen<T>(location: string, deps: Deps, load: (disk: Disk) => Promise<T>) {
  const disk = new Disk(location, { log: deps.log })
  try {
    await disk.open()
  } catch (error) {
    refuseUnlessDamaged(location, error)
    if (!isFull(error)) throw error
    await deps.onFull()
    await disk.open().catch(again => {
      throw isFull(again) ? unusable(location, again) : again
    })
  }
  await tellDropped(location, deps.log)
  try {
    const loaded = await load(disk)
    await recordOpening(disk)
    await writeFile(join(location, IN_USE), '', { mode: 0o600 }).catch(() => {})
    return { disk, loaded }
  } catch (error) {
    await disk.close()
    throw error
  }
}

/** Writes at each opening: so the journal of a store that is in use is never empty, and what cannot be written shows now. */
async function recordOpening(disk: Disk): Promise<void> {
  const before = await disk.get(OPENED)
  const value = numberValue((before === undefined ? 0 : valueNumber(before)) + 1)
  try {
    await disk.write([{ type: 'put', key: OPENED, value }], true)
  } catch (error) {
    if (isFull(error)) return
    throw error
  }
  // LevelDB lets the highest number of a write win: a damaged table can hold one that no write comes after.
  const read = await disk.get(OPENED)
  if (read?.equals(value) !== true) throw new Error('what is written to the store does not come back')
}

/** LevelDB passes over torn or damaged parts of its journal without a word to us; it notes them in its own log file. */
async function tellDropped(location: string, log: Log): Promise<void> {
  const text = await readFile(join(location, 'LOG'), 'utf8').catch(() => '')
  const lines = text.split('\n').filter(line => /dropping \d+ bytes|corruption/i.test(line))
  if (lines.length === 0) return
  log.error(
    { location, reason: (lines[0] as string).replace(/^\S+ \S+ /, ''), more: lines.length - 1 },
    'a part of the journal of the store could not be read and is gone',
  )
}

/** Folder and files are the gateway's alone: messages are nobody else's business (mode 0700 and 0600). */
async function prepare(location: string): Promise<void> {
  try {
    await mkdir(location, { recursive: true, mode: 0o700 })
    await chmod(location, 0o700)
    for (const name of await readdir(location)) await chmod(join(location, name), 0o600)
  } catch (error) {
    throw unusable(location, error)
  }
}

/** Something that is no folder stands where the store should be: it is set aside. Returns where, if so. */
async function makeWay(location: string, clock: Clock): Promise<string | undefined> {
  const found = await stat(location).catch(() => undefined)
  if (found === undefined || found.isDirectory()) return undefined
  try {
    const aside = await asideName(location, clock)
    await rename(location, aside)
    return aside
  } catch (error) {
    throw unusable(location, error)
  }
}

/** Whoever has the store open may be in the middle of a write: nobody else may judge its files. Throws LarderError STORE_LOCKED. */
export async function refuseIfLocked(location: string): Promise<void> {
  try {
    // Takes the lock and then finds fault in any case: nothing is opened or made.
    await new Level(location).open({ createIfMissing: false, errorIfExists: true })
  } catch (error) {
    refuseUnlessDamaged(location, error)
  }
}

/** Copies the folder as it is, by hard links where the file system has them, and forgets copies that are older than the last few. */
async function keepAside(location: string, { clock, log }: Deps): Promise<string> {
  const aside = await asideName(location, clock)
  await mkdir(aside, { mode: 0o700 })
  for (const name of await readdir(location)) {
    const [from, to] = [join(location, name), join(aside, name)]
    // What LevelDB writes on in place is copied; its tables never change.
    const isTable = /\.(ldb|sst)$/.test(name)
    try {
      await (isTable ? link(from, to).catch(() => copyFile(from, to)) : copyFile(from, to))
    } catch (error) {
      log.warn({ file: from, reason: reasonOf(error) }, 'a file of the damaged store cannot be copied')
    }
  }
  const folder = dirname(location)
  const kept = (await readdir(folder)).filter(name => name.startsWith(`${basename(location)}.damaged-`)).sort()
  for (const name of kept.slice(0, -MAX_KEPT)) await rm(join(folder, name), { recursive: true, force: true })
  return aside
}

/** Takes the folder away, but for what there is no copy of. */
async function clear(location: string, aside: string): Promise<void> {
  const kept = new Set(await readdir(aside))
  for (const name of await readdir(location)) {
    if (!kept.has(name)) await rename(join(location, name), join(aside, name)).catch(() => {})
  }
  await rm(location, { recursive: true, force: true })
}

async function asideName(location: string, clock: Clock): Promise<string> {
  return freeName(`${location}.damaged-${new Date(clock.wall()).toISOString().replaceAll(':', '-')}`)
}

/** Two damages may come within one reading of a clock that stands still. */
async function freeName(path: string): Promise<string> {
  const taken = new Set(await readdir(dirname(path)))
  for (let i = 1; ; i++) {
    const candidate = i === 1 ? path : `${path}-${i}`
    if (!taken.has(basename(candidate))) return candidate
  }
}

function causeOf(error: unknown): string {
  return reasonOf((error as { cause?: unknown }).cause ?? error)
}

/** Throws what stands against opening the store at all; returns when damage or a full disk may be the reason. */
function refuseUnlessDamaged(location: string, error: unknown): void {
  const cause = (error as { cause?: unknown }).cause
  if (systemCodeOf(cause) === 'LEVEL_LOCKED') {
    throw new LarderError('STORE_LOCKED', `the store in ${location} is in use by another process.`, {
      hint: 'Is another gateway running with the same data_dir?',
      cause: error,
    })
  }
  if (/permission denied|read-only file system/i.test(causeOf(error))) throw unusable(location, error)
}

function unusable(location: string, error: unknown): LarderError {
  const hint = isFull(error)
    ? 'The disk is full: make room on it.'
    : `Set data_dir to a folder that this user may write to (${dirname(location)} is not, or is not a folder).`
  return new LarderError('DATA_DIR_UNUSABLE', `the store cannot be kept in ${location}: ${causeOf(error)}.`, {
    hint,
    cause: error,
  })
}
