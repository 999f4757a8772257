import { describe, expect, it } from 'vitest'
import { createLineCodec } from '../../../device/codecs/line-codec.ts'
import { MAX_VALUES } from '../../../device/codecs/values.ts'

const json = createLineCodec({ codec: 'json' })
const pairs = createLineCodec({ codec: 'pairs' })
const csv = createLineCodec({ codec: 'csv', columns: ['temp', 'hum', 'at'] })
const number = createLineCodec({ codec: 'number' })

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
  ])('%s', (line, value) => expect(json.decode(line).value).toEqual(value))

  it.each([
    ['{"temp":21.5', 'not JSON: "{\\"temp\\":21.5"'],
    ['', 'not JSON: ""'],
    ['null', 'no values'],
    ['{}', 'no values'],
    ['{"a":null}', 'no values'],
    ['1e999', 'out of range'],
    ['{"a":-1e999}', 'out of range'],
    [`${'['.repeat(3000)}1${']'.repeat(3000)}`, 'nested deeper than 8'],
    [JSON.stringify(Array(MAX_VALUES + 1).fill(0)), `more than ${MAX_VALUES} values`],
  ])('refuses %s', (line, fault) => expect(() => json.decode(line)).toThrow(fault))

  it('keeps a field called __proto__ a field', () => {
    const { value } = json.decode('{"__proto__":1,"constructor":2}')
    expect(Object.entries(value)).toEqual([
      ['__proto__', 1],
      ['constructor', 2],
    ])
  })

  it('shows a long line cut and without control characters', () => {
    expect(() => json.decode(`\u0007${'x'.repeat(500)}`)).toThrow(/^not JSON: "\\u0007x{59}…"$/)
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
  ])('%s', (line, value) => expect(Object.entries(pairs.decode(line).value)).toEqual(Object.entries(value)))

  it.each([
    ['', 'no values'],
    [' ;, ', 'no values'],
    ['hello', 'no key and value at "hello"'],
    ['temp:21.5 C', 'no key and value at "C"'],
    ['temp:', '"temp" has no value'],
    ['temp= hum=40', '"temp" has no value'],
    ['=5', 'no key and value at "=5"'],
    ['temp:21.5 \uFFFDum40', 'no key and value'],
    [Array.from({ length: MAX_VALUES + 1 }, (_, i) => `k${i}:1`).join(' '), `more than ${MAX_VALUES} values`],
  ])('refuses %s', (line, fault) => expect(() => pairs.decode(line)).toThrow(fault))
})

describe('csv', () => {
  it.each([
    ['21.5,40,12:30', { temp: 21.5, hum: 40, at: '12:30' }],
    [' 21.5 , 40 ,x\r', { temp: 21.5, hum: 40, at: 'x' }],
    ['21.5,,x', { temp: 21.5, at: 'x' }],
  ])('%s', (line, value) => expect(csv.decode(line).value).toEqual(value))

  it.each([
    ['21.5,40', '2 cells where 3 columns are configured: "21.5,40"'],
    ['21.5,40,x,', '4 cells'],
    ['', '1 cells'],
    [',,', 'no values'],
  ])('refuses %s', (line, fault) => expect(() => csv.decode(line)).toThrow(fault))

  it('takes another separator', () => {
    const codec = createLineCodec({ codec: 'csv', columns: ['a', 'b'], separator: '\t' })
    expect(codec.decode('1,5\t2').value).toEqual({ a: '1,5', b: 2 })
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
  ])('%s', (line, value) => expect(number.decode(line).value).toBe(value))

  it.each([
    '',
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
  ])('refuses %s', line => expect(() => number.decode(line)).toThrow('not a number'))

  it('takes no longer for a line made to confuse it', () => {
    const line = `1${' '.repeat(200_000)}!`
    const begun = performance.now()
    expect(() => number.decode(line)).toThrow()
    expect(performance.now() - begun).toBeLessThan(500)
  })
})
