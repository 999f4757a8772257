/**
 * From a YAML syntax tree to plain values, with the place in the text of every key and value. It goes
 * over the tree once: replaces `${VAR}`, follows aliases and `<<`, notes what it cannot read and goes on,
 * so that all faults of a file come at once. What it could not read is marked broken, so that nobody
 * complains about that a second time.
 *
 * Values that anchors share stay shared, so a bomb of aliases costs nothing to read; it is refused all the same.
 */
import { type Document, isAlias, isScalar, isSeq, type ParsedNode, type YAMLMap, type YAMLSeq } from 'yaml'
import { hasReference, substitute } from './environment.ts'
import { type Complaint, type Key, shorten } from './fault.ts'
import { isMap } from './structure.ts'

/** Values that a file may stand for once its aliases are followed: a hundred times more than a large house needs. */
const MAX_VALUES = 100_000

/** These reach into JavaScript's own objects; no key of ours is called so. */
const FORBIDDEN_KEYS: readonly string[] = ['__proto__', 'constructor', 'prototype']

const MERGE_KEY = '<<'

export interface TextFault {
  /** Characters from the start of the text. */
  offset: number
  keys: readonly Key[]
  message: string
}

/** Where an entry of a map or a list stands. In a list, and where there is no value, `value` is `key`. */
interface Place {
  key: number
  value: number
  broken: boolean
}

interface Reading {
  value: unknown
  /** Number of values that this one stands for, aliases followed. */
  weight: number
  broken: boolean
}

/** A map or a list while it is being filled. */
class Filling {
  readonly reading: Reading
  readonly places = new Map<Key, Place>()

  constructor(value: unknown[] | Record<string, unknown>) {
    this.reading = { value, weight: 1, broken: false }
  }

  add(key: Key, child: Reading, place: Place): void {
    this.places.set(key, place)
    ;(this.reading.value as Record<Key, unknown>)[key] = child.value
    this.reading.weight += child.weight
  }
}

export class DocumentReader {
  readonly faults: TextFault[] = []
  readonly #env: NodeJS.ProcessEnv
  readonly #onFlat: (start: number, end: number) => void
  /** What the anchors met so far stand for; undefined while that is being read. */
  readonly #anchors = new Map<string, Reading | undefined>()
  readonly #places = new Map<unknown, Map<Key, Place>>()
  #start = 0

  /** `onFlat` is told where each scalar and each collection in brackets begins and ends. */
  constructor(options: { env: NodeJS.ProcessEnv; onFlat: (start: number, end: number) => void }) {
    this.#env = options.env
    this.#onFlat = options.onFlat
  }

  /** The plain value of a document; null for an empty one. */
  read(document: Document.Parsed): unknown {
    this.#start = document.contents?.range[0] ?? 0
    return this.#read(document.contents, []).value
  }

  /**
   * The offset of what `keys` lead to, of its key when `at` is `key`, or of the nearest that there is.
   * Undefined when it could not be read, so that its fault is known already.
   */
  offsetOf(root: unknown, keys: readonly Key[], at: Complaint['at']): number | undefined {
    let offset = this.#start
    let value = root
    for (const [depth, key] of keys.entries()) {
      const place = this.#places.get(value)?.get(key)
      if (place === undefined) return offset
      if (place.broken) return undefined
      offset = at === 'key' && depth === keys.length - 1 ? place.key : place.value
      value = (value as Record<Key, unknown>)[key]
    }
    return offset
  }

