/**
 * An output: a relay, a lamp, as `on` and `off`, and a sink for commands. It tells the level that the pin has, also
 * when somebody else gave it. With a `pulse` it goes off by itself, and is off whenever the gateway begins or ends:
 * what opens a gate for half a second must not stay on because of a restart.
 */
import type { GpioDriver, GpioLine, GpioLineSettings, Source, SourceEvents } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { LarderError } from '../../src/kernel/errors.ts'
import { Pin } from './pin.ts'

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

export interface OutputSettings extends GpioLineSettings {
  /** ms after which an output that was switched on goes off; undefined stays on. */
  readonly pulse: number | undefined
  /** What the stop of the gateway does with the level. A `pulse` ends in any case. */
  readonly atStop: 'keep' | 'on' | 'off'
}

export class OutputSource implements Source {
  readonly #settings: OutputSettings
  readonly #clock: Clock
  readonly #pin: Pin
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** The level that was published last; undefined while the pin is away. */
  #level: boolean | undefined
  /** Ends the pulse. */
  #pulse: Timer | undefined
  #waitingCommands = 0

  constructor(options: { settings: OutputSettings; driver: GpioDriver; clock: Clock }) {
    const { settings, driver, clock } = options
    this.#settings = settings
    this.#clock = clock
    this.#pin = new Pin({
      settings: settings.pulse === undefined ? settings : { ...settings, initial: false },
      driver,
      clock,
      user: {
        opened: level => this.#publish(level),
        edge: () => {},
        looked: level => {
          if (level !== this.#level) this.#publish(level)
        },
        gone: () => {
          this.#level = undefined
          this.#endPulse()
        },
      },
    })
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    this.#events = events
    await this.#pin.start(events, signal)
  }

  async stop(): Promise<void> {
    this.#events = undefined
    this.#endPulse()
    const { pulse, atStop } = this.#settings
    const last = pulse === undefined ? atStop : 'off'
    await this.#pin.stop(last === 'keep' ? undefined : line => line.write(last === 'on'))
  }

  /** Reads the pin and publishes its level, changed or not. */
  async poll(): Promise<void> {
    await this.#pin.with(async line => this.#publish(await line.read()))
  }

  /**
   * Takes `on`, `off`, `toggle`, `true`, `false`, `1` and `0` in any case, and reports the level that the pin then has.
   * `on` during a pulse begins it anew. Rejects with a `LarderError` for anything else, and while the pin is away.
   */
  async command(payload: string): Promise<void> {
    const wanted = COMMANDS.get(payload.trim().toLowerCase())
    if (wanted === undefined) {
      const shown = payload.length > MAX_SHOWN ? `${payload.slice(0, MAX_SHOWN)}…` : payload
      throw this.#refusal(`takes ${[...COMMANDS.keys()].join(', ')}, not "${shown}"`)
    }
    if (this.#waitingCommands === MAX_WAITING_COMMANDS) throw this.#refusal('does not answer')
    this.#waitingCommands++
    try {
      await this.#pin.with(async line => {
        await this.#set(line, wanted === 'toggle' ? !(await line.read()) : wanted)
      })
    } finally {
      this.#waitingCommands--
    }
  }

  async #set(line: GpioLine, level: boolean): Promise<void> {
    this.#endPulse()
    await line.write(level)
    const { pulse } = this.#settings
    if (level && pulse !== undefined && this.#events !== undefined) {
      this.#pulse = this.#clock.after(pulse, () => {
        // A pin that went is off when it is opened again.
        void this.#pin.with(late => this.#set(late, false)).catch(() => {})
      })
    }
    this.#publish(await line.read())
  }

  #endPulse(): void {
    this.#pulse?.cancel()
    this.#pulse = undefined
  }

  #refusal(what: string): LarderError {
    return new LarderError('DEVICE_FAILED', `${this.#pin.title} ${what}`)
  }

  #publish(level: boolean): void {
    this.#level = level
    this.#events?.reading({ value: level ? 'on' : 'off' })
  }
}
