/** The driver's own half on a folder shaped like sysfs. onoff itself cannot run here: its path is fixed and needs a kernel with pins. */
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Gpio } from 'onoff'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { OnoffDriver } from '../../../device/gpio/onoff-driver.ts'
import type { GpioLine, GpioLineEvents, GpioLineSettings } from '../../../src/devices/ports.ts'
import { ManualClock } from '../../support/manual-clock.ts'

const INPUT: GpioLineSettings = { pin: 17, direction: 'in', activeLow: false, debounce: 0, initial: undefined }
const OUTPUT: GpioLineSettings = { ...INPUT, direction: 'out' }

const QUIET: GpioLineEvents = { changed: () => {}, lost: () => {} }

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
  readSync(): 0 | 1 {
    if (failure !== undefined) throw failure
    return bit
  }
  watch(callback: (error: null, value: 0 | 1) => void): void {
    // As onoff does when an event comes.
    edge = value => {
      bit = value
      callback(null, this.readSync())
    }
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

function attribute(name: string): Promise<string> {
  return readFile(join(root, 'gpio529', name), 'utf8')
}

describe('an output', () => {
  test.each([
    { value: '1', active_low: '0', opened: 'high' },
    { value: '0', active_low: '0', opened: 'low' },
    { value: '1', active_low: '1', opened: 'low' },
    { value: '0', active_low: '1', opened: 'high' },
  ] as const)('that stands at value $value, active_low $active_low is opened $opened, so nothing flaps', async pin => {
    await exported({ direction: 'out', value: pin.value, active_low: pin.active_low })
    const line = await driver().open(OUTPUT, QUIET)
    expect(await attribute('direction')).toBe(pin.opened)
    expect(await attribute('active_low')).toBe('0')
    await line.close()
  })

  test.each([
    { initial: true, activeLow: false, opened: 'high' },
    { initial: false, activeLow: false, opened: 'low' },
    { initial: true, activeLow: true, opened: 'low' },
    { initial: false, activeLow: true, opened: 'high' },
  ])('with initial $initial, active low $activeLow is opened $opened', async ({ opened, ...settings }) => {
    await exported({ direction: 'out', value: '0' })
    const line = await driver().open({ ...OUTPUT, ...settings }, QUIET)
    expect(await attribute('direction')).toBe(opened)
    await line.close()
  })

  test('is not given back when it is closed, and leaves no descriptor behind', async () => {
    await exported({ direction: 'out', value: '1' })
    const pins = driver()
    for (let opened = 0; opened < 3; opened++) await (await pins.open(OUTPUT, QUIET)).close()
    const descriptors = await readdir('/proc/self/fd')
    const files = await Promise.all(descriptors.map(each => readlink(join('/proc/self/fd', each)).catch(() => '')))
    expect(files.filter(file => file.startsWith(root))).toEqual([])
    expect(await readdir(root)).not.toContain('unexport')
    expect(calls).toEqual([])
  })

  test('reads and writes logical levels', async () => {
    await exported({ direction: 'out', value: '1' })
    const line = await driver().open({ ...OUTPUT, activeLow: true }, QUIET)
    expect(await line.read()).toBe(false)
    await line.write(true)
    expect(await attribute('value')).toMatch(/^0/)
    expect(await line.read()).toBe(true)
    await line.close()
  })

  test('needs no onoff', async () => {
    await exported({ direction: 'out', value: '1' })
    const load = () => Promise.reject(new Error('no onoff'))
    const line: GpioLine = await new OnoffDriver({ clock: new ManualClock(), root, load }).open(OUTPUT, QUIET)
    expect(await line.read()).toBe(true)
    await line.close()
  })

  test('that was an input with an interrupt loses it first', async () => {
    await exported({ direction: 'in', value: '1' })
    await writeFile(join(root, 'gpio529/edge'), 'both')
    const line = await driver().open(OUTPUT, QUIET)
    expect(await readFile(join(root, 'gpio529/edge'), 'utf8')).toBe('none')
    await line.close()
  })
})

describe('an input', () => {
  test('is watched on both edges and told in logical levels', async () => {
    await exported({ direction: 'in', value: '0' })
    const levels: boolean[] = []
    const line = await driver().open({ ...INPUT, activeLow: true }, { ...QUIET, changed: level => levels.push(level) })
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
    const opened = pins.open(INPUT, QUIET)
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
    await expect(driver().open(INPUT, QUIET)).rejects.toMatchObject({ code: 'DEVICE_FAILED', message })
    expect(calls.at(-1)).toBe('unexport')
  })

  test('a chip that goes while its pin is open', async () => {
    await exported({ direction: 'in', value: '0' })
    const line = await driver().open(INPUT, QUIET)
    failure = Object.assign(new Error('ENODEV: no such device, read'), { code: 'ENODEV' })
    await expect(line.read()).rejects.toThrow('The chip of GPIO 17 is gone.')
  })

  test('a chip that goes while its pin is watched is told, and thrown at nobody', async () => {
    await exported({ direction: 'in', value: '0' })
    const lost: string[] = []
    await driver().open(INPUT, { ...QUIET, lost: reason => lost.push(reason) })
    failure = Object.assign(new Error('ENODEV: no such device, read'), { code: 'ENODEV' })
    edge(1)
    expect(lost).toEqual(['The chip of GPIO 17 is gone.'])
  })

  test.each([
    ['up', 'pu'],
    ['down', 'pd'],
    ['none', 'pn'],
  ] as const)('a resistor that sysfs cannot set: pull %s', async (pull, code) => {
    await expect(driver().open({ ...INPUT, pull }, QUIET)).rejects.toMatchObject({
      message: "The kernel's sysfs cannot set the resistor of GPIO 17.",
      hint: `In place of \`pull\` put \`gpio=17=${code}\` into config.txt, or use \`driver: gpiod\` (Debian's package gpiod).`,
    })
  })

  test('onoff that is not installed', async () => {
    const load = () => Promise.reject(Object.assign(new Error('Cannot find package'), { code: 'ERR_MODULE_NOT_FOUND' }))
    await expect(new OnoffDriver({ clock: new ManualClock(), root, load }).open(INPUT, QUIET)).rejects.toMatchObject({
      code: 'DRIVER_MISSING',
      message: 'GPIO inputs need the package `onoff`, which is not installed.',
    })
  })
})
