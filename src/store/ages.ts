/**
 * How long the oldest message of each queue has waited. A queue's first message is on the disk when it has waited long,
 * so this is looked for in rounds and not when somebody asks; and only where a message has gone since the last round,
 * which for a session that is away is once. One record is read for a queue, and of no more than so many a round.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { LevelQueue } from './queue.ts'

/** Milliseconds between two rounds. */
const ROUND_INTERVAL_MS = 10_000
/** Queues whose first message is looked for in one round: some 50 reads of a card every ten seconds are nothing to it. */
const MAX_QUEUES = 50
/** Places that are read at once: the first holds a message, but for queues that a crash has left with gaps. */
const STEP = 16

interface Known {
  /** Messages that have gone from the queue, so far. */
  readonly gone: number
  /** In the time of the store. */
  readonly acceptedAt: number
}

export class QueueAges {
  readonly #queues: Iterable<LevelQueue>
  readonly #time: { now(): number }
  readonly #clock: Clock
  readonly #log: Log
  #known = new Map<LevelQueue, Known>()
  #timer: Timer | undefined
  #round: Promise<void> | undefined

  constructor(deps: { queues: Iterable<LevelQueue>; time: { now(): number }; clock: Clock; log: Log }) {
    this.#queues = deps.queues
    this.#time = deps.time
    this.#clock = deps.clock
    this.#log = deps.log
  }

  start(): void {
    this.#timer = this.#clock.every(ROUND_INTERVAL_MS, () => this.#look())
  }

  async stop(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#round
  }

  /** Milliseconds that the oldest message of the queues that are meant has waited; 0 when none waits, or none is known yet. */
  oldest(isMeant: (clientId: string) => boolean): number {
    let first = Number.POSITIVE_INFINITY
    for (const [queue, { acceptedAt }] of this.#known) {
      if (queue.count > 0 && !queue.discarded && isMeant(queue.clientId)) first = Math.min(first, acceptedAt)
    }
    return first === Number.POSITIVE_INFINITY ? 0 : Math.max(0, this.#time.now() - first)
  }

  /** The same of one queue; undefined when none waits, or none is known yet. */
  of(queue: LevelQueue): number | undefined {
    const known = queue.count > 0 && !queue.discarded ? this.#known.get(queue) : undefined
    return known === undefined ? undefined : Math.max(0, this.#time.now() - known.acceptedAt)
  }

  #look(): void {
    this.#round ??= this.#goRound()
      .catch(error => this.#log.debug({ reason: reasonOf(error) }, 'the age of a queue could not be found out'))
      .finally(() => {
        this.#round = undefined
      })
  }

  async #goRound(): Promise<void> {
    const known = new Map<LevelQueue, Known>()
    let looked = 0
    for (const queue of this.#queues) {
      if (queue.count === 0) continue
      const before = this.#known.get(queue)
      const gone = queue.position().tail - queue.count
      // What there was no time for keeps its old answer, which errs to the older side.
      if (before !== undefined && (before.gone === gone || looked >= MAX_QUEUES)) known.set(queue, before)
      else if (looked < MAX_QUEUES && this.#timer !== undefined) {
        looked++
        const acceptedAt = await firstOf(queue)
        if (acceptedAt !== undefined) known.set(queue, { gone, acceptedAt })
      }
    }
    this.#known = known
  }
}

async function firstOf(queue: LevelQueue): Promise<number | undefined> {
  for await (const { entry } of queue.all(STEP)) return entry.acceptedAt
  return undefined
}
