/**
 * The driver for machines without pins: levels live in memory. A program that embeds the gateway sets
 * inputs and looks at outputs with it, and so do tests. It keeps the rules of real pins: levels are
 * electrical, `activeLow` turns them round, a closed output keeps its level, and a pin is held once.
 */
import type { GpioDriver, GpioLine, GpioLineSettings } from '../../src/devices/ports.ts'
import { LarderError } from '../../src/kernel/errors.ts'

interface OpenPin {
  readonly settings: GpioLineSettings
  readonly onChange: (level: boolean) => void
}

export class MemoryGpioDriver implements GpioDriver {
  readonly #levels = new Map<number, boolean>()
  readonly #open = new Map<number, OpenPin>()

  /** The electrical level of a pin; low until something set it. */
  level(pin: number): boolean {
    return this.#levels.get(pin) ?? false
  }

  /** Puts an electrical level on a pin, as a switch would. */
  set(pin: number, level: boolean): void {
    if (this.level(pin) === level) return
    this.#levels.set(pin, level)
    const open = this.#open.get(pin)
    if (open?.settings.direction === 'in') open.onChange(level !== open.settings.activeLow)
  }

  async open(settings: GpioLineSettings, onChange: (level: boolean) => void): Promise<GpioLine> {
    const { pin, activeLow, direction, initial } = settings
    if (this.#open.has(pin)) throw new LarderError('DEVICE_FAILED', `GPIO ${pin} is already open.`)
    this.#open.set(pin, { settings, onChange })
    if (direction === 'out' && initial !== undefined) this.#levels.set(pin, initial !== activeLow)
    return {
      read: async () => this.level(pin) !== activeLow,
      write: async level => void this.#levels.set(pin, level !== activeLow),
      close: async () => void this.#open.delete(pin),
    }
  }
}
