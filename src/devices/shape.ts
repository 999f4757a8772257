/**
 * From values to payloads, without a memory: what is replaced, scaled, rounded and renamed, and how it is
 * written. A single value is plain text on the topic (`21.5`, `true`, `on`); several are one JSON
 * object. A value is converted when it comes and rounded when it goes: what lies between
 * (`window.ts`, `pace.ts`) counts with all its digits.
 */
import type { FieldShape, Shape, Thing, Value, ValueDescription } from './ports.ts'

/** Digits of a scaled number: more than any sensor has, fewer than a double's, so that 215 × 0.1 reads 21.5. */
const SIGNIFICANT_DIGITS = 12

/** What such numbers are off by, at most, relative to themselves. */
const ROUNDING_ERROR = 10 ** -SIGNIFICANT_DIGITS

/** Bytes of a field's name in a topic: a name, not a text. */
const MAX_FIELD_LENGTH = 64

/** Levels below a device's topic that have a meaning of their own. A field must not land on them: `set` would be obeyed. */
const RESERVED_FIELDS = new Set(['availability', 'error', 'set'])

/** The name of a value that is the only one. */
export const SINGLE = ''

/** A value under way: its name when it is published, and what is to become of it. */
export interface Item {
  readonly name: string
  readonly value: Value
  readonly shape: FieldShape
}

/** The shapes of the named values of a thing, with what they have from the thing itself. */
export class FieldShapes {
  readonly #known: ReadonlyMap<string, FieldShape | 'drop'>
  readonly #others: FieldShape | 'drop'

  constructor({ shape, fields = {} }: Pick<Thing, 'shape' | 'fields'>) {
    const { round, deadband } = shape
    const whole = (field: FieldShape | 'drop') =>
      field === 'drop' ? field : { ...field, round: field.round ?? round, deadband: field.deadband ?? deadband }
    this.#known = new Map(Object.entries(fields).map(([name, field]) => [name, whole(field)]))
    this.#others = this.#known.get('*') ?? { scale: 1, offset: 0, round, deadband }
  }

  of(name: string): FieldShape | 'drop' {
    return this.#known.get(name) ?? this.#others
  }

  /** Names that are spoken of and not dropped. */
  get names(): string[] {
    return [...this.#known].flatMap(([name, field]) => (field === 'drop' || name === '*' ? [] : [name]))
  }
}

/** A value as it is replaced or scaled. Throws when it is a number that is not finite. */
export function convert(value: Value, { map, scale, offset }: Shape): Value {
  if (map !== undefined) {
    const key = [String(value), 'default'].find(key => Object.hasOwn(map, key))
    if (key !== undefined) return map[key]!
  }
  if (typeof value !== 'number') return value
  const scaled = scale === 1 && offset === 0 ? value : tidy(value * scale + offset)
  if (!Number.isFinite(scaled)) throw new Error(`${scaled} is not a number that can be published`)
  return scaled
}

/** A number that was reckoned with, without the noise of its last bits. */
export function tidy(value: number): number {
  return Number(value.toPrecision(SIGNIFICANT_DIGITS))
}

export function rounded(value: Value, { round }: Shape): Value {
  return typeof value !== 'number' || round === undefined ? value : Number(value.toFixed(round))
}

/**
 * Whether a message says something new. Without a deadband every message does. With one, those of its values that
 * have none count when they differ at all, and text and switches always do.
 */
export function hasMoved(before: readonly Item[], now: readonly Item[]): boolean {
  if (now.every(({ shape }) => shape.deadband === undefined) || before.length !== now.length) return true
  const published = new Map(before.map(({ name, value }) => [name, value]))
  return now.some(({ name, value, shape: { deadband } }) => {
    const last = published.get(name)
    if (typeof last !== 'number' || typeof value !== 'number' || deadband === undefined) return last !== value
    const band = deadband.relative ? deadband.by * Math.abs(last) : deadband.by
    return Math.abs(value - last) > band + ROUNDING_ERROR * Math.max(Math.abs(last), Math.abs(value))
  })
}

/** A value that is the only one, as plain text; several as one JSON object. */
export function toText(items: readonly Item[]): string {
  const [first] = items
  return items.length === 1 && first?.name === SINGLE ? String(first.value) : toJson(items)
}

/** As `JSON.stringify` of the value or of the object, but a field called `__proto__` stays a field. */
export function toJson(items: readonly Item[]): string {
  const [first] = items
  if (items.length === 1 && first?.name === SINGLE) return JSON.stringify(first.value)
  return `{${items.map(({ name, value }) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
}

/**
 * A name as one level of a topic: what may not be in one, or would be a wildcard, becomes `_` (MQTT 3.1.1 §4.7.1,
 * §1.5.3), and so that it never means something else, `set` becomes `set_`.
 */
export function fieldLevel(name: string): string {
  const level = name
    .replace(/[/+#\p{Cc}\p{Cs}\p{Cn}]/gu, '_')
    .trim()
    .slice(0, MAX_FIELD_LENGTH)
    .replace(/\p{Cs}$/u, '_')
  if (level === '') return '_'
  return RESERVED_FIELDS.has(level) ? `${level}_` : level
}

/** What a value is, from what its source knows and what the owner says. The unit of a source ends with a scale. */
export function describe(known: ValueDescription = {}, shape: Shape): ValueDescription {
  const isScaled = shape.scale !== 1 || shape.offset !== 0
  const unit = shape.unit ?? (isScaled ? undefined : known.unit)
  const deviceClass = shape.deviceClass ?? known.deviceClass
  const stateClass = shape.stateClass ?? known.stateClass
  return {
    ...(unit === undefined ? {} : { unit }),
    ...(deviceClass === undefined ? {} : { deviceClass }),
    ...(stateClass === undefined ? {} : { stateClass }),
  }
}
