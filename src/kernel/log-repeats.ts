/**
 * Keeps one fault from filling the log, and the card below it: of lines that say the same, so many are told in a minute,
 * the rest is counted and told once, when the minute is over. Lines say the same when their words are the same, whatever
 * stands in their fields: who connects a thousand times is a thousand addresses.
 */
import type { Clock, Timer } from './clock.ts'

/** Lines of one kind in a minute: enough to see who and how often. */
export const MAX_REPEATS = 20
/** Milliseconds. */
export const REPEATS_WINDOW = 60_000
/** Kinds that are remembered, some 200 bytes each; the one that began longest ago goes first. */
export const MAX_KINDS = 500

interface Kind {
  /** Monotonic. */
  readonly since: number
  told: number
  /** Not told. */
  more: number
  readonly tell: (more: number) => void
  timer: Timer | undefined
}

export class Repeats {
  readonly #clock: Clock
  /** The one that began last at the end. */
  readonly #kinds = new Map<string, Kind>()

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** True when a line of this kind may be told now. `tell` is called later with the number of those that were not. */
  admits(name: string, tell: (more: number) => void): boolean {
    const now = this.#clock.monotonic()
    let kind = this.#kinds.get(name)
    if (kind === undefined || now - kind.since >= REPEATS_WINDOW) {
      this.#end(name)
      kind = { since: now, told: 0, more: 0, tell, timer: undefined }
      this.#kinds.set(name, kind)
      this.#forget()
    }
    if (kind.told < MAX_REPEATS) {
      kind.told++
      return true
    }
    kind.more++
    kind.timer ??= this.#clock.after(kind.since + REPEATS_WINDOW - now, () => this.#end(name))
    return false
  }

  /** Tells what has been counted. */
  flush(): void {
    for (const name of [...this.#kinds.keys()]) this.#end(name)
  }

  #end(name: string): void {
    const kind = this.#kinds.get(name)
    if (kind === undefined) return
    this.#kinds.delete(name)
    kind.timer?.cancel()
    if (kind.more > 0) kind.tell(kind.more)
  }

  #forget(): void {
    if (this.#kinds.size <= MAX_KINDS) return
    const [oldest] = this.#kinds.keys()
    if (oldest !== undefined) this.#end(oldest)
  }
}
