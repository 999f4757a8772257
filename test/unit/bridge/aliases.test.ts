import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ReceivedAliases, SentAliases } from '../../../src/bridge/aliases.ts'

describe('topic aliases', () => {
  test('a name is sent once, then its alias; those for which there is none left are sent in full', () => {
    const aliases = new SentAliases(2)
    const sent = ['home/one', 'home/two', 'home/one', 'home/three', 'home/two'].map(topic => aliases.take(topic))
    expect(sent).toEqual([
      { topic: 'home/one', alias: 1 },
      { topic: 'home/two', alias: 2 },
      { topic: '', alias: 1 },
      { topic: 'home/three', alias: undefined },
      { topic: '', alias: 2 },
    ])
  })

  test('none are used that the upstream does not allow, nor for names as short as one', () => {
    expect(new SentAliases(0).take('home/hall/lamp')).toEqual({ topic: 'home/hall/lamp', alias: undefined })
    expect(new SentAliases(9).take('lamp')).toEqual({ topic: 'lamp', alias: undefined })
  })

  test('the name is sent again after it was refused', () => {
    const aliases = new SentAliases(1)
    aliases.take('home/hall')
    aliases.forget('home/hall')
    aliases.forget('home/hall')
    expect(aliases.take('home/hall')).toEqual({ topic: 'home/hall', alias: 1 })
    expect(aliases.take('home/hall')).toEqual({ topic: '', alias: 1 })
  })

  test('whoever receives them reads the names that were meant, and no alias is out of range', () => {
    const step = fc.record({ topic: fc.integer({ min: 0, max: 9 }), isRefused: fc.boolean() })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.array(step), (max, steps) => {
        const [ours, theirs] = [new SentAliases(max), new ReceivedAliases()]
        for (const { topic: number, isRefused } of steps) {
          const topic = `home/room/${number}`
          const { topic: written, alias } = ours.take(topic)
          expect(alias ?? 1).toBeLessThanOrEqual(max)
          expect(theirs.topicOf(written, alias)).toBe(topic)
          if (isRefused) ours.forget(topic)
        }
      }),
    )
  })

  test('an alias that stands for nothing is no name', () => {
    const aliases = new ReceivedAliases()
    expect(aliases.topicOf('', 1)).toBeUndefined()
    expect(aliases.topicOf('a', 1)).toBe('a')
    expect(aliases.topicOf('b', 1)).toBe('b')
    expect(aliases.topicOf('', 1)).toBe('b')
    expect(aliases.topicOf('c', undefined)).toBe('c')
  })
})
