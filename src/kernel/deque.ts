/**
 * A double-ended queue on a ring, so that taking from the front of a long queue costs the same as from
 * a short one. It grows as needed: who owns one bounds it.
 */

/** Places of the first ring; a power of two, as all are. */
const FIRST_PLACES = 8
/** The ring of one that never held anything: most sessions have several of those. Never written to. */
const NOTHING: undefined[] = new Array(0)

export class Deque<T> {
  #ring: (T | undefined)[] = NOTHING
  #head = 0
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The item `index` places behind the front, or undefined beyond the end. */
  at(index: number): T | undefined {
    if (index < 0 || index >= this.#length) return undefined
    return this.#ring[(this.#head + index) & (this.#ring.length - 1)]
  }

  push(item: T): void {
    if (this.#length === this.#ring.length) this.#grow()
    this.#ring[(this.#head + this.#length) & (this.#ring.length - 1)] = item
    this.#length++
  }

  shift(): T | undefined {
    if (this.#length === 0) return undefined
    const item = this.#ring[this.#head]
    this.#ring[this.#head] = undefined
    this.#head = (this.#head + 1) & (this.#ring.length - 1)
    this.#length--
    return item
  }

  clear(): void {
    this.#ring = NOTHING
    this.#head = 0
    this.#length = 0
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = 0; i < this.#length; i++) yield this.at(i) as T
  }

  #grow(): void {
    const grown: (T | undefined)[] = new Array(Math.max(FIRST_PLACES, this.#ring.length * 2))
    for (let i = 0; i < this.#length; i++) grown[i] = this.at(i)
    this.#ring = grown
    this.#head = 0
  }
}
