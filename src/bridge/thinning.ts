/**
 * What an outage leaves of messages of which the newest is enough: the newest of each topic, or of each topic and span
 * of time. The spool is read through while the upstream is away, whenever it has doubled, and once more when the upstream
 * is back. So it holds no more than twice what is to be left and a few, on the disk as well, and over restarts, and
 * nothing of it need be remembered. What may have been sent before stays.
 */
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'

/** Messages that must have come since the last time, for it to be worth while. */
const MIN_GROWTH = 1_000
/** Topics whose newest message is held in memory meanwhile, and bytes of these messages; of more, some are left too many. */
const MAX_TOPICS = 20_000
const MAX_BYTES = 16 * 1024 * 1024
/** ms that the drain waits for it, alarms and all; then it begins with what is left. */
const MAX_TIME = 2_000

interface Newest {
  readonly delivery: Delivery
  readonly span: number
}

export class Thinning {
  /** Messages removed. */
  count = 0
  readonly #queue: SessionQueue
  readonly #clock: Clock
  readonly #log: Log
  readonly #spanOf: (topic: string) => number
  /** Messages that the last time left. */
  #left = 0
  #running: Promise<void> | undefined
  #isOver = false

  constructor(deps: {
    queue: SessionQueue
    /** ms of which the newest message is left; 0 for all, Infinity for one. */
    spanOf: (topic: string) => number
    clock: Clock
    log: Log
  }) {
    this.#queue = deps.queue
    this.#spanOf = deps.spanOf
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** The upstream is away: looks whether it is time. */
  look(): void {
    if (this.#queue.count - this.#left >= Math.max(MIN_GROWTH, this.#left)) void this.#run()
  }

  /** The upstream is back. Resolves when the drain may begin. */
  async finish(): Promise<void> {
    const late = this.#clock.after(MAX_TIME, () => {
      this.#isOver = true
    })
    await this.#running
    if (this.#queue.count > 1 && !this.#isOver) await this.#run()
    late.cancel()
    this.#isOver = false
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#isOver = true
    await this.#running
  }

  #run(): Promise<void> {
    this.#running ??= this.#thin().then(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #thin(): Promise<void> {
    const newest = new Map<string, Newest>()
    let bytes = 0
    try {
      for await (const delivery of this.#queue.all()) {
        if (this.#isOver) break
        const { topic } = delivery.message
        const span = this.#place(delivery)
        if (span === undefined) continue
        const before = newest.get(topic)
        if (before !== undefined) bytes -= sizeOf(before)
        if (before?.span === span) {
          this.#queue.remove(before.delivery)
          this.count++
        }
        newest.delete(topic)
        newest.set(topic, { delivery, span })
        bytes += sizeOf({ delivery, span })
        for (const [longest, each] of newest) {
          if (newest.size <= MAX_TOPICS && bytes <= MAX_BYTES) break
          newest.delete(longest)
          bytes -= sizeOf(each)
        }
      }
    } catch (error) {
      this.#log.warn(
        { reason: reasonOf(error) },
        'a spool could not be looked through for messages that newer ones replace',
      )
    }
    this.#left = this.#queue.count
  }

  /** In which span of its topic it came; undefined when it stays. */
  #place({ message, dup, released, acceptedAt }: Delivery): number | undefined {
    if (dup || released !== undefined) return undefined
    const span = this.#spanOf(message.topic)
    if (span === Number.POSITIVE_INFINITY) return 0
    return span === 0 || acceptedAt === undefined ? undefined : Math.floor(acceptedAt / span)
  }
}

function sizeOf({ delivery: { message } }: Newest): number {
  return message.topic.length + message.payload.length
}
