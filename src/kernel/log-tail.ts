/** The last lines of the log, kept in memory for whoever asks: `larder log`, the web page. */
import type { LogLevel } from './log.ts'

/** Lines: some hours of a quiet gateway. */
export const MAX_TAIL_LINES = 500
/** Characters of a line that are kept: with the number of lines, half a megabyte. */
export const MAX_TAIL_LENGTH = 1_000

export interface TailLine {
  /** Wall time in ms. */
  readonly at: number
  readonly level: LogLevel
  readonly text: string
}

export class LogTail {
  readonly #lines: TailLine[] = []
  #count = 0

  /** Lines so far; goes up by one with each. */
  get count(): number {
    return this.#count
  }

  push({ at, level, text }: TailLine): void {
    this.#count++
    this.#lines.push({ at, level, text: text.slice(0, MAX_TAIL_LENGTH) })
    if (this.#lines.length > MAX_TAIL_LINES) this.#lines.shift()
  }

  /** Those that came after the first `count`, as far as they are kept. */
  since(count: number): TailLine[] {
    const wanted = Math.min(this.#count - count, this.#lines.length)
    return wanted <= 0 ? [] : this.#lines.slice(-wanted)
  }
}
