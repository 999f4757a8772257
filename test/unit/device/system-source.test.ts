import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { SystemSource } from '../../../device/sysfs/system-source.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

let root: string
let clock: ManualClock
let heard: SourceRecorder
let source: SystemSource

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-system-'))
  clock = new ManualClock()
  heard = new SourceRecorder()
})

afterEach(async () => {
  await source.stop()
  expect(clock.pending, 'timers left after stop').toBe(0)
  await rm(root, { recursive: true })
})

async function start(disk = root): Promise<void> {
  source = new SystemSource({
    settings: { every: 10_000, disk },
    clock,
    thermal: join(root, 'thermal'),
    hwmon: join(root, 'hwmon'),
  })
  await source.start(heard, new AbortController().signal)
  await source.poll()
}

async function sensor(folder: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(root, folder), { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(root, folder, file), `${text}\n`)
}

function last(): Record<string, number> {
  return heard.values.at(-1) as unknown as Record<string, number>
}

test('tells at once what this very machine has, by names with units', async () => {
  await start()
  expect(heard.heard[0]).toEqual({ up: true })
  expect(Object.keys(last())).toEqual([
    'load_1m',
    'load_5m',
    'load_15m',
    'memory_used_bytes',
    'memory_available_bytes',
    'disk_free_bytes',
    'uptime_s',
  ])
  for (const [name, value] of Object.entries(last())) expect(value, name).toBeGreaterThanOrEqual(0)
  expect(last().memory_available_bytes).toBeGreaterThan(1024 * 1024)
  expect(last().disk_free_bytes).toBeGreaterThan(0)
  expect(Number.isInteger(last().uptime_s)).toBe(true)
})

test('and again at every beat', async () => {
  await start()
  const again = heard.more()
  await clock.advance(10_000)
  await again
  await source.poll()
  expect(heard.values.length).toBeGreaterThan(1)
})

describe('temperature', () => {
  test('of a Pi: the processor’s thermal zone', async () => {
    await sensor('thermal/thermal_zone0', { type: 'cpu-thermal', temp: '48312' })
    await start()
    expect(last().temperature_c).toBe(48.3)
  })

  test('the processor’s, where there are several zones', async () => {
    await sensor('thermal/thermal_zone0', { type: 'acpitz', temp: '27800' })
    await sensor('thermal/thermal_zone10', { type: 'x86_pkg_temp', temp: '61000' })
    await sensor('thermal/cooling_device0', { type: 'Processor', temp: '1' })
    await start()
    expect(last().temperature_c).toBe(61)
  })

  test('the first that answers, where none is the processor’s', async () => {
    // A zone that cannot be read: a folder stands for the error that the kernel gives.
    await mkdir(join(root, 'thermal/thermal_zone0/temp'), { recursive: true })
    await sensor('thermal/thermal_zone1', { type: 'iwlwifi_1', temp: '' })
    await sensor('thermal/thermal_zone2', { type: 'acpitz', temp: '-1500' })
    await start()
    expect(last().temperature_c).toBe(-1.5)
  })

  test('from hwmon, where there is no thermal zone', async () => {
    await sensor('hwmon/hwmon0', { name: 'nvme', temp1_input: '30000' })
    await sensor('hwmon/hwmon1', { name: 'coretemp', temp1_input: '55000' })
    await start()
    expect(last().temperature_c).toBe(55)
  })
})

test('a disk that cannot be measured is told once, and the rest is still told', async () => {
  const disk = join(root, 'none')
  await start(disk)
  await source.poll()
  expect(heard.faults).toEqual([expect.stringContaining(`the disk of ${disk} cannot be measured`)])
  expect(last()).toHaveProperty('uptime_s')
  expect(last()).not.toHaveProperty('disk_free_bytes')
  await mkdir(disk)
  await source.poll()
  expect(last()).toHaveProperty('disk_free_bytes')
})
