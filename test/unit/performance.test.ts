/** README and docs/performance.md hold what `docs/performance.json` says, and the goals are judged as they are written. */
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'
import { chart } from '../../scripts/benchmarks/chart.ts'
import type { Cell, Report } from '../../scripts/benchmarks/comparison.ts'
import { OURS, RIVAL } from '../../scripts/benchmarks/contestants.ts'
import { replaceMarked, stretchOf, summaryOf } from '../../scripts/benchmarks/readme.ts'
import { type Figure, type Goal, SCENARIOS } from '../../scripts/benchmarks/scenarios.ts'
import { judge } from '../../scripts/benchmarks/verdict.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const read = (name: string) => readFileSync(join(ROOT, name), 'utf8')
const report = JSON.parse(read('docs/performance.json')) as Report

describe('what was measured is what is written (scripts/bench readme)', () => {
  test('every scenario that there is was measured at both brokers, and nothing else', () => {
    const wanted = SCENARIOS.map(({ name }) => name)
    for (const broker of [OURS, RIVAL]) {
      const measured = report.cells.filter(cell => cell.broker === broker).map(({ scenario }) => scenario)
      expect(measured).toEqual(wanted)
    }
  })

  test('README.md', () => expect(read('README.md')).toBe(replaceMarked(read('README.md'), summaryOf(report))))

  test('docs/performance.md', () => {
    const text = read('docs/performance.md')
    expect(text).toBe(replaceMarked(text, stretchOf(report)))
  })

  test('docs/performance.svg', () => {
    expect(read('docs/performance.svg')).toBe(chart(report, { ours: OURS, rival: RIVAL }))
  })

  test('a file without the marks is refused', () => {
    expect(() => replaceMarked('nothing', 'something')).toThrow('are not in the file')
  })
})

describe('judge', () => {
  const figure = (value: number, more: Partial<Figure> = {}): Figure => ({ value, unit: 'µs', ...more })
  const cell = (broker: string, scenario: string, of: Figure): Cell => ({ broker, scenario, figure: of, rounds: [of] })
  const verdict = (goal: Goal, ours: Figure, theirs: Figure) =>
    judge({ name: 'one', goal }, [cell(OURS, 'one', ours), cell(RIVAL, 'one', theirs), cell(OURS, 'two', figure(10))])

  test.each<[string, Goal, Figure, Figure, boolean]>([
    ['so many times less', { less: 4 }, figure(2.5), figure(10), true],
    ['not so many times less', { less: 4 }, figure(2.6), figure(10), false],
    ['so many times of our own', { times: 1.15, of: 'two' }, figure(11.5), figure(1), true],
    ['more than of our own', { times: 1.15, of: 'two' }, figure(11.6), figure(100), false],
    ['in time', { times: 1.5, worst: 2 }, figure(0.3, { worst: 2 }), figure(0.2), true],
    ['later than theirs', { times: 1.5, worst: 2 }, figure(0.31, { worst: 1 }), figure(0.2), false],
    ['with a tail', { times: 1.5, worst: 2 }, figure(0.2, { worst: 2.1 }), figure(0.2), false],
    ['their rate, whatever it costs', { rate: 1 }, figure(9, { rate: 100 }), figure(1, { rate: 100 }), true],
    ['less than their rate', { rate: 3 }, figure(1, { rate: 299 }), figure(9, { rate: 100 }), false],
    ['so many a second', { perSecond: 100 }, figure(1, { rate: 100 }), figure(1), true],
    ['fewer a second', { perSecond: 100 }, figure(1, { rate: 99 }), figure(1), false],
    ['at most', { most: 5 }, figure(5), figure(1), true],
    ['over the most', { most: 5 }, figure(5.1), figure(100), false],
  ])('%s', (_, goal, ours, theirs, isReached) => {
    expect(verdict(goal, ours, theirs)).toMatchObject({ isReached, ratio: theirs.value / ours.value })
  })

  test('says nothing of what there is nothing to compare with', () => {
    const alone = [cell(OURS, 'one', figure(1))]
    expect(judge({ name: 'one', goal: { less: 4 } }, alone)).toEqual({ goal: '4× less' })
    expect(judge({ name: 'one', goal: { most: 4 } }, alone)).toEqual({ goal: 'at most 4 µs', isReached: true })
    expect(judge({ name: 'one', goal: { most: 4 } }, [])).not.toHaveProperty('isReached')
  })
})
