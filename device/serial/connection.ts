/**
 * One connection to a serial port, from open to gone; never reopened, because an object of `serialport` that is
 * opened again sends what was left in its queue and glues old bytes to new ones. It ends once: by `close`,
 * by the device going away, or by a write that hangs.
 *
 * The line belongs to one at a time: whoever has a `turn` sends, and waits for an answer if he wants one, before the next
 * gets his. A turn begins when what was sent before has left and the line has been quiet for `gap`. When bytes have left
 * is reckoned from the baud rate and not asked of the kernel: `tcdrain` keeps one of the four threads that
 * Node has for files until a stuck device takes its bytes, and four stuck devices would stop the store.
 */
import type { SerialPort } from 'serialport'
import type { Clock } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import type { SerialPortClass } from './driver.ts'

/** Turns that wait: a person's commands, not a stream. */
export const MAX_PENDING_TURNS = 32
/** Time in ms for the kernel to take one write: its buffer holds a command, so whoever hangs for so long is stuck. */
export const WRITE_DEADLINE_MS = 10_000
/** Time in ms for a port to close. A kernel may wait half a minute for a stuck line; nobody else has to. */
const CLOSE_DEADLINE_MS = 2_000
/** Time in ms that a turn waits for a line to be quiet: one that never is must still take commands. */
const QUIET_DEADLINE_MS = 1_000

/** Quiet between two frames of Modbus, in characters, and in ms above 19,200 baud (Modbus over Serial Line 1.02, 2.5.1.1). */
const MODBUS_GAP_CHARACTERS = 3.5
const MODBUS_GAP_MS = 1.75
const MODBUS_FAST_BAUD = 19_200
/** Bits of a character as Modbus counts them. */
const MODBUS_CHARACTER_BITS = 11

/** How a pseudo-terminal or a three-wire adapter answers when it is asked for modem lines; the data lines work. */
const NO_MODEM_LINES = /ENOTTY|inappropriate ioctl/i

/** How bytes travel on the line. */
export interface LineSettings {
  readonly baud: number
  readonly dataBits: 7 | 8
  readonly parity: 'none' | 'even' | 'odd'
  readonly stopBits: 1 | 2
}

/** Time in ms that `count` bytes need on the line: each has a start bit, perhaps a parity bit, and its stop bits. */
export function wireTime(count: number, { baud, dataBits, parity, stopBits }: LineSettings): number {
  return (count * (1 + dataBits + (parity === 'none' ? 0 : 1) + stopBits) * 1000) / baud
}

/** Quiet in ms that devices on a wire of Modbus want before a frame. */
export function modbusGap(baud: number): number {
  return baud > MODBUS_FAST_BAUD ? MODBUS_GAP_MS : (MODBUS_GAP_CHARACTERS * MODBUS_CHARACTER_BITS * 1000) / baud
}

export class Connection {
  readonly #port: SerialPort
  readonly #path: string
  readonly #line: LineSettings
  readonly #gap: number
  readonly #receive: (chunk: Buffer) => void
  readonly #clock: Clock
  #pending = 0
  #lastTurn: Promise<unknown> = Promise.resolve()
  /** Monotonic time in ms at which what was sent has left. */
  #sentAt = 0
  /** Gives up the write that the kernel has not taken yet. */
  #abandon: ((reason: string) => void) | undefined
  /** Ends the wait for a quiet line. */
  #wake: (() => void) | undefined
  /** Why it is over. */
  #over: string | undefined
  /** Monotonic time in ms of the last byte; of the opening before there is one. */
  heardAt: number
  /** Resolves with the reason when the connection is over without `close` having been called; it still has to be closed. */
  readonly lost: Promise<string>
  #lose: (reason: string) => void = () => {}

