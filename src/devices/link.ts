/**
 * One device between its source and the broker: readings go to the outlets (`outlet.ts`) of the parts that they are
 * for, else to the device's own, and what comes on `…/set` to the source, with a refusal answered on `…/error`.
 * Every call into the source is guarded: whatever it throws ends here, in the log and on those topics.
 */
import type { Clock, ClockSync } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { FaultLog } from './faults.ts'
import { Outlet } from './outlet.ts'
import type { Device, DeviceBroker, DevicePart, DeviceState, Reading, Source, ValueDescription } from './ports.ts'
import { Sinks } from './sinks.ts'

/** Commands waiting for the one that is being carried out: nobody flips a switch this far ahead. */
export const MAX_PENDING_COMMANDS = 64
/** Bytes of a command: a line for a serial device, with room. */
export const MAX_COMMAND_BYTES = 4096
/** Bytes of a frame that are kept to be looked at. */
const MAX_FRAME_BYTES = 256
/** Time in ms for a source to stop and for the last `offline` to be settled: a hanging device must not hang the gateway. */
const STOP_DEADLINE_MS = 3_000

export class DeviceLink {
  readonly device: Device
  readonly #source: Source
  readonly #broker: DeviceBroker
  readonly #log: Log
  readonly #clock: Clock
  readonly #faults: FaultLog
  readonly #own: Outlet
  readonly #parts: { part: DevicePart; outlet: Outlet }[]
  readonly #sinks: Sinks
  readonly #abort = new AbortController()
  #starting: Promise<boolean> = Promise.resolve(false)
  #unsubscribe: (() => void) | undefined
  #isStopped = false
  #hasSpoken = false
  #pendingCommands = 0
  #lastCommand: Promise<void> = Promise.resolve()
  #isPolling = false
  #lastFrame: { readonly at: number; readonly bytes: Uint8Array } | undefined

