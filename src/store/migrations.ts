/**
 * Brings a store that an earlier version wrote into today's form (keys.ts lists the schemas). Records are rewritten in
 * the order of their keys, a batch at a time; each batch also says how far it came, so that a migration that is
 * cut off goes on where it was. The schema's number comes last.
 */
import type { Clock } from '../kernel/clock.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Operation } from './committer.ts'
import { after, type Disk } from './disk.ts'
import { EVERYTHING, nameKey, SCHEMA_VERSION } from './keys.ts'
import { numberValue, valueNumber } from './sessions.ts'
import { FIRST_TIME } from './time.ts'

/** Records rewritten at a time. */
const BATCH_RECORDS = 500

const SCHEMA = nameKey('m', 'schema')
/** Bytes of the number with its checksum. */
const SEALED_LENGTH = 10
/** Value: the last key that was rewritten. */
const PROGRESS = nameKey('m', 'migrating')

/** Gives a record of one schema its value in the next. */
type Rewrite = (key: Buffer, value: Buffer) => Buffer

/** By the schema that they begin with. */
function rewriteFrom(schema: number, clock: Clock): Rewrite | undefined {
  return schema === 1 ? fromSchema1(clock.wall()) : undefined
}

/** Sees to it that the store has today's schema. Throws LarderError STORE_FAILED when a later version wrote it. */
export async function migrate(disk: Disk, deps: { clock: Clock; log: Log }): Promise<void> {
  // The number itself has been the first six bytes in every schema.
  const record = await disk.getRaw(SCHEMA)
  let schema = record === undefined ? undefined : valueNumber(record)
  // One with a checksum that is wrong was written by this version or a later one, and says nothing.
  if (record?.length === SEALED_LENGTH && (await disk.get(SCHEMA)) === undefined) schema = undefined
  if (schema === SCHEMA_VERSION) return
  if (schema === undefined) {
    // Synced at once: an empty LevelDB that was never synced may not open again after a pulled plug.
    await disk.write([schemaRecord()], true)
    return
  }
  const rewrite = rewriteFrom(schema, deps.clock)
  if (rewrite === undefined) {
    throw new LarderError('STORE_FAILED', `the store was written by another version (schema ${schema}).`, {
      hint: `This version reads schemas up to ${SCHEMA_VERSION}.`,
    })
  }
  const records = await rewriteAll(disk, rewrite)
  await disk.write([schemaRecord(), { type: 'del', key: PROGRESS }], true)
  deps.log.warn({ from: schema, to: SCHEMA_VERSION, records }, 'the store was brought into the form of this version')
}

function schemaRecord(): Operation {
  return { type: 'put', key: SCHEMA, value: numberValue(SCHEMA_VERSION) }
}

async function rewriteAll(disk: Disk, rewrite: Rewrite): Promise<number> {
  const progress = await disk.get(PROGRESS)
  let gte = progress === undefined ? EVERYTHING.gte : after(progress)
  for (let count = 0; ; ) {
    const page = await disk.pageRaw({ gte, lt: EVERYTHING.lt }, BATCH_RECORDS)
    const last = page.at(-1)
    if (last === undefined) return count
    const operations: Operation[] = []
    for (const [key, value] of page) {
      if (key.equals(SCHEMA) || key.equals(PROGRESS)) continue
      operations.push({ type: 'put', key, value: rewrite(key, value) })
    }
    operations.push({ type: 'put', key: PROGRESS, value: last[0] })
    await disk.write(operations, true)
    count += operations.length - 1
    gte = after(last[0])
  }
}

const PLACES_ITEM = 10
const FLAG_FORWARDED = 0b0001_0000
const FLAG_EXPIRY = 0b0010_0000
const FLAG_BROKER = 0b0100_0000

/** Schema 1 had no checksums, and wall time where schema 2 has the time of the store, which begins now. */
function fromSchema1(wall: number): Rewrite {
  const timeOf = (then: number) => Math.max(1, FIRST_TIME.elapsed + then - wall)
  return (key, value) => {
    switch (String.fromCharCode(key[0] as number)) {
      case 'b':
        return body(value, timeOf)
      case 'r':
        // Nobody knows who published it.
        return Buffer.concat([Buffer.alloc(4), body(value, timeOf)])
      case 'i':
        return value.length === 0 ? value : body(value, timeOf)
      case 's':
        return session(value, timeOf)
      case 'p':
        // The soonest expiry is not known: the first sweep looks.
        return Buffer.concat([value, Buffer.alloc(6)])
      default:
        return value
    }
  }
}

function body(value: Buffer, timeOf: (wall: number) => number): Buffer {
  const flagsAt = 4 + value.readUInt32BE(0) * PLACES_ITEM
  const acceptedAt = Buffer.allocUnsafe(6)
  acceptedAt.writeUIntBE(FIRST_TIME.elapsed, 0, 6)
  const rest = Buffer.from(value.subarray(flagsAt))
  const flags = rest.readUInt8(0)
  let at = 1
  if ((flags & FLAG_BROKER) !== 0) at += 1 + rest.readUInt8(at) + 6
  if ((flags & FLAG_FORWARDED) !== 0) at += 4 + rest.readUInt32BE(at)
  if ((flags & FLAG_EXPIRY) !== 0) rest.writeUIntBE(timeOf(rest.readUIntBE(at, 6)), at, 6)
  return Buffer.concat([value.subarray(0, flagsAt), acceptedAt, rest])
}

function session(value: Buffer, timeOf: (wall: number) => number): Buffer {
  if (value.length < 16) return value
  const leftAt = value.readUIntBE(10, 6)
  const rewritten = Buffer.from(value)
  if (leftAt !== 0) rewritten.writeUIntBE(timeOf(leftAt), 10, 6)
  return rewritten
}
