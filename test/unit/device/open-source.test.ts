import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GpioSource } from '../../../device/gpio/gpio-source.ts'
import { MemoryGpioDriver } from '../../../device/gpio/memory-driver.ts'
import { type DeviceDescription, type GpioSettings, openSource } from '../../../device/open-source.ts'
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
  columns: [],
  separator: ',',
  maxLine: 4096,
  silence: undefined,
  writeLineEnding: '\n',
} as const

const PIN: GpioSettings = {
  pin: 17,
  direction: 'in',
  activeLow: false,
  debounce: 20,
  initial: undefined,
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
  [{ kind: 'gpio', settings: PIN }, GpioSource],
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
