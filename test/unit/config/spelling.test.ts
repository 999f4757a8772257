import { expect, test } from 'vitest'
import { editDistance, likelySpelling } from '../../../src/config/spelling.ts'

test.each([
  ['kitten', 'sitting', 3],
  ['port', 'prot', 1],
  ['', 'abc', 3],
  ['same', 'same', 0],
  ['level', 'levle', 1],
])('from %s to %s it is %i edits', (a, b, edits) => {
  expect(editDistance(a, b)).toBe(edits)
  expect(editDistance(b, a)).toBe(edits)
})

const KNOWN = ['name', 'data_dir', 'listeners', 'pin', 'qos', 'max_inflight']

test.each([
  ['listners', 'listeners'],
  ['maxInflight', 'max_inflight'],
  ['data-dir', 'data_dir'],
  ['NAME', 'name'],
  ['nmae', 'name'],
  ['qs', 'qos'],
  ['x', undefined],
  ['pan', 'pin'],
  ['van', undefined],
  ['something', undefined],
  ['n'.repeat(1000), undefined],
])('%s was likely %s', (word, meant) => {
  expect(likelySpelling(word, KNOWN)).toBe(meant)
})

test('takes the nearest of several', () => {
  expect(likelySpelling('max_unsend', ['max_unseen', 'max_unsent'])).toBe('max_unsent')
})
