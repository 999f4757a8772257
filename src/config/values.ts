/**
 * The kinds of values in the configuration, as `valibot` schemas that speak to an owner: each says what
 * it must be, with an example, and what was found. Numbers and switches also take their text form,
 * because that is what `${VAR}` gives.
 */
import * as v from 'valibot'
import { shorten } from './fault.ts'
import { likelySpelling } from './spelling.ts'
import { DURATION_UNIT_NAMES, formatDuration, formatSize, parseDuration, parseSize, SIZE_UNIT_NAMES } from './units.ts'

export type Schema<T> = v.GenericSchema<unknown, T>

/** Why a value is refused. */
export class Refusal {
  readonly message: string
  constructor(message: string) {
    this.message = message
  }
}

/** A schema for one value: `read` gives what it means, or a `Refusal`. The example stands in messages about its absence. */
export function value<T>(example: string, read: (input: unknown) => T | Refusal): Schema<T> {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, T>(({ dataset, addIssue, NEVER }) => {
      const result = read(dataset.value)
      if (!(result instanceof Refusal)) return result
      addIssue({ message: result.message })
      return NEVER
    }),
    v.metadata({ example }),
  )
}

/** What was found, for a message. */
export function found(input: unknown): string {
  if (input === undefined || input === null) return 'nothing'
  if (typeof input === 'string') return `the text '${shorten(input)}'`
  if (typeof input === 'number') return `the number ${input}`
  if (typeof input === 'boolean') return `${input}`
  return Array.isArray(input) ? 'a list' : 'a map'
}

function wrong(what: string, example: string, input: unknown): Refusal {
  return new Refusal(`must be ${what}, such as ${example}; found ${found(input)}`)
}

interface TextOptions {
  example: string
  /** True for what must not be repeated in a message or a log. */
  secret?: boolean
  mayBeEmpty?: boolean
  /** Characters; by default no text is longer than an MQTT string can be. */
  max?: number
  /** What forbids the text, as a sentence fragment, or undefined. */
  fault?: (text: string) => string | undefined
}

/** Bytes of an MQTT string (MQTT 3.1.1 §1.5.3), the longest that any text of ours ends up in. */
const MAX_TEXT = 65_535

export function text(options: TextOptions): Schema<string> {
  const { example, secret = false, mayBeEmpty = false, max = MAX_TEXT, fault } = options
  return value(example, input => {
    if (typeof input !== 'string') {
      if (secret) return new Refusal('must be text: put it in quotes')
      const isScalar = typeof input === 'number' || typeof input === 'boolean'
      return isScalar
        ? new Refusal(`must be text; found ${found(input)}: if that is the text, put it in quotes: '${input}'`)
        : wrong('text', example, input)
    }
    if (input === '' && !mayBeEmpty) return new Refusal(`must not be empty; write text such as ${example}`)
    if (input.includes('\0')) return new Refusal('must not contain the character U+0000')
    if (Buffer.byteLength(input) > max) return new Refusal(`must not be longer than ${max} bytes`)
    const reason = fault?.(input)
    return reason === undefined ? input : new Refusal(reason)
  })
}

/** A text that may also be written as a number or a switch: a payload is text whatever it looks like. */
export function payload(example: string): Schema<string> {
  return value(example, input =>
    ['string', 'number', 'boolean'].includes(typeof input)
      ? String(input)
      : wrong('one value (a list or a map goes into quotes)', example, input),
  )
}

function numeric(input: unknown): number | undefined {
  if (typeof input === 'string' && /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(input)) return numeric(Number(input))
  return typeof input === 'number' && Number.isFinite(input) ? input : undefined
}

/** A whole number. */
export function whole(options: { min: number; max: number; example: number }): Schema<number> {
  const { min, max, example } = options
  return value(`${example}`, input => {
    const number = numeric(input)
    if (number === undefined || !Number.isInteger(number)) return wrong('a whole number', `${example}`, input)
    return number < min || number > max ? new Refusal(`must be between ${min} and ${max}; found ${number}`) : number
  })
}

/** Any number. */
export function decimal(example: number): Schema<number> {
  return value(`${example}`, input => numeric(input) ?? wrong('a number', `${example}`, input))
}

const SWITCH = new Map<unknown, boolean>([
  [true, true],
  [false, false],
  ...['true', 'yes', 'on'].map(word => [word, true] as const),
  ...['false', 'no', 'off'].map(word => [word, false] as const),
])

export function flag(): Schema<boolean> {
  return value('true', input => SWITCH.get(input) ?? wrong('true or false', 'true', input))
}

/** One of a few words or numbers. */
export function choice<const T extends string | number>(options: readonly T[]): Schema<T> {
  const shown = options.map(option => (/^[\w-]+$/.test(`${option}`) ? `${option}` : JSON.stringify(option)))
  return value(shown[0]!, input => {
    const isScalar = typeof input === 'string' || typeof input === 'number'
    const hit = isScalar ? options.find(option => `${option}` === `${input}`) : undefined
    if (hit !== undefined) return hit
    const likely = typeof input === 'string' && input !== '' ? likelySpelling(input, options.map(String)) : undefined
    const hint = likely === undefined ? '' : `; did you mean '${likely}'?`
    return new Refusal(`must be ${either(shown)}; found ${found(input)}${hint}`)
  })
}

/** `a`, `a or b`, `a, b or c`. */
export function either(words: readonly string[]): string {
  return words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`
}

interface DurationOptions {
  /** ms */
  min: number
  max: number
  example: string
  /** True when MQTT counts it in seconds. */
  seconds?: boolean
}

/** A duration; in ms. `0` needs no unit. */
export function duration(options: DurationOptions): Schema<number> {
  const { min, max, example, seconds = false } = options
  return value(example, input => {
    const ms = input === 0 || input === '0' ? 0 : typeof input === 'string' ? parseDuration(input) : undefined
    if (ms === undefined) {
      if (numeric(input) === undefined) {
        return wrong(`a duration (a number with ${either(DURATION_UNIT_NAMES)})`, example, input)
      }
      return new Refusal(`a duration needs its unit: write ${input}s or ${input}ms, for example; found ${found(input)}`)
    }
    if (ms < min || ms > max) {
      return new Refusal(`must be between ${formatDuration(min)} and ${formatDuration(max)}; found ${input}`)
    }
    return seconds && ms % 1000 !== 0 ? new Refusal(`must be whole seconds, such as ${example}; found ${input}`) : ms
  })
}

/** A size; in bytes. */
export function size(options: { min: number; max: number; example: string }): Schema<number> {
  const { min, max, example } = options
  return value(example, input => {
    const isText = typeof input === 'string' || typeof input === 'number'
    const bytes = isText ? parseSize(`${input}`) : undefined
    if (bytes === undefined) {
      const short = typeof input === 'string' && parseSize(`${input}iB`) !== undefined
      const hint = short ? `; did you mean '${input}iB'?` : ''
      const what = `a size (a number of bytes, or one with ${either(SIZE_UNIT_NAMES)})`
      return new Refusal(`${wrong(what, example, input).message}${hint}`)
    }
    return bytes < min || bytes > max
      ? new Refusal(`must be between ${formatSize(min)} and ${formatSize(max)}; found ${input}`)
      : bytes
  })
}
