/**
 * From a reading to payloads. Numbers are scaled and rounded; a single value is plain text on the topic
 * (`21.5`, `true`, `on`); several become one JSON object or a topic each, as the device is configured.
 */
import type { Device, Reading, Shape, Value } from './ports.ts'

/** Digits of a scaled number: more than any sensor has, fewer than a double's, so that 215 × 0.1 reads 21.5. */
const SIGNIFICANT_DIGITS = 12

/** Bytes of a field's name in a topic: a name, not a text. */
const MAX_FIELD_LENGTH = 64

/** Levels below a device's topic that have a meaning of their own. A field must not land on them: `set` would be obeyed. */
const RESERVED_FIELDS = new Set(['availability', 'error', 'set'])

/** A payload, and the level below the device's topic that it goes to; undefined is the topic itself. */
export interface Shaped {
  readonly field: string | undefined
  readonly payload: string
}

/** What to publish for a reading. Throws when a number in it is not finite. */
export function shapeReading(reading: Reading, device: Pick<Device, 'publish' | 'shape'>): Shaped[] {
  const { value } = reading
  if (typeof value !== 'object') {
    return [{ field: undefined, payload: String(shapeSingle(value, device.shape)) }]
  }
  const fields = Object.entries(value).map(([name, inner]) => [name, roundValue(inner, device.shape)] as const)
  if (device.publish === 'json') return [{ field: undefined, payload: toJson(fields) }]
  return fields.map(([name, inner]) => ({ field: fieldLevel(name), payload: String(inner) }))
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

function shapeSingle(value: Value, shape: Shape): Value {
  if (typeof value !== 'number' || (shape.scale === 1 && shape.offset === 0)) return roundValue(value, shape)
  return roundValue(Number((value * shape.scale + shape.offset).toPrecision(SIGNIFICANT_DIGITS)), shape)
}

function roundValue(value: Value, { round }: Shape): Value {
  if (typeof value !== 'number') return value
  if (!Number.isFinite(value)) throw new Error(`${value} is not a number that can be published`)
  return round === undefined ? value : Number(value.toFixed(round))
}

/** As `JSON.stringify` of the object, but a field called `__proto__` stays a field. */
function toJson(fields: (readonly [string, Value])[]): string {
  return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`
}
