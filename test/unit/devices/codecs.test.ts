import { describe, expect, it } from 'vitest'
import { LINES_AFTER_TIMEOUT } from '../../../device/codecs/regex.ts'
import { MAX_VALUES } from '../../../device/codecs/values.ts'
import { decoder, lineReader } from '../../support/decode.ts'

const maxLine = 1_048_576
const json = lineReader({ codec: 'json', maxLine })
const pairs = lineReader({ codec: 'pairs', maxLine })
const csv = lineReader({ codec: 'csv', maxLine, columns: ['temp', 'hum', 'at'], separator: ',' })
const number = lineReader({ codec: 'number', maxLine })

describe('json lines', () => {
  it.each([
    ['{"temp":21.5,"ok":true,"unit":"C"}', { temp: 21.5, ok: true, unit: 'C' }],
    ['{"t":{"in":20,"out":-3},"rssi":[-70,-71]}', { t_in: 20, t_out: -3, rssi_0: -70, rssi_1: -71 }],
    ['{"temp":null,"hum":40}', { hum: 40 }],
    ['[1,[2,"x"]]', { '0': 1, '1_0': 2, '1_1': 'x' }],
    [' {"a":1}\r', { a: 1 }],
    ['21.5', 21.5],
    ['"on"', 'on'],
    ['false', false],
    [
      '{"time":"2026-01-01 00:00:00","model":"Acurite","id":7}',
      { time: '2026-01-01 00:00:00', model: 'Acurite', id: 7 },
    ],
  ])('%s', (line, value) => expect(json(line).value).toEqual(value))

  it.each([
    ['{"temp":21.5', 'not JSON: "{\\"temp\\":21.5"'],
    ['null', 'no values'],
    ['{}', 'no values'],
    ['{"a":null}', 'no values'],
    ['1e999', 'out of range'],
    ['{"a":-1e999}', 'out of range'],
    [`${'['.repeat(3000)}1${']'.repeat(3000)}`, 'nested deeper than 8'],
    [JSON.stringify(Array(MAX_VALUES + 1).fill(0)), `more than ${MAX_VALUES} values`],
  ])('refuses %s', (line, fault) => expect(() => json(line)).toThrow(fault))

  it('keeps a field called __proto__ a field', () => {
    const { value } = json('{"__proto__":1,"constructor":2}')
    expect(Object.entries(value)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
    ])
  })

  it('shows a long line cut and without control characters', () => {
    expect(() => json(`\u0007${'x'.repeat(500)}`)).toThrow(/^not JSON: "\\u0007x{59}…"$/)
  })
})

describe('pairs', () => {
  it.each([
    ['temp:21.5 hum:40', { temp: 21.5, hum: 40 }],
    ['temp=21.5,hum=-40;door=open', { temp: 21.5, hum: -40, door: 'open' }],
    ['temp: 21.5, hum : 40', { temp: 21.5, hum: 40 }],
    ['at=12:30:00 mac:aa:bb', { at: '12:30:00', mac: 'aa:bb' }],
    ['  ; a:1 ,, b:2;\r', { a: 1, b: 2 }],
    ['id=0x1f v=1e999', { id: '0x1f', v: '1e999' }],
    ['a=.5 b=+5. c=-1e3', { a: 0.5, b: 5, c: -1000 }],
    ['a:1 a:2', { a: 2 }],
    ['__proto__:1', Object.fromEntries([['__proto__', 1]])],
  ])('%s', (line, value) => expect(Object.entries(pairs(line).value)).toEqual(Object.entries(value)))

  it.each([
    [' ;, ', 'no values'],
    ['hello', 'no key and value at "hello"'],
    ['temp:21.5 C', 'no key and value at "C"'],
    ['temp:', '"temp" has no value'],
    ['temp= hum=40', '"temp" has no value'],
    ['=5', 'no key and value at "=5"'],
    ['temp:21.5 \uFFFDum40', 'no key and value'],
    [Array.from({ length: MAX_VALUES + 1 }, (_, i) => `k${i}:1`).join(' '), `more than ${MAX_VALUES} values`],
  ])('refuses %s', (line, fault) => expect(() => pairs(line)).toThrow(fault))
})

