/**
 * An input: a contact, a motion sensor, a button, as `on` and `off`.
 *
 * A level counts when it has stood for the debounce time: each edge starts the wait again, and at its end the pin is
 * read, so an edge that the kernel did not report cannot leave a wrong state. An input with one `edge` tells only of that
 * one, as a button is wanted to.
 */
import type { GpioDriver, GpioLineSettings, Source, SourceEvents } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { Pin } from './pin.ts'

export interface InputSettings extends GpioLineSettings {
  /** Logical edges that are told of: `rising` is from off to on. */
  readonly edge: 'both' | 'rising' | 'falling'
}

export class InputSource implements Source {
  readonly #settings: InputSettings
  readonly #clock: Clock
  readonly #pin: Pin
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** The last level that counted; undefined while the pin is away. */
  #level: boolean | undefined
  /** Monotonic time of the last edge. */
  #changedAt = 0
  /** Runs while a level has not yet stood long enough. */
  #debounce: Timer | undefined

  constructor(options: { settings: InputSettings; driver: GpioDriver; clock: Clock }) {
    this.#settings = options.settings
    this.#clock = options.clock
    this.#pin = new Pin({
      ...options,
      user: {
        opened: level => this.#take(level, this.#settings.edge === 'both'),
        edge: level => this.#changed(level),
        looked: level => {
          if (level !== this.#level) this.#changed(level)
        },
        gone: () => this.#forget(),
      },
    })
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    this.#events = events
    await this.#pin.start(events, signal)
  }

  async stop(): Promise<void> {
    this.#events = undefined
    this.#forget()
    await this.#pin.stop()
  }

  /** Reads the pin and publishes its level, changed or not. While it is bouncing, the last one that counted. */
  async poll(): Promise<void> {
    await this.#pin.with(async line => {
      const level = await line.read()
      this.#take(this.#debounce === undefined ? level : (this.#level ?? level), true)
    })
  }

  #changed(level: boolean): void {
    const { debounce } = this.#settings
    if (debounce === 0) {
      this.#count(level)
      return
    }
    this.#changedAt = this.#clock.monotonic()
    this.#debounce ??= this.#clock.after(debounce, () => this.#settle())
  }

  #settle(): void {
    const left = this.#changedAt + this.#settings.debounce - this.#clock.monotonic()
    this.#debounce = left > 0 ? this.#clock.after(left, () => this.#settle()) : undefined
    if (this.#debounce !== undefined) return
    const settled = this.#pin.with(async line => {
      const level = await line.read()
      // An edge during the read has started the wait again: what was read does not count yet.
      if (this.#debounce === undefined) this.#count(level)
    })
    settled.catch(() => {}) // the pin has said why it went
  }

  /** A level that has stood long enough. */
  #count(level: boolean): void {
    if (level === this.#level) return
    const { edge } = this.#settings
    this.#take(level, edge === 'both' || level === (edge === 'rising'))
  }

  #take(level: boolean, isTold: boolean): void {
    this.#level = level
    if (isTold) this.#events?.reading({ value: level ? 'on' : 'off' })
  }

  #forget(): void {
    this.#level = undefined
    this.#debounce?.cancel()
    this.#debounce = undefined
  }
}
