/** The emitter remembers who listens to a topic; whoever comes and goes, it calls those that a look at each filter finds. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LocalEmitter } from '../../../src/broker/emitter.ts'
import type { Listener } from '../../../src/broker/ports.ts'
import { Message } from '../../../src/mqtt/message.ts'
import { filterMatches } from '../../../src/mqtt/topics.ts'

const TOPICS = ['a', 'a/b', 'a/c', 'b', '$SYS/a']
const FILTERS = [...TOPICS, '#', '+', 'a/#', 'a/+', '+/b', '$SYS/#']
const LISTENERS = 3

const step = fc.record({
  what: fc.constantFrom('on' as const, 'off' as const, 'emit' as const),
  filter: fc.constantFrom(...FILTERS),
  topic: fc.constantFrom(...TOPICS),
  who: fc.nat(LISTENERS - 1),
})

test('a message comes once to each listener with a filter that matches, and to nobody else', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 10, maxLength: 60 }), steps => {
      const emitter = new LocalEmitter()
      let called: number[] = []
      const listeners = Array.from(
        { length: LISTENERS },
        (_, i): Listener =>
          () =>
            void called.push(i),
      )
      const filters = listeners.map(() => new Set<string>())
      for (const { what, filter, topic, who } of steps) {
        const listener = listeners[who] as Listener
        if (what === 'on') {
          emitter.on(filter, listener)
          filters[who]?.add(filter)
        } else if (what === 'off') {
          emitter.removeListener(filter, listener)
          filters[who]?.delete(filter)
        } else {
          const wanted = filters.flatMap((its, i) => ([...its].some(each => filterMatches(each, topic)) ? [i] : []))
          expect(emitter.count(topic)).toBe(wanted.length)
          called = []
          emitter.emit(new Message({ topic, payload: Buffer.alloc(0), qos: 0, retain: false }))
          expect(called.sort()).toEqual(wanted)
        }
      }
    }),
  )
})
