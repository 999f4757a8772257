/**
 * Readings from a serial line, and commands to it. Keeps one connection open for as long as the
 * device is there, and heals without help: an unplugged adapter is noticed by the port's own `close`; by
 * its path being gone or leading to another device (some adapters give no `close` until somebody writes);
 * or, if configured, by silence. A missing path is looked for a few times a second, which costs one `stat`; a
 * path that is there and cannot be opened is tried again with growing pauses.
 *
 * A device that is open and says nothing is online: many speak once an hour. After `silence` it is offline
 * until it speaks again, and the port is opened anew meanwhile.
 */
import { stat } from 'node:fs/promises'
import type { Source, SourceEvents } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import { createLineCodec, type LineCodecSettings } from '../codecs/line-codec.ts'
import type { LineCodec } from '../codecs/values.ts'
import { type Connection, openConnection, type PortSettings } from './connection.ts'
import { driverMissing, loadSerialPort, openFault, type SerialPortClass } from './driver.ts'

/** Pause in ms between two looks for a path that is not there: plugging in is answered at once, for one `stat` each. */
const LOOK_INTERVAL_MS = 250
/** First and longest pause in ms between two tries to open a port that is there; doubling in between. */
export const RETRY_MIN_MS = 250
export const RETRY_MAX_MS = 10_000
/** Part of a pause that is random, so that devices on one hub do not all try at once. */
const RETRY_JITTER = 0.2
/** Time in ms for which a connection without a reading must stand before its end is answered without a growing pause. */
const STABLE_MS = 5_000
/** Pause in ms between two looks whether the open port still is what the path leads to. */
const WATCH_INTERVAL_MS = 1_000

export interface SerialSettings extends PortSettings, LineCodecSettings {
  /** Time in ms without a byte after which the device counts as unplugged; undefined for one that may be silent. */
  readonly silence?: number | undefined
  /** Sent behind each command. */
  readonly writeLineEnding: string
}

export class SerialSource implements Source {
  readonly #settings: SerialSettings
  readonly #clock: Clock
  readonly #load: () => Promise<SerialPortClass>
  readonly #codec: LineCodec
  #SerialPort: SerialPortClass | undefined
  #events: SourceEvents | undefined
  #connection: Connection | undefined
  /** What the path led to when it was opened. */
  #identity: string | undefined
  #openedAt = 0
  #timer: Timer | undefined
  #working: Promise<void> = Promise.resolve()
  #failures = 0
  #reason: string | undefined
  /** Fell silent: it must speak before it is online again. */
  #silent = false
  #stopped = false

  /** `load` brings the driver; the package `serialport` unless a test says otherwise. */
  constructor(options: { settings: SerialSettings; clock: Clock; load?: () => Promise<SerialPortClass> }) {
    this.#settings = options.settings
    this.#clock = options.clock
    this.#load = options.load ?? loadSerialPort
    this.#codec = createLineCodec(options.settings)
  }

  /** Resolves after the first try, whether the device is there or not. Rejects with `DRIVER_MISSING` when the driver cannot be loaded. */
  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    try {
      this.#SerialPort = await this.#load()
    } catch (error) {
      throw driverMissing(this.#settings.path, error)
    }
    this.#events = events
    if (!signal.aborted) await this.#work(() => this.#connect())
    if (!signal.aborted) return
    await this.stop()
    signal.throwIfAborted()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#working
    await this.#connection?.close()
    this.#connection = undefined
  }

  /** Sends `payload` and the line ending. Resolves when it has left the computer; rejects when it may not have. */
  async command(payload: string): Promise<void> {
    if (this.#connection === undefined) throw new Error(`${this.#settings.path} is not connected`)
    await this.#connection.write(Buffer.from(payload + this.#settings.writeLineEnding))
  }

  /** Does one step at a time, so that a port is never opened while another one is closing. `step` never rejects. */
  #work(step: () => Promise<void>): Promise<void> {
    this.#working = this.#working.then(() => (this.#stopped ? undefined : step()))
    return this.#working
  }

