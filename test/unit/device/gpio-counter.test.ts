import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type GpioSettings, gpioSource } from '../../../device/gpio/gpio-source.ts'
import { MemoryGpioDriver } from '../../../device/gpio/memory-driver.ts'
import type { Source } from '../../../src/devices/ports.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

const PIN = 5
const METER: GpioSettings = {
  pin: PIN,
  direction: 'count',
  activeLow: false,
  debounce: 20,
  edge: 'rising',
  initial: undefined,
  pulse: undefined,
  atStop: 'keep',
  perPulse: 0.001,
  every: 10_000,
  save: 300_000,
  driver: 'memory',
}

let dataDir: string
let clock: ManualClock
let board: MemoryGpioDriver
let heard: SourceRecorder
let source: Source

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'larder-counter-'))
  clock = new ManualClock()
  board = new MemoryGpioDriver()
  heard = new SourceRecorder()
})

afterEach(async () => {
  await source.stop()
  expect(clock.pending, 'timers left after stop').toBe(0)
  await rm(dataDir, { recursive: true })
})

async function start(settings: Partial<GpioSettings> = {}): Promise<void> {
  heard = new SourceRecorder()
  source = gpioSource({ ...METER, ...settings }, { driver: board, clock, dataDir })
  await source.start(heard, new AbortController().signal)
}

/** A pulse of `width` ms, `gap` ms after the last. */
async function pulse({ width = 50, gap = 50, active = true } = {}): Promise<void> {
  await clock.advance(gap)
  board.set(PIN, active, { at: clock.monotonic() })
  await clock.advance(width)
  board.set(PIN, !active, { at: clock.monotonic() })
}

function total(): unknown {
  return (heard.values.at(-1) as { total: number }).total
}

function rate(): number {
  return (heard.values.at(-1) as { rate: number }).rate
}

describe('pulses', () => {
  test('are counted, and told of no oftener than wanted', async () => {
    await start()
    for (let count = 0; count < 40; count++) await pulse()
    expect(heard.values).toEqual([{ total: 0, rate: 0 }])
    await clock.advance(10_000)
    expect(total()).toBe(0.04)
    const told = heard.values.length
    await clock.advance(3_000_000)
    expect(heard.values.length - told, 'nothing new but a falling rate').toBeLessThan(25)
    expect(total()).toBe(0.04)
  })

  test('that bounce are counted once, and spikes not at all', async () => {
    await start()
    for (let count = 0; count < 10; count++) {
      await pulse({ width: 2, gap: 500 })
      await pulse({ width: 3, gap: 1 })
      await pulse({ width: 100, gap: 2 })
      await pulse({ width: 1, gap: 1 })
    }
    await pulse({ width: 5, gap: 500 })
    await clock.advance(1_000)
    await source.poll?.()
    expect(total()).toBe(0.01)
  })

  test('of the other edge, of both, and active low', async () => {
    await start({ edge: 'falling' })
    await pulse()
    await clock.advance(20)
    await source.poll?.()
    expect(total()).toBe(0.001)
    await source.stop()
    await start({ edge: 'both', pin: PIN })
    await pulse()
    await clock.advance(20)
    await source.poll?.()
    expect(total()).toBe(0.003)
    await source.stop()
    board.set(PIN, true)
    await start({ activeLow: true })
    await pulse({ active: false })
    await clock.advance(20)
    await source.poll?.()
    expect(total()).toBe(0.004)
  })

  test('the one that is on while the gateway stops is counted', async () => {
    await start()
    await clock.advance(100)
    board.set(PIN, true, { at: clock.monotonic() })
    await clock.advance(25)
    await source.stop()
    await start()
    expect(total()).toBe(0.001)
  })
})

