/** The judge of the system tests is judged: a delivery with a fault must not pass. */
import { expect, test } from 'vitest'
import { faultsOfDelivery } from '../support/ledger.ts'

const topicOf = (number: number): string => (number % 2 === 0 ? 'even' : 'odd')
const got = (...numbers: number[]) => numbers.map(number => ({ topic: topicOf(number), number }))

test.each<[string, number[]]>([
  ['in order', [0, 1, 2, 3]],
  ['in order on each topic only', [1, 0, 3, 2]],
  ['with repeats', [0, 1, 2, 0, 1, 2, 3]],
])('a delivery %s has no fault', (_, numbers) => {
  expect(faultsOfDelivery(got(...numbers), [0, 1, 2, 3], topicOf)).toEqual([])
})

test.each<[string, { topic: string; number: number }[], RegExp]>([
  ['that lacks one', got(0, 1, 3), /1 are missing: 2/],
  ['out of order on a topic', got(2, 1, 0, 3), /0 came after 2 on even/],
  ['on the wrong topic', [...got(0, 1, 3), { topic: 'odd', number: 2 }], /2 came on odd/],
])('a delivery %s has a fault', (_, delivered, fault) => {
  expect(faultsOfDelivery(delivered, [0, 1, 2, 3], topicOf).join('; ')).toMatch(fault)
})
