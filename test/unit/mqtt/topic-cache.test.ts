import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { MalformedPacketError } from '../../../src/mqtt/malformed.ts'
import { topicBytesOf } from '../../../src/mqtt/publish.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import type { TopicName } from '../../../src/mqtt/topic-name.ts'

const ask = (cache: TopicCache, topic: string): TopicName => {
  const bytes = Buffer.from(topic)
  return cache.find(bytes, 0, bytes.length)
}
const sensor = (number: number) => `room/${number}/temperature`

describe('TopicCache', () => {
  test('gives a topic that came before again', () => {
    const cache = new TopicCache()
    const kept = ask(cache, 'a/b')
    expect([kept.text, kept.bytes]).toEqual(['a/b', topicBytesOf('a/b')])
    expect(ask(cache, 'a/b')).toBe(kept)
  })

  test('keeps a copy: what happens to the buffer later does not matter', () => {
    const cache = new TopicCache()
    const buffer = Buffer.from('a/b')
    const kept = cache.find(buffer, 0, 3)
    buffer.write('x/y')
    expect([kept.text, kept.bytes]).toEqual(['a/b', topicBytesOf('a/b')])
    expect(cache.find(buffer, 0, 3).text).toBe('x/y')
    expect(ask(cache, 'a/b')).toBe(kept)
  })

  test('keeps ten thousand topics that are in use, nearly all of them', () => {
    const cache = new TopicCache()
    const topics = Array.from({ length: 10_000 }, (_, i) => Buffer.from(sensor(i)))
    const round = () => topics.map(bytes => cache.find(bytes, 0, bytes.length))
    for (let i = 0; i < 5; i++) round()
    const before = round()
    expect(round().filter((topic, i) => topic === before[i]).length).toBeGreaterThan(9_500)
  })

  test('topics that never come again hardly drive out those that are in use', () => {
    const cache = new TopicCache()
    const inUse = Array.from({ length: 50 }, (_, i) => sensor(i))
    let before: TopicName[] = []
    for (let i = 0; i < 100_000; i++) {
      ask(cache, `made/up/${i}`)
      if (i % 1_000 === 999) before = inUse.map(topic => ask(cache, topic))
    }
    expect(inUse.filter((topic, i) => ask(cache, topic) === before[i]).length).toBe(50)
  })

  test('does not take the beginning of a topic for the topic', () => {
    const cache = new TopicCache()
    for (let i = 0; i < 5_000; i++) {
      const bytes = Buffer.from(sensor(i))
      ask(cache, sensor(i))
      expect(cache.find(bytes, 0, bytes.length - 12).text).toBe(`room/${i}`)
    }
  })

  test('does not keep topics that are long', () => {
    const cache = new TopicCache()
    for (const [length, isKept] of [
      [127, true],
      [128, false],
    ] as const) {
      const topic = '/'.repeat(length)
      const first = ask(cache, topic)
      expect(first.text).toBe(topic)
      expect(ask(cache, topic) === first).toBe(isKept)
    }
  })

  test('no topic at all is no topic that was kept', () => {
    const cache = new TopicCache()
    ask(cache, 'a')
    expect(ask(cache, '').text).toBe('')
  })

  test('an invalid topic does not come in by resembling a valid one', () => {
    const cache = new TopicCache()
    ask(cache, 'ab')
    for (const bytes of [Buffer.from('a\0'), Buffer.from([0x61, 0xff])]) {
      expect(() => cache.find(bytes, 0, 2)).toThrow(MalformedPacketError)
    }
  })

  test('what it gives is what was asked for, however many come', () => {
    const topics = fc.array(fc.nat(3_000), { minLength: 1, maxLength: 20_000, size: 'max' })
    fc.assert(
      fc.property(topics, numbers => {
        const cache = new TopicCache()
        for (const number of numbers) {
          const topic = sensor(number)
          const found = ask(cache, topic)
          if (found.text !== topic || !found.bytes.equals(topicBytesOf(topic))) expect(found).toBe(topic)
        }
      }),
      { numRuns: 20 },
    )
  })
})
