/**
 * One connection to a serial port, from open to gone; never reopened, because an object of `serialport` that is
 * opened again sends what was left in its queue and glues old bytes to new ones. So a new
 * connection is a new port and a new splitter. It ends once: by `close`, by the device going away, or by a write that hangs.
 */
import type { SerialPort } from 'serialport'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import { LineSplitter } from '../codecs/line-splitter.ts'
import type { SerialPortClass } from './driver.ts'

/** Writes that wait for their turn: a person's commands, not a stream. */
export const MAX_PENDING_WRITES = 32
/** Time in ms for one write to be sent. At 300 baud 4 KiB take longer, but such a device gets no such commands. */
export const WRITE_DEADLINE_MS = 10_000
/** Time in ms for a port to close. A kernel may wait half a minute for a stuck line; nobody else has to. */
const CLOSE_DEADLINE_MS = 2_000

/** How a pseudo-terminal or a three-wire adapter answers when it is asked for modem lines; the data lines work. */
const NO_MODEM_LINES = /ENOTTY|inappropriate ioctl/i

export interface PortSettings {
  readonly path: string
  readonly baud: number
  readonly dataBits: 7 | 8
  readonly parity: 'none' | 'even' | 'odd'
  readonly stopBits: 1 | 2
  /** Bytes of a line without its end. */
  readonly maxLine: number
}

export interface ConnectionEvents {
  line(line: string): void
  /** A line was longer than `maxLine` and dropped. */
  overlong(): void
}

interface Write {
  readonly bytes: Buffer
  readonly done: () => void
  readonly fail: (error: Error) => void
}

/** Opens the port, for this process alone. Rejects with the driver's error. */
export async function openConnection(options: {
  SerialPort: SerialPortClass
  settings: PortSettings
  events: ConnectionEvents
  clock: Clock
}): Promise<Connection> {
  const { path, baud, dataBits, parity, stopBits } = options.settings
  const port = new options.SerialPort({ path, baudRate: baud, dataBits, parity, stopBits, lock: true, autoOpen: false })
  // A connection is complete before its first byte can come.
  const connection = new Connection({ port, ...options })
  await new Promise<void>((resolve, reject) => port.open(error => (error === null ? resolve() : reject(error))))
  return connection
}

export class Connection {
  readonly #port: SerialPort
  readonly #path: string
  readonly #events: ConnectionEvents
  readonly #clock: Clock
  readonly #splitter: LineSplitter
  readonly #writes: Write[] = []
  #writing = false
  #deadline: Timer | undefined
  #over = false
  /** Monotonic time in ms of the last byte; of the opening before there is one. */
  heardAt: number
  /** Resolves with the reason when the connection is over without `close` having been called. */
  readonly lost: Promise<string>
  #lose: (reason: string) => void = () => {}

  constructor(options: { port: SerialPort; settings: PortSettings; events: ConnectionEvents; clock: Clock }) {
    this.#port = options.port
    this.#path = options.settings.path
    this.#events = options.events
    this.#clock = options.clock
    this.heardAt = options.clock.monotonic()
    this.lost = new Promise(resolve => {
      this.#lose = resolve
    })
    this.#splitter = new LineSplitter({
      maxLine: options.settings.maxLine,
      onLine: line => {
        if (!this.#over) this.#events.line(line)
      },
      onOverlong: () => this.#events.overlong(),
    })
    this.#port.on('data', (chunk: Buffer) => this.#receive(chunk))
    this.#port.on('error', error => {
      if (!NO_MODEM_LINES.test(reasonOf(error))) this.#end(`${this.#path} failed: ${reasonOf(error)}`)
    })
    this.#port.on('close', () => this.#end(`${this.#path} was unplugged`))
  }

  /** Sends bytes, after those before them. Resolves when they have left the computer; rejects when they may not have. */
  write(bytes: Buffer): Promise<void> {
    if (this.#over) return Promise.reject(new Error(`${this.#path} is not connected`))
    if (this.#writes.length === MAX_PENDING_WRITES) {
      return Promise.reject(new Error(`${this.#path} still has ${MAX_PENDING_WRITES} commands to send`))
    }
    return new Promise((resolve, reject) => {
      this.#writes.push({ bytes, done: resolve, fail: reject })
      void this.#send()
    })
  }

  /** Closes the port; what was not yet sent is refused. Resolves when it is closed or will not close. Never rejects. */
  async close(): Promise<void> {
    this.#over = true
    this.#refuse(`${this.#path} was closed before the command was sent`)
    if (!this.#port.isOpen) return
    await new Promise<void>(resolve => {
      const timer = this.#clock.after(CLOSE_DEADLINE_MS, resolve)
      this.#port.close(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  #receive(chunk: Buffer): void {
    if (this.#over) return
    this.heardAt = this.#clock.monotonic()
    this.#splitter.push(chunk)
  }

  async #send(): Promise<void> {
    if (this.#writing) return
    this.#writing = true
    for (let write = this.#writes[0]; write !== undefined && !this.#over; write = this.#writes[0]) {
      try {
        await this.#sendOne(write.bytes)
        write.done()
      } catch (error) {
        write.fail(error as Error)
      }
      this.#writes.shift()
    }
    this.#writing = false
  }

  #sendOne(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#deadline = this.#clock.after(WRITE_DEADLINE_MS, () => {
        // What hangs now must not come out later, when nobody expects it.
        this.#end(`${this.#path} takes no more bytes`)
        void this.close()
      })
      const finish = (error: Error | null | undefined) => {
        this.#deadline?.cancel()
        if (error) reject(new Error(`${this.#path} did not take the command: ${reasonOf(error)}`))
        else resolve()
      }
      this.#port.write(bytes, error => (error ? finish(error) : this.#port.drain(finish)))
    })
  }

  #end(reason: string): void {
    if (this.#over) return
    this.#over = true
    this.#refuse(`${reason} before the command was sent`)
    this.#lose(reason)
  }

  #refuse(reason: string): void {
    this.#deadline?.cancel()
    for (const write of this.#writes) write.fail(new Error(reason))
    this.#writes.length = 0
  }
}
