/** Whether the wall clock can be believed: what is on the machine says so, or a leap to where it can be. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { NOT_BEFORE, SystemClockSync } from '../../../src/kernel/clock-sync.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const DAY = 86_400_000
/** On a Pi that was last used then. */
const LAST_USED = NOT_BEFORE + 10 * DAY

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-sync-'))
})
afterEach(() => rm(root, { recursive: true }))

function machine(wall: number) {
  const clock = new ManualClock(wall)
  return { clock, sync: new SystemClockSync({ clock, root }) }
}

async function put(path: string, text: string): Promise<void> {
  await mkdir(join(root, path, '..'), { recursive: true })
  await writeFile(join(root, path), text)
}

test('nothing tells: not believed, until it leaps forward, and no longer when that is taken back', async () => {
  const { clock, sync } = machine(LAST_USED)
  expect(sync.isSynced()).toBe(false)
  await clock.advance(DAY)
  expect(sync.isSynced()).toBe(false)
  clock.jumpWall(30 * DAY)
  expect(sync.isSynced()).toBe(true)
  clock.jumpWall(-30 * DAY)
  expect(sync.isSynced()).toBe(false)
})

test('systemd-timesyncd tells, also where there is a hardware clock', async () => {
  await put('sys/class/rtc/rtc0/hctosys', '1\n')
  await mkdir(join(root, 'run/systemd/timesync'), { recursive: true })
  const { sync } = machine(LAST_USED)
  expect(sync.isSynced()).toBe(false)
  await put('run/systemd/timesync/synchronized', '')
  expect(sync.isSynced()).toBe(true)
})

test('a hardware clock is believed, but for one whose battery is empty', async () => {
  await put('sys/class/rtc/rtc0/hctosys', '1\n')
  expect(machine(LAST_USED).sync.isSynced()).toBe(true)
  const { clock, sync } = machine(Date.UTC(2020, 0, 1))
  expect(sync.isSynced()).toBe(false)
  // From one wrong time to another.
  clock.jumpWall(DAY)
  expect(sync.isSynced()).toBe(false)
})
