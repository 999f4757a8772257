import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CounterSource } from '../../../device/gpio/counter-source.ts'
import type { GpioSettings } from '../../../device/gpio/gpio-source.ts'
import { InputSource } from '../../../device/gpio/input-source.ts'
import { MemoryGpioDriver } from '../../../device/gpio/memory-driver.ts'
import { OutputSource } from '../../../device/gpio/output-source.ts'
import { type DeviceDescription, openSource } from '../../../device/open-source.ts'
import { SerialSource } from '../../../device/serial/serial-source.ts'
import { FileSource } from '../../../device/sysfs/file-source.ts'
import { ReadGate } from '../../../device/sysfs/read-gate.ts'
import { SystemSource } from '../../../device/sysfs/system-source.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { SourceRecorder } from '../../support/source-recorder.ts'

const SERIAL = {
  path: '/dev/ttyUSB0',
  baud: 9600,
  dataBits: 8,
  parity: 'none',
  stopBits: 1,
  codec: 'json',
  maxLine: 4096,
  writeLineEnding: '\n',
  every: 10_000,
  timeout: 1000,
  retries: 2,
} as const

const PIN: GpioSettings = {
  pin: 17,
  direction: 'in',
  activeLow: false,
  debounce: 20,
  edge: 'both',
  initial: undefined,
  pulse: undefined,
  atStop: 'keep',
  perPulse: 1,
  every: 10_000,
  save: 300_000,
  driver: 'memory',
}

let clock: ManualClock
let heard: SourceRecorder

beforeEach(() => {
  clock = new ManualClock()
  heard = new SourceRecorder()
})

afterEach(() => {
  expect(clock.pending).toBe(0)
})

test.each<[DeviceDescription, unknown]>([
  [{ kind: 'serial', settings: SERIAL }, SerialSource],
  [{ kind: 'gpio', settings: PIN }, InputSource],
  [{ kind: 'gpio', settings: { ...PIN, direction: 'out' } }, OutputSource],
  [{ kind: 'gpio', settings: { ...PIN, direction: 'count' } }, CounterSource],
  [{ kind: 'file', settings: { path: '/proc/uptime', every: 1000, pattern: undefined } }, FileSource],
  [{ kind: 'system', settings: { every: 1000, disk: '/' } }, SystemSource],
])('$kind', (device, source) => {
  expect(openSource(device, { clock, reads: new ReadGate() })).toBeInstanceOf(source)
})

describe('the driver of a pin', () => {
  async function first(settings: GpioSettings, gpio?: MemoryGpioDriver): Promise<SourceRecorder> {
    const source = openSource({ kind: 'gpio', settings }, { clock, reads: new ReadGate(), gpio })
    await source.start(heard, new AbortController().signal)
    await source.stop()
    return heard
  }

  test('memory: one without pins', async () => {
    expect((await first(PIN)).values).toEqual(['off'])
  })

  test.skipIf(existsSync('/sys/class/gpio'))(
    'auto: the board’s, which a machine without pins does not have',
    async () => {
      expect((await first({ ...PIN, driver: 'auto' })).up).toBe(false)
      expect(heard.reason).toMatch(/GPIO/)
    },
  )

  test('one that the embedding program brings goes before', async () => {
    const gpio = new MemoryGpioDriver()
    gpio.set(17, true)
    expect((await first({ ...PIN, driver: 'onoff' }, gpio)).values).toEqual(['on'])
  })
})
