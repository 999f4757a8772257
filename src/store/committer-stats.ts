/**
 * What the committer counts. How long batches took stands there as counts by upper bounds: a mean hides the card that
 * takes a second now and then. The bounds go from a fast disk to a card that collects its garbage.
 */

export interface CommitterStats {
  commits: number
  /** Keys and values handed to LevelDB, in bytes. */
  bytes: number
  /** Entries that were never written because everybody had taken them. */
  elided: number
  failures: number
  /** Batches forced to the disk. */
  syncs: number
  /** Of batches that were written. */
  readonly latency: Latency
}

export function newCommitterStats(): CommitterStats {
  return { commits: 0, bytes: 0, elided: 0, failures: 0, syncs: 0, latency: new Latency() }
}

/** Milliseconds; what is above the last is only in the whole count. */
const BOUNDS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000] as const

export class Latency {
  /** Milliseconds, ascending. */
  readonly bounds: readonly number[] = BOUNDS
  /** How many took no longer than each bound, and longer than the one before. */
  readonly counts: number[] = BOUNDS.map(() => 0)
  count = 0
  /** Milliseconds of all together. */
  sum = 0

  note(milliseconds: number): void {
    this.count++
    this.sum += milliseconds
    const at = BOUNDS.findIndex(bound => milliseconds <= bound)
    if (at >= 0) this.counts[at] = (this.counts[at] as number) + 1
  }
}
