/**
 * The Raspberry Pi's pins through `onoff` and the kernel's sysfs. What onoff leaves to its user is done here:
 * - the sysfs number is looked up (`chip.ts`);
 * - an output is read before it is set, opened at the level that it has, and not given back when it is
 *   closed, because the kernel makes a pin that is given back an input: a relay must not flap over a restart;
 * - `activeLow` is our own inversion, so that one rule holds for reading, writing and the first level
 *   (sysfs applies its `active_low` to the value but not to the direction `high` and `low`);
 * - a pin that was exported before us (every output after a restart) makes onoff swallow its errors, so
 *   direction and edge are set once more where errors show.
 *
 * `onoff` needs a native part and is an optional dependency: it is loaded when the first pin is opened.
 */
/// <reference path="./onoff.d.ts" />
import { access, constants, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gpio } from 'onoff'
import type { GpioDriver, GpioLine, GpioLineSettings } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../../src/kernel/errors.ts'
import { resolveLine, SYSFS_GPIO_ROOT } from './chip.ts'

/** Time in ms that udev gets to hand a fresh pin to the group `gpio`: it takes some tens of ms on a busy Pi Zero. */
const PERMISSION_WAIT = 2_000

/** Time in ms between two looks whether it has. */
const PERMISSION_STEP = 20

type Onoff = { readonly Gpio: typeof Gpio }

export class OnoffDriver implements GpioDriver {
  readonly #clock: Clock
  readonly #root: string
  readonly #label: string | undefined
  readonly #load: () => Promise<Onoff>

  /**
   * @param options.label label of the GPIO chip on a board that is no Raspberry Pi
   * @param options.root sysfs folder for what we read ourselves; onoff's own is fixed, so this is for tests
   * @param options.load brings `onoff`, for tests
   */
  constructor(options: { clock: Clock; label?: string; root?: string; load?: () => Promise<Onoff> }) {
    this.#clock = options.clock
    this.#root = options.root ?? SYSFS_GPIO_ROOT
    this.#label = options.label
    this.#load = options.load ?? (() => import('onoff'))
  }

  async open(settings: GpioLineSettings, onChange: (level: boolean) => void): Promise<GpioLine> {
    const { activeLow } = settings
    const { Gpio } = await this.#onoff()
    const number = await resolveLine(settings.pin, {
      root: this.#root,
      ...(this.#label === undefined ? {} : { label: this.#label }),
    })
    const explained = async <T>(work: () => Promise<T>): Promise<T> => {
      try {
        return await work()
      } catch (error) {
        throw explain(error, settings.pin, number)
      }
    }
    const gpio = await explained(async () => {
      await this.#export(number)
      return this.#configure(Gpio, number, settings)
    })
    if (settings.direction === 'in') gpio.watch((_, bit) => onChange((bit === 1) !== activeLow))
    return {
      read: () => explained(async () => ((await gpio.read()) === 1) !== activeLow),
      write: level => explained(() => gpio.write(level !== activeLow ? 1 : 0)),
      // onoff can only close a pin by giving it back, so an output stays open until the process ends.
      close: async () => {
        if (settings.direction === 'in') gpio.unexport()
      },
    }
  }

  async #onoff(): Promise<Onoff> {
    try {
      return await this.#load()
    } catch (cause) {
      throw new LarderError('DRIVER_MISSING', 'GPIO pins need the package `onoff`, which is not installed.', {
        hint: 'Install it where Larder is (`npm install onoff`; it is compiled, so Debian needs `build-essential python3`).',
        cause,
      })
    }
  }

  /** Makes the pin appear in sysfs, and waits until this user may use it. */
  async #export(number: number): Promise<void> {
    const folder = this.#folder(number)
    if (!(await may(constants.F_OK, folder))) await writeFile(join(this.#root, 'export'), String(number))
    const deadline = this.#clock.monotonic() + PERMISSION_WAIT
    const files = ['direction', 'value', 'active_low'].map(name => join(folder, name))
    while (!(await may(constants.W_OK, ...files)) && this.#clock.monotonic() < deadline) {
      await new Promise<void>(resolve => void this.#clock.after(PERMISSION_STEP, resolve))
    }
  }

  async #configure(Onoff: typeof Gpio, number: number, settings: GpioLineSettings): Promise<Gpio> {
    if (settings.direction === 'in') {
      const gpio = new Onoff(number, 'in', 'both', { activeLow: false })
      try {
        gpio.setDirection('in')
        gpio.setEdge('both')
      } catch (error) {
        gpio.unexport()
        throw error
      }
      return gpio
    }
    const level = settings.initial === undefined ? await this.#level(number) : settings.initial !== settings.activeLow
    const direction = level ? 'high' : 'low'
    // Left over from a time when the pin was an input: the kernel refuses to make a pin with an interrupt an output.
    await writeFile(join(this.#folder(number), 'edge'), 'none').catch(() => {})
    const gpio = new Onoff(number, direction, 'none', { activeLow: false })
    gpio.setDirection(direction)
    return gpio
  }

  /** The electrical level of a pin, whatever its direction. */
  async #level(number: number): Promise<boolean> {
    const attribute = async (name: string) => (await readFile(join(this.#folder(number), name), 'utf8')).trim() === '1'
    const [value, inverted] = await Promise.all([attribute('value'), attribute('active_low')])
    return value !== inverted
  }

  #folder(number: number): string {
    return join(this.#root, `gpio${number}`)
  }
}

/** True when each of `paths` may be accessed that way. */
async function may(mode: number, ...paths: string[]): Promise<boolean> {
  const tries = await Promise.allSettled(paths.map(path => access(path, mode)))
  return tries.every(({ status }) => status === 'fulfilled')
}

/** What the kernel's error numbers mean for a pin (Documentation/ABI/obsolete/sysfs-gpio, drivers/gpio/gpiolib-sysfs.c). */
function explain(error: unknown, pin: number, number: number): LarderError {
  const [message, hint] = sentences(systemCodeOf(error), pin, number) ?? [`GPIO ${pin} fails: ${reasonOf(error)}.`]
  return new LarderError('DEVICE_FAILED', message, { ...(hint === undefined ? {} : { hint }), cause: error })
}

function sentences(code: string | undefined, pin: number, number: number): [string, string?] | undefined {
  switch (code) {
    case 'EBUSY':
      return [
        `GPIO ${pin} is held by another program or driver.`,
        '`gpioinfo` names it; an overlay in config.txt (1-Wire, SPI, I2C, LED) also takes pins.',
      ]
    case 'ENODEV':
      return [`The chip of GPIO ${pin} is gone.`]
    case 'EINVAL':
      return [`The kernel refuses GPIO ${pin} (line ${number} in sysfs).`, 'Is it a pin that this board offers?']
    case 'EACCES':
    case 'EPERM':
      return [`This user may not use GPIO ${pin}.`, 'Put the user into the group `gpio` and start Larder again.']
    case 'EROFS':
      return [`GPIO ${pin} cannot be used because /sys is read-only here.`, 'Give the container a writable /sys.']
    default:
      return undefined
  }
}
