/** The ring of what is in flight answers as a map would, whichever identifiers stay in it for how long. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { InFlight } from '../../../src/broker/in-flight.ts'
import type { Delivery } from '../../../src/broker/ports.ts'

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constant('send' as const) },
  // The how-manieth of those in flight, counted from the oldest.
  { weight: 2, arbitrary: fc.nat({ max: 40 }) },
  { weight: 1, arbitrary: fc.record({ stranger: fc.integer({ min: 1, max: 65_535 }) }) },
)

test('what is in flight is found by its identifier until it is acknowledged', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), fc.integer({ min: 0, max: 65_534 }), (steps, first) => {
      const inFlight = new InFlight()
      const model = new Map<number, Delivery>()
      let index = first
      for (const next of steps) {
        if (next === 'send') {
          const packetId = (index % 65_535) + 1
          const delivery = { index: index++ } as Delivery
          inFlight.set(packetId, delivery)
          model.set(packetId, delivery)
        } else {
          const packetId = typeof next === 'number' ? [...model.keys()][next] : next.stranger
          if (packetId === undefined) continue
          inFlight.delete(packetId)
          model.delete(packetId)
        }
        if (inFlight.size !== model.size) throw new Error(`${inFlight.size} are in flight, not ${model.size}`)
      }
      expect(inFlight.inOrder()).toEqual([...model.values()])
      const wrong: number[] = []
      for (let packetId = 1; packetId <= 65_535; packetId++) {
        if (inFlight.get(packetId) !== model.get(packetId)) wrong.push(packetId)
      }
      expect(wrong).toEqual([])
    }),
    { numRuns: 50 },
  )
})

test('one that is never acknowledged keeps its identifier while thousands pass by, and little is held for it', () => {
  const inFlight = new InFlight()
  const old = { index: 4 } as Delivery
  inFlight.set(5, old)
  for (let index = 5; index < 70_000; index++) {
    const packetId = (index % 65_535) + 1
    if (packetId === 5) continue
    inFlight.set(packetId, { index } as Delivery)
    inFlight.delete(packetId)
    if (inFlight.size !== 1) throw new Error(`${inFlight.size} are in flight`)
  }
  expect(inFlight.inOrder()).toEqual([old])
})
