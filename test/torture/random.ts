/** A generator of numbers that a seed decides (mulberry32), so that a run can be had again, as far as time allows. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** From 0 to 1, without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = this.#state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  /** A whole number, `high` not included. */
  between(low: number, high: number): number {
    return Math.floor(low + this.next() * (high - low))
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  /** A generator of its own: what one client asks for does not change what another gets. */
  fork(): Random {
    return new Random(Math.floor(this.next() * 2 ** 32))
  }
}
