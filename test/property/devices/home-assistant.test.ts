/** Identifiers and announcements for whatever names there are: valid, unique, the same again, and read back as they were. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { componentOf, recognise, type Subject } from '../../../src/devices/home-assistant/component.ts'
import { entityId, gatewayId, thingId, valueId } from '../../../src/devices/home-assistant/ids.ts'
import type { Thing } from '../../../src/devices/ports.ts'
import { fieldLevel } from '../../../src/devices/shape.ts'

const RUNS = { numRuns: 1_000 }
const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.stringMatching(/^[a-zA-Z_ -]{0,12}$/),
  fc.string({ minLength: 100, maxLength: 300 }),
)
const place = fc.record({ room: name, name })
const VALID = /^[A-Za-z0-9_-]+$/

test('any name becomes an identifier that is valid, short, and the same again', () => {
  fc.assert(
    fc.property(name, place, name, (gateway, thing, source) => {
      const id = thingId(gateway, thing)
      for (const each of [gatewayId(gateway), id, valueId(id, source)]) {
        expect(each).toMatch(VALID)
        expect(each.length).toBeLessThan(150)
      }
      expect(thingId(gateway, { ...thing })).toBe(id)
      expect(entityId('sensor', [thing.room, thing.name, source], valueId(id, source))).toMatch(
        /^sensor\.[a-z0-9]+(_[a-z0-9]+)*$/,
      )
    }),
    RUNS,
  )
})

test('different names have different identifiers', () => {
  const things = fc.uniqueArray(place, { selector: each => JSON.stringify([each.room, each.name]), maxLength: 100 })
  fc.assert(
    fc.property(things, fc.uniqueArray(name, { maxLength: 100 }), (things, sources) => {
      expect(new Set(things.map(thing => thingId('Larder', thing))).size).toBe(things.length)
      expect(new Set(sources.map(source => valueId('x', source))).size).toBe(sources.length)
      expect(new Set(sources.map(source => gatewayId(source))).size).toBe(sources.length)
    }),
    { numRuns: 100 },
  )
  // Where the names are put together differently, and where letters are left out.
  expect(thingId('Larder', { room: 'a/b', name: 'c' })).not.toBe(thingId('Larder', { room: 'a', name: 'b/c' }))
  expect(thingId('Larder', { room: 'Küche', name: 'Tür' })).not.toBe(thingId('Larder', { room: 'Kuche', name: 'Tur' }))
  expect(thingId('Larder', { room: '厨房', name: '门' })).not.toBe(thingId('Larder', { room: '厨房', name: '窗' }))
})

test('a value is known again by what was announced of it', () => {
  const publish = fc.constantFrom('json' as const, 'fields' as const)
  const stamp = fc.constantFrom('none' as const, 'json' as const)
  let known = 0
  fc.assert(
    fc.property(name, name, publish, stamp, fc.boolean(), (source, called, publish, stamp, isRenamed) => {
      const shape = { scale: 1, offset: 0 }
      // '*' is for all that are not named: the configuration gives it no name.
      const mayBeNamed = source !== '' && source !== '*' && called !== ''
      const fields = isRenamed && mayBeNamed ? { [source]: { ...shape, name: called } } : {}
      const about = { name: 'T', room: 'R', topic: '/Home/R/T', qos: 0, retain: true } as const
      const thing: Thing = { ...about, publish, stamp, shape, fields }
      const subject: Subject = { thing, id: thingId('Larder', thing), role: 'sensor' }
      const now = Object.hasOwn(fields, source) ? called : source
      const component = JSON.parse(JSON.stringify(componentOf(subject, now, {})))
      expect(component.unique_id).toBe(valueId(subject.id, source))
      // A topic has lost what a topic must not have; it is known again if the owner has named the value.
      const isLegible = publish === 'json' || source === '' || source in fields || fieldLevel(source) === source
      expect(recognise(subject, component)).toBe(isLegible ? now : undefined)
      if (isLegible && source !== '') known++
    }),
    RUNS,
  )
  expect(known).toBeGreaterThan(300)
})
