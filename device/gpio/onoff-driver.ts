/**
 * The Raspberry Pi's pins through the kernel's sysfs and `onoff`, which watches the inputs. What onoff leaves to its user
 * is done here:
 * - the sysfs number is looked up (`chip.ts`);
 * - an output is read before it is set, opened at the level that it has, and not given back when it is closed, because the
 *   kernel makes a pin that is given back an input: a relay must not flap over a restart. onoff can close a pin only by
 *   giving it back, and would leave a descriptor open each time; an output is a file, so it is used without onoff;
 * - `activeLow` is our own inversion, so that one rule holds for reading, writing and the first level (sysfs applies its
 *   `active_low` to the value but not to the direction `high` and `low`);
 * - a pin that was exported before us makes onoff swallow its errors, so direction and edge are set once more where
 *   errors show; and what it throws out of an event, when a chip goes, would end the process.
 *
 * `onoff` needs a native part and is an optional dependency: it is loaded when the first input is opened.
 */
/// <reference path="./onoff.d.ts" />
import { access, constants, open, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Gpio } from 'onoff'
import type { GpioDriver, GpioLine, GpioLineEvents, GpioLineSettings } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../../src/kernel/errors.ts'
import { resolveLine, SYSFS_GPIO_ROOT } from './chip.ts'
import { titleOf } from './pin.ts'

/** Time in ms that udev gets to hand a fresh pin to the group `gpio`: it takes some tens of ms on a busy Pi Zero. */
const PERMISSION_WAIT = 2_000

/** Time in ms between two looks whether it has. */
const PERMISSION_STEP = 20

type Onoff = { readonly Gpio: typeof Gpio }

/** Runs what touches the pin, and turns its errors into sentences. */
type Explained = <T>(work: () => T | Promise<T>) => Promise<T>

export class OnoffDriver implements GpioDriver {
  readonly #clock: Clock
  readonly #root: string
  readonly #load: () => Promise<Onoff>

  /**
   * @param options.root sysfs folder for what we read ourselves; onoff's own is fixed, so this is for tests
   * @param options.load brings `onoff`, for tests
   */
  constructor(options: { clock: Clock; root?: string; load?: () => Promise<Onoff> }) {
    this.#clock = options.clock
    this.#root = options.root ?? SYSFS_GPIO_ROOT
    this.#load = options.load ?? (() => import('onoff'))
  }

