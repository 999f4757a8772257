/** What is announced to Home Assistant takes the values out of our own messages: rendered by Jinja, which Home Assistant uses. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { componentOf } from '../../src/devices/home-assistant/component.ts'
import { thingId } from '../../src/devices/home-assistant/ids.ts'
import type { FieldShape, Thing, Value, ValueDescription } from '../../src/devices/ports.ts'
import { convert } from '../../src/devices/shape.ts'
import { encode } from '../../src/devices/stamp.ts'
import { pythonWith } from '../support/needs.ts'

const python = pythonWith('jinja2', { package: 'python3-jinja2' })
const SCRIPT = join(import.meta.dirname, 'home_assistant_templates.py')
const AS_IS: FieldShape = { scale: 1, offset: 0 }
const CASES = 3_000

/** What Home Assistant gets out of each message. */
function rendered(questions: readonly (readonly [template: string, message: string])[]): unknown[] {
  const input = questions.map(question => JSON.stringify(question)).join('\n')
  const { stdout, stderr, status } = spawnSync(python as string, [SCRIPT], {
    input,
    encoding: 'utf8',
    maxBuffer: 2 ** 26,
  })
  if (status !== 0) throw new Error(stderr)
  return stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line))
}

function thingOf(more: Partial<Thing>): Thing {
  return { name: 'T', room: 'R', topic: '/Home/R/T', qos: 0, retain: true, publish: 'json', shape: AS_IS, ...more }
}

function announce(thing: Thing, name: string, description: ValueDescription = {}): Record<string, unknown> {
  const subject = { thing, id: thingId('Larder', thing), role: 'sensor' } as const
  const component = componentOf(subject, name, description)
  if (component === undefined) throw new Error(`${name} is not announced`)
  return component
}

/** The message of a thing, and how Home Assistant is told to read one of its values. */
function question(thing: Thing, values: Readonly<Record<string, Value>>, name: string, description?: ValueDescription) {
  const { value_template: template } = announce(thing, name, description)
  const items = Object.entries(values).map(([each, value]) => ({ name: each, value, shape: AS_IS }))
  const { payload } = encode(items, thing.stamp, { time: 0, seq: 1 })
  return [template ?? '{{ value }}', payload] as [string, string]
}

const name = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }),
  fc.constantFrom(
    'a"b',
    "a'b",
    'a\\b',
    '{{ 1 }}',
    '{% if %}',
    '}}',
    '%}',
    '{# #}',
    '\n',
    'items',
    'keys',
    '__class__',
    '☃',
  ),
)
const value = fc.oneof(
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.string({ unit: 'grapheme' }),
)

describe.skipIf(python === undefined)('a template', () => {
  test('gives the value that was published, whatever it is called', () => {
    const cases = fc.sample(fc.tuple(name, value, fc.constantFrom<Thing['stamp']>('none', 'json')), CASES)
    const questions = cases.map(([name, value, stamp]) =>
      question(thingOf({ stamp }), { other: 1, [name]: value }, name),
    )
    for (const [index, answer] of rendered(questions).entries()) {
      const [name, value] = cases[index] as (typeof cases)[number]
      const what = `${JSON.stringify(name)} by ${questions[index]?.[0]}`
      if (typeof value === 'number') expect(Number(answer), what).toBe(value === 0 ? 0 : value)
      else if (typeof value === 'boolean') expect(answer, what).toBe(value ? 'True' : 'False')
      else expect(answer, what).toBe(value)
    }
  })

  test('leaves the entity as it is when a message does not have the value', () => {
    const stamps = [undefined, 'json'] as const
    expect(rendered(stamps.map(stamp => question(thingOf({ stamp }), { b: 1 }, 'a')))).toEqual(['', ''])
  })

  test('of on and off gives what the entity takes for that', () => {
    const shape: FieldShape = { ...AS_IS, map: { '1': true, '0': false } }
    for (const stamp of ['none', 'json'] as const) {
      const thing = thingOf({ stamp, fields: { a: shape } })
      const { payload_on: on, payload_off: off } = announce(thing, 'a')
      const asked = [1, 0].map(value => question(thing, { a: convert(value, shape) }, 'a'))
      expect(rendered(asked)).toEqual([on, off])
    }
    const words: [Value, 'payload_on' | 'payload_off'][] = [
      ['on', 'payload_on'],
      ['OPEN', 'payload_on'],
      [true, 'payload_on'],
      [1, 'payload_on'],
      ['off', 'payload_off'],
      ['closed', 'payload_off'],
      [false, 'payload_off'],
      [0, 'payload_off'],
    ]
    for (const publish of ['json', 'fields'] as const) {
      const name = publish === 'json' ? 'a' : ''
      const thing = thingOf({ publish })
      const entity = announce(thing, name, { deviceClass: 'smoke' })
      const asked = words.map(([value]) => question(thing, { [name]: value }, name, { deviceClass: 'smoke' }))
      expect(rendered(asked)).toEqual(words.map(([, which]) => entity[which]))
    }
  })
})
