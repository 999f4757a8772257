/**
 * Numbers of the last day, in memory: each value is looked at every ten seconds while its thing is there, and a minute
 * becomes the mean of what was seen. So a sensor that reports every second and one that reports every ten minutes make
 * the same curve, and readings themselves cost nothing more.
 */
import type { History as Answer } from './api.ts'

/** Milliseconds between two looks. */
export const LOOK_MS = 10_000
/** Milliseconds of a point. */
export const STEP_MS = 60_000
/** Points that are kept: 24 hours. */
export const POINTS = 1_440
/** Series that are kept, 6 KB each. Of more, those that were seen first stay. */
export const MAX_SERIES = 500
/** Points of a sparkline. */
export const SPARK_POINTS = 48

/** What is looked at. */
export interface Sample {
  readonly series: string
  readonly value: number
  readonly unit?: string | undefined
}

interface Series {
  readonly points: Float32Array
  /** Minutes up to the last point that was written. */
  last: number
  sum: number
  count: number
  unit: string | undefined
}

export class History {
  readonly #series = new Map<string, Series>()
  readonly #monotonic: () => number
  readonly #wall: () => number
  readonly #begin: number

  constructor(deps: { monotonic: () => number; wall: () => number }) {
    this.#monotonic = deps.monotonic
    this.#wall = deps.wall
    this.#begin = deps.monotonic()
  }

  /** Takes what there is now. */
  look(samples: Iterable<Sample>): void {
    const minute = this.#minute()
    for (const { series, value, unit } of samples) {
      let known = this.#series.get(series)
      if (known === undefined) {
        if (!this.#makeRoom(minute)) continue
        known = { points: new Float32Array(POINTS).fill(Number.NaN), last: minute, sum: 0, count: 0, unit }
        this.#series.set(series, known)
      }
      known.unit = unit
      if (known.last < minute) advance(known, minute)
      known.sum += value
      known.count++
      known.points[minute % POINTS] = known.sum / known.count
    }
  }

  /** All points of a series; undefined when there is none. */
  of(series: string): Answer | undefined {
    const known = this.#series.get(series)
    if (known === undefined) return undefined
    const minute = this.#minute()
    const count = Math.min(minute + 1, POINTS)
    const points = Array.from({ length: count }, (_, i) => at(known, minute - count + 1 + i))
    const start = this.#wall() - (this.#monotonic() - this.#begin - (minute - count + 1) * STEP_MS)
    const rounded = points.map(point => (point === undefined ? null : round(point)))
    return { ...(known.unit === undefined ? {} : { unit: known.unit }), start, step: STEP_MS, points: rounded }
  }

  /** The same in few points, each the mean of as many minutes as it takes to show all that is known. */
  spark(series: string): { points: (number | null)[]; step: number } | undefined {
    const known = this.#series.get(series)
    if (known === undefined) return undefined
    const minute = this.#minute()
    const each = Math.max(1, Math.ceil(Math.min(minute + 1, POINTS) / SPARK_POINTS))
    // On whole steps, so that the points stay what they are while time goes on.
    const end = Math.floor(minute / each) * each + each - 1
    const points: (number | null)[] = []
    for (let first = Math.max(0, end - SPARK_POINTS * each + 1); first <= minute; first += each) {
      let sum = 0
      let count = 0
      for (let i = first; i < first + each; i++) {
        const point = at(known, i)
        if (point === undefined) continue
        sum += point
        count++
      }
      points.push(count === 0 ? null : round(sum / count))
    }
    return { points, step: each * STEP_MS }
  }

  /** Minutes since it began. */
  #minute(): number {
    return Math.floor((this.#monotonic() - this.#begin) / STEP_MS)
  }

  /** A series of which nothing is left gives its place up. */
  #makeRoom(minute: number): boolean {
    if (this.#series.size < MAX_SERIES) return true
    for (const [name, { last }] of this.#series) {
      if (last > minute - POINTS) continue
      this.#series.delete(name)
      return true
    }
    return false
  }
}

function advance(series: Series, minute: number): void {
  for (let i = Math.max(series.last + 1, minute - POINTS + 1); i <= minute; i++) series.points[i % POINTS] = Number.NaN
  series.last = minute
  series.sum = 0
  series.count = 0
}

function at({ points, last }: Series, minute: number): number | undefined {
  if (minute > last || minute <= last - POINTS || minute < 0) return undefined
  const point = points[minute % POINTS] as number
  return Number.isNaN(point) ? undefined : point
}

/** As many digits as a float of 32 bits has. */
function round(number: number): number {
  return Number(number.toPrecision(7))
}
