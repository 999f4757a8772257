/** The emitter remembers who listens to a topic; whoever comes and goes, it calls those that a look at each filter finds. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LocalEmitter } from '../../../src/broker/emitter.ts'
import type { Listener } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { decodePublish, publishLength, topicBytesOf, writePublish } from '../../../src/mqtt/publish.ts'
import { TopicCache } from '../../../src/mqtt/topic-cache.ts'
import { filterMatches } from '../../../src/mqtt/topics.ts'

const TOPICS = ['a', 'a/b', 'a/c', 'b', '$SYS/a']
const FILTERS = [...TOPICS, '#', '+', 'a/#', 'a/+', '+/b', '$SYS/#']
const LISTENERS = 3

const step = fc.record({
  what: fc.constantFrom('on' as const, 'off' as const, 'emit' as const),
  filter: fc.constantFrom(...FILTERS),
  topic: fc.constantFrom(...TOPICS),
  who: fc.nat(LISTENERS - 1),
  /** Which of two emitters. */
  where: fc.nat(1),
  /** A message from the gateway itself, and not from a client. */
  isOwn: fc.boolean(),
})

/** A message as it comes from a client: those with the same topic share its name. */
function arrived(topic: string, cache: TopicCache): Message {
  const publish = { topicBytes: topicBytesOf(topic), payload: Buffer.alloc(0) }
  const bytes = Buffer.alloc(publishLength(topic.length, 0, 0))
  writePublish(bytes, 0, publish, 0, false, false, 0)
  return Message.arrived(decodePublish(0x30, bytes, 0, 2, bytes.length, cache), 'client', undefined, undefined)
}

test('a message comes once to each listener with a filter that matches, and to nobody else', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 80 }), steps => {
      // Names of topics are the same for both.
      const cache = new TopicCache()
      let called: number[] = []
      const emitters = [0, 1].map(() => {
        const listeners = Array.from(
          { length: LISTENERS },
          (_, i): Listener =>
            () =>
              void called.push(i),
        )
        return { emitter: new LocalEmitter(), listeners, filters: listeners.map(() => new Set<string>()) }
      })
      for (const { what, filter, topic, who, where, isOwn } of steps) {
        const { emitter, listeners, filters } = emitters[where] as (typeof emitters)[number]
        const listener = listeners[who] as Listener
        if (what === 'on') {
          emitter.on(filter, listener)
          filters[who]?.add(filter)
        } else if (what === 'off') {
          emitter.removeListener(filter, listener)
          filters[who]?.delete(filter)
        } else {
          const wanted = filters.flatMap((its, i) => ([...its].some(each => filterMatches(each, topic)) ? [i] : []))
          if (who === 0) expect(emitter.count(topic)).toBe(wanted.length)
          called = []
          const own = Message.of({ topic, payload: Buffer.alloc(0), qos: 0, retain: false })
          emitter.emit(isOwn ? own : arrived(topic, cache))
          expect(called.sort()).toEqual(wanted)
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('a topic holds nobody who has gone', () => {
  const cache = new TopicCache()
  for (const filter of ['a/b', 'a/+']) {
    const emitter = new LocalEmitter()
    const listener: Listener = () => {}
    emitter.on(filter, listener)
    const message = arrived('a/b', cache)
    emitter.emit(message)
    expect(message.name.listeners).toBe(listener)
    emitter.removeListener(filter, listener)
    expect(message.name.listeners).toBeNull()
  }
})

test('names that remember their listeners are bounded, and none that was dropped holds any', () => {
  const emitter = new LocalEmitter()
  emitter.on('#', () => {})
  const messages = Array.from({ length: 40_000 }, (_, i) =>
    Message.of({ topic: `${i}`, payload: Buffer.alloc(0), qos: 0, retain: false }),
  )
  for (const message of messages) emitter.emit(message)
  const known = messages.filter(({ name }) => name.listeners !== null).length
  expect(known).toBeGreaterThan(0)
  expect(known).toBeLessThanOrEqual(32_768)
})
