/**
 * Gets out of a damaged store what can still be read: each of its files by itself is made into a small store, whose
 * records are put into a new one. Files are taken in the order in which LevelDB wrote them, so that of two versions of
 * a record the newer one stays. A record that had been deleted may come back: a message may be delivered again, which
 * QoS 1 allows; none that still reads is lost.
 */
import { copyFile, mkdtemp, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Operation } from './committer.ts'
import { Disk, repairLevel } from './disk.ts'
import { EVERYTHING } from './keys.ts'

/** Records written at a time. */
const BATCH_RECORDS = 500

/** Puts every record that still reads in the LevelDB folder `from` into `to`. Returns how many those were. */
export async function salvage(from: string, to: Disk, log: Log): Promise<number> {
  let salvaged = 0
  for (const name of await filesByAge(from)) {
    const work = await mkdtemp(`${to.location}.salvage-`)
    try {
      await copyFile(join(from, name), join(work, name))
      await repairLevel(work)
      salvaged += await copyRecords(work, to, log)
    } catch (error) {
      log.warn(
        { file: join(from, name), reason: reasonOf(error) },
        'nothing could be read from a file of the damaged store',
      )
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return salvaged
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

/** Tables and journals of a LevelDB folder, oldest first: their names are numbers that only grow. */
async function filesByAge(folder: string): Promise<string[]> {
  const names = await readdir(folder)
  return names
    .filter(name => /^\d+\.(ldb|sst|log)$/.test(name))
    .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
}
