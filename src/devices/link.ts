/**
 * One device between its source and the broker: readings go to its topic, its coming and going to
 * `…/availability` (retained), and what comes on `…/set` to the source, with a refusal answered on `…/error`.
 * Every call into the source is guarded: whatever it throws ends here, in the log and on those topics.
 */
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { FaultLog } from './faults.ts'
import type { Device, DeviceBroker, Reading, Source } from './ports.ts'
import { shapeReading } from './shape.ts'

/** Readings handed to the broker and not settled: seconds of a busy sensor. Beyond, the broker is stuck and readings are dropped. */
export const MAX_UNSETTLED = 256
/** Commands waiting for the one that is being carried out: nobody flips a switch this far ahead. */
export const MAX_PENDING_COMMANDS = 64
/** Bytes of a command: a line for a serial device, with room. */
export const MAX_COMMAND_BYTES = 4096
/** Topics that the fields of one device may make over time: noise in a field's name must not fill the broker with retained messages. */
export const MAX_FIELD_TOPICS = 256
/** Time in ms for a source to stop and for the last `offline` to be settled: a hanging device must not hang the gateway. */
const STOP_DEADLINE_MS = 3_000

export class DeviceLink {
  readonly device: Device
  readonly #source: Source
  readonly #broker: DeviceBroker
  readonly #log: Log
  readonly #clock: Clock
  readonly #faults: FaultLog
  readonly #abort = new AbortController()
  readonly #fields = new Set<string>()
  #starting: Promise<boolean> = Promise.resolve(false)
  #unsubscribe: (() => void) | undefined
  #stopped = false
  #unsettled = 0
  /** Undefined until the source has said so or has started. */
  #up: boolean | undefined
  /** Why it is offline. */
  #reason: string | undefined
  #announced: boolean | undefined
  #announcing: Promise<void> | undefined
  #pendingCommands = 0
  #lastCommand: Promise<void> = Promise.resolve()
  #polling = false

  constructor(options: { device: Device; source: Source; broker: DeviceBroker; log: Log; clock: Clock }) {
    this.device = options.device
    this.#source = options.source
    this.#broker = options.broker
    this.#clock = options.clock
    this.#log = options.log.child({ topic: options.device.topic })
    this.#faults = new FaultLog({ log: this.#log, clock: options.clock })
  }

  /** Resolves when the source has started or failed to. Never rejects: a device that fails is offline, and the gateway goes on. */
  async start(): Promise<void> {
    this.#starting = this.#startSource()
    if (this.#source.command !== undefined) this.#listen()
    await this.#starting
  }

  /** Says that the device is offline if its source still has not started, so that an old `online` does not stand. */
  giveUpWaiting(): void {
    if (this.#up === undefined) this.#available(false, 'it is still starting')
  }

  /** Stops the source and leaves `offline` behind. Never rejects. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#unsubscribe?.()
    this.#abort.abort()
    await this.#withinDeadline(
      this.#starting.then(started => (started ? this.#source.stop() : undefined)),
      'stop',
    )
    this.#up = false
    await this.#withinDeadline(this.#announce(), 'offline')
    this.#faults.stop()
  }

  /** Reads the source now. Does nothing while an earlier poll goes on or once stopped. Rejects when the source cannot be asked or fails. */
  async poll(): Promise<void> {
    if (this.#source.poll === undefined) throw new Error(`${this.device.name} cannot be polled: it reports by itself`)
    if (this.#polling || this.#stopped) return
    this.#polling = true
    try {
      await this.#source.poll()
    } finally {
      this.#polling = false
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
    const done = this.#lastCommand.then(async () => {
      // A retained command comes at once, and a source may take its time to start.
      if (!(await this.#starting)) throw new Error(`${name} could not be started`)
      if (this.#stopped) throw new Error(`${name} is being stopped`)
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
          fault: reason => void this.#faults.report('reading', `${this.device.name}: ${reason}`),
        },
        this.#abort.signal,
      )
    } catch (error) {
      this.#available(false, error instanceof LarderError ? error.toLine() : reasonOf(error))
      return false
    }
    // A source that never speaks of coming and going is there when it has started.
    if (this.#up === undefined) this.#available(true)
    return true
  }

  /** A new reason for the same absence is for the log only. */
  #available(up: boolean, reason = 'no reason given'): void {
    if (this.#stopped || (this.#up === up && (up || reason === this.#reason))) return
    this.#up = up
    this.#reason = reason
    const { name } = this.device
    if (!up) this.#faults.report('availability', `${name} is offline: ${reason}`)
    else this.#log.info({}, `${name} is online`)
    void this.#announce()
  }

  /** Publishes the availability until what was published last is what is true. One at a time, so that the last one stays. */
  #announce(): Promise<void> {
    this.#announcing ??= (async () => {
      try {
        while (this.#up !== undefined && this.#up !== this.#announced) {
          this.#announced = this.#up
          if (await this.#publish('/availability', this.#up ? 'online' : 'offline', true)) continue
          this.#announced = undefined // the next change, or the stop, tries again
          break
        }
      } finally {
        this.#announcing = undefined
      }
    })()
    return this.#announcing
  }

  #reading(reading: Reading): void {
    if (this.#stopped) return
    try {
      for (const { field, payload } of shapeReading(reading, this.device)) {
        if (field !== undefined && !this.#knows(field)) continue
        if (this.#unsettled === MAX_UNSETTLED) throw new Error('readings are dropped: the broker does not take them')
        this.#unsettled++
        void this.#publish(field === undefined ? '' : `/${field}`, payload, this.device.retain).finally(() => {
          this.#unsettled--
        })
      }
    } catch (error) {
      this.#faults.report('reading', `${this.device.name}: ${reasonOf(error)}`)
    }
  }

  #knows(field: string): boolean {
    if (this.#fields.has(field)) return true
    if (this.#fields.size === MAX_FIELD_TOPICS) {
      this.#faults.report(
        'fields',
        `${this.device.name}: more than ${MAX_FIELD_TOPICS} different fields; new ones are dropped`,
      )
      return false
    }
    this.#fields.add(field)
    return true
  }

  #listen(): void {
    try {
      this.#unsubscribe = this.#broker.subscribe(`${this.device.topic}/set`, (_, payload, retained) =>
        this.#receive(payload, retained === true),
      )
    } catch (error) {
      this.#faults.report('command', `${this.device.name} gets no commands: ${reasonOf(error)}`)
    }
  }

  #receive(payload: Buffer, retained: boolean): void {
    // An empty message takes back a retained command; it commands nothing.
    if (payload.length === 0 || this.#stopped) return
    if (retained) this.#log.info({}, `${this.device.name} gets a retained command`)
    this.#obey(payload).catch(error => {
      this.#faults.report('command', `${this.device.name} refused a command: ${reasonOf(error)}`)
      void this.#publish('/error', reasonOf(error), false)
    })
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

  /** Never rejects; false when the message was not published. */
  async #publish(below: string, payload: string, retain: boolean): Promise<boolean> {
    try {
      await this.#broker.publish(this.device.topic + below, Buffer.from(payload), { qos: this.device.qos, retain })
      return true
    } catch (error) {
      this.#faults.report('publish', `${this.device.name}: a message was not published: ${reasonOf(error)}`)
      return false
    }
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
