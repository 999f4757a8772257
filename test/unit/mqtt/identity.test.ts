import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isMarked, marked, markOf, newOrigin, renamed, renamingOf, unmarked } from '../../../src/mqtt/identity.ts'
import { encodeForwarded, forwardedProperties } from '../../../src/mqtt/publish-properties.ts'

const APPLICATION = {
  contentType: 'text/plain',
  correlationData: Buffer.from([1, 2]),
  userProperties: [
    ['a', '1'],
    ['a', '2'],
    ['', 'larder-id'],
  ] as [string, string][],
}

test('a mark is read where it was put, and taken away again without a trace', () => {
  const identity = { origin: newOrigin(), number: 12_345_678 }
  const before = encodeForwarded(APPLICATION) as Buffer
  const bytes = marked(before, { identity, gateways: 0 })
  expect(markOf(bytes)).toEqual({ identity, gateways: 0 })
  expect(unmarked(bytes)).toEqual(before)
  expect(forwardedProperties(bytes).userProperties?.[0]).toEqual(['larder-id', `${identity.origin}.7clzi`])
  expect(unmarked(marked(undefined, { identity, gateways: 0 }))).toBeUndefined()
  expect(unmarked(undefined)).toBeUndefined()
  expect(unmarked(before)).toBe(before)
})

test('a mark is read wherever it stands, and there is never more than one', () => {
  const properties = { ...APPLICATION, userProperties: [...APPLICATION.userProperties, ['larder-id', '*3']] }
  const received = encodeForwarded(properties as never) as Buffer
  expect(isMarked(received)).toBe(false)
  expect(markOf(received)).toEqual({ identity: undefined, gateways: 3 })
  const bytes = marked(received, { identity: undefined, gateways: 4 })
  expect(markOf(bytes)).toEqual({ identity: undefined, gateways: 4 })
  expect(unmarked(bytes)).toEqual(encodeForwarded(APPLICATION))
})

test.each([
  '',
  'abc',
  '*',
  '*-1',
  '*1000',
  'short.1',
  'AAAAAAAAAAA.',
  'AAAAAAAAAAA.Z',
  'AAAAAAAAAAA.12345678901',
  '__proto__',
])('what is no mark is none: %j', value => {
  const bytes = encodeForwarded({ userProperties: [['larder-id', value]] })
  expect(markOf(bytes)).toEqual({ identity: undefined, gateways: 0 })
})

test('a message that goes on under another name says what it was called first, once', () => {
  const identity = { origin: newOrigin(), number: 7 }
  const bytes = marked(encodeForwarded(APPLICATION), { identity, gateways: 0 })
  const once = renamed(forwardedProperties(bytes), 'küche/lampe')
  expect(markOf(encodeForwarded(once))).toEqual({ identity, topic: 'küche/lampe', gateways: 0 })
  expect(renamed(once, 'villa/küche/lampe')).toEqual(once)
  const again = marked(encodeForwarded(once), { identity, topic: 'küche/lampe', gateways: 0 })
  expect(markOf(again)).toEqual({ identity, topic: 'küche/lampe', gateways: 0 })
  expect(unmarked(again)).toEqual(encodeForwarded(APPLICATION))
  expect(renamed({}, 'a')).toEqual({})
  expect(renamed({ userProperties: [['larder-id', '*3']] }, 'a')).toEqual({ userProperties: [['larder-id', '*3']] })
})

test('a name that does not fit beside the identity is left out', () => {
  const identity = { origin: newOrigin(), number: 7 }
  const [topic, unicode] = ['x'.repeat(65_530), 'ü'.repeat(32_765)]
  for (const name of [topic, unicode]) {
    const bytes = marked(encodeForwarded(APPLICATION), { identity, topic: name, gateways: 0 })
    expect(markOf(bytes)).toEqual({ identity, topic: undefined, gateways: 0 })
    const nameless = marked(encodeForwarded(APPLICATION), { identity, gateways: 0 })
    const sent = encodeForwarded(renamed(forwardedProperties(nameless), name))
    expect(markOf(sent)).toEqual({ identity, topic: undefined, gateways: 0 })
  }
})

const level = fc.constantFrom('a', 'b', '')
const levels = fc.array(level, { minLength: 1, maxLength: 5 })

test('the same renaming of two names is the same, another is another', () => {
  expect(renamingOf('a/b', 'a/b')).toBe('')
  expect(renamingOf('lamp', 'villa/lamp')).toBe('>villa')
  expect(renamingOf('home/lamp', 'villa/lamp')).toBe('home>villa')
  expect(renamingOf('lamp', '/lamp')).not.toBe('')
  fc.assert(
    fc.property(levels, levels, levels, (from, to, rest) => {
      const name = (...parts: string[][]) => parts.flat().join('/')
      expect(renamingOf(name(from, rest), name(to, rest))).toBe(renamingOf(name(from, ['x']), name(to, ['x'])))
      expect(renamingOf(name(from), name(to)) === '').toBe(name(from) === name(to))
    }),
  )
})

test('a renaming is never long, whatever a message says that it was called', () => {
  const long = 'z'.repeat(60_000)
  expect(renamingOf(long, 't').length).toBeLessThanOrEqual(100)
  expect(renamingOf(`${long}a`, 't')).not.toBe(renamingOf(`${long}b`, 't'))
  expect(renamingOf(`${long}/x`, 't/x')).toBe(renamingOf(`${long}/y`, 't/y'))
})
