/** What a bridge carries: `out`, `in`, `both`, and their table in docs/bridges.md. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const DOC = readFileSync(new URL('../../../docs/bridges.md', import.meta.url), 'utf8')
const bridge = (rules: string): string => `bridges: [{ name: b, url: "mqtt://x", ${rules} }]`

test('a bridge has rules of any of three kinds', () => {
  const [read] = configOf(
    bridge('in: [{ filter: "a/#" }], both: [{ filter: "b/#", qos: 2, retain: clear }], notify_upstream: true'),
  ).bridges
  expect(read).toMatchObject({
    out: [],
    in: [{ filter: 'a/#', qos: 1 }],
    both: [{ filter: 'b/#', qos: 2, retain: 'clear' }],
    notifyUpstream: true,
  })
})

test('an empty filter maps one topic to one topic', () => {
  const [read] = configOf(bridge('out: [{ filter: "", local_prefix: home/t, remote_prefix: cloud/t }]')).bridges
  expect(read?.out).toEqual([{ filter: '', qos: 1, localPrefix: 'home/t', remotePrefix: 'cloud/t' }])
})

describe('faults', () => {
  test.each([
    ['out: []', 'bridges[0].out: needs at least one entry, such as - filter: "/Home/#"'],
    ['in: [{ filter: "", local_prefix: a }]', "bridges[0].in[0].filter: is '', which maps one topic to one topic"],
    [
      'in: [{ filter: "#", remote_prefix: site }]',
      "bridges[0].in[0].filter: together with remote_prefix it is 'site#', but",
    ],
    ['both: [{ filter: "a/#/b" }]', "bridges[0].both[0].filter: '#' in a topic filter must be its whole last level"],
    ['both: [{ filter: "a", qos: 3 }]', 'bridges[0].both[0].qos: '],
    ['both: [{ filter: "a", retain: no }]', 'bridges[0].both[0].retain: '],
  ])('%s', (rules, fault) => {
    const faults = faultsOf(bridge(rules))
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(fault)
  })
})

test('the table of rules has the keys that are known', () => {
  const section = DOC.split(/^##+ /m).find(text => text.startsWith('Rules\n')) ?? ''
  const written = [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(match => match[1])
  const known = /known here: (.*)$/.exec(faultsOf(bridge('out: [{ filter: "a", qqqqqqqq: 1 }]'))[0] ?? '')?.[1]
  expect(known?.split(', ').sort()).toEqual(written.sort())
})