  constructor(options: {
    device: Device
    source: Source
    broker: DeviceBroker
    log: Log
    clock: Clock
    sync: ClockSync
  }) {
    const { device, source, broker, clock, sync } = options
    const { name, topic, kind = 'custom', parts = [] } = device
    this.device = device
    this.#source = source
    this.#broker = broker
    this.#clock = clock
    this.#log = options.log.child({ topic })
    this.#faults = new FaultLog({ log: this.#log, clock })
    const known = () => valuesOf(source)
    const deps = { broker, clock, sync, log: this.#log, faults: this.#faults, known }
    const ready = () => this.#starting
    this.#sinks = new Sinks({ source, broker, topic, ready, refused: reason => this.#refuseMessage(reason) })
    this.#own = new Outlet({ thing: device, about: { kind }, ...deps })
    this.#parts = parts.map(part => ({
      part,
      outlet: new Outlet({ thing: part, about: { kind, partOf: name }, ...deps }),
    }))
  }

  /** The last that came over the wire, or the end of it; undefined of what tells no frames. */
  get lastFrame(): { readonly at: number; readonly bytes: Uint8Array } | undefined {
    return this.#lastFrame
  }

  /** How the device is doing, and behind it each of its parts. */
  states(): DeviceState[] {
    return this.#outlets.map(outlet => outlet.state())
  }

  get #outlets(): Outlet[] {
    return [this.#own, ...this.#parts.map(({ outlet }) => outlet)]
  }

  /** Resolves when the source has started or failed to. Never rejects: a device that fails is offline, and the gateway goes on. */
  async start(): Promise<void> {
    this.#starting = this.#startSource()
    if (this.#source.command !== undefined) this.#listen()
    this.#sinks.start()
    await this.#starting
  }

  /** Says that the device is offline if its source still has not started, so that an old `online` does not stand. */
  giveUpWaiting(): void {
    for (const outlet of this.#outlets) outlet.giveUpWaiting()
  }

  /** Stops the source and leaves `offline` behind. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#unsubscribe?.()
    this.#sinks.stop()
    this.#abort.abort()
    await this.#withinDeadline(
      this.#starting.then(started => (started ? this.#source.stop() : undefined)),
      'stop',
    )
    await this.#withinDeadline(Promise.all(this.#outlets.map(outlet => outlet.stop())), 'offline')
    this.#faults.stop()
  }

  /** Reads the source now. Does nothing while an earlier poll goes on or once stopped. Rejects when the source cannot be asked or fails. */
  async poll(): Promise<void> {
    if (this.#source.poll === undefined) throw new Error(`${this.device.name} cannot be polled: it reports by itself`)
    if (this.#isPolling || this.#isStopped) return
    this.#isPolling = true
    try {
      await this.#source.poll()
    } finally {
      this.#isPolling = false
    }
  }

  /** Gives the source a command, after those before it. Rejects with the reason when it is not carried out. */
  async command(payload: string): Promise<void> {
    const { name } = this.device
    if (this.#source.command === undefined) throw new Error(`${name} takes no commands`)
    if (this.#pendingCommands === MAX_PENDING_COMMANDS) {
      throw new Error(`${name} still has ${MAX_PENDING_COMMANDS} commands to carry out`)
    }
    this.#pendingCommands++
    this.#own.command()
    const done = this.#lastCommand.then(async () => {
      // A retained command comes at once, and a source may take its time to start.
      if (!(await this.#starting)) throw new Error(`${name} could not be started`)
      if (this.#isStopped) throw new Error(`${name} is being stopped`)
      return await this.#source.command?.(payload)
    })
    this.#lastCommand = done.then(
      () => {},
      () => {},
    )
    try {
      await done
    } finally {
      this.#pendingCommands--
    }
  }

  /** True when the source started. */
  async #startSource(): Promise<boolean> {
    try {
      await this.#source.start(
        {
          reading: reading => this.#reading(reading),
          available: (up, reason) => this.#available(up, reason),
          fault: reason => this.#own.fault('reading', reason),
          frame: bytes => {
            this.#lastFrame = { at: this.#clock.wall(), bytes: Uint8Array.from(bytes.subarray(-MAX_FRAME_BYTES)) }
          },
        },
        this.#abort.signal,
      )
    } catch (error) {
      this.#available(false, error instanceof LarderError ? error.toLine() : reasonOf(error))
      return false
    }
    // A source that never speaks of coming and going is there when it has started.
    if (!this.#hasSpoken) this.#available(true)
    return true
  }

  #available(up: boolean, reason?: string): void {
    if (this.#isStopped) return
    this.#hasSpoken = true
    for (const outlet of this.#outlets) outlet.available(up, reason)
  }

  #reading(reading: Reading): void {
    if (this.#isStopped) return
    const takers = this.#parts.filter(({ part }) => isFor(reading, part))
    for (const { outlet } of takers) outlet.reading(reading)
    const isLeft = takers.length === 0 && (this.#parts.length === 0 || this.device.others !== 'drop')
    this.#own.reading(reading, !isLeft)
  }

  #listen(): void {
    try {
      const { topic, commandTopic = `${topic}/set` } = this.device
      this.#unsubscribe = this.#broker.subscribe(commandTopic, (_, payload, retained) =>
        this.#receive(payload, retained === true),
      )
    } catch (error) {
      this.#own.fault('command', reasonOf(error), ' gets no commands:')
    }
  }

  #receive(payload: Buffer, retained: boolean): void {
    // An empty message takes back a retained command; it commands nothing.
    if (payload.length === 0 || this.#isStopped) return
    if (retained) this.#log.info({}, `${this.device.name} gets a retained command`)
    this.#obey(payload).catch(error => {
      this.#own.fault('command', reasonOf(error), ' refused a command:')
      this.#tellRefusal(reasonOf(error))
    })
  }

  /** Messages may come by the second: of what they meet, only what is logged is told. */
  #refuseMessage(reason: string): void {
    if (this.#own.fault('message', reason, ' did not take a message:')) this.#tellRefusal(reason)
  }

  #tellRefusal(reason: string): void {
    const { topic, errorTopic = `${topic}/error`, qos } = this.device
    void this.#own.publish(errorTopic, reason, { qos, retain: false })
  }

  async #obey(payload: Buffer): Promise<void> {
    if (payload.length > MAX_COMMAND_BYTES) throw new Error(`a command may have ${MAX_COMMAND_BYTES} bytes`)
    let text: string
    try {
      text = new TextDecoder('utf-8', { fatal: true }).decode(payload)
    } catch {
      throw new Error('a command must be text in UTF-8')
    }
    await this.command(text)
  }

  async #withinDeadline(work: Promise<unknown>, what: string): Promise<void> {
    await new Promise<void>(resolve => {
      const timer = this.#clock.after(STOP_DEADLINE_MS, () => {
        this.#log.warn({}, `${this.device.name} did not ${what} within ${STOP_DEADLINE_MS} ms`)
        resolve()
      })
      void work
        .catch(error => this.#log.warn({}, `${this.device.name} did not ${what}: ${reasonOf(error)}`))
        .finally(() => {
          timer.cancel()
          resolve()
        })
    })
  }
}

/** What a source says of its values may be worked out when it is asked, and that may fail. */
function valuesOf(source: Source): Readonly<Record<string, ValueDescription>> {
  try {
    return source.values ?? {}
  } catch {
    return {}
  }
}

/** Whether a reading is for a part: it has the value that the part publishes, and says what the part asks for. */
function isFor({ value }: Reading, part: DevicePart): boolean {
  const wanted = Object.entries(part.when)
  if (typeof value !== 'object') return wanted.length === 0 && part.value === undefined
  if (part.value !== undefined && !Object.hasOwn(value, part.value)) return false
  return wanted.every(([name, texts]) => Object.hasOwn(value, name) && texts.includes(String(value[name])))
}
