/**
 * Readings from a serial line, and commands and messages to it. Keeps one conversation going for as long as the
 * device is there, and heals without help: an unplugged adapter is noticed by the port's own `close`; by
 * its path being gone or leading to another device (some adapters give no `close` until somebody writes);
 * or, if configured, by silence. A missing port is looked for a few times a second; one that is there and
 * cannot be opened is tried again with growing pauses.
 *
 * A device that is open and says nothing is online: many speak once an hour. After `silence` it is offline
 * until it speaks again, and the port is opened anew meanwhile. One that has to be asked is online when it has answered,
 * and after `MAX_UNANSWERED` rounds without an answer it is treated as one that fell silent.
 */
import type { Reading, Source, SourceEvents, ValueDescription } from '../../src/devices/ports.ts'
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import type { Codec, CodecFactory } from '../codecs/codec.ts'
import { type CodecSettings, loadCodec } from '../codecs/create.ts'
import { askingCodec } from './asking.ts'
import { identityOf, PortClaims } from './claims.ts'
import { type LineSettings, modbusGap } from './connection.ts'
import { asks, Conversation, type ConversationEvents } from './conversation.ts'
import { driverMissing, loadSerialPort, openFault, type SerialPortClass } from './driver.ts'
import { describePlace, locate, type PortPlace } from './place.ts'
import type { QuestionSettings } from './questions.ts'
import { render, type Template } from './template.ts'
import { MACHINE, type PortRoots } from './usb.ts'

/** Pause in ms between two looks for a port that is not there: plugging in is answered at once, for a few looks at files each. */
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
/** Rounds without any answer after which a device that was online is not: one may be lost to noise. */
export const MAX_UNANSWERED = 3
/** What messages to write to the port, and how. */
export interface SerialSink {
  /** Topic filter. */
  readonly topic: string
  readonly template: Template
}

export type SerialSettings = PortSettings & CodecSettings

interface PortSettings extends PortPlace, LineSettings, QuestionSettings {
  /** Quiet in ms before anything is sent; absent: what the codec's protocol asks for, or none. */
  readonly gap?: number | undefined
  /** Sent, one after the other, to get readings; for codecs of lines. */
  readonly ask?: readonly string[] | undefined
  /** Time in ms without a byte (of one that is asked: an answer) after which the device counts as unplugged; undefined for one that may be silent. */
  readonly silence?: number | undefined
  /** Sent behind each command that neither the codec nor a template puts into bytes. */
  readonly writeLineEnding: string
  /** What a command is written as. */
  readonly template?: Template | undefined
  readonly write?: readonly SerialSink[] | undefined
}

export class SerialSource implements Source {
  readonly #settings: SerialSettings
  /** Whose port it is, for whoever else wants it. */
  readonly #name: string
  /** The port in words. */
  readonly #place: string
  readonly #clock: Clock
  readonly #claims: PortClaims
  readonly #roots: PortRoots
  readonly #load: () => Promise<SerialPortClass>
  #SerialPort: SerialPortClass | undefined
  #makeCodec: CodecFactory | undefined
  #events: SourceEvents | undefined
  #conversation: Conversation | undefined
  /** What the path led to when it was opened. */
  #node: string | undefined
  #path = ''
  #claimed: string | undefined
  #openedAt = 0
  #timer: Timer | undefined
  #working: Promise<void> = Promise.resolve()
  #failures = 0
  #unanswered = 0
  #reason: string | undefined
  /** It must speak before it is online again. */
  #silent = false
  /** Resolves when something is known of the device. */
  readonly #known: Promise<void>
  #know: () => void = () => {}
  #stopped = false

  /** Of a device that has to be asked: asks now. Rejects when there is no answer. Known when it has started. */
  poll?: () => Promise<void>
  /** Known when it has started. */
  values?: Readonly<Record<string, ValueDescription>>
  /** Messages that are written to the port. */
  readonly listens: NonNullable<Source['listens']>

