/**
 * A pin as a source of `on` and `off`, and an output also as a sink.
 *
 * An input's level counts when it has stood for the debounce time: each edge starts the wait again, and
 * at its end the pin is read, so an edge that the kernel did not report cannot leave a wrong state. A pin that
 * cannot be opened or read is away: it is tried again, and published anew when it is back. All that is done
 * with the pin is done one after the other.
 */
import type { GpioDriver, GpioLine, GpioLineSettings, Source, SourceEvents } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf } from '../../src/kernel/errors.ts'

/** Time in ms between two looks at the pin: heals a lost edge, finds a chip that went, tries one that is away. */
const LOOK_EVERY = 10_000

/** Commands that may wait for the pin. It answers within a millisecond: with more waiting, it hangs. */
const MAX_WAITING_COMMANDS = 100

/** Characters of a wrong command that its answer repeats. */
const MAX_SHOWN = 40

type Command = boolean | 'toggle'

const COMMANDS: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['on', true],
  ['off', false],
  ['toggle', 'toggle'],
  ['true', true],
  ['false', false],
  ['1', true],
  ['0', false],
])

export class GpioSource implements Source {
  readonly #settings: GpioLineSettings
  readonly #driver: GpioDriver
  readonly #clock: Clock
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** Undefined while the pin is away. */
  #line: GpioLine | undefined
  #away = 'it is not started'
  /** The level that was published last. */
  #published: boolean | undefined
  /** Monotonic time of the last edge. */
  #changedAt = 0
  /** Runs while a level has not yet stood long enough. */
  #debounce: Timer | undefined
  #rhythm: Timer | undefined
  /** The end of the work on the pin so far. Never rejects. */
  #work: Promise<void> = Promise.resolve()
  #looking = false
  #waitingCommands = 0

  /**
   * Outputs only. Takes `on`, `off`, `toggle`, `true`, `false`, `1` and `0` in any case, and reports the
   * level that the pin then has. Rejects with a `LarderError` for anything else, and while the pin is away.
   */
  readonly command?: (payload: string) => Promise<void>

  constructor(options: { settings: GpioLineSettings; driver: GpioDriver; clock: Clock }) {
    this.#settings = options.settings
    this.#driver = options.driver
    this.#clock = options.clock
    if (options.settings.direction === 'out') this.command = payload => this.#command(payload)
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#events = events
    await this.#serially(() => this.#open())
    if (signal.aborted) await this.stop()
    signal.throwIfAborted()
    this.#rhythm = this.#clock.every(LOOK_EVERY, () => this.#look())
  }

  async stop(): Promise<void> {
    this.#events = undefined
    this.#rhythm?.cancel()
    this.#debounce?.cancel()
    this.#debounce = undefined
    await this.#serially(async () => {
      const line = this.#line
      this.#line = undefined
      await line?.close()
    })
  }

  /** Reads the pin and publishes its level, changed or not. While it is bouncing, the last one that counted. */
  poll(): Promise<void> {
    return this.#serially(async () => {
      if (this.#line === undefined) return this.#open()
      const level = await this.#read(this.#line)
      if (level !== undefined) this.#publish(this.#debounce === undefined ? level : (this.#published ?? level))
    })
  }

  async #open(): Promise<void> {
    if (this.#events === undefined) return
    try {
      this.#line = await this.#driver.open(this.#settings, level => this.#changed(level))
    } catch (error) {
      return this.#lose(error)
    }
    const level = await this.#read(this.#line)
    if (level === undefined) return
    this.#events?.available(true)
    this.#publish(level)
  }

  /** An input has a new level. */
  #changed(level: boolean): void {
    if (this.#events === undefined || this.#line === undefined) return
    const { debounce } = this.#settings
    if (debounce === 0) {
      if (level !== this.#published) this.#publish(level)
      return
    }
    this.#changedAt = this.#clock.monotonic()
    this.#debounce ??= this.#clock.after(debounce, () => this.#settle())
  }

  #settle(): void {
    const left = this.#changedAt + this.#settings.debounce - this.#clock.monotonic()
    this.#debounce = left > 0 ? this.#clock.after(left, () => this.#settle()) : undefined
    if (this.#debounce !== undefined) return
    void this.#serially(async () => {
      const level = this.#line && (await this.#read(this.#line))
      // An edge during the read has started the wait again: what was read does not count yet.
      if (level !== undefined && level !== this.#published && this.#debounce === undefined) this.#publish(level)
    })
  }

  /** The regular look at the pin. Skipped while the last one has not ended. */
  #look(): void {
    if (this.#looking) return
    this.#looking = true
    void this.#serially(async () => {
      if (this.#line === undefined) return this.#open()
      const level = await this.#read(this.#line)
      if (level === undefined || level === this.#published) return
      if (this.#settings.direction === 'in') this.#changed(level)
      else this.#publish(level)
    }).finally(() => {
      this.#looking = false
    })
  }

  async #command(payload: string): Promise<void> {
    const wanted = COMMANDS.get(payload.trim().toLowerCase())
    if (wanted === undefined) {
      const shown = payload.length > MAX_SHOWN ? `${payload.slice(0, MAX_SHOWN)}…` : payload
      throw this.#refusal(`takes ${[...COMMANDS.keys()].join(', ')}, not "${shown}"`)
    }
    if (this.#waitingCommands === MAX_WAITING_COMMANDS) throw this.#refusal('does not answer')
    this.#waitingCommands++
    let failure: LarderError | undefined
    await this.#serially(async () => {
      failure = await this.#carryOut(wanted)
    }).finally(() => this.#waitingCommands--)
    if (failure !== undefined) throw failure
  }

  async #carryOut(wanted: Command): Promise<LarderError | undefined> {
    const line = this.#line
    if (line === undefined) return this.#refusal(`cannot be set: ${this.#away}`)
    try {
      await line.write(wanted === 'toggle' ? !(await line.read()) : wanted)
      this.#publish(await line.read())
      return undefined
    } catch (error) {
      await this.#lose(error)
      return this.#refusal(`cannot be set: ${reasonOf(error)}`)
    }
  }

  #refusal(what: string): LarderError {
    return new LarderError('DEVICE_FAILED', `GPIO ${this.#settings.pin} ${what}`)
  }

  async #read(line: GpioLine): Promise<boolean | undefined> {
    try {
      return await line.read()
    } catch (error) {
      await this.#lose(error)
      return undefined
    }
  }

  async #lose(error: unknown): Promise<void> {
    const line = this.#line
    this.#line = undefined
    this.#published = undefined
    this.#debounce?.cancel()
    this.#debounce = undefined
    this.#away = error instanceof LarderError && error.hint ? `${error.message} ${error.hint}` : reasonOf(error)
    this.#events?.available(false, this.#away)
    // It is lost already; that it cannot be closed either is no news.
    await line?.close().catch(() => {})
  }

  #publish(level: boolean): void {
    this.#published = level
    this.#events?.reading({ value: level ? 'on' : 'off' })
  }

  #serially(job: () => Promise<void>): Promise<void> {
    const done = this.#work.then(job)
    this.#work = done.catch(() => {})
    return done
  }
}
