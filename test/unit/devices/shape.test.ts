import { describe, expect, it } from 'vitest'
import type { Deadband, FieldShape, Shape, Value } from '../../../src/devices/ports.ts'
import {
  convert,
  describe as describeValue,
  FieldShapes,
  fieldLevel,
  hasMoved,
  type Item,
  rounded,
  toJson,
  toText,
} from '../../../src/devices/shape.ts'

const AS_IS: Shape = { scale: 1, offset: 0 }

function shaped(value: Value, more: Partial<Shape> = {}): Value {
  const shape = { ...AS_IS, ...more }
  return rounded(convert(value, shape), shape)
}

function item(name: string, value: Value, shape: Partial<FieldShape> = {}): Item {
  return { name, value, shape: { ...AS_IS, ...shape } }
}

describe('a value', () => {
  it.each<[Value, Partial<Shape>, Value]>([
    [21.5, {}, 21.5],
    [true, {}, true],
    ['on', {}, 'on'],
    [215, { scale: 0.1 }, 21.5],
    [48_312, { scale: 0.001, round: 1 }, 48.3],
    [100, { scale: 1.8, offset: 32 }, 212],
    [0.1, { offset: 0.2 }, 0.3],
    [3.2, { round: 0 }, 3],
    ['21.5', { scale: 10 }, '21.5'],
    [0, { map: { '0': 'closed', '1': 'open' } }, 'closed'],
    [true, { map: { true: 1 }, scale: 10 }, 1],
    ['x', { map: { '0': 'closed', default: 'unknown' } }, 'unknown'],
    [7, { map: { '0': 'closed' }, scale: 2 }, 14],
    ['toString', { map: { '0': 'closed' } }, 'toString'],
  ])('%s with %j is %s', (value, shape, expected) => expect(shaped(value, shape)).toBe(expected))

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('that is %s is refused', value =>
    expect(() => shaped(value)).toThrow('not a number that can be published'),
  )

  it('that a scale takes beyond the largest number is refused', () =>
    expect(() => shaped(1e308, { scale: 10 })).toThrow('Infinity is not a number that can be published'))
})

describe('the text of a message', () => {
  it('is plain for a single value', () => {
    expect([item('', 21.5), item('', -0), item('', true), item('', 'on')].map(each => toText([each]))).toEqual([
      '21.5',
      '0',
      'true',
      'on',
    ])
    expect(toJson([item('', 'on')])).toBe('"on"')
  })

  it('is an object for several, and keeps a field called __proto__', () => {
    expect(toText([item('t', 21.5), item('door', 'open'), item('__proto__', true)])).toBe(
      '{"t":21.5,"door":"open","__proto__":true}',
    )
    expect(toText([item('t', 1)])).toBe('{"t":1}')
  })
})

describe('the shapes of named values', () => {
  it('have rounding and deadband of the device where they have none', () => {
    const deadband: Deadband = { by: 1, relative: false }
    const shapes = new FieldShapes({
      shape: { scale: 10, offset: 5, round: 2, deadband },
      fields: { a: { scale: 0.1, offset: 0 }, b: { scale: 1, offset: 0, round: 0, name: 'c' }, d: 'drop' },
    })
    expect(shapes.of('a')).toEqual({ scale: 0.1, offset: 0, round: 2, deadband })
    expect(shapes.of('b')).toMatchObject({ round: 0, name: 'c' })
    expect(shapes.of('d')).toBe('drop')
    expect(shapes.of('else')).toEqual({ scale: 1, offset: 0, round: 2, deadband })
    expect(shapes.of('constructor')).toEqual(shapes.of('else'))
    expect(shapes.names).toEqual(['a', 'b'])
  })

  it('are what * says for those that are not named', () => {
    const shapes = new FieldShapes({ shape: AS_IS, fields: { '*': 'drop', a: { scale: 1, offset: 0 } } })
    expect(shapes.of('b')).toBe('drop')
    expect(shapes.of('a')).not.toBe('drop')
    expect(shapes.names).toEqual(['a'])
  })
})

describe('a message says something new', () => {
  const band = (by: number, relative = false): Partial<FieldShape> => ({ deadband: { by, relative } })
  it.each<[string, Item[], Item[], boolean]>([
    ['always without a deadband', [item('', 1)], [item('', 1)], true],
    ['not within it', [item('', 20, band(0.2))], [item('', 20.2, band(0.2))], false],
    ['not within it, noise of the last bits and all', [item('', 20.4, band(0.2))], [item('', 20.6, band(0.2))], false],
    ['beyond it', [item('', 20, band(0.2))], [item('', 20.21, band(0.2))], true],
    ['below it', [item('', 20, band(0.2))], [item('', 19.79, band(0.2))], true],
    ['not when nothing changed, of 0', [item('', 20, band(0))], [item('', 20, band(0))], false],
    ['at any change, of 0', [item('', 20, band(0))], [item('', 20.0001, band(0))], true],
    ['not within 5 %', [item('', -200, band(0.05, true))], [item('', -209, band(0.05, true))], false],
    ['beyond 5 %', [item('', -200, band(0.05, true))], [item('', -211, band(0.05, true))], true],
    ['with text that changed', [item('', 'a', band(5))], [item('', 'b', band(5))], true],
    ['not with text that did not', [item('', 'a', band(5))], [item('', 'a', band(5))], false],
    ['from a number to text', [item('', 1, band(5))], [item('', 'none', band(5))], true],
    ['with another value beside', [item('a', 1, band(5))], [item('a', 1, band(5)), item('b', 1, band(5))], true],
    ['with another value instead', [item('a', 1, band(5))], [item('b', 1, band(5))], true],
    ['not with the same beside', [item('a', 1, band(5)), item('b', 2)], [item('a', 2, band(5)), item('b', 2)], false],
    ['with a change beside', [item('a', 1, band(5)), item('b', 2)], [item('a', 2, band(5)), item('b', 3)], true],
  ])('%s', (_, before, now, expected) => expect(hasMoved(before, now)).toBe(expected))
})

describe('what a value is', () => {
  const known = { unit: 'W', deviceClass: 'power', stateClass: 'measurement' } as const
  it('is what the source knows, and what the owner says instead', () => {
    expect(describeValue(known, AS_IS)).toEqual(known)
    expect(describeValue(known, { ...AS_IS, deviceClass: 'energy' })).toEqual({ ...known, deviceClass: 'energy' })
    expect(describeValue(undefined, AS_IS)).toEqual({})
  })

  it('has no unit of the source once it is scaled', () => {
    expect(describeValue(known, { scale: 0.001, offset: 0 })).toEqual({
      deviceClass: 'power',
      stateClass: 'measurement',
    })
    expect(describeValue(known, { scale: 0.001, offset: 0, unit: 'kW' })).toMatchObject({ unit: 'kW' })
  })
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
