/**
 * A pin that comes and goes: opened, given up when it fails, tried again. Everything that is done with it is done one
 * after the other. A pin that is lost is tried again soon, then ever more seldom; one that cannot be opened, with the
 * regular look, which also finds a chip that went without a word.
 */
import type { GpioDriver, GpioLine, GpioLineSettings, SourceEvents } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'

/** Time in ms between two looks at the pin: heals a lost edge, finds a chip that went, tries one that is away. */
export const LOOK_EVERY = 10_000

/** Time in ms until a lost pin is first tried again; each loss within a look of the last doubles it. */
const FIRST_RETRY = 500

/** What the owner of a pin is told. All calls but `edge` are made while nothing else is done with the pin. */
export interface PinUser {
  /** The pin is there, with this level. */
  opened(level: boolean): void
  /** An edge, as the driver tells it. */
  edge(level: boolean, at: number): void
  /** What a regular look has found. */
  looked(level: boolean): void
  /** The pin is away, and with it all that was known of it. */
  gone(): void
}

export class Pin {
  readonly #settings: GpioLineSettings
  readonly #driver: GpioDriver
  readonly #clock: Clock
  readonly #user: PinUser
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** Undefined while the pin is away. */
  #line: GpioLine | undefined
  #away = 'it is not started'
  #rhythm: Timer | undefined
  #retry: Timer | undefined
  #retryAfter = FIRST_RETRY
  /** Monotonic time at which the pin was opened last. */
  #openedAt = 0
  #looking = false
  /** The end of the work on the pin so far. Never rejects. */
  #work: Promise<void> = Promise.resolve()

  constructor(options: { settings: GpioLineSettings; driver: GpioDriver; clock: Clock; user: PinUser }) {
    this.#settings = options.settings
    this.#driver = options.driver
    this.#clock = options.clock
    this.#user = options.user
  }

  /** `GPIO 17`, or with the name of its chip. */
  get title(): string {
    return titleOf(this.#settings)
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#events = events
    await this.#serially(() => this.#open())
    if (signal.aborted) await this.stop()
    signal.throwIfAborted()
    this.#rhythm = this.#clock.every(LOOK_EVERY, () => this.#look())
  }

  /** `last` is done with the pin, if it is there, before it is given back. */
  async stop(last?: (line: GpioLine) => Promise<void>): Promise<void> {
    this.#events = undefined
    this.#rhythm?.cancel()
    this.#retry?.cancel()
    await this.#serially(async () => {
      const line = this.#line
      this.#line = undefined
      if (line === undefined) return
      await last?.(line).catch(() => {}) // it is being given up: whoever switched it is told by its level
      await line.close()
    })
  }

  /**
   * Does `work` with the pin, opening it first if it is away; an error gives the pin up. Rejects with a `LarderError`
   * that says why when the pin is away or went.
   */
  async with<T>(work: (line: GpioLine) => Promise<T>): Promise<T> {
    let outcome: { value: T } | { error: LarderError } | undefined
    await this.#serially(async () => {
      if (this.#line === undefined) await this.#open()
      outcome = await this.#attempt(work)
    })
    if (outcome === undefined) throw this.#refusal(this.#away)
    if ('error' in outcome) throw outcome.error
    return outcome.value
  }

  async #attempt<T>(work: (line: GpioLine) => Promise<T>): Promise<{ value: T } | { error: LarderError } | undefined> {
    if (this.#line === undefined) return undefined
    try {
      return { value: await work(this.#line) }
    } catch (error) {
      await this.#lose(error)
      return { error: this.#refusal(reasonOf(error)) }
    }
  }

  #refusal(why: string): LarderError {
    return new LarderError('DEVICE_FAILED', `${this.title} is away: ${why}`)
  }

  async #open(): Promise<void> {
    if (this.#events === undefined) return
    this.#retry?.cancel()
    let line: GpioLine | undefined
    try {
      line = await this.#driver.open(this.#settings, {
        changed: (level, at) => {
          if (this.#events !== undefined && this.#line === line && line !== undefined) this.#user.edge(level, at)
        },
        lost: reason => {
          void this.#serially(async () => {
            if (line !== undefined && this.#line === line) await this.#lose(reason)
          })
        },
      })
      const level = await line.read()
      this.#line = line
      this.#openedAt = this.#clock.monotonic()
      this.#events?.available(true)
      if (this.#events !== undefined) this.#user.opened(level)
    } catch (error) {
      this.#line ??= line
      await this.#lose(error, false)
    }
  }

  /** The regular look at the pin. Skipped while the last one has not ended. */
  #look(): void {
    if (this.#looking) return
    this.#looking = true
    void this.#serially(async () => {
      if (this.#line === undefined) return this.#open()
      const seen = await this.#attempt(line => line.read())
      if (seen !== undefined && 'value' in seen && this.#events !== undefined) this.#user.looked(seen.value)
    }).finally(() => {
      this.#looking = false
    })
  }

  async #lose(error: unknown, isRetried = true): Promise<void> {
    const line = this.#line
    this.#line = undefined
    this.#away = error instanceof LarderError && error.hint ? `${error.message} ${error.hint}` : reasonOf(error)
    this.#user.gone()
    this.#events?.available(false, this.#away)
    // It is lost already; that it cannot be closed either is no news.
    await line?.close().catch(() => {})
    if (!isRetried || this.#events === undefined) return
    const lasted = this.#clock.monotonic() - this.#openedAt
    this.#retryAfter = lasted > LOOK_EVERY ? FIRST_RETRY : Math.min(2 * this.#retryAfter, LOOK_EVERY)
    this.#retry = this.#clock.after(this.#retryAfter, () => void this.#serially(() => this.#reopen()))
  }

  async #reopen(): Promise<void> {
    if (this.#line === undefined) await this.#open()
  }

  #serially(job: () => Promise<void>): Promise<void> {
    const done = this.#work.then(job)
    this.#work = done.catch(() => {})
    return done
  }
}

/** A pin's name in messages. */
export function titleOf({ pin, chip }: Pick<GpioLineSettings, 'pin' | 'chip'>): string {
  return chip === undefined ? `GPIO ${pin}` : `line ${pin} of ${chip}`
}
