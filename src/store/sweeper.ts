/**
 * Removes what nobody will be sent any more: messages of sessions that are away, and retained ones, whose time is
 * over. It looks only where something is due, a bounded number of messages at a time, so that a queue of a million
 * is gone through without anybody noticing.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { LevelQueue } from './queue.ts'
import type { RetainedMessages } from './retained.ts'
import type { StoreTime } from './time.ts'

/** Milliseconds between two steps. */
const STEP_INTERVAL_MS = 1_000
/** Messages that one step looks at. */
const STEP_MESSAGES = 2_000

export class Sweeper {
  readonly #queues: Iterable<LevelQueue>
  readonly #retained: RetainedMessages
  readonly #time: StoreTime
  readonly #clock: Clock
  readonly #log: Log
  readonly #onStep: () => void
  #timer: Timer | null = null
  #current: AsyncGenerator<void> | null = null
  #stepping: Promise<void> | null = null

  /** `onStep` is called before each step. */
  constructor(deps: {
    queues: Iterable<LevelQueue>
    retained: RetainedMessages
    time: StoreTime
    clock: Clock
    log: Log
    onStep: () => void
  }) {
    this.#queues = deps.queues
    this.#retained = deps.retained
    this.#time = deps.time
    this.#clock = deps.clock
    this.#log = deps.log
    this.#onStep = deps.onStep
  }

  start(): void {
    this.#timer = this.#clock.every(STEP_INTERVAL_MS, () => {
      this.#onStep()
      this.#stepping ??= this.#step().finally(() => {
        this.#stepping = null
      })
    })
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = null
    await this.#stepping
  }

  async #step(): Promise<void> {
    try {
      this.#retained.sweep(STEP_MESSAGES)
      for (let looked = 0; looked < STEP_MESSAGES && this.#timer !== null; ) {
        this.#current ??= this.#nextQueue()?.sweep() ?? null
        if (this.#current === null) return
        const { done } = await this.#current.next()
        if (done === true) this.#current = null
        else looked++
      }
    } catch (error) {
      this.#current = null
      this.#log.warn({ reason: reasonOf(error) }, 'a queue could not be looked through for expired messages')
    }
  }

  #nextQueue(): LevelQueue | undefined {
    const now = this.#time.now()
    for (const queue of this.#queues) if (queue.soonest <= now) return queue
    return undefined
  }
}
