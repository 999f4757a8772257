/**
 * An exported store: one file, which any machine's Larder of this schema or a later one can take in.
 *
 *   a line            larder-store {"format":1,"schema":2,"made":"2026-11-23T04:00:00.000Z","by":"0.1.0"}
 *   blocks            four bytes of length, then records: length and key, length and value (with its checksum, as on disk)
 *   the end           a length of 0, then SHA-256 of everything before
 *
 * It is written and read a block at a time, so a store of any size takes a few MiB of memory, and a file that was cut or
 * changed is noticed before anything is done with it.
 */
import { createHash } from 'node:crypto'
import { ByteSource, EndOfBytes } from '../kernel/byte-source.ts'
import { LarderError } from '../kernel/errors.ts'
import { after, type Records } from './disk.ts'
import { EVERYTHING, SCHEMA_VERSION } from './keys.ts'
import { Reader, varint } from './leveldb-format.ts'
import { isSealed, SEAL_LENGTH, seal } from './seal.ts'

const MAGIC = 'larder-store '
const FORMAT = 1
/** Records read at a time; the disk ends a page at 512 KiB. */
const PAGE_RECORDS = 1_000
/** Bytes of the first line: a few words, with room for others. */
const MAX_HEADER = 4_096
/** Bytes of a block: the largest message of MQTT, with a page before it and room for its properties. */
const MAX_BLOCK = 512 * 2 ** 20
const DIGEST_LENGTH = 32

export interface ArchiveHeader {
  readonly format: number
  readonly schema: number
  /** When, by the clock of the machine that made it. */
  readonly made: string
  /** Version of the program that made it. */
  readonly by: string
}

export interface ArchiveRecord {
  readonly key: Buffer
  readonly value: Buffer
}

/** The bytes of an archive of `records`, which must not change meanwhile. Records that are damaged are left out. */
export async function* writeArchive(
  records: Records,
  { made, by }: Pick<ArchiveHeader, 'made' | 'by'>,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256')
  const hashed = (bytes: Buffer) => {
    hash.update(bytes)
    return bytes
  }
  const header: ArchiveHeader = { format: FORMAT, schema: SCHEMA_VERSION, made, by }
  yield hashed(Buffer.from(`${MAGIC}${JSON.stringify(header)}\n`))
  for (let gte: Buffer = EVERYTHING.gte; ; ) {
    const page = await records.page({ gte, lt: EVERYTHING.lt }, PAGE_RECORDS)
    const last = page.at(-1)
    if (last === undefined) break
    gte = after(last[0])
    const parts = page.flatMap(([key, value]) => (value === undefined ? [] : recordParts(key, seal(key, value))))
    if (parts.length === 0) continue
    const block = Buffer.concat([Buffer.alloc(4), ...parts])
    block.writeUInt32BE(block.length - 4)
    yield hashed(block)
  }
  yield hashed(Buffer.alloc(4))
  yield hash.digest()
}

function recordParts(key: Buffer, value: Buffer): Buffer[] {
  return [varint(key.length), key, varint(value.length), value]
}

/**
 * Reads an archive: its header, then its records block by block, each value without its checksum. Ends when all has come
 * and is what was written; until then nothing of it can be trusted. Throws LarderError ARCHIVE_INVALID.
 */
export async function* readArchive(input: AsyncIterable<Buffer>): AsyncGenerator<ArchiveRecord[], ArchiveHeader> {
  const hash = createHash('sha256')
  const source = new ByteSource(input)
  const hashed = (bytes: Buffer) => {
    hash.update(bytes)
    return bytes
  }
  try {
    const header = headerOf(hashed(await source.line(MAX_HEADER)).toString())
    for (;;) {
      const length = hashed(await source.take(4)).readUInt32BE()
      if (length === 0) break
      if (length > MAX_BLOCK) throw invalid('it is damaged')
      yield recordsOf(hashed(await source.take(length)))
    }
    const digest = await source.take(DIGEST_LENGTH)
    if (!digest.equals(hash.digest())) throw invalid('its checksum is wrong: it is damaged')
    return header
  } catch (error) {
    if (error instanceof EndOfBytes) throw invalid('it ends too early: it was cut')
    if (error instanceof RangeError) throw invalid('it is no file of "larder store export"')
    throw error
  } finally {
    await source.close()
  }
}

function headerOf(line: string): ArchiveHeader {
  if (!line.startsWith(MAGIC)) throw invalid('it is no file of "larder store export"')
  let header: Partial<ArchiveHeader>
  try {
    header = JSON.parse(line.slice(MAGIC.length))
  } catch {
    throw invalid('its first line is damaged')
  }
  const { format = 0, schema = 0, made = '', by = '' } = header
  if (format !== FORMAT || schema > SCHEMA_VERSION || schema < 2) {
    throw invalid(`version ${by} of Larder made it (format ${format}, schema ${schema}), and this one cannot read that`)
  }
  return { format, schema, made, by }
}

function recordsOf(block: Buffer): ArchiveRecord[] {
  const records: ArchiveRecord[] = []
  try {
    for (const reader = new Reader(block); !reader.isAtEnd; ) {
      const key = reader.slice()
      const sealed = reader.slice()
      if (key.length === 0 || !isSealed(key, sealed)) throw new RangeError('a checksum')
      records.push({ key, value: sealed.subarray(0, -SEAL_LENGTH) })
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    throw invalid('a record in it is damaged')
  }
  return records
}

function invalid(what: string): LarderError {
  return new LarderError('ARCHIVE_INVALID', `the exported store cannot be used: ${what}.`, {
    hint: 'Nothing was changed. Export it again, or take another copy.',
  })
}
