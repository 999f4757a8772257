/**
 * The driver for machines without pins: levels live in memory. A program that embeds the gateway sets
 * inputs and looks at outputs with it, and so do tests. It keeps the rules of real pins: levels are
 * electrical, `activeLow` turns them round, a closed output keeps its level, and a pin is held once.
 */
import type { GpioDriver, GpioLine, GpioLineEvents, GpioLineSettings } from '../../src/devices/ports.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { LarderError } from '../../src/kernel/errors.ts'
import { titleOf } from './pin.ts'

interface OpenPin {
  readonly settings: GpioLineSettings
  readonly events: GpioLineEvents
}

export class MemoryGpioDriver implements GpioDriver {
  readonly #levels = new Map<string, boolean>()
  readonly #open = new Map<string, OpenPin>()

  /** The electrical level of a line of a chip, or of the header's; low until something set it. */
  level(pin: number, chip?: string): boolean {
    return this.#levels.get(titleOf({ pin, chip })) ?? false
  }

  /** Puts an electrical level on a line, as a switch would. `at`: when, in ms that never go back. */
  set(pin: number, level: boolean, options: { chip?: string; at?: number } = {}): void {
    const line = titleOf({ pin, chip: options.chip })
    if ((this.#levels.get(line) ?? false) === level) return
    this.#levels.set(line, level)
    const open = this.#open.get(line)
    if (open?.settings.direction !== 'in') return
    open.events.changed(level !== open.settings.activeLow, options.at ?? systemClock.monotonic())
  }

  async open(settings: GpioLineSettings, events: GpioLineEvents): Promise<GpioLine> {
    const { activeLow, direction, initial } = settings
    const line = titleOf(settings)
    if (this.#open.has(line)) throw new LarderError('DEVICE_FAILED', `${line} is already open.`)
    this.#open.set(line, { settings, events })
    if (direction === 'out' && initial !== undefined) this.#levels.set(line, initial !== activeLow)
    return {
      read: async () => (this.#levels.get(line) ?? false) !== activeLow,
      write: async level => void this.#levels.set(line, level !== activeLow),
      close: async () => void this.#open.delete(line),
    }
  }
}
