/**
 * Reads what LevelDB writes record by record: its journals (`*.log`) and its MANIFEST. LevelDB itself gives up the rest
 * of a block of 32 KiB where one bit is wrong, and says nothing of a file that ends too early; here every record that
 * still reads is found, and what is not right is told.
 *
 * A file is blocks; a block is fragments, each with its checksum, length and type; a record is one fragment or several,
 * one a block. At a place that makes no sense, the next fragment whose checksum is right is looked for.
 */
import { crc32c, Reader } from './leveldb-format.ts'

const BLOCK_LENGTH = 32 * 1024
/** Checksum, length, type. A block's last bytes are left empty when they are too few for it. */
const HEADER_LENGTH = 7

/** Types of fragments. Between the first and the last come those of type 3. */
const FULL = 1
const FIRST = 2
const LAST = 4

export interface JournalRecord {
  readonly bytes: Buffer
  /** False when a checksum was wrong or the end is missing. */
  readonly isSound: boolean
}

export interface Journal {
  readonly records: readonly JournalRecord[]
  /** Something before the end could not be read, or not as it was written. */
  readonly isDamaged: boolean
  /** The file ends in the middle of a record, or in nothing: as after a power cut, or when its end was lost. */
  readonly isCut: boolean
}

/** A write or a deletion as LevelDB has it: of ours, the value still with its checksum. */
export type RawOperation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

interface Fragment {
  readonly type: number
  readonly bytes: Buffer
  /** Where the next one begins. */
  readonly end: number
  readonly isSound: boolean
}

export function readJournal(file: Buffer): Journal {
  const records: JournalRecord[] = []
  let isDamaged = false
  let isCut = false
  /** Fragments of a record whose end is still to come. */
  let begun: Fragment[] = []
  const give = (fragments: Fragment[], isWhole: boolean) => {
    if (fragments.length === 0) return
    const isSound = isWhole && fragments.every(fragment => fragment.isSound)
    if (!isSound) isDamaged = true
    records.push({ bytes: Buffer.concat(fragments.map(({ bytes }) => bytes)), isSound })
  }
  for (let at = 0; at < file.length; ) {
    const fragment = fragmentAt(file, at) ?? fragmentBehind(file, at)
    if (fragment === 'padding') {
      at = blockEndOf(at)
      continue
    }
    if (fragment === undefined) {
      isCut = true
      break
    }
    if (fragment.isLate) {
      isDamaged = true
      give(begun, false)
      begun = []
    }
    at = fragment.end
    if (fragment.type === FULL || fragment.type === FIRST) {
      give(begun, false)
      begun = []
    } else if (begun.length === 0) {
      // The beginning is lost: so is the rest.
      isDamaged = true
      continue
    }
    begun.push(fragment)
    if (fragment.type === FULL || fragment.type === LAST) {
      give(begun, true)
      begun = []
    }
  }
  return { records, isDamaged, isCut: isCut || begun.length > 0 }
}

/**
 * The writes in a record of a journal. Of a record that is not sound, those whose own checksum is right, and no
 * deletions, which have none: a message that comes again does less harm than the loss of another.
 */
export function operationsOf(record: JournalRecord, isSealed: (key: Buffer, value: Buffer) => boolean): RawOperation[] {
  const operations: RawOperation[] = []
  // Behind the number of the first operation, and their count.
  const reader = new Reader(record.bytes, 12)
  try {
    while (!reader.isAtEnd) {
      const isPut = reader.byte() === 1
      const key = reader.slice()
      if (!isPut) {
        if (record.isSound) operations.push({ type: 'del', key })
        continue
      }
      const value = reader.slice()
      if (record.isSound || isSealed(key, value)) operations.push({ type: 'put', key, value })
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return operations
}

type Found = (Fragment & { readonly isLate: boolean }) | 'padding'

/** The fragment at `at`; undefined when there is none that makes sense. */
function fragmentAt(file: Buffer, at: number): Found | undefined {
  const fragment = plausibleAt(file, at)
  if (fragment === undefined)
    return blockEndOf(at) - at < HEADER_LENGTH && blockEndOf(at) <= file.length ? 'padding' : undefined
  if (fragment.isSound) return { ...fragment, isLate: false }
  // Only its contents are wrong, or its length too? What follows knows.
  const { end } = fragment
  const isFollowed = end === file.length || blockEndOf(end) - end < HEADER_LENGTH || plausibleAt(file, end)?.isSound
  return isFollowed ? { ...fragment, isLate: false } : undefined
}

/** The first sound fragment behind `at`. */
function fragmentBehind(file: Buffer, at: number): Found | undefined {
  for (let from = at + 1; from + HEADER_LENGTH <= file.length; from++) {
    const fragment = plausibleAt(file, from)
    if (fragment?.isSound) return { ...fragment, isLate: true }
  }
  return undefined
}

function plausibleAt(file: Buffer, at: number): Fragment | undefined {
  const begin = at + HEADER_LENGTH
  if (begin > Math.min(blockEndOf(at), file.length)) return undefined
  const type = file[at + 6] as number
  const end = begin + file.readUInt16LE(at + 4)
  if (type < FULL || type > LAST || end > blockEndOf(at) || end > file.length) return undefined
  const isSound = crc32c(file.subarray(at + 6, end)) === file.readUInt32LE(at)
  return { type, bytes: file.subarray(begin, end), end, isSound }
}

function blockEndOf(at: number): number {
  return (Math.floor(at / BLOCK_LENGTH) + 1) * BLOCK_LENGTH
}
