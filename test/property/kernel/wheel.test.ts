/** The wheel of deadlines against a model that looks at each of them by itself, with time in our hands. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Alarm, Wheel } from '../../../src/kernel/wheel.ts'
import { ManualClock } from '../../support/manual-clock.ts'

/** Milliseconds that an alarm may be late. */
const LATE = 250
const ALARMS = 4

type Step =
  | { readonly what: 'set'; readonly which: number; readonly delay: number }
  | { readonly what: 'cancel'; readonly which: number }
  | { readonly what: 'wait'; readonly time: number }

const which = fc.nat(ALARMS - 1)
const delay = fc.oneof(fc.nat(600), fc.nat(100_000))
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ what: fc.constant('set' as const), which, delay }),
  fc.record({ what: fc.constant('cancel' as const), which }),
  fc.record({ what: fc.constant('wait' as const), time: delay }),
)

test('each alarm rings once for each time it was set and not cancelled: never early, and late by a slot at most', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      const clock = new ManualClock()
      const wheel = new Wheel({ clock })
      const due = new Map<number, number>()
      const faults: string[] = []
      const alarms: Alarm[] = Array.from({ length: ALARMS }, (_, i) =>
        wheel.alarm(() => {
          const late = clock.monotonic() - (due.get(i) ?? Number.NaN)
          if (!(late >= 0 && late <= LATE)) faults.push(`alarm ${i} rang ${late} ms late`)
          due.delete(i)
        }),
      )
      for (const next of steps) {
        if (next.what === 'wait') await clock.advance(next.time)
        else if (next.what === 'cancel') {
          alarms[next.which]?.cancel()
          due.delete(next.which)
        } else {
          alarms[next.which]?.set(next.delay)
          due.set(next.which, clock.monotonic() + next.delay)
        }
        for (const [i, at] of due) if (clock.monotonic() > at + LATE) faults.push(`alarm ${i} did not ring`)
        // However many are set, one timer serves them; when none is, there is none.
        expect(clock.pending).toBe(due.size === 0 ? 0 : 1)
      }
      expect(faults).toEqual([])
    }),
  )
})

test('an alarm that rings may set itself again and cancel another that is due', async () => {
  const clock = new ManualClock()
  const wheel = new Wheel({ clock })
  const rung: string[] = []
  const second = wheel.alarm(() => rung.push('second'))
  const first: Alarm = wheel.alarm(() => {
    rung.push('first')
    second.cancel()
    if (rung.length < 3) first.set(1_000)
  })
  first.set(100)
  second.set(100)
  await clock.advance(10_000)
  expect(rung).toEqual(['first', 'first', 'first'])
  expect(clock.pending).toBe(0)
})