  async open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine> {
    if (settings.pull !== undefined) throw withoutPull(settings)
    const onoff = settings.direction === 'in' ? await this.#onoff() : undefined
    const number = await resolveLine(settings, this.#root)
    const explained: Explained = async work => {
      try {
        return await work()
      } catch (error) {
        throw explain(error, settings, number)
      }
    }
    await explained(() => this.#export(number))
    return onoff === undefined
      ? await this.#output(number, settings, explained)
      : await this.#input(onoff, number, { settings, events, explained })
  }

  async #onoff(): Promise<Onoff> {
    try {
      return await this.#load()
    } catch (cause) {
      throw new LarderError('DRIVER_MISSING', 'GPIO inputs need the package `onoff`, which is not installed.', {
        hint: 'Install it where Larder is (`npm install onoff`; it is compiled, so Debian needs `build-essential python3`), or use `driver: gpiod`.',
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

  async #input(
    onoff: Onoff,
    number: number,
    { settings, events, explained }: { settings: GpioLineSettings; events: GpioLineEvents; explained: Explained },
  ): Promise<GpioLine> {
    const { activeLow } = settings
    const gpio = await explained(() => {
      const input = new (watcher(onoff))(number, 'in', 'both', { activeLow: false })
      try {
        input.setDirection('in')
        input.setEdge('both')
      } catch (error) {
        input.unexport()
        throw error
      }
      return input
    })
    gpio.onLost = error => events.lost(explain(error, settings, number).message)
    gpio.watch((_, bit) => events.changed((bit === 1) !== activeLow, this.#clock.monotonic()))
    return {
      read: () => explained(async () => ((await gpio.read()) === 1) !== activeLow),
      write: () => Promise.reject(new LarderError('DEVICE_FAILED', `${titleOf(settings)} is an input.`)),
      close: async () => gpio.unexport(),
    }
  }

  async #output(number: number, settings: GpioLineSettings, explained: Explained): Promise<GpioLine> {
    const { activeLow, initial } = settings
    const value = await explained(async () => {
      const attribute = (name: string) => join(this.#folder(number), name)
      const level = initial === undefined ? await this.#level(number) : initial !== activeLow
      // Left over from a time when the pin was an input: the kernel refuses to make a pin with an interrupt an output.
      await writeFile(attribute('edge'), 'none').catch(() => {})
      await writeFile(attribute('active_low'), '0')
      await writeFile(attribute('direction'), level ? 'high' : 'low')
      return await open(attribute('value'), 'r+')
    })
    const byte = Buffer.alloc(1)
    return {
      read: () =>
        explained(async () => {
          await value.read(byte, 0, 1, 0)
          return (byte.toString() === '1') !== activeLow
        }),
      write: level => explained(async () => void (await value.write(level !== activeLow ? '1' : '0', 0))),
      close: () => value.close(),
    }
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

/** onoff reads the pin when an event comes. That it cannot is thrown to nobody, so it is told instead. */
function watcher({ Gpio }: Onoff) {
  return class extends Gpio {
    onLost?: (error: unknown) => void

    override readSync(): 0 | 1 {
      try {
        return super.readSync()
      } catch (error) {
        if (this.onLost === undefined) throw error // it is being opened
        this.onLost(error)
        return 0
      }
    }
  }
}

function withoutPull({ pin, chip, pull = 'none' }: GpioLineSettings): LarderError {
  const gpiod = "`driver: gpiod` (Debian's package gpiod)"
  const code = { up: 'pu', down: 'pd', none: 'pn' }[pull]
  return new LarderError('DEVICE_FAILED', `The kernel's sysfs cannot set the resistor of ${titleOf({ pin, chip })}.`, {
    hint:
      chip === undefined
        ? `In place of \`pull\` put \`gpio=${pin}=${code}\` into config.txt, or use ${gpiod}.`
        : `Use ${gpiod}.`,
  })
}

/** True when each of `paths` may be accessed that way. */
async function may(mode: number, ...paths: string[]): Promise<boolean> {
  const tries = await Promise.allSettled(paths.map(path => access(path, mode)))
  return tries.every(({ status }) => status === 'fulfilled')
}

/** What the kernel's error numbers mean for a pin (Documentation/ABI/obsolete/sysfs-gpio, drivers/gpio/gpiolib-sysfs.c). */
function explain(error: unknown, line: GpioLineSettings, number: number): LarderError {
  const title = titleOf(line)
  const [message, hint] = sentences(systemCodeOf(error), title, number) ?? [`${title} fails: ${reasonOf(error)}.`]
  return new LarderError('DEVICE_FAILED', message, { ...(hint === undefined ? {} : { hint }), cause: error })
}

function sentences(code: string | undefined, title: string, number: number): [string, string?] | undefined {
  switch (code) {
    case 'EBUSY':
      return [
        `${title} is held by another program or driver.`,
        '`gpioinfo` names it; an overlay in config.txt (1-Wire, SPI, I2C, LED) also takes pins.',
      ]
    case 'ENODEV':
      return [`The chip of ${title} is gone.`]
    case 'EINVAL':
      return [`The kernel refuses ${title} (line ${number} in sysfs).`, 'Is it a pin that this board offers?']
    case 'EACCES':
    case 'EPERM':
      return [`This user may not use ${title}.`, 'Put the user into the group `gpio` and start Larder again.']
    case 'EROFS':
      return [`${title} cannot be used because /sys is read-only here.`, 'Give the container a writable /sys.']
    default:
      return undefined
  }
}
