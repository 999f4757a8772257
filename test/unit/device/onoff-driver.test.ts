/** The driver's own half on a folder shaped like sysfs. onoff itself cannot run here: its path is fixed and needs a kernel with pins. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Gpio } from 'onoff'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OnoffDriver } from '../../../device/gpio/onoff-driver.ts'
import type { GpioLineSettings } from '../../../src/devices/ports.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const INPUT: GpioLineSettings = { pin: 17, direction: 'in', activeLow: false, debounce: 0, initial: undefined }
const OUTPUT: GpioLineSettings = { ...INPUT, direction: 'out' }

let root: string
let calls: string[]
let failure: NodeJS.ErrnoException | undefined
let edge: (value: 0 | 1) => void
let bit: 0 | 1

/** Writes down what the driver asks of onoff. */
class FakeGpio {
  constructor(gpio: number, direction: string, edge: string, options: { activeLow: boolean }) {
    calls.push(`open ${gpio} ${direction} ${edge} activeLow=${options.activeLow}`)
  }
  async read(): Promise<0 | 1> {
    if (failure !== undefined) throw failure
    return bit
  }
  async write(value: 0 | 1): Promise<void> {
    bit = value
  }
  watch(callback: (error: null, value: 0 | 1) => void): void {
    edge = value => callback(null, value)
  }
  setDirection(direction: string): void {
    if (failure !== undefined) throw failure
    calls.push(`direction ${direction}`)
  }
  setEdge(edge: string): void {
    calls.push(`edge ${edge}`)
  }
  unexport(): void {
    calls.push('unexport')
  }
}

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-onoff-'))
  calls = []
  failure = undefined
  bit = 0
  await folder('gpiochip512', { label: 'pinctrl-bcm2711', base: '512', ngpio: '58' })
})

afterEach(() => rm(root, { recursive: true }))

/** GPIO 17 as the kernel shows it once it is exported. */
function exported(pin: { direction: 'in' | 'out'; value: '0' | '1'; active_low?: '0' | '1' }): Promise<void> {
  return folder('gpio529', { active_low: '0', edge: 'none', ...pin })
}

async function folder(name: string, files: Record<string, string>): Promise<void> {
  await mkdir(join(root, name))
  for (const [file, text] of Object.entries(files)) await writeFile(join(root, name, file), `${text}\n`)
}

function driver(): OnoffDriver {
  return new OnoffDriver({
    clock: new ManualClock(),
    root,
    load: async () => ({ Gpio: FakeGpio as unknown as typeof Gpio }),
  })
}

describe('an output', () => {
  test.each([
    { value: '1', active_low: '0', opened: 'high' },
    { value: '0', active_low: '0', opened: 'low' },
    { value: '1', active_low: '1', opened: 'low' },
    { value: '0', active_low: '1', opened: 'high' },
  ] as const)('that stands at value $value, active_low $active_low is opened $opened, so nothing flaps', async pin => {
    await exported({ direction: 'out', value: pin.value, active_low: pin.active_low })
    await driver().open(OUTPUT, () => {})
    expect(calls).toEqual([`open 529 ${pin.opened} none activeLow=false`, `direction ${pin.opened}`])
  })

  test.each([
    { initial: true, activeLow: false, opened: 'high' },
    { initial: false, activeLow: false, opened: 'low' },
    { initial: true, activeLow: true, opened: 'low' },
    { initial: false, activeLow: true, opened: 'high' },
  ])('with initial $initial, active low $activeLow is opened $opened', async ({ opened, ...settings }) => {
    await exported({ direction: 'out', value: '0' })
    await driver().open({ ...OUTPUT, ...settings }, () => {})
    expect(calls[0]).toBe(`open 529 ${opened} none activeLow=false`)
  })

  test('is not given back when it is closed', async () => {
    await exported({ direction: 'out', value: '1' })
    await (await driver().open(OUTPUT, () => {})).close()
    expect(calls).not.toContain('unexport')
  })

  test('reads and writes logical levels', async () => {
    await exported({ direction: 'out', value: '1' })
    const line = await driver().open({ ...OUTPUT, activeLow: true }, () => {})
    await line.write(true)
    expect(bit).toBe(0)
    expect(await line.read()).toBe(true)
  })

  test('that was an input with an interrupt loses it first', async () => {
    await exported({ direction: 'in', value: '1' })
    await writeFile(join(root, 'gpio529/edge'), 'both')
    await driver().open(OUTPUT, () => {})
    expect(await readFile(join(root, 'gpio529/edge'), 'utf8')).toBe('none')
  })
})

describe('an input', () => {
  test('is watched on both edges and told in logical levels', async () => {
    await exported({ direction: 'in', value: '0' })
    const levels: boolean[] = []
    const line = await driver().open({ ...INPUT, activeLow: true }, level => levels.push(level))
    edge(1)
    edge(0)
    expect(levels).toEqual([false, true])
    expect(await line.read()).toBe(true)
    await line.close()
    expect(calls).toEqual(['open 529 in both activeLow=false', 'direction in', 'edge both', 'unexport'])
  })

  test('that was not exported yet is exported', async () => {
    const clock = new ManualClock()
    const pins = new OnoffDriver({ clock, root, load: async () => ({ Gpio: FakeGpio as unknown as typeof Gpio }) })
    const opened = pins.open(INPUT, () => {})
    await expect.poll(() => readFile(join(root, 'export'), 'utf8').catch(() => '')).toBe('529')
    // What the kernel and udev then do.
    await exported({ direction: 'in', value: '0' })
    await expect.poll(() => clock.advance(20).then(() => calls)).toContain('edge both')
    await opened
  })
})

describe('what goes wrong is said in a sentence', () => {
  test.each([
    ['EBUSY', 'GPIO 17 is held by another program or driver.'],
    ['ENODEV', 'The chip of GPIO 17 is gone.'],
    ['EINVAL', 'The kernel refuses GPIO 17 (line 529 in sysfs).'],
    ['EACCES', 'This user may not use GPIO 17.'],
    ['EPERM', 'This user may not use GPIO 17.'],
    ['EROFS', 'GPIO 17 cannot be used because /sys is read-only here.'],
    ['EIO', 'GPIO 17 fails: EIO: i/o error.'],
  ])('%s', async (code, message) => {
    await exported({ direction: 'in', value: '0' })
    failure = Object.assign(new Error(`${code}: i/o error`), { code })
    await expect(driver().open(INPUT, () => {})).rejects.toMatchObject({ code: 'DEVICE_FAILED', message })
    expect(calls.at(-1)).toBe('unexport')
  })

  test('a chip that goes while its pin is open', async () => {
    await exported({ direction: 'in', value: '0' })
    const line = await driver().open(INPUT, () => {})
    failure = Object.assign(new Error('ENODEV: no such device, read'), { code: 'ENODEV' })
    await expect(line.read()).rejects.toThrow('The chip of GPIO 17 is gone.')
  })

  test('onoff that is not installed', async () => {
    const load = () => Promise.reject(Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' }))
    await expect(new OnoffDriver({ clock: new ManualClock(), root, load }).open(INPUT, () => {})).rejects.toMatchObject(
      {
        code: 'DRIVER_MISSING',
        message: 'GPIO pins need the package `onoff`, which is not installed.',
      },
    )
  })
})
