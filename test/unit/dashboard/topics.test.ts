import { expect, test } from 'vitest'
import {
  MAX_BYTES,
  MAX_PAYLOAD,
  MAX_REMOVED_LENGTH,
  MAX_TOPICS,
  shownPayload,
  TopicBook,
} from '../../../src/dashboard/topics.ts'

const NOW = 1_000

function message(topic: string, payload: string | Buffer = 'x', retain = false) {
  return { topic, payload: Buffer.from(payload), qos: 0, retain } as const
}

/** All parts of what is behind a revision. */
function all(book: TopicBook, from = 0) {
  const topics: string[] = []
  const removed: string[] = []
  let revision = from
  for (let isPart = true; isPart; ) {
    const changes = book.changes(revision)
    if (changes === undefined) return undefined
    topics.push(...changes.topics.map(({ topic, payload }) => `${topic}=${payload}`))
    removed.push(...changes.removed)
    revision = changes.revision
    isPart = changes.isPart
  }
  return { topics, removed, revision }
}

test('nothing is told before it is settled, then once, the newest of each topic', () => {
  const book = new TopicBook({ now: () => NOW })
  book.add(message('a', '1'))
  book.add(message('b', '2'))
  book.add(message('a', '3'))
  expect(all(book)?.topics).toEqual([])
  book.settle()
  const first = all(book)
  expect(first?.topics).toEqual(['a=3', 'b=2'])
  expect(book.changes(0)?.topics[0]).toEqual({
    topic: 'a',
    payload: '3',
    size: 1,
    qos: 0,
    retained: false,
    at: NOW,
    count: 2,
  })
  book.settle()
  expect(all(book, first?.revision)?.topics).toEqual([])
  book.add(message('a', '4'))
  book.settle()
  expect(all(book, first?.revision)?.topics).toEqual(['a=4'])
  // Who did not look gets what is there now, in the order in which it changed.
  expect(all(book)?.topics).toEqual(['b=2', 'a=4'])
})

test('who missed several rounds gets the newest of all of them', () => {
  const book = new TopicBook({ now: () => NOW })
  book.add(message('a'))
  book.settle()
  const { revision } = all(book)!
  for (const round of ['1', '2', '3']) {
    book.add(message('b', round))
    book.add(message(`only/${round}`, round))
    book.settle()
  }
  expect(all(book, revision)?.topics.sort()).toEqual(['b=3', 'only/1=1', 'only/2=2', 'only/3=3'])
})

test('retained stays so until it is cleared, and then the topic is gone', () => {
  const book = new TopicBook({ now: () => NOW })
  const retained = () => book.changes(0)?.topics.map(each => each.retained)
  book.add(message('a', '1', true))
  book.add(message('a', '2'))
  book.settle()
  expect(retained()).toEqual([true])
  book.add(message('a', '3'))
  book.settle()
  expect(retained()).toEqual([true])
  const { revision } = all(book)!
  book.add(message('a', '', true))
  book.settle()
  expect(all(book, revision)).toMatchObject({ topics: [], removed: ['a'] })
  // Who begins now knows nothing of it, and nothing is gone for them.
  expect(all(book)).toMatchObject({ topics: [], removed: [] })
  book.add(message('a', '', true))
  book.add(message('a', '4'))
  book.settle()
  expect(all(book, revision)).toMatchObject({ topics: ['a=4'], removed: [] })
  expect(retained()).toEqual([false])
})

test('of more topics than it keeps, those seen longest ago go, and that is told', () => {
  const book = new TopicBook({ now: () => NOW })
  for (let i = 0; i < MAX_TOPICS; i++) book.add(message(`${i}`))
  book.settle()
  const { revision, topics } = all(book)!
  expect(topics).toHaveLength(MAX_TOPICS)
  book.add(message('0'))
  book.add(message('new'))
  book.settle()
  expect(all(book, revision)).toMatchObject({ topics: ['0=x', 'new=x'], removed: ['1'] })
  expect(all(book)?.topics).toHaveLength(MAX_TOPICS)
})

test('payloads are bounded, each and together', () => {
  const book = new TopicBook({ now: () => NOW })
  const count = Math.ceil(MAX_BYTES / MAX_PAYLOAD) + 10
  for (let i = 0; i < count; i++) book.add(message(`${i}`, 'y'.repeat(MAX_PAYLOAD + 1)))
  book.settle()
  let bytes = 0
  let revision = 0
  for (let isPart = true; isPart; ) {
    const changes = book.changes(revision)!
    for (const { topic, payload, size } of changes.topics) {
      expect([payload.length, size]).toEqual([MAX_PAYLOAD, MAX_PAYLOAD + 1])
      bytes += topic.length + payload.length
    }
    ;({ revision, isPart } = changes)
  }
  expect(bytes).toBeLessThanOrEqual(MAX_BYTES)
  expect(bytes).toBeGreaterThan(MAX_BYTES - 2 * MAX_PAYLOAD)
})

test('names are bounded too: of what is there, of a part, and of what is gone', () => {
  const book = new TopicBook({ now: () => NOW })
  const name = (i: number) => `${i}`.padEnd(60_000, 'z')
  const count = Math.ceil(MAX_BYTES / 60_000) + 10
  for (let i = 0; i < count; i++) book.add(message(name(i), 'x', true))
  book.settle()
  let length = 0
  let revision = 0
  for (let isPart = true; isPart; ) {
    const changes = book.changes(revision)!
    expect(changes.topics.length).toBeLessThan(10)
    length += changes.topics.reduce((sum, { topic }) => sum + topic.length, 0)
    ;({ revision, isPart } = changes)
  }
  expect(length).toBeLessThanOrEqual(MAX_BYTES)
  book.add(message(name(count - 1), '', true))
  book.settle()
  expect(book.changes(revision)?.removed).toEqual([name(count - 1)])
  const some = Math.ceil(MAX_REMOVED_LENGTH / 60_000)
  for (let i = 2; i < 2 + some; i++) book.add(message(name(count - i), '', true))
  book.settle()
  expect(book.changes(revision)).toBeUndefined()
})

test('what has been forgotten cannot be told as changes', () => {
  const book = new TopicBook({ now: () => NOW })
  book.add(message('first'))
  book.settle()
  const { revision } = all(book)!
  for (let round = 0; round < 2; round++) {
    for (const payload of ['x', '']) {
      for (let i = 0; i < MAX_TOPICS - 10; i++) book.add(message(`${round}/${i}`, payload, true))
      book.settle()
    }
  }
  expect(book.changes(revision)).toBeUndefined()
  expect(all(book)?.topics).toEqual(['first=x'])
})

test.each([
  ['text', Buffer.from('grüße'), { payload: 'grüße' }],
  ['nothing', Buffer.alloc(0), { payload: '' }],
  ['bytes', Buffer.from([0xff]), { payload: '/w==', base64: true }],
  ['a cut in a character', Buffer.from(`${'x'.repeat(MAX_PAYLOAD - 1)}ü`), { payload: 'x'.repeat(MAX_PAYLOAD - 1) }],
  [
    'a cut in a long character',
    Buffer.from(`${'x'.repeat(MAX_PAYLOAD - 2)}😀y`),
    { payload: 'x'.repeat(MAX_PAYLOAD - 2) },
  ],
  ['a cut behind one', Buffer.from(`${'x'.repeat(MAX_PAYLOAD - 2)}üy`), { payload: `${'x'.repeat(MAX_PAYLOAD - 2)}ü` }],
])('%s is shown as it is', (_, payload, shown) => {
  expect(shownPayload(payload)).toEqual(shown)
})
