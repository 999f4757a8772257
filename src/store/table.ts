/**
 * Reads and mends LevelDB's tables (`*.ldb`). LevelDB has a checksum behind each block of a table and looks at it only
 * when told to, which its binding for Node cannot; what it makes of a damaged block may be wrong records, or the end of
 * the process. So a table is checked before LevelDB sees it, and the damaged blocks are cut out.
 *
 *   block, block, …, filter, metaindex, index, footer     a block: contents, compression (1 byte), checksum (4 bytes)
 *
 * Where the index is damaged or cut off, blocks are found by their checksums: each begins where the last one ends.
 */
import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { entriesOf, indexBlock, readBlock, uncompressed } from './block.ts'
import { Crc32c, crc32c, Reader, varint } from './leveldb-format.ts'

const FOOTER_LENGTH = 48
const MAGIC = Buffer.from('57fb808b247547db', 'hex')
/** Compression and checksum. */
const TRAILER_LENGTH = 5
/** Of a write's number and kind, behind each key. */
const WRITE_LENGTH = 8
/** Kinds of compression: none, and Snappy. */
const MAX_COMPRESSION = 1

/** Where a block is, without its trailer. */
export interface Handle {
  readonly offset: number
  readonly length: number
}

export interface Mended {
  /** Blocks that were cut out. */
  readonly lost: number
  /** Records of those that can be made out, the numbers of their writes behind their keys: some may be wrong. */
  readonly doubtful: { key: Buffer; value: Buffer }[]
}

/** What is wrong with a table that should have `length` bytes, if anything is. */
export async function tableFault(path: string, length: number): Promise<string | undefined> {
  const file = await readFile(path).catch(() => undefined)
  if (file === undefined) return 'cannot be read'
  if (file.length !== length) return `has ${file.length} bytes instead of ${length}`
  const known = indexed(file)
  if (known === undefined) return 'has a damaged index'
  if (!known.isFilterSound) return 'has a damaged filter'
  const { handles } = known
  const damaged = handles.filter(handle => !isSound(file, handle)).length
  return damaged === 0 ? undefined : `${damaged} of ${handles.length} blocks are damaged`
}

/** Takes what is damaged out of a table: the file is replaced, or removed when nothing of it is left. */
export async function mendTable(path: string): Promise<Mended> {
  const file = await readFile(path)
  const known = indexed(file)
  const handles = known?.handles ?? found(file)
  const sound = handles.filter(handle => isSound(file, handle))
  const damaged = handles.filter(handle => !sound.includes(handle))
  if (known?.isFilterSound === true && damaged.length === 0) return { lost: 0, doubtful: [] }
  const blocks = sound.flatMap(handle => {
    const lastKey = entriesOf(contentOf(file, handle)).at(-1)?.key
    return lastKey === undefined ? [] : [{ handle, lastKey }]
  })
  if (blocks.length === 0) await rm(path)
  else {
    // Never in place: the copy that is kept may be the same file.
    await writeFile(`${path}.mended`, rebuilt(file, blocks), { mode: 0o600, flush: true } as object)
    await rename(`${path}.mended`, path)
  }
  return { lost: damaged.length, doubtful: damaged.flatMap(handle => entriesOf(contentOf(file, handle))) }
}

/** The blocks as the index has them, and whether the filter is sound, which else hides records; undefined when the index is damaged. */
function indexed(file: Buffer): { handles: Handle[]; isFilterSound: boolean } | undefined {
  const footer = file.subarray(-FOOTER_LENGTH)
  if (footer.length < FOOTER_LENGTH || !footer.subarray(-MAGIC.length).equals(MAGIC)) return undefined
  try {
    const reader = new Reader(footer)
    const [others, index] = [handleFrom(reader), handleFrom(reader)]
    if (!isSound(file, index)) return undefined
    const isFilterSound = isSound(file, others) && handlesIn(file, others).every(handle => isSound(file, handle))
    return { handles: handlesIn(file, index), isFilterSound }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

function handlesIn(file: Buffer, index: Handle): Handle[] {
  return entriesOf(contentOf(file, index)).map(({ value }) => handleFrom(new Reader(value)))
}

function handleFrom(reader: Reader): Handle {
  return { offset: reader.number(), length: reader.number() }
}

function isSound(file: Buffer, { offset, length }: Handle): boolean {
  const end = offset + length + TRAILER_LENGTH
  if (end > file.length) return false
  return crc32c(file.subarray(offset, end - 4)) === file.readUInt32LE(end - 4)
}

function contentOf(file: Buffer, { offset, length }: Handle): Buffer {
  const bytes = file.subarray(offset, offset + length)
  return file[offset + length] === 1 ? uncompressed(bytes) : bytes
}

/** The blocks that follow one another from the beginning of the file; behind a damaged one nothing can be found. */
function found(file: Buffer): Handle[] {
  const handles: Handle[] = []
  let before: Buffer | undefined
  for (let offset = 0; ; ) {
    const handle = blockAt(file, offset)
    if (handle === undefined) return handles
    const { entries, isWhole } = readBlock(contentOf(file, handle))
    const isData = isWhole && entries.length > 0 && entries.every(({ key }) => isRecordKey(key, before))
    // Behind the records come the filter and the index.
    if (!isData) return handles
    handles.push(handle)
    before = entries.at(-1)?.key
    offset += handle.length + TRAILER_LENGTH
  }
}

/** In a table the number of its write, and whether it was a deletion, stand behind each key. */
function isRecordKey(key: Buffer, before: Buffer | undefined): boolean {
  if (key.length <= WRITE_LENGTH || (key[key.length - WRITE_LENGTH] as number) > 1) return false
  return before === undefined || before.subarray(0, -WRITE_LENGTH).compare(key.subarray(0, -WRITE_LENGTH)) <= 0
}

function blockAt(file: Buffer, offset: number): Handle | undefined {
  const crc = new Crc32c()
  for (let at = offset; at + TRAILER_LENGTH <= file.length; at++) {
    const byte = file[at] as number
    crc.add(byte)
    if (byte <= MAX_COMPRESSION && at > offset && crc.masked === file.readUInt32LE(at + 1)) {
      return { offset, length: at - offset }
    }
  }
  return undefined
}

/** The blocks as they are, with an index that knows no others. */
function rebuilt(file: Buffer, blocks: { handle: Handle; lastKey: Buffer }[]): Buffer {
  const parts: Buffer[] = []
  let at = 0
  const add = (content: Buffer): Handle => {
    const handle = { offset: at, length: content.length - TRAILER_LENGTH }
    parts.push(content)
    at += content.length
    return handle
  }
  const entries = blocks.map(({ handle: { offset, length }, lastKey }) => ({
    key: lastKey,
    value: encoded(add(file.subarray(offset, offset + length + TRAILER_LENGTH))),
  }))
  const footer = Buffer.alloc(FOOTER_LENGTH)
  Buffer.concat([encoded(add(withTrailer(indexBlock([])))), encoded(add(withTrailer(indexBlock(entries))))]).copy(
    footer,
  )
  MAGIC.copy(footer, FOOTER_LENGTH - MAGIC.length)
  return Buffer.concat([...parts, footer])
}

function encoded({ offset, length }: Handle): Buffer {
  return Buffer.concat([varint(offset), varint(length)])
}

function withTrailer(content: Buffer): Buffer {
  const block = Buffer.alloc(content.length + TRAILER_LENGTH)
  content.copy(block)
  block.writeUInt32LE(crc32c(block.subarray(0, -4)), block.length - 4)
  return block
}
