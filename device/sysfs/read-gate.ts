/**
 * Lets few slow reads happen at once. Node reads files on a pool of four threads that the store writes on as
 * well: half a dozen 1-Wire sensors of 0.75 s each, asked together, would hold up every acknowledgement
 * for seconds. All file sources of a gateway share one gate.
 */

/** Reads at once. One may hang for good and the others still get their turn; half of Node's four threads stay free. */
const READS_AT_ONCE = 2

export class ReadGate {
  #free = READS_AT_ONCE
  /** One entry per source at most, as a source has one read at a time. */
  readonly #waiting: (() => void)[] = []

  /** Runs `read` when there is room. */
  async pass<T>(read: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await read()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
