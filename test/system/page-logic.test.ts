/** What the web page makes of what it is told, without a browser: the tree of topics, and a person's words for numbers. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { TopicState } from '../../src/dashboard/api.ts'
import { TopicTree } from '../../src/dashboard/page/topic-tree.ts'
import { ago, bytes, duration, isStale, levels, named, reading } from '../../src/dashboard/page/words.ts'

const NOW = 1_800_000_000_000
const state = (topic: string, payload = 'x', retained = true): TopicState => {
  return { topic, payload, size: payload.length, qos: 0, retained, at: NOW, count: 1 }
}
const all = new Map<string, boolean>()
const opened = { get: () => true } as unknown as ReadonlyMap<string, boolean>

test('levels are sorted as a person does, and a leading slash belongs to the first', () => {
  const tree = new TopicTree()
  tree.put(['b', '/Home/Sensor 10', '/Home/Sensor 2', 'a//b'].map(topic => state(topic)))
  const rows = tree.rows(opened).map(({ name, depth, path }) => [depth, name, path])
  expect(rows).toEqual([
    [0, '/Home', '/Home'],
    [1, 'Sensor 2', '/Home/Sensor 2'],
    [1, 'Sensor 10', '/Home/Sensor 10'],
    [0, 'a', 'a'],
    [1, '', 'a/'],
    [2, 'b', 'a//b'],
    [0, 'b', 'b'],
  ])
})

test('two levels are open and $SYS is not, until somebody opens or closes them', () => {
  const tree = new TopicTree()
  tree.put(['a/b/c/d', '$SYS/broker'].map(topic => state(topic)))
  expect(tree.rows(all).map(({ path }) => path)).toEqual(['$SYS', 'a', 'a/b', 'a/b/c'])
  const chosen = new Map([
    ['$SYS', true],
    ['a', false],
  ])
  expect(tree.rows(chosen).map(({ path }) => path)).toEqual(['$SYS', '$SYS/broker', 'a'])
})

test('finds names and values; base64 is no value', () => {
  const tree = new TopicTree()
  tree.put([state('a/Kitchen'), state('b', 'in the KITCHEN'), { ...state('c', 'kitchen'), base64: true }])
  expect(tree.find('kitchen').map(({ path }) => path)).toEqual(['a/Kitchen', 'b'])
})

test('what is retained under a level', () => {
  const tree = new TopicTree()
  tree.put([state('a'), state('a/b'), state('a/c', 'x', false), state('ab')])
  expect(tree.retainedUnder('a')).toEqual(['a', 'a/b'])
  expect(tree.retainedUnder('nowhere')).toEqual([])
})

test('a new stream brings all topics; those that it does not bring are gone', () => {
  const tree = new TopicTree()
  tree.put([state('stays'), state('goes/away')])
  tree.begin()
  tree.put([state('stays', 'new')])
  expect(tree.sweep()).toBe(true)
  expect(tree.rows(opened).map(({ path }) => path)).toEqual(['stays'])
  expect(tree.sweep()).toBe(false)
})

test('the tree holds what a set of topics holds, whatever comes and goes', () => {
  const topic = fc
    .array(fc.constantFrom('', 'a', 'b', 'c'), { minLength: 1, maxLength: 4 })
    .map(parts => parts.join('/'))
  const step = fc.record({ topic: topic.filter(name => name !== ''), gone: fc.boolean() })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      const tree = new TopicTree()
      const model = new Set<string>()
      for (const { topic, gone } of steps) {
        if (gone) expect(tree.remove([topic])).toBe(model.delete(topic))
        else {
          expect(tree.put([state(topic)])).toBe(!model.has(topic))
          model.add(topic)
        }
        const rows = tree.rows(opened)
        expect(tree.size).toBe(model.size)
        expect(new Set(rows.filter(row => row.state !== undefined).map(row => row.path))).toEqual(model)
        for (const row of rows) {
          const under = [...model].filter(name => name === row.path || name.startsWith(`${row.path}/`))
          expect([row.path, row.topics]).toEqual([row.path, under.length])
        }
      }
    }),
  )
})

test('values have the decimals of their kind, their unit, and words for on and off', () => {
  const text = (value: number | string | boolean | undefined, deviceClass?: string, unit?: string) => {
    const told = reading({
      ...(value === undefined ? {} : { value }),
      ...(deviceClass === undefined ? {} : { deviceClass }),
      ...(unit === undefined ? {} : { unit }),
    })
    return told.unit === undefined ? told.text : `${told.text} ${told.unit}`
  }
  const point = (0.5).toLocaleString().charAt(1)
  expect(text(21.456, 'temperature', '°C')).toBe(`21${point}5 °C`)
  expect(text(44.2, 'humidity', '%')).toBe('44 %')
  expect(text(undefined, 'temperature', '°C')).toBe('–')
  expect(text(0, 'temperature', '°C')).toBe(`0${point}0 °C`)
  expect(text(true, 'door')).toBe('Open')
  expect(text('closed', 'door')).toBe('Closed')
  expect(text(false)).toBe('Off')
  expect(text('idle')).toBe('Idle')
  expect(text(402_653_184, undefined, 'B')).toBe('403 MB')
  expect(text(777_600, undefined, 's').replace('\u00a0', ' ')).toBe('9 days')
})

test('sizes, ages and names', () => {
  const plain = (words: string) => words.replaceAll('\u00a0', ' ')
  expect(plain(bytes(999))).toBe('999 B')
  expect(plain(bytes(999_950_000))).toBe('1,000 MB'.replace(',', (1000).toLocaleString().replace(/\d/g, '')))
  expect([400, 59_999, 3_599_999, 172_799_999, 172_800_000].map(duration).map(plain)).toEqual([
    '400 ms',
    '59 s',
    '59 min',
    '47 h',
    '2 days',
  ])
  // The gateway's clock may be a little behind what it tells of.
  expect([-5000, 1999, 4000].map(ago).map(plain)).toEqual(['just now', 'just now', '4 s ago'])
  expect(named('cpu_temperature')).toBe('CPU temperature')
  expect([named('uptime_s', 's'), named('uptime_s')]).toEqual(['Uptime', 'Uptime s'])
  expect(levels('/Home/Kitchen')).toEqual(['/Home', '/Kitchen'])
})

test('a value is stale after three periods, and never before half a minute', () => {
  expect(isStale(NOW - 30_000, 1000, NOW)).toBe(false)
  expect(isStale(NOW - 30_001, 1000, NOW)).toBe(true)
  expect(isStale(NOW - 180_000, 60_000, NOW)).toBe(false)
  expect(isStale(NOW - 180_001, 60_000, NOW)).toBe(true)
  expect(isStale(undefined, 1000, NOW)).toBe(false)
  expect(isStale(NOW - 1e9, undefined, NOW)).toBe(false)
})