  /** `load` brings the driver; the package `serialport` unless a test says otherwise. `claims` are shared by all of a gateway. */
  constructor(options: {
    settings: SerialSettings
    clock: Clock
    name?: string | undefined
    claims?: PortClaims | undefined
    roots?: PortRoots | undefined
    load?: () => Promise<SerialPortClass>
  }) {
    this.#settings = options.settings
    this.#place = describePlace(options.settings)
    this.#name = options.name ?? this.#place
    this.#clock = options.clock
    this.#claims = options.claims ?? new PortClaims()
    this.#roots = options.roots ?? MACHINE
    this.#load = options.load ?? loadSerialPort
    this.listens = (options.settings.write ?? []).map(({ topic: filter, template }) => ({
      filter,
      write: async (topic, payload) => this.#send(() => render(template, { topic, payload })),
    }))
    this.#known = new Promise(resolve => {
      this.#know = resolve
    })
  }

  /**
   * Resolves when it is known whether the device is there: after the first try to open it, or its first answer. Rejects with
   * `DRIVER_MISSING` when the driver cannot be loaded, and with the reason when the codec cannot be.
   */
  async start(events: SourceEvents, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    try {
      this.#SerialPort = await this.#load()
    } catch (error) {
      throw driverMissing(this.#place, error)
    }
    await this.#prepareCodec()
    this.#events = events
    signal.addEventListener('abort', this.#know)
    if (!signal.aborted) await this.#work(() => this.#connect())
    if (!signal.aborted) await this.#known
    signal.removeEventListener('abort', this.#know)
    if (!signal.aborted) return
    await this.stop()
    signal.throwIfAborted()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#know()
    this.#timer?.cancel()
    await this.#working
    await this.#end()
  }

  /** Sends a command: as the template, the codec or the line ending says. Resolves when it is on its way; rejects when it may not be. */
  command(payload: string): Promise<void> {
    const { template, writeLineEnding } = this.#settings
    return this.#send(codec => {
      if (template !== undefined) return render(template, { topic: '', payload })
      return codec.encode?.(payload) ?? Buffer.from(payload + writeLineEnding)
    })
  }

  async #send(bytes: (codec: Codec) => Buffer): Promise<void> {
    if (this.#conversation === undefined) throw new Error(`${this.#place} is not connected`)
    await this.#conversation.send(bytes)
  }

  async #poll(): Promise<void> {
    if (this.#conversation === undefined) throw new Error(`${this.#place} is not connected`)
    if (!(await this.#conversation.poll())) throw new Error(`${this.#place} did not answer`)
  }

  /** Loads what makes codecs, and looks at one: what it can do is known before there is a port. */
  async #prepareCodec(): Promise<void> {
    const { ask } = this.#settings
    const make = await loadCodec(this.#settings)
    const questions = ask?.map(text => Buffer.from(text))
    this.#makeCodec = questions === undefined ? make : events => askingCodec(questions, make, events)
    const codec = this.#makeCodec({ reading() {}, fault() {}, answered() {} })
    if (codec.values !== undefined) this.values = codec.values
    if (!asks(codec)) return
    this.poll = () => this.#poll()
    this.#silent = true
    this.#unanswered = MAX_UNANSWERED - 1 // of one that never answered, one round says it
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
    if (this.#conversation !== undefined) return
    const found = await locate(this.#settings, this.#roots)
    if ('missing' in found) {
      this.#failures = 0
      this.#absent(found.missing)
      this.#later(LOOK_INTERVAL_MS, () => this.#connect())
      return
    }
    const { path, identity } = found
    const owner = this.#claims.claim(identity.port, this.#name)
    if (owner !== undefined) {
      this.#absent(`${path} is the port of ${owner} already, and a port has one reader`)
      this.#retry()
      return
    }
    this.#claimed = identity.port
    this.#path = path
    this.#node = identity.node
    let conversation: Conversation
    try {
      conversation = this.#converse(path)
      await conversation.open()
    } catch (error) {
      this.#release()
      this.#absent(openFault(path, error))
      this.#retry()
      return
    }
    this.#conversation = conversation
    if (this.#stopped) return // `stop` waits for this step and closes it
    void conversation.lost.then(reason => this.#work(() => this.#lost(conversation, reason)))
    this.#openedAt = this.#clock.monotonic()
    if (!this.#silent) this.#present()
    this.#watchLater(conversation)
  }

  #converse(path: string): Conversation {
    const current = (report: () => void) => {
      if (this.#conversation === conversation && !this.#stopped) report()
    }
    const events: ConversationEvents = {
      reading: reading => current(() => this.#reading(reading)),
      fault: reason => current(() => this.#events?.fault(reason)),
      frame: bytes => current(() => this.#events?.frame?.(bytes)),
      heard: () => current(() => this.#heard()),
      unanswered: () => current(() => this.#notAnswered(conversation)),
    }
    const conversation: Conversation = new Conversation({
      SerialPort: this.#SerialPort as SerialPortClass,
      path,
      line: this.#settings,
      gap: this.#settings.gap ?? (this.#settings.codec === 'modbus' ? modbusGap(this.#settings.baud) : 0),
      questions: this.#settings,
      makeCodec: this.#makeCodec as CodecFactory,
      events,
      clock: this.#clock,
    })
    return conversation
  }

  #watchLater(conversation: Conversation): void {
    const { silence } = this.#settings
    const left = silence === undefined ? WATCH_INTERVAL_MS : conversation.heardAt + silence - this.#clock.monotonic()
    this.#later(Math.max(0, Math.min(WATCH_INTERVAL_MS, left)), () => this.#watch(conversation))
  }

  async #watch(conversation: Conversation): Promise<void> {
    if (this.#conversation !== conversation) return
    const { silence } = this.#settings
    const path = this.#path
    const identity = await identityOf(path)
    if (identity === undefined) return this.#lost(conversation, `${path} is gone`)
    if (identity.node !== this.#node) return this.#lost(conversation, `${path} is another device now`)
    const now = this.#clock.monotonic()
    if (now - this.#openedAt >= STABLE_MS) this.#failures = 0
    if (silence !== undefined && now - conversation.heardAt >= silence) {
      return this.#fallSilent(conversation, `${path} has said nothing for ${silence / 1000} s`)
    }
    this.#watchLater(conversation)
  }

  #fallSilent(conversation: Conversation, reason: string): Promise<void> {
    this.#silent = true
    this.#failures = 0 // a growing pause would be deaf for longer and longer
    return this.#lost(conversation, reason)
  }

  /** The conversation is over, or is to be. */
  async #lost(conversation: Conversation, reason: string): Promise<void> {
    if (this.#conversation !== conversation) return
    this.#absent(reason)
    await this.#end()
    this.#retry()
  }

  async #end(): Promise<void> {
    const conversation = this.#conversation
    this.#conversation = undefined
    await conversation?.close()
    this.#release()
  }

  #release(): void {
    if (this.#claimed !== undefined) this.#claims.release(this.#claimed)
    this.#claimed = undefined
  }

  #retry(): void {
    const pause = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** this.#failures)
    if (pause < RETRY_MAX_MS) this.#failures++
    this.#later(pause * (1 - RETRY_JITTER * Math.random()), () => this.#connect())
  }

  #heard(): void {
    this.#unanswered = 0
    if (!this.#silent) return
    this.#silent = false
    this.#present()
  }

  #reading(reading: Reading): void {
    this.#failures = 0
    this.#events?.reading(reading)
  }

  #notAnswered(conversation: Conversation): void {
    if (++this.#unanswered < MAX_UNANSWERED) return
    this.#unanswered = MAX_UNANSWERED - 1
    void this.#work(() => this.#fallSilent(conversation, `${this.#path} does not answer`))
  }

  #present(): void {
    this.#reason = undefined
    this.#events?.available(true)
    this.#know()
  }

  /** Says once that the device is not there, and again only when the reason is another. */
  #absent(reason: string): void {
    this.#know()
    if (this.#reason === reason) return
    this.#reason = reason
    this.#events?.available(false, reason)
  }
}