describe('the rate', () => {
  test('is that of the pulses, per hour and in the unit of the meter', async () => {
    await start()
    // 1,000 pulses are a kWh: one a second is 3.6 kW.
    for (let count = 0; count < 60; count++) await pulse({ width: 100, gap: 900 })
    await source.poll?.()
    expect(rate()).toBe(3.6)
  })

  test('of a slow meter does not leap between reports', async () => {
    await start({ perPulse: 1 })
    const rates = new Set<number>()
    for (let count = 0; count < 20; count++) {
      await pulse({ width: 1_000, gap: 59_000 })
      if (count > 2) rates.add(rate())
    }
    expect([...rates]).toEqual([60])
  })

  test('falls when no pulse comes, and ends', async () => {
    await start({ perPulse: 1 })
    for (let count = 0; count < 20; count++) await pulse({ width: 100, gap: 900 })
    await clock.advance(60_000)
    expect(rate()).toBeLessThanOrEqual(120)
    await clock.advance(3_600_000)
    expect(rate()).toBe(0)
  })
})

describe('the count', () => {
  const file = () => join(dataDir, 'counters/gpio-5')

  test('survives a stop', async () => {
    await start()
    for (let count = 0; count < 3; count++) await pulse()
    await source.stop()
    expect(await readFile(file(), 'utf8')).toBe('3\n')
    await start()
    expect(total()).toBe(0.003)
  })

  test('is written no oftener than wanted, and not without need', async () => {
    await start()
    await pulse()
    await clock.advance(299_000 - clock.monotonic())
    await expect(readFile(file(), 'utf8')).rejects.toThrow('ENOENT')
    await clock.advance(1_000)
    await expect.poll(() => readFile(file(), 'utf8').catch(() => '')).toBe('1\n')
    await expect.poll(() => readdir(join(dataDir, 'counters'))).toEqual(['gpio-5'])
    await rm(file())
    await clock.advance(600_000)
    await source.stop()
    await expect(readFile(file(), 'utf8')).rejects.toThrow('ENOENT')
  })

  test('is set to the reading of the meter, and written at once', async () => {
    await start()
    await source.command?.(' 12345.678\n')
    expect(total()).toBe(12345.678)
    expect(await readFile(file(), 'utf8')).toBe('12345678\n')
    await pulse()
    await clock.advance(10_000)
    expect(total()).toBe(12345.679)
  })

  test.each(['', 'on', '-1', '1e3', '0x10', '1,5', `9${'9'.repeat(30)}`, 'NaN'])('is not set to %j', async payload => {
    await start()
    await expect(source.command?.(payload)).rejects.toThrow(
      /^The counter on GPIO 5 takes the meter's reading, such as 1234.5, not ".{0,41}"$/,
    )
    expect(total()).toBe(0)
  })

  test.each(['', '12', 'x\n', '-3\n', '12\n13\n'])('that is damaged (%j) is put aside and begins at 0', async text => {
    await start()
    await source.command?.('7')
    await source.stop()
    await writeFile(file(), text)
    await start()
    expect(heard.faults).toEqual([
      `The count in ${file()} is put aside as ${file()}.damaged, because it holds no number. It begins at 0: set it to the meter's reading.`,
    ])
    expect(total()).toBe(0)
    expect(await readFile(`${file()}.damaged`, 'utf8')).toBe(text)
  })

  test('that cannot be written is a fault, and counting goes on', async () => {
    await writeFile(join(dataDir, 'counters'), 'in the way')
    await start()
    expect(heard.faults).toHaveLength(1)
    await pulse()
    await clock.advance(300_000)
    await expect.poll(() => heard.faults).toHaveLength(2)
    expect(heard.faults[1]).toMatch(/^the count cannot be written: /)
    await expect(source.command?.('3')).rejects.toThrow(/is set, but that cannot be written/)
    expect(total()).toBe(3)
  })

  test('of a line of another chip has a file of its own', async () => {
    await start({ chip: 'a/../b' })
    await source.command?.('1')
    expect(await readdir(join(dataDir, 'counters'))).toEqual(['a%2F..%2Fb-5'])
  })
})

test('what its values are is told', async () => {
  await start()
  expect(source.values).toEqual({ total: { stateClass: 'total_increasing' }, rate: { stateClass: 'measurement' } })
})
