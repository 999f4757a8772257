import { expect, test } from 'vitest'
import { fetchedBy, sentBy } from '../../../src/bridge/hops.ts'
import type { Properties } from '../../../src/mqtt/properties.ts'

const start: Properties = { contentType: 'text/plain', userProperties: [['a', 'b']] }

test('each bridge adds its gateway, and leaves everything else as it is', () => {
  expect(sentBy('B', fetchedBy('B', sentBy('A', start)!)!)).toEqual({
    contentType: 'text/plain',
    userProperties: [
      ['a', 'b'],
      ['larder-hops', '>A,<B,>B'],
    ],
  })
})

test('what a gateway has sent it neither sends nor fetches again, also when others were between', () => {
  const sent = sentBy('A', start)!
  for (const message of [sent, sentBy('B', sent)!, fetchedBy('B', sent)!]) {
    expect(sentBy('A', message)).toBeUndefined()
    expect(fetchedBy('A', message)).toBeUndefined()
  }
})

test('what it has fetched may leave at once, and not when it has come round', () => {
  const fetched = fetchedBy('A', start)!
  expect(sentBy('A', fetched)).toBeDefined()
  expect(fetchedBy('A', fetched)).toBeUndefined()
  expect(sentBy('A', fetchedBy('B', fetched)!)).toBeUndefined()
})

test('after sixteen hops it goes no further', () => {
  let message: Properties | undefined = start
  for (let hop = 0; hop < 16; hop++) message = sentBy(`gateway-${hop}`, message!)
  expect(message).toBeDefined()
  expect(sentBy('one-more', message!)).toBeUndefined()
  expect(fetchedBy('one-more', message!)).toBeUndefined()
})
