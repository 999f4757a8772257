/**
 * Many values that become one: average, smallest, largest, median, sum or last of a time. Each named value
 * by itself, in constant memory but for the median, which looks at the latest `MAX_MEDIAN_VALUES`. What is
 * no number cannot be averaged: of text and switches the last counts.
 */
import type { Value, WindowKind } from './ports.ts'
import { type Item, tidy } from './shape.ts'

/** Values that a median is taken of: one a second for a quarter of an hour, 8 KB. */
export const MAX_MEDIAN_VALUES = 1024

/** Values of different names in one window: as many as a device may have topics. */
export const MAX_WINDOW_NAMES = 256

interface Gathered {
  last: Item
  /** Numbers seen; the rest speaks of these. */
  count: number
  sum: number
  min: number
  max: number
  recent: number[]
}

export class Window {
  readonly #of: WindowKind
  #gathered = new Map<string, Gathered>()

  constructor(options: { of: WindowKind }) {
    this.#of = options.of
  }

  /** Returns false when there are too many names, and some were left out. */
  add(items: readonly Item[]): boolean {
    let isWhole = true
    for (const item of items) {
      let gathered = this.#gathered.get(item.name)
      if (gathered === undefined) {
        if (this.#gathered.size === MAX_WINDOW_NAMES) {
          isWhole = false
          continue
        }
        const none = { count: 0, sum: 0, min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY, recent: [] }
        gathered = { last: item, ...none }
        this.#gathered.set(item.name, gathered)
      }
      gathered.last = item
      if (typeof item.value === 'number') this.#count(gathered, item.value)
    }
    return isWhole
  }

  /** What the window comes to; it is empty then. */
  close(): Item[] {
    const items = [...this.#gathered.values()].map(gathered => ({ ...gathered.last, value: this.#result(gathered) }))
    this.#gathered = new Map()
    return items
  }

  #count(gathered: Gathered, value: number): void {
    if (this.#of === 'median') {
      // A ring: the place of the oldest is the next one's.
      gathered.recent[gathered.count % MAX_MEDIAN_VALUES] = value
    }
    gathered.count++
    gathered.sum += value
    gathered.min = Math.min(gathered.min, value)
    gathered.max = Math.max(gathered.max, value)
  }

  #result({ last, count, sum, min, max, recent }: Gathered): Value {
    if (typeof last.value !== 'number') return last.value
    switch (this.#of) {
      case 'average':
        // A sum beyond the largest double would make a number that cannot be published.
        return Number.isFinite(sum) ? tidy(sum / count) : last.value
      case 'min':
        return min
      case 'max':
        return max
      case 'median':
        return tidy(medianOf(recent))
      case 'sum':
        return Number.isFinite(sum) ? tidy(sum) : last.value
      case 'last':
        return last.value
    }
  }
}

function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : sorted[middle - 1]! / 2 + sorted[middle]! / 2
}