describe('csv', () => {
  it.each([
    ['21.5,40,12:30', { temp: 21.5, hum: 40, at: '12:30' }],
    [' 21.5 , 40 ,x\r', { temp: 21.5, hum: 40, at: 'x' }],
    ['21.5,,x', { temp: 21.5, at: 'x' }],
  ])('%s', (line, value) => expect(csv(line).value).toEqual(value))

  it.each([
    ['21.5,40', '2 cells where 3 columns are configured: "21.5,40"'],
    ['21.5,40,x,', '4 cells'],
    [',,', 'no values'],
  ])('refuses %s', (line, fault) => expect(() => csv(line)).toThrow(fault))

  it('takes another separator', () => {
    const tabs = lineReader({ codec: 'csv', maxLine, columns: ['a', 'b'], separator: '\t' })
    expect(tabs('1,5\t2').value).toEqual({ a: '1,5', b: 2 })
  })
})

describe('number', () => {
  it.each([
    ['21.5', 21.5],
    ['  -3 \r', -3],
    ['21.5 °C', 21.5],
    ['21.5C', 21.5],
    ['1013hPa', 1013],
    ['55%', 55],
    ['3.1 µg/m³', 3.1],
    ['12 m3', 12],
    ['.5', 0.5],
    ['+1e3 W', 1000],
    ['21.5 \uFFFDC', 21.5],
  ])('%s', (line, value) => expect(number(line).value).toBe(value))

  it.each([
    'C',
    '21.5 40',
    '21,5',
    '21.5;40',
    '2\uFFFD.5',
    '21\uFFFD5C',
    '1.2.3',
    '1e999',
    'temp 21.5',
    '0x10 20',
    '--1',
    '12:30',
  ])('refuses %s', line => expect(() => number(line)).toThrow('not a number'))

  it('takes no longer for a line made to confuse it', () => {
    const line = `1${' '.repeat(200_000)}!`
    // A pattern that looks at the rest from each space would take longer than a test may.
    expect(() => number(line)).toThrow()
  })
})

describe('json with paths', () => {
  const reader = (paths: Record<string, string>) => lineReader({ codec: 'json', maxLine, paths })

  it.each([
    [
      { temperature: 'main.temp', first: 'list[0].x' },
      '{"main":{"temp":21.5},"list":[{"x":1}]}',
      { temperature: 21.5, first: 1 },
    ],
    [{ a: '["odd.key"].b' }, '{"odd.key":{"b":true}}', { a: true }],
    [{ a: '[1]' }, '[1,2]', { a: 2 }],
    [{ a: 'a.b.c', b: 'b' }, '{"a":{"b":null},"b":2}', { b: 2 }],
    [{ w: 'wind' }, '{"wind":{"speed":3,"dir":[1,2]},"x":1}', { w_speed: 3, w_dir_0: 1, w_dir_1: 2 }],
    [{ l: 'p.length', p: 'p', o: 'q[0]' }, '{"p":[1],"q":{"0":1}}', { p_0: 1 }],
  ])('%j of %s', (paths, line, value) =>
    expect(reader(paths as unknown as Record<string, string>)(line).value).toEqual(value),
  )

  it.each(['["main"]', '{"main":{"temp":null}}', '5', '{"__proto__":1}'])('finds nothing in %s', line => {
    expect(() => reader({ t: 'main.temp', p: 'toString' })(line)).toThrow('no values')
  })

  it.each(['', '.a', 'a.', 'a..b', 'a[x]', 'a[0', 'a]', '"a"', '[1]b'])('refuses the path %j', path => {
    if (path === '') expect(reader({ a: path })('{"b":1}').value).toEqual({ a_b: 1 })
    else expect(() => reader({ a: path })('{}')).toThrow('is not a path')
  })
})

