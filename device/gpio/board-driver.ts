/**
 * The board's own pins by whatever is there: `onoff` for contacts and relays, because it keeps an output's level over a
 * restart; the tools of gpiod for counters, because they lose no pulse, and for what sysfs cannot do. The log says which.
 */
import type { GpioDriver, GpioLine, GpioLineEvents, GpioLineSettings } from '../../src/devices/ports.ts'
import { LarderError } from '../../src/kernel/errors.ts'
import type { Log } from '../../src/kernel/log.ts'
import { titleOf } from './pin.ts'

/** A driver that may not be there. */
export interface OptionalDriver extends GpioDriver {
  isThere(): Promise<boolean>
}

export class BoardDriver implements GpioDriver {
  readonly #onoff: GpioDriver
  readonly #gpiod: OptionalDriver
  readonly #isCounter: boolean
  readonly #log: Log
  /** What the log was told last. */
  #told = ''

  constructor(options: { onoff: GpioDriver; gpiod: OptionalDriver; isCounter: boolean; log: Log }) {
    this.#onoff = options.onoff
    this.#gpiod = options.gpiod
    this.#isCounter = options.isCounter
    this.#log = options.log
  }

  async open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine> {
    const title = titleOf(settings)
    if ((this.#isCounter || settings.pull !== undefined) && (await this.#gpiod.isThere())) {
      return await this.#by(this.#gpiod, `${title} is used through gpiod`, settings, events)
    }
    try {
      return await this.#by(this.#onoff, `${title} is used through onoff`, settings, events)
    } catch (error) {
      // Neither the package nor the kernel's sysfs need be there where the tools are.
      const isMissing = error instanceof LarderError && error.code === 'DRIVER_MISSING'
      if (!isMissing || !(await this.#gpiod.isThere())) throw error
      return await this.#by(this.#gpiod, `${title} is used through gpiod`, settings, events)
    }
  }

  async #by(
    driver: GpioDriver,
    message: string,
    settings: GpioLineSettings,
    events: GpioLineEvents,
  ): Promise<GpioLine> {
    const line = await driver.open(settings, events)
    if (message === this.#told) return line
    this.#told = message
    if (driver === this.#onoff && this.#isCounter) {
      this.#log.warn({}, `${message}: fast pulses may be lost (install gpiod: apt-get install gpiod)`)
    } else this.#log.info({}, message)
    return line
  }
}