  /** `receive` gets the bytes as they come and must not throw; `gap` is the quiet in ms before a turn. */
  constructor(options: {
    SerialPort: SerialPortClass
    path: string
    line: LineSettings
    gap: number
    receive: (chunk: Buffer) => void
    clock: Clock
  }) {
    const { baud: baudRate, dataBits, parity, stopBits } = options.line
    this.#path = options.path
    this.#line = options.line
    this.#gap = options.gap
    this.#receive = options.receive
    this.#clock = options.clock
    this.heardAt = options.clock.monotonic()
    this.lost = new Promise(resolve => {
      this.#lose = resolve
    })
    const { path } = options
    this.#port = new options.SerialPort({ path, baudRate, dataBits, parity, stopBits, lock: true, autoOpen: false })
    // Complete before its first byte can come.
    this.#port.on('data', (chunk: Buffer) => {
      if (this.#over !== undefined) return
      this.heardAt = this.#clock.monotonic()
      this.#receive(chunk)
    })
    this.#port.on('error', error => {
      if (!NO_MODEM_LINES.test(reasonOf(error))) this.#end(`${path} failed: ${reasonOf(error)}`)
    })
    this.#port.on('close', () => this.#end(`${path} was unplugged`))
  }

  /** Opens the port, for this process alone. Once only. Rejects with the driver's error. */
  open(): Promise<void> {
    return new Promise((resolve, reject) => this.#port.open(error => (error === null ? resolve() : reject(error))))
  }

  /**
   * Has the line for itself until `work` is done, which must end soon after the connection does. Resolves and rejects as
   * `work` does; rejects without it when too many wait, or the connection ends first.
   */
  turn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#over !== undefined) return Promise.reject(new Error(`${this.#path} is not connected`))
    if (this.#pending === MAX_PENDING_TURNS) {
      return Promise.reject(new Error(`${this.#path} still has ${MAX_PENDING_TURNS} commands to send`))
    }
    this.#pending++
    const turn = this.#lastTurn.then(async () => {
      await this.#quiet()
      if (this.#over !== undefined) throw new Error(`${this.#over} before the command was sent`)
      return await work()
    })
    const settled = () => {
      this.#pending--
    }
    this.#lastTurn = turn.then(settled, settled)
    return turn
  }

  /** Sends bytes; only in a turn. Resolves when the kernel has taken them; rejects when it may not have. */
  send(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const deadline = this.#clock.after(WRITE_DEADLINE_MS, () => {
        this.#end(`${this.#path} takes no more bytes`)
        void this.close()
      })
      const settle = (reason: string | undefined) => {
        if (this.#abandon === undefined) return
        this.#abandon = undefined
        deadline.cancel()
        this.#sentAt = this.#clock.monotonic() + wireTime(bytes.length, this.#line)
        if (reason === undefined) resolve()
        else reject(new Error(reason))
      }
      this.#abandon = reason => settle(`${reason} before the command was sent`)
      this.#port.write(bytes, error =>
        settle(error ? `${this.#path} did not take the command: ${reasonOf(error)}` : undefined),
      )
    })
  }

  /** Time in ms until what was sent has left the computer. */
  get sending(): number {
    return Math.max(0, this.#sentAt - this.#clock.monotonic())
  }

  /** Closes the port; what was not yet sent is refused. Resolves when it is closed or will not close. Never rejects. */
  async close(): Promise<void> {
    this.#over ??= `${this.#path} was closed`
    const hangs = this.#abandon !== undefined
    this.#abandon?.(this.#over)
    this.#wake?.()
    if (!this.#port.isOpen) return
    await new Promise<void>(resolve => {
      const timer = this.#clock.after(CLOSE_DEADLINE_MS, resolve)
      const close = () =>
        this.#port.close(() => {
          timer.cancel()
          resolve()
        })
      // What hangs must neither keep the port from closing nor come out later, when nobody expects it.
      if (hangs) this.#port.flush(close)
      else close()
    })
  }

  /** Resolves when what was sent has left and nothing was on the line for `gap` since. */
  async #quiet(): Promise<void> {
    const deadline = this.#clock.monotonic() + QUIET_DEADLINE_MS
    for (;;) {
      const now = this.#clock.monotonic()
      const sent = this.#sentAt + this.#gap - now
      const heard = Math.min(this.#gap === 0 ? 0 : this.heardAt + this.#gap - now, deadline - now)
      const wait = Math.max(sent, heard)
      if (wait <= 0 || this.#over !== undefined) return
      await new Promise<void>(resolve => {
        const timer = this.#clock.after(wait, resolve)
        this.#wake = () => {
          timer.cancel()
          resolve()
        }
      })
    }
  }

  #end(reason: string): void {
    if (this.#over !== undefined) return
    this.#over = reason
    this.#lose(reason)
  }
}