describe('regex', () => {
  const reader = (pattern: string) => lineReader({ codec: 'regex', maxLine, pattern })

  it.each([
    ['T=(?<temperature>[\\d.]+)', 'x T=21.5 y', { temperature: 21.5 }],
    ['(?<a>\\d+)(?: (?<b>\\w+))?', '12', { a: 12 }],
    ['(?<a>\\d+)(?: (?<b>\\w+))?', '12 on', { a: 12, b: 'on' }],
  ])('%s on %s', (pattern, line, value) => expect({ ...(reader(pattern)(line).value as object) }).toEqual(value))

  it.each([
    ['T=(?<t>\\d+)', 'H=4', 'the pattern found no values in "H=4"'],
    ['T=(?<t>\\d*)', 'T=', 'the pattern found no values'],
  ])('%s refuses %s', (pattern, line, fault) => expect(() => reader(pattern)(line)).toThrow(fault))

  it.each([
    ['^(?:\\w+=)+(?<x>\\d+)$', 'a=b=5', { x: 5 }],
    ['(?<q>["\']).*?\\k<q> (?<x>.*) (?<y>.*)', '"a" 5 b', { q: '"', x: 5, y: 'b' }],
    ['.*a=(?<a>.*) .*b=(?<b>.*) .*', 'x a=1 y b=2 z', { a: '1 y', b: 2 }],
  ])('runs under supervision: %s', (pattern, line, value) => {
    expect({ ...(reader(pattern)(line).value as object) }).toEqual(value)
  })

  it('is stopped when it takes too long, and for some lines not tried again', () => {
    const { codec, push, values, faults } = decoder({ codec: 'regex', maxLine: 4096, pattern: '^(?<x>(a+)+)$' })
    codec.quiet?.()
    // Without supervision it would take hours.
    push(`${'a'.repeat(40)}!\n`)
    expect(faults).toEqual([
      expect.stringMatching(/^the pattern takes longer than 20 ms for "a{40}!": write it simpler$/),
    ])
    push('aaa\n'.repeat(LINES_AFTER_TIMEOUT))
    expect(faults).toHaveLength(1 + LINES_AFTER_TIMEOUT)
    expect(faults.at(-1)).toContain('took too long for a line before')
    push('aaa\n')
    expect(values).toEqual([{ x: 'aaa' }])
  })
})

describe('the first line of a connection', () => {
  const settings = [
    { codec: 'number' as const, maxLine, line: '121.5' },
    { codec: 'pairs' as const, maxLine, line: 't:1' },
    { codec: 'csv' as const, maxLine, columns: ['a', 'b'], separator: ',', line: '1,2' },
    { codec: 'regex' as const, maxLine, pattern: '(?<n>\\d+)', line: '12' },
    { codec: 'json' as const, maxLine, line: '12' },
  ]

  it.each(settings)('is left out, as it may be a tail: $codec', ({ line, ...codec }) => {
    const { push, readings, faults } = decoder(codec)
    push(`${line}\n`)
    expect(readings).toEqual([])
    expect(faults).toEqual([`the first line was left out, as its beginning may be missing: "${line}"`])
    push(`${line}\n`)
    expect(readings).toHaveLength(1)
  })

  it.each(settings)('counts when a line end or silence was before it: $codec', ({ line, ...codec }) => {
    const behindEnd = decoder(codec)
    behindEnd.push(`\r\n${line}\n`)
    expect(behindEnd.readings).toHaveLength(1)
    const behindSilence = decoder(codec)
    behindSilence.codec.quiet?.()
    behindSilence.push(`${line}\n`)
    expect(behindSilence.readings).toHaveLength(1)
  })

  it('is no fault when it cannot be read: every connection begins somewhere', () => {
    const { push, faults } = decoder({ codec: 'json', maxLine })
    push('emp":21.5}\n')
    expect(faults).toEqual([])
    push('emp":21.5}\n')
    expect(faults).toHaveLength(1)
  })

  it('counts when it is an object, whose tail is none', () => {
    const { push, values } = decoder({ codec: 'json', maxLine })
    push('{"t":1}\n')
    expect(values).toEqual([{ t: 1 }])
  })

  it('is known to be whole behind one that was too long', () => {
    const { push, values } = decoder({ codec: 'number', maxLine: 16 })
    push(`${'1'.repeat(40)}\n5\n`)
    expect(values).toEqual([5])
  })
})

it('reads both objects of a line whose end was lost', () => {
  const { push, values, faults } = decoder({ codec: 'json', maxLine })
  push('{"a":"}{"}\n{"a":1}{"a":2}\r {"a":3}\n')
  expect(values).toEqual([{ a: '}{' }, { a: 1 }, { a: 2 }, { a: 3 }])
  expect(faults).toEqual([])
})
