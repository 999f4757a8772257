/**
 * A counter of pulses (S0, gas, water): `total` in the meter's own unit, and `rate`, that unit an hour. A meter is set
 * with its reading on `…/set`.
 *
 * The count is kept in a file of its own, written seldom (the card) and at the stop; a power cut loses what came since.
 * The retained message is not asked for it: any client can write there. A count that cannot be read begins at 0 and says so.
 */
import type { GpioDriver, Source, SourceEvents, ValueDescription } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'
import type { CountFile } from './count-file.ts'
import type { InputSettings } from './input-source.ts'
import { Pin } from './pin.ts'
import { Pulses } from './pulses.ts'
import { PulseRate } from './rate.ts'

/** Digits of a total: more than any meter has, fewer than a double's, so that 3 × 0.1 reads 0.3. */
const TOTAL_DIGITS = 12
/** Digits of a rate: no meter's pulses come more evenly. */
const RATE_DIGITS = 3
/** Characters of a wrong reading that its answer repeats. */
const MAX_SHOWN = 40

export interface CounterSettings extends InputSettings {
  /** What one pulse is worth, in the meter's unit. */
  readonly perPulse: number
  /** ms between two reports, at least. */
  readonly every: number
  /** ms between two writes of the count, at least. */
  readonly save: number
}

export class CounterSource implements Source {
  readonly values: Readonly<Record<string, ValueDescription>> = {
    total: { stateClass: 'total_increasing' },
    rate: { stateClass: 'measurement' },
  }
  readonly #settings: CounterSettings
  readonly #clock: Clock
  readonly #file: CountFile | undefined
  readonly #pin: Pin
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** All pulses ever. */
  #count = 0
  /** What is in the file. */
  #saved = 0
  /** The end of the writes so far. Never rejects. */
  #writing: Promise<void> = Promise.resolve()
  /** Undefined while the pin is away. */
  #pulses: Pulses | undefined
  readonly #rate = new PulseRate()
  #told = { total: Number.NaN, rate: Number.NaN }
  /** Time of the last edge on the driver's clock, and how far that clock is behind ours. */
  #edgeAt = 0
  #behind = 0
  /** Runs while a level has not yet stood long enough. */
  #debounce: Timer | undefined
  #timers: Timer[] = []

  /** Without a `file` the count begins at 0. */
  constructor(options: { settings: CounterSettings; driver: GpioDriver; clock: Clock; file: CountFile | undefined }) {
    const { settings, driver, clock, file } = options
    this.#settings = settings
    this.#clock = clock
    this.#file = file
    const { debounce, edge } = settings
    this.#pin = new Pin({
      // The kernel tells which of two edges one was by reading the line, too late for a fast pulse; one kind alone is sure.
      settings: { ...settings, edges: debounce > 0 || edge === 'both' ? undefined : edge },
      driver,
      clock,
      user: {
        opened: level => this.#opened(level),
        edge: (level, at) => this.#edge(level, at),
        looked: () => {},
        gone: () => this.#forget(),
      },
    })
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#events = events
    try {
      this.#count = (await this.#file?.load()) ?? 0
    } catch (error) {
      events.fault(`${reasonOf(error)} It begins at 0: set it to the meter's reading.`)
    }
    this.#saved = this.#count
    await this.#pin.start(events, signal)
    const { every, save } = this.#settings
    this.#timers = [
      this.#clock.every(every, () => this.#report()),
      this.#clock.every(save, () => void this.#tryToSave()),
    ]
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers.splice(0)) timer.cancel()
    this.#settle(true)
    this.#forget()
    await this.#pin.stop()
    await this.#tryToSave()
    this.#events = undefined
  }

  /** Publishes total and rate, changed or not. */
  async poll(): Promise<void> {
    this.#report(true)
  }

  /** Sets the total to a meter's reading. Rejects with a `LarderError` for what is none, and when it cannot be written. */
  async command(payload: string): Promise<void> {
    const { perPulse } = this.#settings
    const text = payload.trim()
    const reading = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN
    const count = Math.round(reading / perPulse)
    if (!Number.isSafeInteger(count)) {
      const shown = text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
      throw this.#refusal(`takes the meter's reading, such as 1234.5, not "${shown}"`)
    }
    this.#count = count
    this.#report(true)
    try {
      await this.#save()
    } catch (error) {
      throw this.#refusal(`is set, but that cannot be written: ${reasonOf(error)}`)
    }
  }

  #opened(level: boolean): void {
    const { debounce, edge } = this.#settings
    this.#pulses = new Pulses({ debounce, edge, level })
    this.#report(true)
  }

  #edge(level: boolean, at: number): void {
    this.#edgeAt = at
    this.#behind = this.#clock.monotonic() - at
    this.#add(this.#pulses?.edge(level, at) ?? 0)
    const { debounce } = this.#settings
    if (debounce > 0) this.#debounce ??= this.#clock.after(debounce, () => this.#settle())
  }

  /** Counts a level that has stood long enough; `isLast`: there will be no other occasion. */
  #settle(isLast = false): void {
    this.#debounce?.cancel()
    const now = this.#now()
    const left = this.#edgeAt + this.#settings.debounce - now
    this.#debounce = left > 0 && !isLast ? this.#clock.after(left, () => this.#settle()) : undefined
    this.#add(this.#pulses?.settle(now) ?? 0)
  }

  #add(pulses: number): void {
    if (pulses === 0) return
    this.#count += pulses
    this.#rate.add(pulses, this.#edgeAt)
  }

  #now(): number {
    return this.#clock.monotonic() - this.#behind
  }

  #forget(): void {
    this.#pulses = undefined
    this.#debounce?.cancel()
    this.#debounce = undefined
  }

  #report(isWanted = false): void {
    const { perPulse } = this.#settings
    const total = Number((this.#count * perPulse).toPrecision(TOTAL_DIGITS))
    const rate = Number((this.#rate.report(this.#now()) * perPulse).toPrecision(RATE_DIGITS))
    if (!isWanted && total === this.#told.total && rate === this.#told.rate) return
    this.#told = { total, rate }
    this.#events?.reading({ value: { total, rate } })
  }

  async #tryToSave(): Promise<void> {
    try {
      await this.#save()
    } catch (error) {
      this.#events?.fault(`the count cannot be written: ${reasonOf(error)}`)
    }
  }

  /** One write after the other, and none for a count that is written. */
  #save(): Promise<void> {
    const done = this.#writing.then(async () => {
      const count = this.#count
      if (this.#file === undefined || count === this.#saved) return
      await this.#file.save(count)
      this.#saved = count
    })
    this.#writing = done.catch(() => {})
    return done
  }

  #refusal(what: string): LarderError {
    return new LarderError('DEVICE_FAILED', `The counter on ${this.#pin.title} ${what}`)
  }
}
