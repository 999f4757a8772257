import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { dashboardAlone } from '../../../src/config/dashboard-alone.ts'
import { MAX_SERIES, POINTS, STEP_MS } from '../../../src/dashboard/history.ts'
import { MAX_BODY } from '../../../src/dashboard/http.ts'
import { MAX_LOGINS } from '../../../src/dashboard/logins.ts'
import { MAX_CLIENTS } from '../../../src/dashboard/sections.ts'
import { MAX_STREAMS } from '../../../src/dashboard/streams.ts'
import { MAX_BYTES, MAX_PAYLOAD, MAX_TOPICS } from '../../../src/dashboard/topics.ts'
import { configOf, faultsOf, load } from './loading.ts'

const DEFAULT = { listen: { host: '127.0.0.1', port: 8080 }, isDefault: true, names: [] }
const OFF = { isDefault: false, names: [] }

test.each([
  ['', DEFAULT],
  ['dashboard: true', DEFAULT],
  ['dashboard: {}', DEFAULT],
  ['dashboard: false', OFF],
  ['dashboard: off', OFF],
  ['dashboard: { listen: off }', OFF],
  ['dashboard: { listen: 127.0.0.1:0 }', { ...DEFAULT, listen: { host: '127.0.0.1', port: 0 }, isDefault: false }],
  ["dashboard: { listen: '[::1]:81' }", { ...DEFAULT, listen: { host: '::1', port: 81 }, isDefault: false }],
  [
    'dashboard: { listen: http://localhost:81/ }',
    { ...DEFAULT, listen: { host: 'localhost', port: 81 }, isDefault: false },
  ],
  ['dashboard: { names: [a.example] }', { ...DEFAULT, names: ['a.example'] }],
  [
    'dashboard: { listen: 0.0.0.0:80, users: people, tls: { cert: c.pem, key: k.pem } }',
    {
      listen: { host: '0.0.0.0', port: 80 },
      isDefault: false,
      names: [],
      users: '/home/owner/people',
      tls: { cert: '/home/owner/c.pem', key: '/home/owner/k.pem' },
    },
  ],
  // Nobody has asked for it there: others come first.
  ["listeners: ['ws://127.0.0.1:8080']", { isDefault: true, names: [] }],
  ['metrics: { listen: http://127.0.0.1:8080 }', { isDefault: true, names: [] }],
])('%s', (text, expected) => {
  expect(configOf(text).dashboard).toEqual(expected)
})

test.each([
  [
    'dashboard: 8080',
    /^1:12: dashboard: must be a map of keys, such as listen: 127.0.0.1:8080; found the number 8080$/,
  ],
  [
    'dashboard: { listen: 8080 }',
    /^1:22: dashboard.listen: must be an address and a port, such as 127.0.0.1:8080, or off/,
  ],
  ['dashboard: { listen: a:99999 }', /the port must be between 0 and 65535; found 99999$/],
  [
    'dashboard: { listen: 0.0.0.0:80 }',
    /^1:22: dashboard.listen: whoever reaches 0.0.0.0:80 could rule the gateway: add users/,
  ],
  ["dashboard: { listen: '[::]:80' }", /whoever reaches \[::\]:80 could rule/],
  ['dashboard: { tls: { cert: a } }', /^1:19: dashboard.tls: key: is required|dashboard.tls.*key/],
  ['dashboard: { user: a }', /^1:14: dashboard.user: unknown key; did you mean 'users'\?$/],
])('%s is a fault', (text, fault) => {
  expect(faultsOf(text)).toEqual([expect.stringMatching(fault)])
})

test('the environment may say where, and who', () => {
  const env = { LARDER_DASHBOARD_LISTEN: '0.0.0.0:80', LARDER_DASHBOARD_USERS: 'people' }
  const result = load({ text: '', env })
  expect('config' in result && result.config.dashboard).toMatchObject({ listen: { port: 80 }, isDefault: false })
  const off = load({ text: '', env: { LARDER_DASHBOARD_LISTEN: 'off' } })
  expect('config' in off && off.config.dashboard).toEqual(OFF)
})

test('of a file with faults, the part about the page counts if that can be read', () => {
  const options = { env: {}, cwd: '/nowhere', checks: { cron: () => undefined } }
  expect(dashboardAlone({ ...options, file: 'missing.yaml' })).toEqual(DEFAULT)
})

test('docs/dashboard.md has a row for each key', () => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/dashboard.md'), 'utf8')
  const rows = [...text.matchAll(/^\| `([a-z_.]+)` \|/gm)].map(([, key]) => key)
  const [fault = ''] = faultsOf('dashboard: { zzzzzzzz: 1 }')
  const known = fault.replace(/^.*known here: /, '').split(', ')
  expect(rows.filter(key => !key?.includes('.'))).toEqual(known)
})

test.each([
  ['pages open at once', `${MAX_STREAMS}`],
  ['browsers logged in', `${MAX_LOGINS};`],
  [
    'topics in the tree',
    `${MAX_TOPICS.toLocaleString('en')} topics, ${MAX_BYTES / 2 ** 20} MiB, ${MAX_PAYLOAD / 2 ** 10} KiB`,
  ],
  ['clients in the list', `${MAX_CLIENTS.toLocaleString('en')},`],
  ['history', `${(POINTS * STEP_MS) / 3_600_000} hours in points of a minute, ${MAX_SERIES} series`],
  ['body of a request', `${MAX_BODY / 2 ** 20} MiB`],
])('docs/dashboard.md says how many: %s', (what, bound) => {
  const text = readFileSync(join(import.meta.dirname, '../../../docs/dashboard.md'), 'utf8')
  expect(text).toContain(`| ${what} | ${bound}`)
})
