/**
 * Which chip a pin is on, and which number it has in the kernel's sysfs. A pin's BCM number is only its place on a chip;
 * sysfs counts lines over all chips from bases that change with the kernel (0 until 6.5, 512 since 6.6, 399 and 571 were
 * seen on a Pi 5). So neither base nor chip number is written down anywhere: the header's chip is found by its label,
 * and the number is its base plus the line. Another chip is named by its owner, by label or as `gpiochip2`.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'

export const SYSFS_GPIO_ROOT = '/sys/class/gpio'

/** Labels of the chip that the header's pins are on: Pi Zero to 3, Pi 4, Pi 5. */
export const HEADER_CHIPS: readonly string[] = ['pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']

/** Chips that switch the board's own power, Wi-Fi and LEDs: never an owner's pin. */
export const BOARD_CHIPS = /^(raspberrypi-exp-gpio|gpio-brcmstb)/

/** A GPIO chip. */
export interface GpioChip {
  readonly label: string
  /** How many lines it has. */
  readonly ngpio: number
  /** True when that is what the kernel calls it (`gpiochip0`, the name of its device file). */
  isNamed(name: string): boolean
}

interface SysfsChip extends GpioChip {
  /** The sysfs number of its line 0. */
  readonly base: number
}

/** A line as its owner names it: its number on the chip, and the chip unless it is the header's. */
export interface LineName {
  readonly pin: number
  readonly chip?: string | undefined
}

/**
 * The sysfs number of a line.
 *
 * @param root the sysfs folder, for tests
 * @throws LarderError DEVICE_FAILED that says which chips are there instead
 */
export async function resolveLine(line: LineName, root: string = SYSFS_GPIO_ROOT): Promise<number> {
  return chooseChip(await readChips(root), line).base + line.pin
}

/**
 * The chip that a line is on, and is within.
 *
 * @throws LarderError DEVICE_FAILED that says which chips are there instead
 */
export function chooseChip<C extends GpioChip>(chips: readonly C[], { pin, chip }: LineName): C {
  const wanted = chip === undefined ? HEADER_CHIPS : [chip]
  const isWanted = (each: C) => wanted.includes(each.label) || (chip !== undefined && each.isNamed(chip))
  const [found, second] = chips.filter(isWanted)
  const shown = wanted.join(', ')
  if (found === undefined) {
    const there = chips.length === 0 ? 'no chip at all' : chips.map(each => each.label).join(', ')
    throw new LarderError('DEVICE_FAILED', `There is no GPIO chip ${shown}; there is ${there}.`, {
      hint:
        chip === undefined
          ? 'Elsewhere than on a Raspberry Pi name the chip (`chip:`), or use `driver: memory`.'
          : '`gpiodetect` lists the chips with their labels.',
    })
  }
  if (second !== undefined) {
    throw new LarderError('DEVICE_FAILED', `There are several GPIO chips ${shown}.`, {
      hint: 'Name the one by its device file, such as `chip: gpiochip2`.',
    })
  }
  if (BOARD_CHIPS.test(found.label)) {
    throw new LarderError('DEVICE_FAILED', `The lines of ${found.label} belong to the board itself and are not used.`)
  }
  if (!Number.isInteger(pin) || pin < 0 || pin >= found.ngpio) {
    throw new LarderError('DEVICE_FAILED', `There is no GPIO ${pin}: ${found.label} has 0 to ${found.ngpio - 1}.`)
  }
  return found
}

export async function readChips(root: string): Promise<SysfsChip[]> {
  let names: string[]
  try {
    names = await readdir(root)
  } catch (cause) {
    throw new LarderError('DRIVER_MISSING', `This machine shows no GPIO pins: ${reasonOf(cause)}.`, {
      hint: 'The kernel must offer the GPIO sysfs interface (or install `gpiod`), and a container must be given /sys.',
      cause,
    })
  }
  const chips = await Promise.all(names.filter(name => /^gpiochip\d+$/.test(name)).map(name => readChip(root, name)))
  return chips.filter(chip => chip !== undefined).sort((a, b) => a.base - b.base)
}

/** Undefined when the chip went away while it was being read. */
async function readChip(root: string, folder: string): Promise<SysfsChip | undefined> {
  const attribute = async (file: string) => (await readFile(join(root, folder, file), 'utf8')).trim()
  try {
    // sysfs counts by bases and the device files do not. The chip's device has a folder of the latter's name.
    const siblings = await readdir(join(root, folder, 'device')).catch((): string[] => [])
    const [label, base, ngpio] = await Promise.all([attribute('label'), attribute('base'), attribute('ngpio')])
    return { label, base: Number(base), ngpio: Number(ngpio), isNamed: name => siblings.includes(name) }
  } catch {
    return undefined
  }
}
