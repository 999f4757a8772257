/** The trees against `filterMatches`, and that against the plainest matcher there is. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FilterTree } from '../../../src/mqtt/filter-tree.ts'
import { NameTree } from '../../../src/mqtt/name-tree.ts'
import { filterMatches, topicFilterFault, topicNameFault } from '../../../src/mqtt/topics.ts'

const LEVELS = ['', 'a', 'b', '$SYS', '__proto__', 'constructor']

const topic = fc.array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 4 }).map(levels => levels.join('/'))
const filter = fc
  .tuple(fc.array(fc.constantFrom(...LEVELS, '+', '+', '+'), { maxLength: 4 }), fc.boolean())
  .filter(([levels, hash]) => hash || levels.length > 0)
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))

const NO_LIMIT = Number.POSITIVE_INFINITY

test('filterMatches is what the standard says', () => {
  fc.assert(
    fc.property(filter, topic, (wanted, name) => {
      if (wanted !== '') expect(topicFilterFault(wanted, NO_LIMIT)).toBeUndefined()
      if (name !== '') expect(topicNameFault(name, NO_LIMIT)).toBeUndefined()
      expect(filterMatches(wanted, name)).toBe(plainMatch(wanted.split('/'), name.split('/')))
    }),
    { numRuns: 5_000 },
  )
})

test('a filter fault is what a level by level look finds', () => {
  const any = fc
    .array(fc.constantFrom('a', '+', '#', '/', '/'), { minLength: 1, maxLength: 6 })
    .map(parts => parts.join(''))
  fc.assert(
    fc.property(any, text => {
      const levels = text.split('/')
      const isFilter = levels.every(
        (level, i) => !/[+#]/.test(level) || level === '+' || (level === '#' && i === levels.length - 1),
      )
      expect(topicFilterFault(text, NO_LIMIT) === undefined).toBe(isFilter)
      expect(topicNameFault(text, NO_LIMIT) === undefined).toBe(!/[+#]/.test(text))
    }),
    { numRuns: 2_000 },
  )
})

const filterStep = fc.record({
  act: fc.constantFrom('add', 'add', 'remove', 'match'),
  filter,
  value: fc.nat(2),
  topic,
})

test('FilterTree finds what filterMatches matches, through adds and removes', () => {
  fc.assert(
    fc.property(fc.array(filterStep, { maxLength: 60 }), steps => {
      const tree = new FilterTree<number>()
      const model = new Map<string, { filter: string; value: number }>()
      for (const step of steps) {
        const key = `${step.filter} ${step.value}`
        if (step.act === 'add') {
          tree.add(step.filter, step.value)
          model.set(key, { filter: step.filter, value: step.value })
        } else if (step.act === 'remove') {
          expect(tree.remove(step.filter, step.value)).toBe(model.delete(key))
        }
        const matching = [...model.values()].filter(pair => filterMatches(pair.filter, step.topic))
        expect(tree.match(step.topic).sort()).toEqual(matching.map(pair => pair.value).sort())
        expect(tree.size).toBe(model.size)
      }
    }),
    { numRuns: 500 },
  )
})

const nameStep = fc.record({ act: fc.constantFrom('set', 'set', 'delete', 'get'), topic, value: fc.nat(9), filter })

test('NameTree finds what filterMatches matches, through sets and deletes', () => {
  fc.assert(
    fc.property(fc.array(nameStep, { maxLength: 60 }), steps => {
      const tree = new NameTree<string>()
      const model = new Map<string, string>()
      for (const step of steps) {
        if (step.act === 'set') {
          tree.set(step.topic, `${step.topic} ${step.value}`)
          model.set(step.topic, `${step.topic} ${step.value}`)
        } else if (step.act === 'delete') {
          expect(tree.delete(step.topic)).toBe(model.delete(step.topic))
        }
        expect(tree.get(step.topic)).toBe(model.get(step.topic))
        const matching = [...model].filter(([name]) => filterMatches(step.filter, name)).map(([, value]) => value)
        expect([...tree.matching(step.filter)].sort()).toEqual(matching.sort())
        expect(tree.size).toBe(model.size)
      }
    }),
    { numRuns: 500 },
  )
})

function plainMatch(wanted: string[], levels: string[]): boolean {
  if (levels[0]?.startsWith('$') && (wanted[0] === '+' || wanted[0] === '#')) return false
  if (wanted.at(-1) === '#') {
    const prefix = wanted.slice(0, -1)
    return levels.length >= prefix.length && prefix.every((level, i) => level === '+' || level === levels[i])
  }
  return levels.length === wanted.length && wanted.every((level, i) => level === '+' || level === levels[i])
}
