/**
 * What a start, or many clients that came at once, have left over goes back to the system when the gateway is at rest
 * again. V8 looks at its heap because something is allocated, and gives back the space of the young only then: where
 * nothing happens any more it keeps what was needed in the worst moment. So it is made to look, when nobody is there
 * to be held up, and only where there may be something to give back.
 */
import { getHeapStatistics } from 'node:v8'
import type { Clock, Timer } from './clock.ts'
import { type Collect, collector } from './collector.ts'

/** Milliseconds between two looks at how busy the process is. V8 counts less than 1 MB a second as rest, over that time. */
const PERIOD = 10_000
/** Part of a core below which it is at rest: a hundred messages a second are more. */
const REST = 0.01
/** Looks at the heap in one rest: the first may come too soon after the work for V8 to give back all. */
const LOOKS = 2
/** Bytes by which the heap must be larger than after the last look: a few milliseconds should be worth it. */
const WORTH_LOOKING = 4 * 1024 * 1024

export class Tidying {
  readonly #clock: Clock
  readonly #heap: () => number
  readonly #processor: () => number
  #collect: Collect | undefined
  #timer: Timer | null = null
  /** Processor time at the last look, in ms. */
  #used = 0
  /** Bytes of the heap when it was last tidy. */
  #tidy: number
  #left = LOOKS

  /** `heap`: bytes that V8 has of the system; `processor`: milliseconds that the process has used. */
  constructor(deps: { clock: Clock; heap?: () => number; processor?: () => number; collect?: Collect }) {
    this.#clock = deps.clock
    this.#heap = deps.heap ?? heapSize
    this.#processor = deps.processor ?? processorTime
    this.#collect = deps.collect
    this.#tidy = this.#heap()
  }

  start(): void {
    this.#used = this.#processor()
    this.#timer = this.#clock.every(PERIOD, () => this.#look())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  #look(): void {
    const used = this.#processor()
    const isAtRest = used - this.#used < PERIOD * REST
    this.#used = used
    const heap = this.#heap()
    this.#tidy = Math.min(this.#tidy, heap)
    if (!isAtRest) {
      this.#left = LOOKS
      return
    }
    if (this.#left === 0 || heap - this.#tidy < WORTH_LOOKING) return
    this.#left--
    this.#collect ??= collector()
    this.#collect()
    // It does not count as work.
    this.#used = this.#processor()
    if (this.#left === 0) this.#tidy = this.#heap()
  }
}

function heapSize(): number {
  return getHeapStatistics().total_heap_size
}

function processorTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
