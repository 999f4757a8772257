/**
 * Messages of others that a source wants (`Source.listens`): a display that shows what a sensor says. They are handed over one
 * after the other, in the order in which they came; what the source does not take is said once a minute, not once a message.
 */
import { reasonOf } from '../kernel/errors.ts'
import type { DeviceBroker, Source } from './ports.ts'

/** Messages that wait for the one that is being written: half a minute of a slow line. Beyond, new ones are refused. */
export const MAX_PENDING_MESSAGES = 256
/** Bytes of a message: what a device is to be told fits; a picture does not. */
export const MAX_MESSAGE_BYTES = 4096

export class Sinks {
  readonly #source: Source
  readonly #broker: DeviceBroker
  readonly #own: string
  readonly #ready: () => Promise<boolean>
  readonly #refused: (reason: string) => void
  #unsubscribe: (() => void)[] = []
  #pending = 0
  #last: Promise<void> = Promise.resolve()

  /**
   * `topic` is the device's own: what is published on it and below it is not handed back. Messages wait for `ready`, and are given
   * up when it says false. `refused` is told why a message was not taken.
   */
  constructor(options: {
    source: Source
    broker: DeviceBroker
    topic: string
    ready: () => Promise<boolean>
    refused: (reason: string) => void
  }) {
    this.#source = options.source
    this.#broker = options.broker
    this.#own = options.topic
    this.#ready = options.ready
    this.#refused = options.refused
  }

  /** From now on messages come; those that are retained, at once. Never throws. */
  start(): void {
    for (const { filter, write } of this.#source.listens ?? []) {
      try {
        this.#unsubscribe.push(
          this.#broker.subscribe(filter, (topic, payload) => void this.#take(topic, payload, write)),
        )
      } catch (error) {
        this.#refused(reasonOf(error))
      }
    }
  }

  /** No more messages come; those that wait are given up. */
  stop(): void {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
  }

  async #take(topic: string, payload: Buffer, write: (topic: string, payload: string) => Promise<void>): Promise<void> {
    if (topic === this.#own || topic.startsWith(`${this.#own}/`)) return
    // An empty message takes back a retained one; there is nothing to show.
    if (payload.length === 0) return
    if (this.#pending === MAX_PENDING_MESSAGES) {
      this.#refused(`${MAX_PENDING_MESSAGES} messages wait to be written; ${topic} was left out`)
      return
    }
    this.#pending++
    const done = this.#last.then(async () => {
      if (payload.length > MAX_MESSAGE_BYTES) throw new Error(`more than ${MAX_MESSAGE_BYTES} bytes`)
      if ((await this.#ready()) && this.#unsubscribe.length > 0) await write(topic, payload.toString())
    })
    this.#last = done
      .catch(error => this.#refused(`${topic}: ${reasonOf(error)}`))
      .finally(() => {
        this.#pending--
      })
    await this.#last
  }
}
