/**
 * What is said over one connection: a port, the codec that makes sense of it, and the questions, if it is a
 * device that has to be asked. All three begin and end together, so that nothing of one device is ever glued to the next.
 */
import type { Reading } from '../../src/devices/ports.ts'
import type { Clock } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import type { Codec, CodecFactory } from '../codecs/codec.ts'
import { Connection, type LineSettings } from './connection.ts'
import type { SerialPortClass } from './driver.ts'
import { type QuestionSettings, Questions } from './questions.ts'

/** Time in ms of silence behind the opening after which the first byte begins a frame: half a kilobyte at 9,600 baud. */
const QUIET_MS = 500
/** Bytes that are kept of what came, to be shown to a person. */
const MAX_RAW_BYTES = 256

const NOTHING = Buffer.alloc(0)

export interface ConversationEvents {
  reading(reading: Reading): void
  fault(reason: string): void
  /** The bytes that led to what is told next, or the last of them. */
  frame?(bytes: Uint8Array): void
  /** Something came. Of a device that is asked: it answered. */
  heard(): void
  /** Of a device that is asked: a whole round went by without an answer. */
  unanswered(): void
}

export class Conversation {
  readonly #codec: Codec
  readonly #connection: Connection
  readonly #questions: Questions | undefined
  readonly #clock: Clock
  readonly #events: ConversationEvents
  #answeredAt: number
  /** Until the first byte. */
  #openedAt: number | undefined
  /** What came since something was told of it. */
  #raw: Buffer = NOTHING
  #isRawTold = false

  /** `makeCodec` may throw what is wrong with the codec's settings. */
  constructor(options: {
    SerialPort: SerialPortClass
    path: string
    line: LineSettings
    gap: number
    questions: QuestionSettings
    makeCodec: CodecFactory
    events: ConversationEvents
    clock: Clock
  }) {
    const { SerialPort, path, line, gap, clock } = options
    this.#clock = clock
    this.#events = options.events
    this.#answeredAt = clock.monotonic()
    this.#codec = options.makeCodec({
      reading: reading => {
        this.#tellRaw()
        options.events.reading(reading)
      },
      fault: reason => this.#fault(reason),
      answered: () => this.#answered(),
    })
    this.#connection = new Connection({ SerialPort, path, line, gap, clock, receive: chunk => this.#receive(chunk) })
    if (!asks(this.#codec)) return
    this.#questions = new Questions({
      codec: this.#codec,
      connection: this.#connection,
      clock,
      settings: options.questions,
      events: {
        fault: reason => options.events.fault(reason),
        round: answers => {
          if (answers === 0) options.events.unanswered()
        },
      },
    })
  }

  /** Opens the port and begins to ask. Rejects with the driver's error. */
  async open(): Promise<void> {
    await this.#connection.open()
    this.#openedAt = this.#clock.monotonic()
    this.#questions?.start()
  }

  /** Resolves with the reason when it is over without `close` having been called. It still has to be closed. */
  get lost(): Promise<string> {
    return this.#connection.lost
  }

  /** Monotonic time in ms of the last byte, or of the last answer; of the beginning before there is one. */
  get heardAt(): number {
    return this.#questions === undefined ? this.#connection.heardAt : this.#answeredAt
  }

  /**
   * Sends what `make` makes, after what was sent before it and never between a question and its answer. Rejects when it may not
   * have been sent, and when the device says that it will not have it.
   */
  send(make: (codec: Codec) => Buffer): Promise<void> {
    if (this.#questions !== undefined) return this.#questions.command(() => make(this.#codec))
    return this.#connection.turn(() => this.#connection.send(make(this.#codec)))
  }

  /** Asks now. Resolves with whether there was an answer; false of a device that cannot be asked. Never rejects. */
  poll(): Promise<boolean> {
    return this.#questions?.now() ?? Promise.resolve(false)
  }

  /** Ends it. What was not yet sent is refused. Never rejects. */
  async close(): Promise<void> {
    this.#questions?.stop()
    await this.#connection.close()
  }

  #receive(chunk: Buffer): void {
    this.#raw = Buffer.concat([this.#isRawTold ? NOTHING : this.#raw, chunk]).subarray(-MAX_RAW_BYTES)
    this.#isRawTold = false
    try {
      if (this.#questions === undefined) this.#hear(chunk)
      else this.#questions.receive(chunk)
    } catch (error) {
      // A codec of the owner's own may have faults of its own; they must not be the gateway's.
      this.#fault(`the codec failed: ${reasonOf(error)}`)
    }
  }

  /** Of a device that speaks by itself. */
  #hear(chunk: Buffer): void {
    this.#events.heard()
    if (this.#openedAt !== undefined && this.#clock.monotonic() - this.#openedAt >= QUIET_MS) this.#codec.quiet?.()
    this.#openedAt = undefined
    this.#codec.push(chunk)
  }

  #tellRaw(): void {
    if (this.#isRawTold) return
    this.#isRawTold = true
    this.#events.frame?.(this.#raw)
  }

  #fault(reason: string): void {
    this.#tellRaw()
    if (this.#questions?.refused(reason) !== true) this.#events.fault(reason)
  }

  #answered(): void {
    this.#answeredAt = this.#clock.monotonic()
    this.#questions?.answered()
    this.#events.heard()
  }
}

/** Whether a codec's device speaks only when it is asked. */
export function asks({ questions }: Codec): boolean {
  return questions !== undefined && questions.length > 0
}
