/**
 * A number in a file, read every so often: 1-Wire, IIO, hwmon and thermal files of the kernel, or what
 * another program writes. A file that is absent or cannot be read is a device that is away; it is tried
 * again at the next beat. A file without a match is a fault of that one reading.
 */
import { constants, open } from 'node:fs/promises'
import type { Source, SourceEvents, Value } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import { ReadGate } from './read-gate.ts'
import { Rhythm } from './rhythm.ts'

/** Bytes of a file that are looked at: files of the kernel are a page (4 KiB); an endless one must not fill the memory. */
const MAX_READ = 64 * 1024

/** Time in ms that a read may take: a dozen 1-Wire sensors on one bus, 0.75 s each in turn, stay under it. */
const READ_LIMIT = 10_000

/** The first number of a text: a sign, digits with or without a point, an exponent. */
const FIRST_NUMBER = /([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)/

export interface FileSettings {
  readonly path: string
  /** Time in ms between two reads. */
  readonly every: number
  /** Regular expression whose first group is the value; absent: the first number in the file. */
  readonly pattern?: string | undefined
}

export class FileSource implements Source {
  readonly #path: string
  readonly #pattern: RegExp
  readonly #gate: ReadGate
  readonly #rhythm: Rhythm
  /** Undefined before the start and after the stop. */
  #events: SourceEvents | undefined

  /** @param options.gate shared by the file sources of one gateway */
  constructor(options: { settings: FileSettings; clock: Clock; gate?: ReadGate }) {
    const { path, every, pattern } = options.settings
    this.#path = path
    this.#pattern = pattern === undefined ? FIRST_NUMBER : new RegExp(pattern)
    this.#gate = options.gate ?? new ReadGate()
    this.#rhythm = new Rhythm({
      clock: options.clock,
      every,
      limit: READ_LIMIT,
      ask: () => this.#read(),
      late: () => this.#events?.available(false, `reading ${path} takes longer than ${READ_LIMIT / 1000} s`),
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

  async #read(): Promise<void> {
    let text: string
    try {
      text = await this.#gate.pass(() => (this.#events === undefined ? Promise.resolve('') : readHead(this.#path)))
    } catch (error) {
      this.#events?.available(false, reasonOf(error))
      return
    }
    this.#events?.available(true)
    const found = this.#pattern.exec(text)
    const value = found?.[1] ?? found?.[0]
    if (value === undefined) this.#events?.fault(`${this.#path} has nothing that matches ${this.#pattern}`)
    else this.#events?.reading({ value: toValue(value) })
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
