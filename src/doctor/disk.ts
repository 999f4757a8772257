/** Room on the disk, whether it takes what is written and how fast, and whether the store is whole. */
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { open, rm, statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../kernel/errors.ts'
import type { Check } from './examine.ts'
import type { Told } from './ports.ts'

/** Bytes that are written and synced for each sample: about a batch of the store. */
const SAMPLE_BYTES = 4_096
/** Samples; the median of them counts. */
const SAMPLES = 5
/** Milliseconds for one, from which on a card is slow, and worn or counterfeit. A good one takes 2 to 20. */
const SLOW_AT = 150
const BROKEN_AT = 2_000
/** Of the room that is kept free: below so much more it is time to look. */
const NEAR = 3

export const checkDisk: Check = async ({ config, running }, { clock, verify }, signal) => {
  if (config === undefined) return [{ grade: 'skip', cause: 'where the data lies stands in the configuration' }]
  const { dataDir, store } = config
  const told = [...(await room(dataDir, store.minFree)), await writing(dataDir, clock, signal)]
  if (running !== undefined) {
    const { troubles } = running
    const cause = 'the running gateway says that all is well'
    told.push(
      troubles.length === 0
        ? { subject: 'store', grade: 'ok', cause }
        : { subject: 'store', grade: 'fail', cause: troubles.join('; '), mend: 'The log says more.' },
    )
  } else if (store.engine === 'level') told.push(await whole(dataDir, verify))
  return told
}

async function room(dataDir: string, minFree: number): Promise<Told[]> {
  const subject = 'room'
  // It is made at the first start.
  let folder = dataDir
  while (!existsSync(folder) && folder !== dirname(folder)) folder = dirname(folder)
  const { bavail, bsize, blocks } = await statfs(folder)
  const free = bavail * bsize
  const cause = `${mebibytes(free)} of ${mebibytes(blocks * bsize)} are free below ${folder}`
  const mend = 'Remove what is not needed: "sudo apt-get clean", old logs ("journalctl --vacuum-size=50M"), backups.'
  if (free < minFree) return [{ subject, grade: 'fail', cause: `${cause}: nothing new is stored`, mend }]
  return [{ subject, grade: free < NEAR * minFree ? 'warn' : 'ok', cause, ...(free < NEAR * minFree ? { mend } : {}) }]
}

async function writing(dataDir: string, clock: Clock, signal: AbortSignal): Promise<Told> {
  const subject = 'writing'
  if (!existsSync(dataDir)) {
    return { subject, grade: 'skip', cause: `${dataDir} is not there yet: the first start makes it` }
  }
  const file = join(dataDir, `doctor-${randomBytes(4).toString('hex')}`)
  const took: number[] = []
  try {
    await using handle = await open(file, 'wx', 0o600)
    for (let i = 0; i < SAMPLES && !signal.aborted; i++) {
      const before = clock.monotonic()
      await handle.write(randomBytes(SAMPLE_BYTES), 0, SAMPLE_BYTES, i * SAMPLE_BYTES)
      await handle.datasync()
      took.push(clock.monotonic() - before)
    }
  } catch (error) {
    return {
      subject,
      grade: 'fail',
      cause: `nothing can be written in ${dataDir}: ${reasonOf(error)}`,
      mend: mendOf(error),
    }
  } finally {
    await rm(file, { force: true }).catch(() => {})
  }
  const median = took.sort((a, b) => a - b)[Math.floor(took.length / 2)] ?? 0
  const cause = `a write is on the disk after ${median.toFixed(median < 10 ? 1 : 0)} ms`
  if (median < SLOW_AT) return { subject, grade: 'ok', cause }
  const mend = 'The card is slow, or worn: take a new one of class A1 or A2, or a USB disk.'
  return { subject, grade: median < BROKEN_AT ? 'warn' : 'fail', cause, mend }
}

function mendOf(error: unknown): string {
  switch (systemCodeOf(error)) {
    case 'EACCES':
    case 'EPERM':
      return 'Run this as the user of the gateway or as root; else "chown -R larder:" that folder.'
    case 'EROFS':
      return 'The disk is read-only: a card does that when it fails. "dmesg" says more; copy it while it reads.'
    case 'ENOSPC':
      return 'Make room on the disk.'
    default:
      return '"dmesg" may say more.'
  }
}

async function whole(
  dataDir: string,
  verify: (dataDir: string) => Promise<readonly string[] | undefined>,
): Promise<Told> {
  const subject = 'store'
  try {
    const faults = await verify(dataDir)
    if (faults === undefined) return { subject, grade: 'skip', cause: 'there is no store yet' }
    if (faults.length === 0) return { subject, grade: 'ok', cause: 'the store is whole' }
    const mend = '"larder store verify" mends it; a start does that too.'
    return { subject, grade: 'fail', cause: faults.join('; '), mend }
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    const mend = error.code === 'STORE_LOCKED' ? 'Run this as the user of the gateway, or as root.' : error.hint
    const grade = error.code === 'STORE_LOCKED' ? 'skip' : 'fail'
    return { subject, grade, cause: error.message.replace(/\.$/, ''), ...(mend === undefined ? {} : { mend }) }
  }
}

const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20).toLocaleString('en')} MiB`
