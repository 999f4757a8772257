/**
 * The trees of `Acl` against the plainest reading of the rules: a list, gone through rule by rule as Mosquitto does
 * it, with names put in as text; and what a subscription can bring against all topics there are.
 */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Acl } from '../../../src/access/acl.ts'
import { parseAcl } from '../../../src/access/acl-file.ts'
import { examplesOf, intersection } from '../../../src/access/acl-overlap.ts'
import type { AclClient } from '../../../src/access/acl-tree.ts'
import { filterMatches } from '../../../src/mqtt/topics.ts'

interface Line {
  kind: 'topic' | 'pattern'
  /** Undefined: before the first `user`. */
  user: string | undefined
  access: 'read' | 'write' | 'readwrite' | 'deny'
  filter: string
}

const NAMES = ['a', 'b', 'c1', '$x', '%u', '%c', 'a/b', 'b/', '+', '#', 'a+', '__proto__']
const LEVELS = ['a', 'b', 'c1', '', '$x', '%u', '%c', '__proto__']

const client: fc.Arbitrary<AclClient> = fc.record({
  id: fc.constantFrom(...NAMES),
  userName: fc.constantFrom(undefined, '', ...NAMES),
})
const topic = fc
  .array(fc.constantFrom(...LEVELS), { minLength: 1, maxLength: 4 })
  .map(levels => levels.join('/'))
  .filter(text => text !== '')
const filter = fc
  .tuple(fc.array(fc.constantFrom(...LEVELS, '+', '+'), { maxLength: 3 }), fc.boolean())
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
  .filter(text => text !== '')
const patternFilter = fc
  .tuple(
    fc.array(fc.constantFrom('a', 'b', '+', '%c', '%u', '%c', '%u', 'a%c', '%u%c'), { maxLength: 3 }),
    fc.boolean(),
  )
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
  .filter(text => text !== '')
const access = fc.constantFrom('read', 'write', 'readwrite', 'deny')
const line: fc.Arbitrary<Line> = fc.oneof(
  fc.record({ kind: fc.constant('topic'), user: fc.constantFrom(undefined, ...NAMES), access, filter }),
  fc.record({ kind: fc.constant('pattern'), user: fc.constant(undefined), access, filter: patternFilter }),
)
const lines = fc.array(line, { maxLength: 8 })

function aclOf(rules: readonly Line[]): Acl {
  const text = [...rules]
    // Those for anonymous clients must come before the first user.
    .sort((a, b) => Number(a.user !== undefined) - Number(b.user !== undefined))
    .flatMap(({ kind, user, access: right, filter: f }) => [
      ...(user === undefined ? [] : [`user ${user}`]),
      `${kind} ${right} ${f}`,
    ])
  const read = parseAcl(text.join('\n'), 'acl')
  if ('faults' in read) throw new Error(JSON.stringify({ text, ...read }))
  return read.acl
}

