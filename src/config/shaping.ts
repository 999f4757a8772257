/** What becomes of readings before they are published: the keys that devices, their parts and their fields have in common. */
import * as v from 'valibot'
import type { Key } from './fault.ts'
import type { DeadbandConfig, FieldConfig, PacingConfig, ShapeConfig, ValueConfig } from './schema.ts'
import { isMap, map, type Report } from './structure.ts'
import { choice, decimal, duration, found, payload, Refusal, type Schema, text, value, whole } from './values.ts'

const DAY = 86_400_000

/** ms; what waits for longer is better asked for by a schedule. Timers count to 24 days. */
const MAX_INTERVAL = 7 * DAY

export const WINDOW_KINDS = ['average', 'min', 'max', 'median', 'sum', 'last'] as const

/** What becomes of a value. */
export const shapeEntries = {
  scale: v.optional(decimal(0.001), 1),
  offset: v.optional(decimal(-0.5), 0),
  round: v.exactOptional(whole({ min: 0, max: 10, example: 1 })),
  map: v.exactOptional(dictionary(scalar('closed'), { example: '"0": closed' })),
  deadband: v.exactOptional(deadband()),
  unit: v.exactOptional(text({ example: '°C', max: 64 })),
  device_class: v.exactOptional(text({ example: 'temperature', max: 64, fault: classFault })),
  state_class: v.exactOptional(choice(['measurement', 'total', 'total_increasing'])),
}

/** When it is published. */
export const pacingEntries = {
  min_interval: v.exactOptional(interval('10s')),
  max_interval: v.exactOptional(interval('5m')),
  window: v.exactOptional(
    map({ every: interval('1m'), of: v.optional(choice(WINDOW_KINDS), 'average') }, { example: 'every: 1m' }),
  ),
}

export const staleAfter = v.exactOptional(duration({ min: 1_000, max: MAX_INTERVAL, example: '10m' }))

type ShapeKeys = Omit<ShapeConfig, 'round'> & { round?: number }

/** Takes what makes up the shape of a value out of the rest. */
export function splitShape<T extends ShapeKeys>(entry: T): { shape: ShapeConfig; rest: Omit<T, keyof ShapeConfig> } {
  const { scale, offset, round, map, deadband, unit, deviceClass, stateClass, ...rest } = entry
  const optional = { map, deadband, unit, deviceClass, stateClass }
  const given = Object.entries(optional).filter(([, each]) => each !== undefined)
  return { shape: { scale, offset, round, ...Object.fromEntries(given) }, rest }
}

/** `fields`: named values, each with a shape of its own or the word `drop`. */
export function fields(): Schema<Record<string, FieldConfig | 'drop'>> {
  const entries = {
    name: v.exactOptional(text({ example: 'temperature', max: 64 })),
    ...shapeEntries,
    ...pacingEntries,
  }
  const shaped = v.pipe(
    map(entries, { example: 'round: 1', check: checkPacing }),
    v.transform((entry): FieldConfig => {
      const { shape, rest } = splitShape(entry as typeof entry & ShapeKeys)
      return { ...(rest as PacingConfig & { name?: string }), ...shape }
    }),
  )
  const field = v.lazy(input => (isMap(input) ? shaped : dropped())) as Schema<FieldConfig | 'drop'>
  return dictionary(field, { example: 'temperature: { round: 1 }' })
}

function dropped(): Schema<'drop'> {
  return value('drop', input =>
    input === 'drop'
      ? input
      : new Refusal(`must be a map of keys, such as round: 1, or the word drop; found ${found(input)}`),
  )
}

/** `when`: named values and what they are to be. */
export function conditions(): Schema<Record<string, string[]>> {
  const one = v.pipe(
    payload('"0001"'),
    v.transform(text => [text]),
  )
  const some = v.array(payload('"0001"'))
  return dictionary(v.lazy(input => (Array.isArray(input) ? some : one)) as Schema<string[]>, { example: 'id: "0001"' })
}