  #read(node: ParsedNode | null, keys: readonly Key[]): Reading {
    if (node === null) return { value: null, weight: 1, broken: false }
    const [start, end] = node.range
    if (isAlias(node)) return this.#follow(node.source, start, keys)
    const { anchor } = node
    if (anchor !== undefined) this.#anchors.set(anchor, undefined)
    if (isScalar(node) || node.flow === true) this.#onFlat(start, end)
    const reading = isScalar(node)
      ? this.#scalar(node.value, start, keys)
      : this.#bounded(isSeq(node) ? this.#list(node, keys) : this.#map(node, keys), start, keys)
    if (anchor !== undefined) this.#anchors.set(anchor, reading)
    return reading
  }

  #scalar(value: unknown, offset: number, keys: readonly Key[]): Reading {
    if (typeof value !== 'string' || !hasReference(value)) return { value, weight: 1, broken: false }
    const result = substitute(value, this.#env)
    if ('fault' in result) return this.#broken(offset, keys, result.fault)
    // A variable that is empty leaves the key as if nothing stood there.
    return { value: result.text === '' ? null : result.text, weight: 1, broken: false }
  }

  #follow(anchor: string, offset: number, keys: readonly Key[]): Reading {
    const reading = this.#anchors.get(anchor)
    if (reading !== undefined) return reading
    const name = shorten(anchor)
    const message = this.#anchors.has(anchor)
      ? `'*${name}' refers to a value that it is itself a part of`
      : `'*${name}' is read as a reference, but no &${name} stands before it; a value that begins with * goes into quotes`
    return this.#broken(offset, keys, message)
  }

  #list(node: YAMLSeq, keys: readonly Key[]): Reading {
    const filling = this.#open([])
    for (const [index, item] of (node.items as ParsedNode[]).entries()) {
      const reading = this.#read(item, [...keys, index])
      const start = item.range[0]
      filling.add(index, reading, { key: start, value: start, broken: reading.broken })
    }
    return filling.reading
  }

  #map(node: YAMLMap, keys: readonly Key[]): Reading {
    const filling = this.#open({})
    const merged: { reading: Reading; start: number }[] = []
    for (const { key: keyNode, value } of node.items as { key: ParsedNode; value: ParsedNode | null }[]) {
      if (!isScalar(keyNode)) continue // The parser has said that it must be text.
      const key = String(keyNode.value)
      const start = keyNode.range[0]
      if (key === MERGE_KEY) {
        merged.push({ reading: this.#read(value, [...keys, key]), start })
        continue
      }
      if (FORBIDDEN_KEYS.includes(key)) {
        this.#fault(start, [...keys, key], 'unknown key')
        continue
      }
      if (filling.places.has(key))
        this.#fault(start, [...keys, key], 'is written twice in this map: keep one of the two')
      const reading = this.#read(value, [...keys, key])
      const valueStart = value === null || reading.value === null ? start : value.range[0]
      filling.add(key, reading, { key: start, value: valueStart, broken: reading.broken })
    }
    // What stands in the map itself wins, wherever `<<` stands.
    for (const { reading, start } of merged) this.#merge(filling, reading, start, [...keys, MERGE_KEY])
    return filling.reading
  }

  #merge(filling: Filling, reading: Reading, offset: number, keys: readonly Key[]): void {
    if (reading.broken) return
    for (const source of Array.isArray(reading.value) ? reading.value : [reading.value]) {
      const places = this.#places.get(source)
      if (!isMap(source) || places === undefined) {
        this.#fault(offset, keys, '<< takes a map, or a list of maps, that an alias such as *name refers to')
        continue
      }
      for (const [key, place] of places) {
        if (filling.places.has(key)) continue
        filling.add(key, { value: source[key], weight: 1, broken: place.broken }, place)
      }
    }
    filling.reading.weight += reading.weight
  }

  #open(value: unknown[] | Record<string, unknown>): Filling {
    const filling = new Filling(value)
    this.#places.set(value, filling.places)
    return filling
  }

  #bounded(reading: Reading, offset: number, keys: readonly Key[]): Reading {
    if (reading.weight <= MAX_VALUES) return reading
    return this.#broken(
      offset,
      keys,
      `stands for more than ${MAX_VALUES} values, aliases followed: nothing here needs that`,
    )
  }

  #fault(offset: number, keys: readonly Key[], message: string): void {
    this.faults.push({ offset, keys, message })
  }

  #broken(offset: number, keys: readonly Key[], message: string): Reading {
    this.#fault(offset, keys, message)
    return { value: null, weight: 1, broken: true }
  }
}