function plainlyMay(rules: readonly Line[], who: AclClient, name: string, right: 'read' | 'write'): boolean {
  const own = rules.filter(rule => rule.kind === 'topic' && rule.user === (who.userName || undefined))
  const decided = decide(own, right, rule => filterMatches(rule.filter, name))
  if (decided !== undefined) return decided
  if (/[+#]/.test(who.id) || /[+#]/.test(who.userName ?? '')) return false
  const patterns = rules.filter(rule => rule.kind === 'pattern')
  return decide(patterns, right, rule => patternMatches(rule, who, name)) ?? false
}

/** What denies goes before what grants. */
function decide(rules: readonly Line[], right: string, matches: (rule: Line) => boolean): boolean | undefined {
  const met = rules.filter(matches)
  if (met.some(rule => rule.access === 'deny')) return false
  if (met.some(rule => rule.access.includes(right))) return true
  return undefined
}

function patternMatches({ filter: pattern, access: right }: Line, who: AclClient, name: string): boolean {
  const names = { '%c': who.id, '%u': who.userName ?? '' }
  const used = Object.entries(names).filter(([placeholder]) => pattern.includes(placeholder))
  if (used.some(([, value]) => value === '')) return false
  if (right !== 'deny') {
    if (used.some(([, value]) => value.includes('/'))) return false
    if (/^%[cu]/.test(pattern) && name.startsWith('$')) return false
  }
  const filled = pattern.replace(/%[cu]/g, placeholder => names[placeholder as keyof typeof names])
  return filterMatches(filled, name)
}

test('a check answers what the rules say, one by one', () => {
  fc.assert(
    fc.property(lines, fc.array(fc.tuple(client, topic), { minLength: 1, maxLength: 12 }), (rules, asked) => {
      const acl = aclOf(rules)
      for (const [who, name] of asked) {
        expect(acl.mayReceive(who, name)).toBe(plainlyMay(rules, who, name, 'read'))
        expect(acl.mayPublish(who, name)).toBe(plainlyMay(rules, who, name, 'write'))
      }
    }),
    { numRuns: 3_000 },
  )
}, 30_000)

/** Topics of up to `depth` levels, all that the rules below can tell apart: 'z' is in none of them. */
function everyTopic(depth: number): string[] {
  const levels = ['a', 'b', 'c1', 'z', '$x']
  const found = levels.map(level => [level])
  for (const topic of found) if (topic.length < depth) for (const level of levels) found.push([...topic, level])
  return found.map(topic => topic.join('/'))
}

const narrowFilter = fc
  .tuple(
    fc.constantFrom('a', 'b', '+', '$x'),
    fc.array(fc.constantFrom('a', 'b', 'c1', '+'), { maxLength: 2 }),
    fc.boolean(),
  )
  .map(([first, levels, hash]) => [first, ...levels, ...(hash ? ['#'] : [])].join('/'))
const plainFilter = fc.oneof({ weight: 5, arbitrary: narrowFilter }, fc.constant('#'))
const plainPattern = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '+', '%c', '%u'), { minLength: 1, maxLength: 3 }), fc.boolean())
  .map(([levels, hash]) => [...levels, ...(hash ? ['#'] : [])].join('/'))
const readOrDeny = fc.constantFrom<Line['access'][]>('read', 'deny')
const plainLine: fc.Arbitrary<Line> = fc.oneof(
  fc.record({ kind: fc.constant('topic'), user: fc.constant('a'), access: readOrDeny, filter: plainFilter }),
  fc.record({ kind: fc.constant('pattern'), user: fc.constant(undefined), access: readOrDeny, filter: plainPattern }),
)

test('a subscription is allowed exactly if there is a topic that it can bring', () => {
  const topics = everyTopic(5)
  const ids = fc.constantFrom('a', 'b', 'c1', '$x', 'a/b', '#')
  const outcomes = { allowed: 0, refused: 0 }
  fc.assert(
    fc.property(
      fc.array(plainLine, { maxLength: 6 }),
      ids,
      plainFilter,
      fc.constantFrom('', '$share/g/'),
      (rules, id, wanted, share) => {
        const who = { id, userName: 'a' }
        const brings = topics.some(name => filterMatches(wanted, name) && plainlyMay(rules, who, name, 'read'))
        expect(aclOf(rules).maySubscribe(who, share + wanted)).toBe(brings)
        outcomes[brings ? 'allowed' : 'refused']++
      },
    ),
    { numRuns: 500 },
  )
  expect(Math.min(outcomes.allowed, outcomes.refused)).toBeGreaterThan(50)
}, 30_000)

test('an intersection matches what both match, and has examples that it matches', () => {
  const topics = everyTopic(4)
  fc.assert(
    fc.property(plainFilter, plainFilter, (one, other) => {
      const levels = intersection(one.split('/'), other.split('/'))
      const common = levels?.join('/')
      const found = topics.filter(name => common !== undefined && filterMatches(common, name))
      expect(found).toEqual(topics.filter(name => filterMatches(one, name) && filterMatches(other, name)))
      if (levels === undefined || common === undefined) return
      for (const name of examplesOf(levels, 3)) expect(filterMatches(common, name)).toBe(true)
    }),
    { numRuns: 500 },
  )
}, 30_000)
