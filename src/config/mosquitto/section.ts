/**
 * A map of `larder.yaml` in the making: its keys as they are written there, and for each the line of
 * mosquitto.conf that it comes from. So a fault that is found in the finished map leads back to that line, and
 * the printed `larder.yaml` says where everything came from.
 */
import type { Key } from '../fault.ts'

/** A line of mosquitto.conf. */
export interface Place {
  /** As Mosquitto names it: as it was given, an included one as folder/name. */
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly option: string
}

export type Scalar = string | number | boolean
export type Value = Scalar | readonly Scalar[] | Section | readonly Section[]

interface Entry {
  readonly value: Value
  /** Undefined: Mosquitto's default, or ours, that nobody wrote. */
  readonly place: Place | undefined
}

export class Section {
  readonly #entries = new Map<string, Entry>()

  /** Of this section and whatever else of `sections` is later in line: later ones win. */
  static merged(...sections: Section[]): Section {
    const merged = new Section()
    for (const section of sections)
      for (const [key, { value, place }] of section.#entries) merged.set(key, value, place)
    return merged
  }

  get isEmpty(): boolean {
    return this.#entries.size === 0
  }

  set(key: string, value: Value, place?: Place): void {
    this.#entries.set(key, { value, place })
  }

  setDefault(key: string, value: Value): void {
    if (!this.#entries.has(key)) this.set(key, value)
  }

  has(key: string): boolean {
    return this.#entries.has(key)
  }

  get(key: string): Value | undefined {
    return this.#entries.get(key)?.value
  }

  placeAt(key: string): Place | undefined {
    return this.#entries.get(key)?.place
  }

  delete(key: string): void {
    this.#entries.delete(key)
  }

  [Symbol.iterator](): IterableIterator<[string, Entry]> {
    return this.#entries.entries()
  }

  /** The values alone, as loading the printed YAML would give them. */
  plain(): Record<string, unknown> {
    return Object.fromEntries([...this].map(([key, { value }]) => [key, plain(value)]))
  }

  /** The line that `keys` come from, or the nearest line on the way there. */
  placeOf(keys: readonly Key[]): Place | undefined {
    const [first, ...rest] = keys
    const entry = this.#entries.get(`${first}`)
    if (entry === undefined) return this.#anyPlace()
    const { value, place } = entry
    const [second, ...others] = rest
    const item = Array.isArray(value) && typeof second === 'number' ? value[second] : undefined
    const inside =
      value instanceof Section ? value.placeOf(rest) : item instanceof Section ? item.placeOf(others) : undefined
    return inside ?? place ?? this.#anyPlace()
  }

  #anyPlace(): Place | undefined {
    for (const { place } of this.#entries.values()) if (place !== undefined) return place
    return undefined
  }
}

function plain(value: Value): unknown {
  if (value instanceof Section) return value.plain()
  if (Array.isArray(value)) return value.map(each => plain(each))
  return value
}
