/**
 * Looks at the files of a LevelDB folder before LevelDB does, for what it would pass over without a word, and worse:
 * without its CURRENT it takes the folder for a new one and deletes the tables; of a MANIFEST that ends too early it
 * believes the beginning, and deletes the tables that were in the rest; a journal that is not there, or whose end is
 * not, is not missed; a damaged block of a table is believed, and may end the process.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Journal, readJournal } from './journal.ts'
import { Reader } from './leveldb-format.ts'
import { tableFault } from './table.ts'

export interface Inspection {
  /** What must be mended before LevelDB may open the folder. */
  readonly faults: readonly string[]
  /** True when not only journals have faults. */
  readonly tableFaults: boolean
  /** What LevelDB can live with, but an owner should know of. */
  readonly losses: readonly string[]
}

/** Bytes of tables that are read at every start: a Raspberry Pi does that in two seconds. */
const ALWAYS_CHECKED_BYTES = 64 * 1024 * 1024

/** Journals of a LevelDB folder, oldest first. */
export async function journalsOf(location: string): Promise<string[]> {
  return (await readdir(location)).filter(name => /^\d+\.log$/.test(name)).sort(byNumber)
}

/** Tables of a LevelDB folder, oldest first. */
export async function tablesOf(location: string): Promise<string[]> {
  return (await readdir(location)).filter(name => /^\d+\.(ldb|sst)$/.test(name)).sort(byNumber)
}

/**
 * Inspects a folder. One that is empty or new has nothing wrong. `thorough`: every block of the tables is read also
 * when they are large.
 */
export async function inspect(location: string, { thorough }: { thorough: boolean }): Promise<Inspection> {
  const [journals, tables] = [await journalsOf(location), await tablesOf(location)]
  const current = await readFile(join(location, 'CURRENT'), 'utf8').catch(() => undefined)
  if (current === undefined) {
    const isNew = journals.length + tables.length === 0
    return isNew ? NOTHING : unlisted('CURRENT')
  }
  const manifest = await readManifest(join(location, current.trim())).catch(() => undefined)
  if (manifest === undefined) return unlisted(/^MANIFEST-\d+\n$/.test(current) ? current.trim() : 'CURRENT')
  const faults: string[] = []
  const losses: string[] = []
  const isAllRead = thorough || sum(manifest.tables.values()) <= ALWAYS_CHECKED_BYTES
  for (const [number, length] of manifest.tables) {
    const path = join(location, tables.find(table => Number.parseInt(table, 10) === number) ?? `${number}.ldb`)
    const fault = await (isAllRead ? tableFault(path, length) : lengthFault(path, length))
    if (fault !== undefined) faults.push(`table ${number}: ${fault}`)
  }
  const tableFaults = faults.length > 0
  const live = journals.filter(name => Number.parseInt(name, 10) >= manifest.journal)
  if (live.length === 0) losses.push('its journal is missing: what was written last is gone')
  for (const name of live) {
    const file = await readFile(join(location, name)).catch(() => undefined)
    const journal = file === undefined ? undefined : readJournal(file)
    if (journal === undefined || journal.isDamaged) faults.push(`${name}: a part cannot be read`)
    else if (journal.isCut)
      losses.push(`${name} ends in the middle of a write, as after a power cut: that write is gone`)
    else if (file?.length === 0 && live.length === 1)
      losses.push(`${name} is empty: if anything was in it, that is gone`)
  }
  return { faults, tableFaults, losses }
}

async function lengthFault(path: string, length: number): Promise<string | undefined> {
  const size = await stat(path).then(
    found => found.size,
    () => undefined,
  )
  return size === length ? undefined : 'has not the length that it should have'
}

const NOTHING: Inspection = { faults: [], tableFaults: false, losses: [] }

/** What says which tables there are cannot be read to its end. */
function unlisted(name: string): Inspection {
  return { faults: [`${name}: cannot be read to its end`], tableFaults: true, losses: [] }
}

interface Manifest {
  /** Tables in use: number and length in bytes. */
  readonly tables: ReadonlyMap<number, number>
  /** Journals of this number and higher are in use. */
  readonly journal: number
}

async function readManifest(path: string): Promise<Manifest | undefined> {
  const { records, isDamaged, isCut }: Journal = readJournal(await readFile(path))
  if (records.length === 0 || isDamaged || isCut) return undefined
  const tables = new Map<number, number>()
  let journal = 0
  for (const { bytes } of records) {
    for (const reader = new Reader(bytes); !reader.isAtEnd; ) {
      switch (reader.number()) {
        case 1: // name of the order of keys
          reader.slice()
          break
        case 2:
          journal = reader.number()
          break
        case 3: // next number of a file
        case 4: // last number of a write
        case 9: // journal before
          reader.number()
          break
        case 5: // where to compact next
          reader.number()
          reader.slice()
          break
        case 6:
          reader.number()
          tables.delete(reader.number())
          break
        case 7: {
          reader.number()
          const number = reader.number()
          tables.set(number, reader.number())
          reader.slice()
          reader.slice()
          break
        }
        default:
          return undefined
      }
    }
  }
  return { tables, journal }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

function byNumber(a: string, b: string): number {
  return Number.parseInt(a, 10) - Number.parseInt(b, 10)
}
