import { describe, expect, it } from 'vitest'
import type { Reading, Shape } from '../../../src/devices/ports.ts'
import { fieldLevel, shapeReading } from '../../../src/devices/shape.ts'

const AS_IS: Shape = { scale: 1, offset: 0 }

function payload(value: Reading['value'], shape: Partial<Shape> = {}): string | undefined {
  return shapeReading({ value }, { publish: 'json', shape: { ...AS_IS, ...shape } })[0]?.payload
}

describe('a single value', () => {
  it.each([
    [21.5, {}, '21.5'],
    [-0, {}, '0'],
    [true, {}, 'true'],
    ['on', {}, 'on'],
    [215, { scale: 0.1 }, '21.5'],
    [48_312, { scale: 0.001, round: 1 }, '48.3'],
    [100, { scale: 1.8, offset: 32 }, '212'],
    [0.1, { offset: 0.2 }, '0.3'],
    [3.2, { round: 0 }, '3'],
    ['21.5', { scale: 10 }, '21.5'],
  ])('%s with %j is %s', (value, shape, text) => expect(payload(value, shape)).toBe(text))

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('refuses %s', value =>
    expect(() => payload(value)).toThrow('not a number that can be published'),
  )

  it('goes to the topic itself, also for a device that publishes fields', () => {
    expect(shapeReading({ value: 1 }, { publish: 'fields', shape: AS_IS })).toEqual([
      { field: undefined, payload: '1' },
    ])
  })
})

describe('several values', () => {
  it('are one JSON object; only rounding applies', () => {
    expect(payload({ t: 21.456, door: 'open', ok: true }, { scale: 10, round: 1 })).toBe(
      '{"t":21.5,"door":"open","ok":true}',
    )
  })

  it('keep a field called __proto__', () => {
    const value = Object.assign(Object.create(null), JSON.parse('{"a":1}'))
    Object.defineProperty(value, '__proto__', { value: 2, enumerable: true })
    expect(payload(value)).toBe('{"a":1,"__proto__":2}')
  })

  it('are a topic each', () => {
    expect(
      shapeReading({ value: { t: 21.456, door: 'open' } }, { publish: 'fields', shape: { ...AS_IS, round: 1 } }),
    ).toEqual([
      { field: 't', payload: '21.5' },
      { field: 'door', payload: 'open' },
    ])
  })

  it('refuse a number that is none', () => expect(() => payload({ a: 1, b: Number.NaN })).toThrow('NaN'))
})

describe('fieldLevel', () => {
  it.each([
    ['temperature', 'temperature'],
    ['a/b', 'a_b'],
    ['a+b#c', 'a_b_c'],
    ['\u0000x\n', '_x_'],
    ['\ud800', '_'],
    ['\uffff', '_'],
    ['', '_'],
    ['  ', '_'],
    ['Küche °C', 'Küche °C'],
    ['set', 'set_'],
    ['availability', 'availability_'],
    ['error', 'error_'],
    [' set', 'set_'],
    ['x'.repeat(100), 'x'.repeat(64)],
    [`${'x'.repeat(63)}😀`, `${'x'.repeat(63)}_`],
  ])('%j is %j', (name, level) => expect(fieldLevel(name)).toBe(level))
})
