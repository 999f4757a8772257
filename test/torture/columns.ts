/** Typed arrays that grow: what a run of a million messages is remembered in. What was never set reads 0. */

type Numbers = Uint8Array | Uint32Array

/** Cells of a new column. */
const FIRST_SIZE = 1_024

class Column<T extends Numbers> {
  readonly #make: (length: number) => T
  readonly #most: number
  #cells: T

  constructor(make: (length: number) => T, most: number) {
    this.#make = make
    this.#most = most
    this.#cells = make(FIRST_SIZE)
  }

  get(index: number): number {
    return this.#cells[index] ?? 0
  }

  /** A value that is too large for a cell is kept as the largest. */
  set(index: number, value: number): void {
    if (index >= this.#cells.length) {
      const larger = this.#make(Math.max(index + 1, this.#cells.length * 2))
      larger.set(this.#cells)
      this.#cells = larger
    }
    this.#cells[index] = Math.min(value, this.#most)
  }
}

/** One byte a number: small counts. */
export function bytes(): Column<Uint8Array> {
  return new Column(length => new Uint8Array(length), 0xff)
}

/** Four bytes a number: milliseconds of 49 days, or places in an order. */
export function words(): Column<Uint32Array> {
  return new Column(length => new Uint32Array(length), 0xffffffff)
}
