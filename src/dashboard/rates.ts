/** How fast counts grow: seen at one look and at the next, over the last few seconds. */
import type { Clock } from '../kernel/clock.ts'

/** Milliseconds that a rate looks back, at least; at most twice that. */
const SPAN_MS = 3_000
/** Milliseconds without a look after which a rate begins anew. */
const FORGOTTEN_MS = 15_000
/** Counts that are followed. */
const MAX_KEYS = 5_000

interface Seen {
  at: number
  total: number
  /** Becomes the base when it is old enough. */
  nextAt: number
  nextTotal: number
  lookedAt: number
}

export class Rates {
  readonly #clock: Clock
  readonly #seen = new Map<string, Seen>()

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** How much the count of this name has grown a second; 0 when it is seen for the first time. */
  of(key: string, total: number): number {
    const now = this.#clock.monotonic()
    const seen = this.#seen.get(key)
    if (seen === undefined || now - seen.lookedAt > FORGOTTEN_MS || total < seen.total) {
      this.#seen.delete(key)
      this.#seen.set(key, { at: now, total, nextAt: now, nextTotal: total, lookedAt: now })
      const oldest = this.#seen.keys().next().value
      if (this.#seen.size > MAX_KEYS && oldest !== undefined) this.#seen.delete(oldest)
      return 0
    }
    seen.lookedAt = now
    if (now - seen.nextAt >= SPAN_MS) {
      seen.at = seen.nextAt
      seen.total = seen.nextTotal
      seen.nextAt = now
      seen.nextTotal = total
    }
    const elapsed = now - seen.at
    return elapsed === 0 ? 0 : ((total - seen.total) / elapsed) * 1000
  }
}
