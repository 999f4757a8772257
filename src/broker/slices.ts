/** Long work on one packet is done in slices, between which everybody else has a turn. */
import type { Clock } from '../kernel/clock.ts'

/** Milliseconds of one slice: others wait no longer than they would for a burst of messages. */
const SLICE_MS = 5

export class Slices {
  readonly #clock: Clock
  #began: number

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
    this.#began = deps.clock.monotonic()
  }

  /** It is time for others. */
  get isOver(): boolean {
    return this.#clock.monotonic() - this.#began >= SLICE_MS
  }

  /** Resolves when others have had their turn. */
  async next(): Promise<void> {
    await new Promise(resolve => setImmediate(resolve))
    this.#began = this.#clock.monotonic()
  }
}
