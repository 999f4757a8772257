/**
 * A block of a LevelDB table: entries in the order of their keys, each of which leaves out what its key has in common
 * with the one before, then where the keys stand that leave out nothing; all of it may be compressed by Snappy. Damaged
 * blocks are read as far as they make sense.
 */
import { Reader, varint } from './leveldb-format.ts'

export interface Entry {
  readonly key: Buffer
  readonly value: Buffer
}

/** The entries of a block, up to the first that makes no sense. */
export function entriesOf(block: Buffer): Entry[] {
  return readBlock(block).entries
}

/** The same; `isWhole` when all of it made sense. */
export function readBlock(block: Buffer): { entries: Entry[]; isWhole: boolean } {
  const entries: Entry[] = []
  try {
    const end = block.length - 4 - 4 * block.readUInt32LE(block.length - 4)
    const reader = new Reader(end < 0 ? block : block.subarray(0, end))
    for (let before: Buffer = Buffer.alloc(0); !reader.isAtEnd; ) {
      const common = reader.number()
      const more = reader.number()
      const length = reader.number()
      if (common > before.length) return { entries, isWhole: false }
      const key = Buffer.concat([before.subarray(0, common), reader.bytes(more)])
      entries.push({ key, value: reader.bytes(length) })
      before = key
    }
    return { entries, isWhole: end >= 0 }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    return { entries, isWhole: false }
  }
}

/** A block in which no key leaves out anything. */
export function indexBlock(entries: readonly Entry[]): Buffer {
  const parts: Buffer[] = []
  const begins: number[] = []
  let at = 0
  for (const { key, value } of entries) {
    const part = Buffer.concat([varint(0), varint(key.length), varint(value.length), key, value])
    begins.push(at)
    parts.push(part)
    at += part.length
  }
  if (begins.length === 0) begins.push(0)
  const restarts = Buffer.alloc(4 * begins.length + 4)
  for (const [i, begin] of begins.entries()) restarts.writeUInt32LE(begin, 4 * i)
  restarts.writeUInt32LE(begins.length, 4 * begins.length)
  return Buffer.concat([...parts, restarts])
}

/** Bytes that a block may have: far more than the largest message, far less than a length that is only garbage. */
const MAX_UNCOMPRESSED = 512 * 1024 * 1024

/** What Snappy compressed; from the first byte that makes no sense on, zeros. */
export function uncompressed(bytes: Buffer): Buffer {
  const reader = new Reader(bytes)
  let into = Buffer.alloc(0)
  try {
    const length = reader.number()
    if (length > Math.min(MAX_UNCOMPRESSED, bytes.length * MAX_RATIO)) return into
    into = Buffer.alloc(length)
    for (let at = 0; at < length; ) at = step(reader, into, at)
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return into
}

/** Snappy's longest copy is 64 bytes, written in 3. */
const MAX_RATIO = 32

/** A literal or a copy of what came before. Returns where the next one goes. */
function step(reader: Reader, into: Buffer, at: number): number {
  const tag = reader.byte()
  const kind = tag & 3
  const number = tag >>> 2
  if (kind === 0) {
    const length = 1 + (number < 60 ? number : littleEndian(reader, number - 59))
    reader.bytes(length).copy(into, at)
    return at + length
  }
  const length = kind === 1 ? 4 + (number & 7) : 1 + number
  const distance = kind === 1 ? ((number >>> 3) << 8) | reader.byte() : littleEndian(reader, kind === 2 ? 2 : 4)
  if (distance === 0 || distance > at || at + length > into.length) throw new RangeError('a copy from nowhere')
  // Byte by byte: what is copied may reach into what is being written.
  for (let i = 0; i < length; i++) into[at + i] = into[at + i - distance] as number
  return at + length
}

function littleEndian(reader: Reader, length: number): number {
  return reader.bytes(length).readUIntLE(0, length)
}
