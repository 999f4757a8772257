/** The guard of the free space, on the disk of this machine: its limit is set just above and below what is free. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, stat, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiskGuard } from '../../../src/store/disk-guard.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordLog } from '../../support/record-log.ts'
import { until } from '../../support/wait.ts'

const MIB = 1024 * 1024
/** ms between two looks. */
const LOOK = 5_000

let folder: string
let guard: DiskGuard | undefined
const clock = new ManualClock()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-guard-'))
})

afterEach(async () => {
  guard?.stop()
  await rm(folder, { recursive: true, force: true })
})

async function started(minFree: number) {
  const { log, lines } = recordLog()
  guard = new DiskGuard({ location: join(folder, 'store'), minFree }, { clock, log })
  await guard.start()
  return { guard, lines, reserve: join(folder, 'store.reserve') }
}

async function free(): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

test('finds a disk with room, and keeps a reserve beside the store that takes real space and is nobody else’s', async () => {
  const { guard, lines, reserve } = await started(8 * MIB)
  expect([guard.isLow, lines]).toEqual([false, []])
  expect(guard.free).toBeGreaterThan(8 * MIB)
  const { size, blocks, mode } = await stat(reserve)
  expect([size, mode & 0o777]).toEqual([2 * MIB, 0o600])
  expect(blocks * 512).toBeGreaterThanOrEqual(2 * MIB)
})

test('finds a disk with less than the limit, says so once, and takes no reserve from it', async () => {
  const { guard, lines, reserve } = await started((await free()) + 1024 * MIB)
  await clock.advance(3 * LOOK)
  expect(guard.isLow).toBe(true)
  expect(lines.map(({ level }) => level)).toEqual(['error'])
  expect(existsSync(reserve)).toBe(false)
})

test('gives up the reserve when the disk is full all the same, and takes it again when there is room', async () => {
  const { guard, lines, reserve } = await started(8 * MIB)
  await guard.isFull()
  expect([guard.isLow, existsSync(reserve)]).toEqual([true, false])
  await clock.advance(LOOK)
  await until(() => !guard.isLow && existsSync(reserve), { what: 'the reserve' })
  expect(lines.map(({ level }) => level)).toEqual(['error', 'warn'])
})

test('without a limit keeps no reserve, and still stops what must be stored when the disk is full', async () => {
  const { guard, reserve } = await started(0)
  expect(existsSync(reserve)).toBe(false)
  await guard.isFull()
  expect(guard.isLow).toBe(true)
  await clock.advance(LOOK)
  await until(() => !guard.isLow, { what: 'room' })
})

test('stops looking when it is stopped', async () => {
  const { guard } = await started(0)
  const before = clock.pending
  guard.stop()
  expect(clock.pending).toBe(before - 1)
})
