/**
 * Maps and lists of the configuration, as `valibot` schemas. Keys are written `like_this` and come out
 * `likeThis`. A key with nothing behind it counts as absent, so that an owner may comment out what is
 * under it. A misspelt key is one fault, not also a missing one.
 */
import * as v from 'valibot'
import type { Complaint, Key } from './fault.ts'
import { likelySpelling } from './spelling.ts'
import { either, found, type Schema } from './values.ts'

type Camel<S> = S extends `${infer A}_${infer B}` ? `${A}${Capitalize<Camel<B>>}` : S
type Camelized<T> = { [K in keyof T as Camel<K>]: T[K] } & {}

type Raw = Record<string, unknown>

/** Reports a fault inside a map: at the value of `keys`, or, where there is none, at the map. */
export type Report = (message: string, keys?: readonly Key[], at?: Complaint['at']) => void

interface MapOptions {
  /** A line of such a map, for messages. */
  example: string
  /** Keys that mean something even with nothing behind them: their map is then empty. */
  present?: readonly string[]
  /**
   * Faults that lie between several keys. It gets the map as it is written (`like_this`), its values read
   * where they are without fault and as they were where they are not; so it must look before it leaps.
   */
  check?: (map: Raw, report: Report) => void
}

/** True for what a map of YAML becomes. */
export function isMap(input: unknown): input is Raw {
  return typeof input === 'object' && input !== null && !Array.isArray(input)
}

/** A map with these keys and no others. */
export function map<const E extends v.ObjectEntries>(entries: E, options: MapOptions) {
  const known = Object.keys(entries)
  const { example, present = [], check } = options
  type Output = Camelized<v.InferOutput<v.ObjectSchema<E, undefined>>>

  const prepare = v.rawTransform<unknown, Raw>(({ dataset, addIssue, NEVER }) => {
    const input = dataset.value
    if (!isMap(input)) {
      addIssue({ message: `must be a map of keys, such as ${example}; found ${found(input)}` })
      return NEVER
    }
    const filled = Object.entries(input).flatMap(([key, each]): [string, unknown][] => {
      if (each === null && present.includes(key)) return [[key, {}]]
      return each === null && known.includes(key) ? [] : [[key, each]]
    })
    return Object.fromEntries(filled)
  })

  const body = v.looseObject(entries, issue => {
    const { input, key } = issue.path![0] as { input: Raw; key: string }
    const unknown = Object.keys(input).filter(each => !known.includes(each))
    // An empty message is left out: the unknown key has it in its own.
    if (unknown.some(each => likelySpelling(each, known) === key)) return ''
    return `is required, such as ${key}: ${v.getMetadata(entries[key] as Schema<unknown>).example}`
  })

  const checks = v.rawCheck<Raw>(({ dataset, addIssue }) => {
    const written = dataset.value as Raw
    const report: Report = (message, keys = [], at = 'value') => {
      addIssue({ message, expected: at, path: itemsOf(keys) })
    }
    for (const key of Object.keys(written).filter(each => !known.includes(each))) {
      const likely = likelySpelling(key, known)
      const hint = likely === undefined ? `known here: ${known.join(', ')}` : `did you mean '${likely}'?`
      report(`unknown key; ${hint}`, [key], 'key')
    }
    check?.(written, report)
  })

  const camelize = v.transform((read: Raw) => {
    const own = Object.entries(read).filter(([key]) => known.includes(key))
    return Object.fromEntries(own.map(([key, each]) => [camel(key), each])) as Output
  })
  // The pieces are sound one by one; their types do not follow each other through `pipe`.
  return v.pipe(v.unknown(), prepare, body as never, checks as never, camelize as never) as unknown as Schema<Output>
}

/** A list of entries of one kind. */
export function list<T>(entry: Schema<T>, options: { example: string; min?: number }): Schema<T[]> {
  const { example, min = 0 } = options
  return v.pipe(
    v.array(
      entry,
      issue => `must be a list, each entry behind a dash, such as - ${example}; found ${found(issue.input)}`,
    ),
    v.minLength(min, `needs at least one entry, such as - ${example}`),
    v.metadata({ example: `[${example}]` }),
  ) as unknown as Schema<T[]>
}

/** Faults when not exactly one of `keys` is there, in the words of `what`; true when exactly one is. */
export function exactlyOne(written: Raw, keys: readonly string[], what: string, report: Report): boolean {
  const [first, ...others] = keys.filter(key => key in written)
  if (first === undefined) {
    // When an unknown key was meant to be one of them, that is said there.
    const misspelt = Object.keys(written).some(key => keys.includes(likelySpelling(key, keys) ?? ''))
    if (!misspelt) report(`${what} needs one of ${either(keys)}`, [], 'missing')
    return false
  }
  for (const other of others) report(`${what} can only be one thing, and it is ${first} already`, [other], 'key')
  return others.length === 0
}

function camel(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function itemsOf(keys: readonly Key[]): [v.IssuePathItem, ...v.IssuePathItem[]] | undefined {
  if (keys.length === 0) return undefined
  return keys.map(key => ({ type: 'unknown', origin: 'value', input: undefined, key, value: undefined })) as never
}

/** What `schema` has against `input`, by keys; or what it makes of it. */
export function readWith<T>(schema: Schema<T>, input: unknown): { output: T } | { complaints: Complaint[] } {
  const result = v.safeParse(schema, input)
  if (result.success) return { output: result.output }
  const complaints = result.issues
    .filter(issue => issue.message !== '')
    .map((issue): Complaint => {
      const keys = (issue.path ?? []).map(item => item.key as Key)
      const isMissing = issue.type === 'loose_object'
      const at = isMissing
        ? 'missing'
        : issue.expected === 'key' || issue.expected === 'missing'
          ? issue.expected
          : 'value'
      return { keys, message: issue.message, at, wide: at === 'missing' }
    })
  return { complaints }
}