  #later(delay: number, step: () => Promise<void>): void {
    this.#timer?.cancel()
    if (!this.#stopped) this.#timer = this.#clock.after(delay, () => void this.#work(step))
  }

  async #connect(): Promise<void> {
    if (this.#connection !== undefined) return
    const { path } = this.#settings
    const identity = await identityOf(path)
    if (identity === undefined) {
      this.#failures = 0
      this.#absent(`${path} is not there`)
      this.#later(LOOK_INTERVAL_MS, () => this.#connect())
      return
    }
    let connection: Connection
    try {
      connection = await this.#open()
    } catch (error) {
      this.#absent(openFault(path, error))
      this.#retry()
      return
    }
    this.#connection = connection
    if (this.#stopped) return // `stop` waits for this step and closes it
    void connection.lost.then(reason => this.#work(() => this.#lost(connection, reason)))
    this.#identity = identity
    this.#openedAt = this.#clock.monotonic()
    if (!this.#silent) this.#present()
    this.#watchLater(connection)
  }

  #open(): Promise<Connection> {
    return openConnection({
      SerialPort: this.#SerialPort as SerialPortClass,
      settings: this.#settings,
      clock: this.#clock,
      events: {
        line: line => this.#line(line),
        overlong: () => this.#events?.fault(`a line of more than ${this.#settings.maxLine} bytes was dropped`),
      },
    })
  }

  #watchLater(connection: Connection): void {
    const { silence } = this.#settings
    const left = silence === undefined ? WATCH_INTERVAL_MS : connection.heardAt + silence - this.#clock.monotonic()
    this.#later(Math.max(0, Math.min(WATCH_INTERVAL_MS, left)), () => this.#watch(connection))
  }

  async #watch(connection: Connection): Promise<void> {
    if (this.#connection !== connection) return
    const { path, silence } = this.#settings
    const identity = await identityOf(path)
    if (identity === undefined) return this.#lost(connection, `${path} is gone`)
    if (identity !== this.#identity) return this.#lost(connection, `${path} is another device now`)
    const now = this.#clock.monotonic()
    if (now - this.#openedAt >= STABLE_MS) this.#failures = 0
    if (silence !== undefined && now - connection.heardAt >= silence) {
      this.#silent = true
      this.#failures = 0 // a growing pause would be deaf for longer and longer
      return this.#lost(connection, `${path} has said nothing for ${silence / 1000} s`)
    }
    this.#watchLater(connection)
  }

  /** The connection is over, or is to be. */
  async #lost(connection: Connection, reason: string): Promise<void> {
    if (this.#connection !== connection) return
    this.#absent(reason)
    this.#connection = undefined
    await connection.close()
    this.#retry()
  }

  #retry(): void {
    const pause = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures)
    if (pause < RETRY_MAX_MS) this.#failures++
    this.#later(pause * (1 - RETRY_JITTER * Math.random()), () => this.#connect())
  }

  #line(line: string): void {
    if (this.#silent) {
      this.#silent = false
      this.#present()
    }
    if (line.trim() === '') return
    try {
      this.#events?.reading(this.#codec.decode(line))
      this.#failures = 0
    } catch (error) {
      this.#events?.fault(reasonOf(error))
    }
  }

  #present(): void {
    this.#reason = undefined
    this.#events?.available(true)
  }

  /** Says once that the device is not there, and again only when the reason is another. */
  #absent(reason: string): void {
    if (this.#reason === reason) return
    this.#reason = reason
    this.#events?.available(false, reason)
  }
}

/** What a path leads to, links followed; undefined when it leads nowhere. */
async function identityOf(path: string): Promise<string | undefined> {
  try {
    const { dev, ino, rdev } = await stat(path)
    return `${dev}:${ino}:${rdev}`
  } catch {
    return undefined
  }
}
