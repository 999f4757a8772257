/**
 * Gets out of a damaged store what can still be read. `repair` mends the folder in place: journals are read by
 * ourselves, record by record, tables by LevelDB. `salvage` is for a folder that will not be mended: each of its files
 * by itself is made into a small store, whose records are put into a new one. Files are taken in the order in which
 * LevelDB wrote them, so that of two versions of a record the newer one stays. A record that had been deleted may come
 * back: a message may be delivered again, which QoS 1 allows; none that still reads is lost.
 */
import { copyFile, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { Level } from 'level'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Operation } from './committer.ts'
import { Disk, isFull, repairLevel } from './disk.ts'
import { journalsOf, tablesOf } from './inspection.ts'
import { operationsOf, type RawOperation, readJournal } from './journal.ts'
import { EVERYTHING } from './keys.ts'
import { isSealed, SEAL_LENGTH } from './seal.ts'
import { mendTable } from './table.ts'

/** Records written at a time. */
const BATCH_RECORDS = 500
/** Where LevelDB's repair puts what it took apart. */
const LOST = 'lost'

/** Makes a damaged folder one that opens. `tablesToo`: not only journals are damaged. */
export async function repair(location: string, options: { tablesToo: boolean }): Promise<void> {
  const journals = await journalsOf(location)
  const operations: RawOperation[] = []
  for (const name of journals) operations.push(...(await orUnreadable(join(location, name), journaled)))
  for (const name of await journalsOf(location)) await rm(join(location, name))
  const doubtful = options.tablesToo ? await repairTables(location) : []
  const level = new Level<Buffer, Buffer>(location, { keyEncoding: 'buffer', valueEncoding: 'buffer' })
  await level.open()
  try {
    // LevelDB's repair gives up which of two tables is newer; here it merges them by the numbers of their writes.
    if (options.tablesToo) await compact(level)
    for (const { key, value } of doubtful) if ((await level.get(key)) === undefined) await level.put(key, value)
    for (let i = 0; i < operations.length; i += BATCH_RECORDS) await level.batch(operations.slice(i, i + BATCH_RECORDS))
    await compact(level)
  } finally {
    await level.close()
  }
}

/** Leaves tables that read, and a list of them. Returns the records of their damaged blocks whose own checksums are right. */
async function repairTables(location: string): Promise<{ key: Buffer; value: Buffer }[]> {
  const records: { key: Buffer; value: Buffer }[] = []
  for (const name of await tablesOf(location)) records.push(...(await orUnreadable(join(location, name), mendedTable)))
  if ((await tablesOf(location)).length > 0) await repairLevel(location)
  else {
    const names = (await readdir(location)).filter(name => name === 'CURRENT' || name.startsWith('MANIFEST-'))
    for (const name of names) await rm(join(location, name))
  }
  // Whoever repairs keeps a copy of before.
  await rm(join(location, LOST), { recursive: true, force: true })
  return records
}

/** What a file gives. One that cannot be read at all is taken out of the way. */
async function orUnreadable<T>(path: string, read: (path: string) => Promise<T[]>): Promise<T[]> {
  try {
    return await read(path)
  } catch (error) {
    if (isFull(error)) throw error
    await rename(path, `${path}.unreadable`)
    return []
  }
}

async function mendedTable(path: string): Promise<{ key: Buffer; value: Buffer }[]> {
  const { doubtful } = await mendTable(path)
  // In a table, the number of its write stands behind each key.
  const records = doubtful.map(({ key, value }) => ({ key: key.subarray(0, -8), value }))
  return records.filter(({ key, value }) => isSealed(key, value))
}

/** Has LevelDB write everything anew, in order and on the disk. */
async function compact(level: Level<Buffer, Buffer>): Promise<void> {
  const { gte, lt } = EVERYTHING
  await (level as unknown as { compactRange(from: Buffer, to: Buffer): Promise<void> }).compactRange(gte, lt)
}

async function journaled(path: string): Promise<RawOperation[]> {
  const { records } = readJournal(await readFile(path))
  return records.flatMap(record => operationsOf(record, isSealed))
}

/** Puts every record that still reads in the LevelDB folder `from` into `to`. Returns how many those were. */
export async function salvage(from: string, to: Disk, log: Log): Promise<number> {
  let salvaged = 0
  const copy = async (name: string, copied: (path: string) => Promise<number>) => {
    try {
      salvaged += await copied(join(from, name))
    } catch (error) {
      log.warn(
        { file: join(from, name), reason: reasonOf(error) },
        'nothing could be read from a file of the damaged store',
      )
    }
  }
  for (const name of await tablesOf(from)) await copy(name, path => copyTable(path, to, log))
  for (const name of await journalsOf(from)) await copy(name, path => copyJournal(path, to))
  return salvaged
}

async function copyTable(path: string, to: Disk, log: Log): Promise<number> {
  const work = await mkdtemp(`${to.location}.salvage-`)
  try {
    const copy = join(work, basename(path))
    await copyFile(path, copy)
    const doubtful = await mendedTable(copy)
    await repairLevel(work)
    const copied = await copyRecords(work, to, log)
    await to.write(
      doubtful.map(({ key, value }) => ({ type: 'put', key, value: value.subarray(0, -SEAL_LENGTH) })),
      true,
    )
    return copied + doubtful.length
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function copyRecords(work: string, to: Disk, log: Log): Promise<number> {
  const source = new Disk(work, { log })
  await source.open()
  let copied = 0
  try {
    let batch: Operation[] = []
    for await (const [key, value] of source.records(EVERYTHING)) {
      batch.push({ type: 'put', key, value: Buffer.from(value) })
      copied++
      if (batch.length < BATCH_RECORDS) continue
      await to.write(batch, false)
      batch = []
    }
    await to.write(batch, true)
    return copied
  } finally {
    await source.close()
  }
}

async function copyJournal(path: string, to: Disk): Promise<number> {
  const sealed = (await journaled(path)).filter(
    operation => operation.type === 'del' || isSealed(operation.key, operation.value),
  )
  const operations = sealed.map(
    (operation): Operation =>
      operation.type === 'put' ? { ...operation, value: operation.value.subarray(0, -SEAL_LENGTH) } : operation,
  )
  for (let i = 0; i < operations.length; i += BATCH_RECORDS)
    await to.write(operations.slice(i, i + BATCH_RECORDS), true)
  return operations.length
}
