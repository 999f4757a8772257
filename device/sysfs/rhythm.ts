/**
 * Asks something again and again, and never twice at once: a file of the kernel may take a second to read
 * (1-Wire) or hang (a stuck bus, a network disk), and a read that hangs cannot be taken back. What is late is
 * reported once per question; the next question is asked when the late one has been answered after all.
 */
import type { Clock, Timer } from '../../src/kernel/clock.ts'

export class Rhythm {
  readonly #options: RhythmOptions
  #beat: Timer | undefined
  #guard: Timer | undefined
  /** Settled when the question under way is answered or late. */
  #question: Promise<void> | undefined

  constructor(options: RhythmOptions) {
    this.#options = options
  }

  /** Asks at once, and then at every beat. */
  start(): void {
    const { clock, every } = this.#options
    this.#beat = clock.every(every, () => void this.now())
    void this.now()
  }

  /** Asks no more. A question that hangs is left to itself. */
  stop(): void {
    this.#beat?.cancel()
    this.#guard?.cancel()
  }

  /** Asks now, or joins the question that is under way. Resolves when it is answered or late. */
  now(): Promise<void> {
    this.#question ??= new Promise(resolve => {
      const { ask, late, limit, clock } = this.#options
      this.#guard = clock.after(limit, () => {
        late()
        resolve()
      })
      void ask().finally(() => {
        this.#guard?.cancel()
        this.#question = undefined
        resolve()
      })
    })
    return this.#question
  }
}

export interface RhythmOptions {
  readonly clock: Clock
  /** Time in ms between two questions. */
  readonly every: number
  /** Time in ms after which an answer is late. */
  readonly limit: number
  /** Asks. Never rejects. */
  ask(): Promise<void>
  /** The answer is late. */
  late(): void
}
