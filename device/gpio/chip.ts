/**
 * Which number a pin has in the kernel's sysfs. A pin's BCM number is only its place on a chip; sysfs
 * counts lines over all chips from bases that change with the kernel (0 until 6.5, 512 since 6.6, 399 and
 * 571 were seen on a Pi 5). So neither base nor chip number is written down anywhere: the chip is found
 * by its label, and the number is its base plus the line.
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'

export const SYSFS_GPIO_ROOT = '/sys/class/gpio'

/** Labels of the chip that the header's pins are on: Pi Zero to 3, Pi 4, Pi 5. */
const HEADER_CHIPS: readonly string[] = ['pinctrl-bcm2835', 'pinctrl-bcm2711', 'pinctrl-rp1']

/** Chips that switch the board's own power, Wi-Fi and LEDs: never an owner's pin. */
const BOARD_CHIPS = /^(raspberrypi-exp-gpio|gpio-brcmstb)/

/** A GPIO chip as sysfs shows it. */
interface GpioChip {
  readonly label: string
  /** The sysfs number of its line 0. */
  readonly base: number
  /** How many lines it has. */
  readonly ngpio: number
}

/**
 * The sysfs number of line `pin`.
 *
 * @param options.root the sysfs folder, for tests
 * @param options.label the chip's label on a board that is no Raspberry Pi; absent: the Pi's header
 * @throws LarderError DEVICE_FAILED that says which chips are there instead
 */
export async function resolveLine(pin: number, options: { root?: string; label?: string } = {}): Promise<number> {
  const root = options.root ?? SYSFS_GPIO_ROOT
  const chip = choose(await readChips(root), options.label, root)
  if (!Number.isInteger(pin) || pin < 0 || pin >= chip.ngpio) {
    throw new LarderError('DEVICE_FAILED', `There is no GPIO ${pin}: ${chip.label} has 0 to ${chip.ngpio - 1}.`)
  }
  return chip.base + pin
}

async function readChips(root: string): Promise<GpioChip[]> {
  let names: string[]
  try {
    names = await readdir(root)
  } catch (cause) {
    throw new LarderError('DEVICE_FAILED', `This machine shows no GPIO pins: ${reasonOf(cause)}.`, {
      hint: 'The kernel must offer the GPIO sysfs interface, and a container must be given /sys.',
      cause,
    })
  }
  const chips = await Promise.all(names.filter(name => /^gpiochip\d+$/.test(name)).map(name => readChip(root, name)))
  return chips.filter(chip => chip !== undefined).sort((a, b) => a.base - b.base)
}

/** Undefined when the chip went away while it was being read. */
async function readChip(root: string, name: string): Promise<GpioChip | undefined> {
  const attribute = async (file: string) => (await readFile(join(root, name, file), 'utf8')).trim()
  try {
    const [label, base, ngpio] = await Promise.all([attribute('label'), attribute('base'), attribute('ngpio')])
    return { label, base: Number(base), ngpio: Number(ngpio) }
  } catch {
    return undefined
  }
}

function choose(chips: readonly GpioChip[], label: string | undefined, root: string): GpioChip {
  if (label !== undefined && BOARD_CHIPS.test(label)) {
    throw new LarderError('DEVICE_FAILED', `The lines of ${label} belong to the board itself and are not used.`)
  }
  const wanted = label === undefined ? HEADER_CHIPS : [label]
  const [found, second] = chips.filter(chip => wanted.includes(chip.label))
  if (found !== undefined && second === undefined) return found
  if (found !== undefined) {
    throw new LarderError('DEVICE_FAILED', `There are several GPIO chips ${wanted.join(' or ')} in ${root}.`)
  }
  const there = chips.length === 0 ? 'no chip at all' : chips.map(chip => chip.label).join(', ')
  throw new LarderError('DEVICE_FAILED', `No GPIO chip ${wanted.join(', ')} in ${root}; there is ${there}.`, {
    hint: 'Pins work on a Raspberry Pi; elsewhere use `driver: memory`.',
  })
}
