/**
 * Asks a sensor that speaks only when it is asked: its questions in turn, a round of them at every beat.
 * Nothing stands in an answer of one wire that says which question it belongs to, so this sees to it that a late one
 * is never taken for another's:
 *
 * - What comes when nothing is asked is dropped before the codec sees it.
 * - A question whose time is up is asked again only after a hush: the time of an answer, in which what comes is dropped.
 * - Before a question that was asked twice makes room for the next, its other answers get the time to come, too: as long
 *   as the device is now known to need.
 *
 * A device that answers later than that is slower than the owner says; the faults tell him so.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import type { Codec } from '../codecs/codec.ts'
import type { Connection } from './connection.ts'

/** Longest hush, in times of an answer: on a line that is never quiet something must be asked at last. */
const MAX_HUSH = 10
/** Quiet in ms that ends the answer to a command: a frame has no pauses of its own, a busy computer makes some. */
const COMMAND_QUIET_MS = 20

export interface QuestionSettings {
  /** Time in ms between two rounds. */
  readonly every: number
  /** Time in ms for an answer, from when the question has left the computer. */
  readonly timeout: number
  /** Times that a question without an answer is asked again. */
  readonly retries: number
}

export interface QuestionEvents {
  fault(reason: string): void
  /** A round is over: how many of its questions were answered. */
  round(answers: number): void
}

export class Questions {
  readonly #codec: Codec
  readonly #connection: Connection
  readonly #clock: Clock
  readonly #settings: QuestionSettings
  readonly #events: QuestionEvents
  #beat: Timer | undefined
  /** The round that goes on. */
  #round: Promise<boolean> | undefined
  /** Ends the wait for an answer; absent when none is waited for. */
  #answer: ((answered: boolean) => void) | undefined
  #pause: (() => void) | undefined
  /** What the device has against the command that is being sent; absent when none is. */
  #refusal: string | undefined
  /** Chunks that came so far. */
  #chunks = 0
  #stopped = false

  constructor(options: {
    codec: Codec
    connection: Connection
    clock: Clock
    settings: QuestionSettings
    events: QuestionEvents
  }) {
    this.#codec = options.codec
    this.#connection = options.connection
    this.#clock = options.clock
    this.#settings = options.settings
    this.#events = options.events
  }

  /** Asks a round at once, and then at every beat. */
  start(): void {
    this.#beat = this.#clock.every(this.#settings.every, () => void this.now())
    void this.now()
  }

  stop(): void {
    this.#stopped = true
    this.#beat?.cancel()
    this.#answer?.(false)
    this.#pause?.()
  }

  /** Asks a round now, or joins the one that goes on. Resolves at its end: whether anything was answered. Never rejects. */
  now(): Promise<boolean> {
    this.#round ??= this.#ask().finally(() => {
      this.#round = undefined
    })
    return this.#round
  }

  /** Bytes from the device. */
  receive(chunk: Buffer): void {
    this.#chunks++
    if (this.#answer !== undefined) this.#codec.push(chunk)
  }

  /** The codec has the answer. */
  answered(): void {
    this.#answer?.(true)
  }

  /**
   * Sends a command between two questions, and leaves the device the time to answer. Rejects when it may not have been sent, and
   * with what the device has against it; when nothing comes, only if the protocol has an answer to every command.
   */
  command(make: () => Buffer): Promise<void> {
    return this.#connection.turn(async () => {
      const bytes = make()
      const said = this.#expect()
      this.#refusal = ''
      try {
        await this.#connection.send(bytes)
        void said.then(() => this.#pause?.())
        const came = await this.#hush(this.#patience, COMMAND_QUIET_MS)
        if (this.#refusal !== '') throw new Error(this.#refusal)
        if (!came && this.#codec.encode !== undefined) throw new Error('the command was sent and not answered')
      } finally {
        this.#refusal = undefined
        this.#answer = undefined
      }
    })
  }

  /** The codec has a fault to tell: true when it is about the command that is being sent, which then is refused with it. */
  refused(reason: string): boolean {
    if (this.#refusal === undefined) return false
    this.#refusal = reason
    return true
  }

  /** Time in ms for an answer to what was just sent. */
  get #patience(): number {
    return this.#connection.sending + this.#settings.timeout
  }

  async #ask(): Promise<boolean> {
    const questions = this.#codec.questions ?? []
    let answers = 0
    for (const [index, question] of questions.entries()) {
      try {
        if (await this.#insist(index, question)) answers++
        else if (!this.#stopped) this.#events.fault(this.#unanswered(index, questions.length))
      } catch (error) {
        if (!this.#stopped) this.#events.fault(reasonOf(error))
      }
      if (this.#stopped) return answers > 0
    }
    this.#finish()
    this.#events.round(answers)
    return answers > 0
  }

  /** Outside of anybody's turn: a codec that fails here must not end the rounds. */
  #finish(): void {
    try {
      this.#codec.finished?.()
    } catch (error) {
      this.#events.fault(reasonOf(error))
    }
  }

  /** Asks until there is an answer or enough is enough. Has the line meanwhile: its own late answers must not meet a command. */
  #insist(index: number, question: Buffer): Promise<boolean> {
    return this.#connection.turn(async () => {
      const { timeout, retries } = this.#settings
      const first = this.#clock.monotonic()
      for (let tries = 0; tries <= retries && !this.#stopped; tries++) {
        if (await this.#once(index, question)) {
          // Those asked before are still to be answered, perhaps: as late as this device is.
          if (tries > 0) await this.#hush(this.#clock.monotonic() - first + timeout, timeout)
          return true
        }
        const late = await this.#hush(timeout, timeout)
        if (late) this.#events.fault(`an answer came later than ${timeout / 1000} s after its question and was dropped`)
      }
      return false
    })
  }

  async #once(index: number, question: Buffer): Promise<boolean> {
    let late: Timer | undefined
    try {
      const answer = this.#expect()
      this.#codec.asked?.(index)
      await this.#connection.send(question)
      late = this.#clock.after(this.#patience, () => this.#answer?.(false))
      return await answer
    } finally {
      late?.cancel()
      this.#answer = undefined
    }
  }

  /** From now on the codec gets what comes. Resolves when it has the answer, or there will be none. */
  #expect(): Promise<boolean> {
    return new Promise(resolve => {
      this.#answer = answered => {
        this.#answer = undefined
        resolve(answered)
      }
    })
  }

  /** Waits until nothing comes for `patience` ms, or, when something came, for `quiet` ms. Resolves with whether something came. */
  async #hush(patience: number, quiet: number): Promise<boolean> {
    const end = this.#clock.monotonic() + MAX_HUSH * Math.max(patience, quiet)
    const before = this.#chunks
    for (let seen = -1; seen !== this.#chunks; ) {
      const came = this.#chunks !== before
      seen = this.#chunks
      await this.#wait(came ? quiet : patience)
      if (this.#stopped || this.#clock.monotonic() >= end) break
    }
    return this.#chunks !== before
  }

  #wait(delay: number): Promise<void> {
    return new Promise(resolve => {
      const timer = this.#clock.after(delay, resolve)
      this.#pause = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  #unanswered(index: number, count: number): string {
    const { timeout, retries } = this.#settings
    const which = count === 1 ? 'the question' : `question ${index + 1} of ${count}`
    return `${which} was asked ${retries + 1} times and not answered within ${timeout / 1000} s`
  }
}
