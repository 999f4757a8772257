/**
 * A number in a file, read every so often: a sensor that the kernel drives (`kernel-sensors.ts`), or any file. One that
 * is absent or cannot be read is a device that is away; it is tried again at the next beat. A sensor of the kernel may
 * fail now and then (a DHT22 does, one time in ten): only when it fails again and again is it away. A file
 * without a match is a fault of that one reading.
 */
import { constants, open } from 'node:fs/promises'
import type { Source, SourceEvents, Value, ValueDescription } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { LarderError, reasonOf, systemCodeOf } from '../../src/kernel/errors.ts'
import { descriptionOf, findKernelChannel, type KernelChannel, type KernelSensor, nameOf } from './kernel-sensors.ts'
import { ReadGate } from './read-gate.ts'
import { Rhythm } from './rhythm.ts'

/** Bytes of a file that are looked at: files of the kernel are a page (4 KiB); an endless one must not fill the memory. */
const MAX_READ = 64 * 1024

/** Time in ms that a read may take: a dozen 1-Wire sensors on one bus, 0.75 s each in turn, stay under it. */
const READ_LIMIT = 10_000

/** The first number of a text: a sign, digits with or without a point, an exponent. */
const FIRST_NUMBER = /([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/

/** Readings in a row that a sensor of the kernel may fail before it is away. */
const MAX_MISSES = 3

/** What a DS18B20 says when it has lost its power for a moment, in thousandths of a degree (data sheet, table 1). */
const POWER_ON_VALUE = 85_000
/** Thousandths of a degree: from nearer than this to the power-on value, it may be a true one. */
const POWER_ON_RANGE = 10_000

/** Digits of a converted number: more than any sensor has, fewer than a double's. */
const SIGNIFICANT_DIGITS = 12

export interface FileSettings {
  /** One of the two. */
  readonly path?: string | undefined
  readonly sensor?: KernelSensor | undefined
  /** Time in ms between two reads. */
  readonly every: number
  /** Regular expression whose first group is the value; absent: the first number in the file. */
  readonly pattern?: string | undefined
}

export class FileSource implements Source {
  readonly #settings: FileSettings
  readonly #root: string | undefined
  readonly #pattern: RegExp
  readonly #gate: ReadGate
  readonly #rhythm: Rhythm
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined
  /** Of a sensor of the kernel, where it was found. */
  #channel: KernelChannel | undefined
  #misses = 0
  /** The number that a sensor of the kernel gave last, in the kernel's unit. */
  #last: number | undefined

  /**
   * @param options.gate shared by the file sources of one gateway
   * @param options.root in the place of /sys, for tests
   */
  constructor(options: { settings: FileSettings; clock: Clock; gate?: ReadGate; root?: string | undefined }) {
    const { path, sensor, every, pattern } = options.settings
    this.#settings = options.settings
    this.#root = options.root
    const what = path ?? (sensor === undefined ? '' : nameOf(sensor))
    this.#pattern = pattern === undefined ? FIRST_NUMBER : new RegExp(pattern)
    this.#gate = options.gate ?? new ReadGate()
    this.#rhythm = new Rhythm({
      clock: options.clock,
      every,
      limit: READ_LIMIT,
      ask: () => this.#read(),
      late: () => this.#events?.available(false, `reading ${what} takes longer than ${READ_LIMIT / 1000} s`),
    })
  }

  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#events = events
    this.#rhythm.start()
  }

  async stop(): Promise<void> {
    this.#events = undefined
    this.#rhythm.stop()
  }

  /** Reads the file now, or joins the read that is under way. */
  poll(): Promise<void> {
    return this.#rhythm.now()
  }

  get values(): Readonly<Record<string, ValueDescription>> {
    const { sensor } = this.#settings
    return sensor === undefined ? {} : { '': descriptionOf(sensor) }
  }

  async #read(): Promise<void> {
    let text: string
    try {
      text = await this.#gate.pass(async () => (this.#events === undefined ? '' : readHead(await this.#place())))
    } catch (error) {
      this.#missed(error)
      return
    }
    this.#misses = 0
    this.#events?.available(true)
    const found = this.#pattern.exec(text)
    const value = found?.[1] ?? found?.[0]
    if (value === undefined) this.#events?.fault(`${this.#what} has nothing that matches ${this.#pattern}`)
    else this.#tell(toValue(value))
  }

  get #what(): string {
    return this.#settings.path ?? this.#channel?.path ?? ''
  }

  /** Where to read now. A sensor is looked for again when it is not where it was. */
  async #place(): Promise<string> {
    const { path, sensor } = this.#settings
    if (sensor === undefined) return path ?? ''
    this.#channel ??= await findKernelChannel(sensor, this.#root)
    return this.#channel.path
  }

  #missed(error: unknown): void {
    const reason = error instanceof LarderError ? `${error.message} ${error.hint ?? ''}`.trim() : reasonOf(error)
    const isThere = this.#channel !== undefined && systemCodeOf(error) !== 'ENOENT'
    if (isThere && ++this.#misses < MAX_MISSES) {
      this.#events?.fault(reason)
      return
    }
    this.#channel = undefined
    this.#last = undefined
    this.#events?.available(false, reason)
  }

  #tell(value: Value): void {
    if (this.#channel === undefined || typeof value !== 'number') {
      this.#events?.reading({ value })
      return
    }
    const { bus, scale, offset } = this.#channel
    const isNear = this.#last !== undefined && Math.abs(this.#last - POWER_ON_VALUE) < POWER_ON_RANGE
    if (bus === 'one_wire' && value === POWER_ON_VALUE && !isNear) {
      this.#events?.fault(`${this.#what} says 85 °C, which it also does after it has lost its power for a moment`)
      return
    }
    this.#last = value
    this.#events?.reading({ value: Number(((value + offset) * scale).toPrecision(SIGNIFICANT_DIGITS)) })
  }
}

/** The first `MAX_READ` bytes of a file. Does not wait for a writer when the path is a pipe. */
async function readHead(path: string): Promise<string> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const head = Buffer.allocUnsafe(MAX_READ)
    let length = 0
    // Files of the kernel may give less than was asked for before their end.
    for (let read = -1; read !== 0 && length < MAX_READ; length += read) {
      read = (await file.read(head, length, MAX_READ - length, null)).bytesRead
    }
    return head.toString('utf8', 0, length)
  } finally {
    await file.close()
  }
}

/** A number where the text is one, else the text. */
function toValue(text: string): Value {
  const number = Number(text)
  return text.trim() === '' || !Number.isFinite(number) ? text : number
}
