import { beforeEach, describe, expect, test } from 'vitest'
import { BoardDriver } from '../../../device/gpio/board-driver.ts'
import { MemoryGpioDriver } from '../../../device/gpio/memory-driver.ts'
import type { GpioLineSettings } from '../../../src/devices/ports.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { recordLog } from '../../support/record-log.ts'

const INPUT: GpioLineSettings = { pin: 17, direction: 'in', activeLow: false, debounce: 0, initial: undefined }
const QUIET = { changed: () => {}, lost: () => {} }

class Driver extends MemoryGpioDriver {
  failure: Error | undefined
  hasTools = true
  opened = 0

  override async open(...args: Parameters<MemoryGpioDriver['open']>): ReturnType<MemoryGpioDriver['open']> {
    if (this.failure !== undefined) throw this.failure
    this.opened++
    return super.open(...args)
  }
  async isThere(): Promise<boolean> {
    return this.hasTools
  }
}

let onoff: Driver
let gpiod: Driver
let log: ReturnType<typeof recordLog>

beforeEach(() => {
  onoff = new Driver()
  gpiod = new Driver()
  log = recordLog()
})

async function open(settings: GpioLineSettings, isCounter = false): Promise<string> {
  const driver = new BoardDriver({ onoff, gpiod, isCounter, log: log.log })
  await (await driver.open(settings, QUIET)).close()
  await (await driver.open(settings, QUIET)).close()
  return onoff.opened > 0 ? 'onoff' : 'gpiod'
}

describe('which driver a pin gets, and that it is said once', () => {
  test('a contact and a relay: onoff', async () => {
    expect(await open(INPUT)).toBe('onoff')
    expect(await open({ ...INPUT, pin: 4, direction: 'out' })).toBe('onoff')
    expect(log.lines.map(({ message }) => message)).toEqual([
      'GPIO 17 is used through onoff',
      'GPIO 4 is used through onoff',
    ])
  })

  test('a counter: gpiod', async () => {
    expect(await open(INPUT, true)).toBe('gpiod')
    expect(log.lines.map(({ message }) => message)).toEqual(['GPIO 17 is used through gpiod'])
  })

  test('a counter without gpiod: onoff, with a warning', async () => {
    gpiod.hasTools = false
    expect(await open(INPUT, true)).toBe('onoff')
    expect(log.lines).toMatchObject([
      {
        level: 'warn',
        message: 'GPIO 17 is used through onoff: fast pulses may be lost (install gpiod: apt-get install gpiod)',
      },
    ])
  })

  test('a resistor: gpiod', async () => {
    expect(await open({ ...INPUT, pull: 'up' })).toBe('gpiod')
  })

  test('no onoff, or no sysfs: gpiod', async () => {
    onoff.failure = new LarderError('DRIVER_MISSING', 'onoff is not installed.')
    expect(await open(INPUT)).toBe('gpiod')
  })

  test('neither: what is missing of onoff is said', async () => {
    onoff.failure = new LarderError('DRIVER_MISSING', 'onoff is not installed.')
    gpiod.hasTools = false
    await expect(open(INPUT)).rejects.toThrow('onoff is not installed.')
  })

  test('a pin that is busy is busy whoever asks', async () => {
    onoff.failure = new LarderError('DEVICE_FAILED', 'GPIO 17 is held by another program or driver.')
    await expect(open(INPUT)).rejects.toThrow('held by another')
    expect(gpiod.opened).toBe(0)
  })
})
