import { expect, test } from 'vitest'
import { forget, remember } from '../../../src/mqtt/remember.ts'

test('answers are kept up to their number, then all are found again', () => {
  const answers = new Map<string, number>()
  for (let i = 1; i <= 3; i++) remember(answers, `topic/${i}`, i, 3)
  expect([...answers.values()]).toEqual([1, 2, 3])
  remember(answers, 'topic/4', 4, 3)
  expect([...answers]).toEqual([['topic/4', 4]])
})

test('a long topic is not kept, and drives out nobody', () => {
  const answers = new Map([['a', 1]])
  remember(answers, 'x'.repeat(257), 2, 1)
  expect([...answers]).toEqual([['a', 1]])
  remember(answers, 'x'.repeat(256), 2, 1)
  expect([...answers.values()]).toEqual([2])
})

test('a change of who has a filter is one of the topics that it matches', () => {
  const answers = new Map([
    ['a', 1],
    ['a/b', 2],
  ])
  forget(answers, 'a')
  expect([...answers.keys()]).toEqual(['a/b'])
  forget(answers, '+/b')
  expect(answers.size).toBe(0)
})
