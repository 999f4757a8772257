/**
 * Pulses out of edges, by the times of the edges alone. A level counts when it has stood for `debounce`; what is shorter is
 * a bounce, or a spike, and splits no pulse. That a level stood is known when the next edge comes, or when it is asked for.
 *
 * Without debouncing each edge of the wanted kind is a pulse, whatever was before it: of pulses so fast that it matters,
 * not every other edge is told. Pure: time comes with the edges.
 */
export type CountedEdge = 'rising' | 'falling' | 'both'

export class Pulses {
  readonly #debounce: number
  readonly #edge: CountedEdge
  /** The last level that counted. */
  #stood: boolean
  /** The level since the last edge. */
  #level: boolean
  /** The time of the last edge. */
  #since = Number.NEGATIVE_INFINITY

  /** `debounce` in the unit of the times; `level`: what the line is at to begin with. */
  constructor(options: { debounce: number; edge: CountedEdge; level: boolean }) {
    this.#debounce = options.debounce
    this.#edge = options.edge
    this.#stood = options.level
    this.#level = options.level
  }

  /** An edge to `level`. Returns how many pulses are known of by it: 0 or 1. */
  edge(level: boolean, at: number): number {
    if (this.#debounce === 0) return this.#isPulse(level) ? 1 : 0
    const before = this.settle(at)
    this.#level = level
    this.#since = at
    return before
  }

  /** At time `now` no edge has come since the last. Returns how many pulses are known of by it: 0 or 1. */
  settle(now: number): number {
    if (this.#level === this.#stood || now - this.#since < this.#debounce) return 0
    this.#stood = this.#level
    return this.#isPulse(this.#level) ? 1 : 0
  }

  #isPulse(level: boolean): boolean {
    return this.#edge === 'both' || level === (this.#edge === 'rising')
  }
}
