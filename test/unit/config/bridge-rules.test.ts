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

test('an outage leaves all, the newest, or a sample', () => {
  const left = (text: string) =>
    configOf(bridge(`out: [{ filter: a, on_backlog: ${text} }]`)).bridges[0]?.out[0]?.onBacklog
  expect(['keep', 'latest', 'sample 1m', 'sample 90s'].map(left)).toEqual([0, Number.POSITIVE_INFINITY, 60_000, 90_000])
})

test('what goes may be classed, wrapped, gathered and compressed', () => {
  const rule = '{ filter: a, priority: high, wrap: json, batch: { topic: house/all }, compress: gzip }'
  const [read] = configOf(bridge(`both: [${rule}], drain_share: 30, max_rate: 100`)).bridges
  expect(read).toMatchObject({ drainShare: 30, maxRate: 100 })
  expect(read?.both).toEqual([
    {
      filter: 'a',
      qos: 1,
      priority: 'high',
      wrap: 'json',
      batch: { every: 1_000, maxBytes: 65_536, topic: 'house/all' },
      compress: 'gzip',
    },
  ])
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
    ['out: [{ filter: a, on_backlog: sample }]', 'must be keep, latest or sample with a duration, such as sample 1m'],
    ['out: [{ filter: a, on_backlog: sample 1ms }]', 'must be a sample of 1s to 30d; found 1ms'],
    ['out: [{ filter: a, on_backlog: 60 }]', 'bridges[0].out[0].on_backlog: must be keep, latest or sample'],
    ['out: [{ filter: a, priority: urgent }]', 'must be high, normal or low'],
    ['out: [{ filter: a, batch: { every: 1s } }]', 'bridges[0].out[0].batch.topic: is required'],
    ['out: [{ filter: a, batch: { topic: a/# } }]', 'bridges[0].out[0].batch.topic: '],
    [
      'out: [{ filter: a, qos: 2, batch: { topic: b } }]',
      'bridges[0].out[0].qos: must be 0 or 1: a batch is acknowledged as a whole',
    ],
    ['in: [{ filter: a, wrap: json }]', 'bridges[0].in[0].wrap: unknown key'],
    ['out: [{ filter: a }], drain_share: 101', 'bridges[0].drain_share: must be between 0 and 100'],
    ['out: [{ filter: a }], max_rate: 0', 'bridges[0].max_rate: must be between 1 and 1000000'],
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
