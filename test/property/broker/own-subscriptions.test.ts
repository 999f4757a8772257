/** What a session's subscriptions grant for a topic, against looking at each of them, whatever came and went before. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { OwnSubscriptions } from '../../../src/broker/own-subscriptions.ts'
import type { QoS } from '../../../src/mqtt/packets.ts'
import { grantsOf, type Subscription } from '../../../src/mqtt/subscription.ts'
import { filterMatches, splitShare } from '../../../src/mqtt/topics.ts'

const TOPICS = ['a', 'a/b', 'a/c', 'd/b']
const FILTERS = ['a', 'a/b', '+/b', 'a/+', '#', 'a/#', '$share/g/a/b']

const option = fc.record({
  qos: fc.constantFrom<QoS>(0, 1, 2),
  nl: fc.boolean(),
  rap: fc.boolean(),
  subscriptionIdentifier: fc.constantFrom(undefined, 1, 2),
})
/** Few different options, so that they are often the same. */
const subscription = fc
  .tuple(fc.constantFrom(...FILTERS), fc.array(option, { minLength: 1, maxLength: 2 }), fc.boolean())
  .map(([topic, options, isPlain]): Subscription => {
    const { subscriptionIdentifier, ...rest } = isPlain ? { qos: 1 as QoS } : { ...options[0] }
    const identified = subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }
    return { topic, qos: 0, ...rest, ...identified }
  })
/** Many exact ones of no account push the number over that from which on a tree is used. */
const crowd = fc.constantFrom(0, 40)

test('grants for a topic are those of the subscriptions that match', () => {
  const steps = fc.array(fc.oneof(subscription, fc.constantFrom(...FILTERS)), { maxLength: 12 })
  fc.assert(
    fc.property(crowd, steps, (others, changes) => {
      const own = new OwnSubscriptions()
      const model = new Map<string, Subscription>()
      for (let i = 0; i < others; i++) set({ topic: `crowd/${i}`, qos: 1 })
      check()
      for (const change of changes) {
        if (typeof change === 'string') expect(own.delete(change)).toBe(model.delete(change))
        else set(change)
        check()
      }

      function set(each: Subscription): void {
        expect(own.set(each)).toBe(splitShare(each.topic) !== undefined)
        model.set(each.topic, each)
      }

      function check(): void {
        expect(own.all).toEqual([...model.values()])
        expect(own.sharedSize).toBe(own.filters.filter(filter => splitShare(filter) !== undefined).length)
        for (const topic of TOPICS) {
          const matching = own.all.filter(
            each => splitShare(each.topic) === undefined && filterMatches(each.topic, topic),
          )
          if (matching.length === 0) continue
          const { others: ofOthers, own: ofOwn } = own.grantsFor(topic)
          expect(sorted({ others: ofOthers, own: ofOwn })).toEqual(sorted(grantsOf(matching)))
        }
      }
    }),
    { numRuns: 300 },
  )
})

/** A tree finds them in another order. */
function sorted(grants: ReturnType<typeof grantsOf>) {
  const order = ({ subscriptionIdentifiers: ids, ...rest }: (typeof grants)['others']) => ({
    ...rest,
    ids: ids === undefined ? undefined : [...ids].sort((a, b) => a - b),
  })
  return { others: order(grants.others), own: grants.own === null ? null : order(grants.own) }
}
