/** `home_assistant`: the table of docs/home-assistant.md and what the configuration takes are the same. */
import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const DOC = readFileSync(new URL('../../../docs/home-assistant.md', import.meta.url), 'utf8')
const rows = [...DOC.matchAll(/^\| `(\w+)` \| `([^`]+)`/gm)].map(([, key, preset]) => [key!, preset!] as const)

test('the keys are those that are known', () => {
  const [fault] = faultsOf('home_assistant: { qqqqqqqq: 1 }')
  const known = /known here: (.*)$/.exec(fault ?? '')?.[1]?.split(', ') ?? []
  expect(rows.map(([key]) => key).sort()).toEqual(known.sort())
})

test.each(rows)('%s is %s when it is not written', (key, preset) => {
  expect(configOf(`home_assistant: { ${key}: ${preset} }`)).toEqual(configOf('home_assistant:'))
})

test.each<[string, boolean]>([
  ['', false],
  ['home_assistant:', true],
  ['home_assistant: {}', true],
  ['home_assistant: { prefix: ha }', true],
  ['home_assistant: { enabled: false }', false],
])('%j announces: %s', (text, enabled) => {
  expect(configOf(text).homeAssistant.enabled).toBe(enabled)
})

test.each([
  ['home_assistant: { prefix: a/+ }', 'home_assistant.prefix'],
  ['home_assistant: { prefix: /a }', 'home_assistant.prefix'],
  ['home_assistant: { birth_topic: a/# }', 'home_assistant.birth_topic'],
  ['home_assistant: yes', 'home_assistant'],
])('%s is a fault', (text, path) => {
  expect(faultsOf(text)).toEqual([expect.stringContaining(`${path}: must`)])
})
