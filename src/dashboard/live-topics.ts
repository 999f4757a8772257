/** The book of topics is kept only while somebody looks, and a moment longer: a page that is loaded anew finds its counts. */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { TopicMessage } from './ports.ts'
import { TopicBook } from './topics.ts'

/** Milliseconds that the book is kept when nobody looks. */
const GRACE_MS = 60_000

export class LiveTopics {
  readonly #listen: (listener: (message: TopicMessage) => void) => () => void
  readonly #clock: Clock
  #book: TopicBook | undefined
  #unlisten: (() => void) | undefined
  #readers = 0
  #grace: Timer | undefined

  constructor(deps: { listen: (listener: (message: TopicMessage) => void) => () => void; clock: Clock }) {
    this.#listen = deps.listen
    this.#clock = deps.clock
  }

  /** The book, for one reader more. */
  open(): TopicBook {
    this.#readers++
    this.#grace?.cancel()
    if (this.#book === undefined) {
      const book = new TopicBook({ now: () => this.#clock.wall() })
      this.#book = book
      this.#unlisten = this.#listen(message => book.add(message))
      book.settle()
    }
    return this.#book
  }

  /** A reader has gone. */
  leave(): void {
    this.#readers--
    if (this.#readers === 0) this.#grace = this.#clock.after(GRACE_MS, () => this.stop())
  }

  stop(): void {
    this.#grace?.cancel()
    this.#unlisten?.()
    this.#unlisten = undefined
    this.#book = undefined
  }
}