/** Faults between the keys of this file, in a device, a part or a field. */
export function checkPacing(written: Record<string, unknown>, report: Report): void {
  const { min_interval: min, max_interval: max, stale_after: stale } = written
  if (typeof min !== 'number') return
  if (typeof max === 'number' && max < min) report('must not be shorter than min_interval', ['max_interval'])
  if (typeof stale === 'number' && min > stale / 2) {
    report('must not be longer than half of stale_after, which is how often values are renewed', ['min_interval'])
  }
}

/** As `checkPacing`, and how `value` and `fields` go together. */
export function checkThing(written: Record<string, unknown>, report: Report): void {
  checkPacing(written, report)
  const { fields, value } = written
  if (!isMap(fields)) return
  if (value !== undefined)
    report('belongs to several values, and value takes one: shape that one itself', ['fields'], 'key')
  const names = new Map<string, string>()
  for (const [name, field] of Object.entries(fields)) {
    if (!isMap(field)) continue
    const called = typeof field.name === 'string' ? field.name : name
    if (name === '*' && 'name' in field)
      report('one name for all that are left cannot be', ['fields', name, 'name'], 'key')
    else if (names.has(called)) report(`is called ${called}, as ${names.get(called)} is`, ['fields', name])
    names.set(called, name)
  }
}

const PACING_KEYS = ['min_interval', 'max_interval', 'window'] as const

/** Fields that would have a pace of their own in a thing that puts them into one message. `keys` lead to the thing. */
export function checkFieldPaces(thing: unknown, publish: unknown, keys: readonly Key[], report: Report): void {
  if (!isMap(thing) || !isMap(thing.fields) || (thing.publish ?? publish) !== 'json') return
  for (const [name, field] of Object.entries(thing.fields)) {
    // It has been read already, unless it has a fault.
    const paced = isMap(field) ? PACING_KEYS.find(key => key in field || camel(key) in field) : undefined
    if (paced === undefined) continue
    const message = 'needs publish: fields; in one message for all, what is written at the device counts'
    report(message, [...keys, 'fields', name, paced], 'key')
  }
}

function camel(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

function interval(example: string): Schema<number> {
  return duration({ min: 10, max: MAX_INTERVAL, example })
}

/** A map whose keys are the owner's. One with nothing behind it counts as absent. */
function dictionary<T>(entry: Schema<T>, { example }: { example: string }): Schema<Record<string, T>> {
  return v.pipe(
    v.unknown(),
    v.rawTransform<unknown, Record<string, unknown>>(({ dataset, addIssue, NEVER }) => {
      const input = dataset.value
      if (isMap(input)) return Object.fromEntries(Object.entries(input).filter(([, each]) => each !== null))
      addIssue({ message: `must be a map, such as ${example}; found ${found(input)}` })
      return NEVER
    }),
    v.record(v.string(), entry),
    v.metadata({ example: `{ ${example} }` }),
  ) as unknown as Schema<Record<string, T>>
}

/** A value as it is published. */
function scalar(example: string): Schema<ValueConfig> {
  return value(example, input => {
    if (typeof input === 'string' || typeof input === 'boolean' || Number.isFinite(input)) return input as ValueConfig
    return new Refusal(`must be one value, such as ${example}; found ${found(input)}`)
  })
}

const PERCENT = /^(\d+(?:\.\d+)?) ?%$/

function deadband(): Schema<DeadbandConfig> {
  return value('0.2', input => {
    const percent = typeof input === 'string' ? PERCENT.exec(input) : null
    if (percent !== null) return { by: Number(percent[1]) / 100, relative: true }
    const number = typeof input === 'string' && input.trim() !== '' ? Number(input) : input
    if (typeof number === 'number' && Number.isFinite(number) && number >= 0) return { by: number, relative: false }
    return new Refusal(`must be how far a value has to move, such as 0.2 or 5%; found ${found(input)}`)
  })
}

function classFault(name: string): string | undefined {
  return /^[a-z0-9_]+$/.test(name) ? undefined : 'may have small letters, digits and _ only, such as carbon_dioxide'
}
