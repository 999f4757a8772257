import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { resolveLine } from '../../../device/gpio/chip.ts'

/**
 * label, base, number of lines: what /sys/class/gpio/gpiochip<base>/ shows on real boards, and the name of the chip's
 * device file. Labels, numbers of lines and bases as in reports from owners (fivdi/onoff#199 and #200 for kernel 6.6
 * and the Pi 5, raspberrypi/linux#6084), and for 512 and 566 as a `raspi3b` of QEMU shows them to Debian's 6.12.
 */
type Chip = readonly [label: string, base: number, ngpio: number, name: string]

const BOARDS: Record<string, { chips: Chip[]; base: number }> = {
  'Pi 3, kernel 6.1': {
    chips: [
      ['pinctrl-bcm2835', 0, 54, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 504, 8, 'gpiochip1'],
    ],
    base: 0,
  },
  'Pi 3, kernel 6.6': {
    chips: [
      ['pinctrl-bcm2835', 512, 54, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 566, 8, 'gpiochip1'],
    ],
    base: 512,
  },
  'Pi 3, kernel 6.12': {
    chips: [
      ['pinctrl-bcm2835', 512, 54, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 566, 8, 'gpiochip1'],
    ],
    base: 512,
  },
  'Pi 4, kernel 6.1': {
    chips: [
      ['pinctrl-bcm2711', 0, 58, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 504, 8, 'gpiochip1'],
    ],
    base: 0,
  },
  'Pi 4, kernel 6.6': {
    chips: [
      ['pinctrl-bcm2711', 512, 58, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 570, 8, 'gpiochip1'],
    ],
    base: 512,
  },
  'Pi 4, kernel 6.12': {
    chips: [
      ['pinctrl-bcm2711', 512, 58, 'gpiochip0'],
      ['raspberrypi-exp-gpio', 570, 8, 'gpiochip1'],
    ],
    base: 512,
  },
  'Pi 5, kernel 6.1': {
    chips: [
      ['pinctrl-rp1', 399, 54, 'gpiochip4'],
      ['gpio-brcmstb@107d508500', 453, 32, 'gpiochip0'],
      ['gpio-brcmstb@107d517c00', 485, 17, 'gpiochip2'],
    ],
    base: 399,
  },
  'Pi 5, kernel 6.6': {
    chips: [
      ['gpio-brcmstb@107d508500', 512, 32, 'gpiochip0'],
      ['gpio-brcmstb@107d508520', 544, 4, 'gpiochip1'],
      ['pinctrl-rp1', 571, 54, 'gpiochip4'],
    ],
    base: 571,
  },
  'Pi 5, kernel 6.12': {
    chips: [
      ['pinctrl-rp1', 512, 54, 'gpiochip0'],
      ['gpio-brcmstb@107d508500', 566, 32, 'gpiochip10'],
    ],
    base: 512,
  },
}

let root: string

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'larder-gpio-'))
})

afterEach(() => rm(root, { recursive: true }))

async function plug(chips: readonly Chip[]): Promise<void> {
  // As in sysfs, where these are neither chips nor readable.
  await writeFile(join(root, 'export'), '')
  await writeFile(join(root, 'unexport'), '')
  for (const [label, base, ngpio, name] of chips) {
    const folder = join(root, `gpiochip${base}`)
    await mkdir(join(folder, 'device', name), { recursive: true })
    await writeFile(join(folder, 'label'), `${label}\n`)
    await writeFile(join(folder, 'base'), `${base}\n`)
    await writeFile(join(folder, 'ngpio'), `${ngpio}\n`)
  }
}

describe('the sysfs number of a pin', () => {
  test.each(Object.entries(BOARDS))('%s', async (_, { chips, base }) => {
    await plug(chips)
    expect(await resolveLine({ pin: 17 }, root)).toBe(base + 17)
    expect(await resolveLine({ pin: 0 }, root)).toBe(base)
    expect(await resolveLine({ pin: 53 }, root)).toBe(base + 53)
  })

  test('a chip by the name of its device file, which does not follow the bases', async () => {
    await plug([
      ['pinctrl-bcm2711', 512, 58, 'gpiochip0'],
      ['mcp23017', 578, 16, 'gpiochip2'],
      ['mcp23017', 594, 16, 'gpiochip3'],
    ])
    expect(await resolveLine({ pin: 3, chip: 'gpiochip3' }, root)).toBe(597)
    expect(await resolveLine({ pin: 3, chip: 'gpiochip2' }, root)).toBe(581)
    await expect(resolveLine({ pin: 3, chip: 'mcp23017' }, root)).rejects.toMatchObject({
      message: 'There are several GPIO chips mcp23017.',
      hint: 'Name the one by its device file, such as `chip: gpiochip2`.',
    })
    await expect(resolveLine({ pin: 3, chip: 'gpiochip9' }, root)).rejects.toThrow('There is no GPIO chip gpiochip9')
  })

  test('another board, by the label that its owner names', async () => {
    await plug([
      ['pinctrl-bcm2711', 512, 58, 'gpiochip21'],
      ['gpio-sim.0-node0', 570, 8, 'gpiochip22'],
    ])
    expect(await resolveLine({ pin: 3, chip: 'gpio-sim.0-node0' }, root)).toBe(573)
  })
})

describe('a pin that cannot be found is said in a sentence', () => {
  test('no GPIO in sysfs', async () => {
    await expect(resolveLine({ pin: 17 }, join(root, 'none'))).rejects.toMatchObject({
      code: 'DRIVER_MISSING',
      message: expect.stringContaining('This machine shows no GPIO pins'),
    })
  })

  test('no chip', async () => {
    await expect(resolveLine({ pin: 17 }, root)).rejects.toThrow('there is no chip at all')
  })

  test('no chip that is known: those that are there are named', async () => {
    await plug([
      ['raspberrypi-exp-gpio', 504, 8, 'gpiochip23'],
      ['INT34C5:00', 512, 320, 'gpiochip24'],
    ])
    await expect(resolveLine({ pin: 4 }, root)).rejects.toThrow('there is raspberrypi-exp-gpio, INT34C5:00')
  })

  test('a line beyond the chip', async () => {
    await plug([['pinctrl-rp1', 512, 54, 'gpiochip25']])
    await expect(resolveLine({ pin: 54 }, root)).rejects.toThrow('There is no GPIO 54: pinctrl-rp1 has 0 to 53.')
    await expect(resolveLine({ pin: -1 }, root)).rejects.toThrow('There is no GPIO -1')
    await expect(resolveLine({ pin: 1.5 }, root)).rejects.toThrow('There is no GPIO 1.5')
  })

  test.each(['raspberrypi-exp-gpio', 'gpio-brcmstb@107d508500'])('%s is the board’s own, even by name', async label => {
    await plug([[label, 512, 32, 'gpiochip0']])
    await expect(resolveLine({ pin: 1, chip: label }, root)).rejects.toThrow('belong to the board itself')
  })

  test('two chips that cannot be told apart', async () => {
    await plug([
      ['pinctrl-rp1', 0, 54, 'gpiochip26'],
      ['pinctrl-rp1', 54, 54, 'gpiochip27'],
    ])
    await expect(resolveLine({ pin: 1 }, root)).rejects.toThrow('several GPIO chips')
  })

  test('a chip that goes while it is read is no chip', async () => {
    await plug([['pinctrl-bcm2711', 512, 58, 'gpiochip28']])
    await mkdir(join(root, 'gpiochip600'))
    expect(await resolveLine({ pin: 2 }, root)).toBe(514)
  })
})
