/**
 * Which places of a queue still hold a message. They are given in order and mostly left in order, so three numbers say it:
 *
 *        head                        tail
 *   gone | waiting, but for `gaps`   | not given yet
 *
 * On disk there may be gaps that nobody remembers: places that were left out of order in an earlier life. They show when
 * they are read; until then, a place that lies among them is doubtful.
 */
export class Places {
  #head: number
  #tail: number
  /** Left, but not yet passed by `head`. */
  readonly #gaps = new Set<number>()
  /** The doubtful ones. */
  readonly #doubtful: { from: number; readonly until: number }

  /** `head` is the lowest place that may be on disk, `count` how many below `tail` are. */
  constructor({ head, tail, count }: { head: number; tail: number; count: number }) {
    this.#head = head
    this.#tail = tail
    this.#doubtful = { from: head, until: count < tail - head ? tail : head }
  }

  get head(): number {
    return this.#head
  }

  get tail(): number {
    return this.#tail
  }

  get isEmpty(): boolean {
    return this.#head >= this.#tail
  }

  /** True while the place holds a message, as far as is known. */
  has(index: number): boolean {
    return index >= this.#head && index < this.#tail && !this.#gaps.has(index)
  }

  /** True when only the disk can tell whether a place that `has` takes for waiting still is. */
  isDoubtful(index: number): boolean {
    return index >= this.#doubtful.from && index < this.#doubtful.until
  }

  /** Gives the next place. */
  next(): number {
    return this.#tail++
  }

  /** A place was left; `head` moves past everything that is gone. */
  leave(index: number): void {
    // Mostly it is the oldest that is left.
    if (index === this.#head) this.#head++
    else this.#gaps.add(index)
    if (this.#gaps.size > 0) this.#advance()
  }

  /** The places in `[from, until)` are not on disk: they were left before. */
  skip(from: number, until: number): void {
    if (from > this.#head) {
      for (let index = from; index < until; index++) this.#gaps.add(index)
      return
    }
    for (const index of this.#gaps) if (index < until) this.#gaps.delete(index)
    this.#head = Math.max(this.#head, until)
    this.#advance()
  }

  /** Everything below was looked at on disk. */
  seen(until: number): void {
    this.#doubtful.from = Math.max(this.#doubtful.from, until)
  }

  clear(): void {
    this.#gaps.clear()
  }

  #advance(): void {
    while (this.#gaps.delete(this.#head)) this.#head++
  }
}
