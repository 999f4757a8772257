/** The tables of docs/devices.md and what the configuration takes: the same keys, and defaults that are what they say. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const DOC = readFileSync(new URL('../../../docs/devices.md', import.meta.url), 'utf8')

/** Key and default of each row of the table under a heading. */
function table(heading: string): [key: string, preset: string][] {
  const section = DOC.split(/^## /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `(\w+)` \| (.*?) ?\|/gm)].map(([, key, preset]) => [key!, preset!])
}

const base = 'name: A, room: R, file: { path: /x }'
const PLACES: [heading: string, yaml: (entry: string) => string, entry: string][] = [
  ['Keys of a device', entry => `devices: [{ ${entry} }]`, base],
  ['Keys of a field', entry => `devices: [{ ${base}, publish: fields, fields: { f: { ${entry} } } }]`, 'name: x'],
  ['Keys of a part', entry => `devices: [{ ${base}, parts: [{ ${entry} }] }]`, 'name: P'],
  [
    'Keys of a schedule',
    entry => `devices: [{ ${base} }]\nschedules: [{ ${entry} }]`,
    'name: S, cron: "* * * * *", poll: A',
  ],
]

describe.each(PLACES)('%s', (heading, yaml, entry) => {
  const rows = table(heading)

  test('are those that are known', () => {
    const [fault] = faultsOf(yaml(`${entry}, qqqqqqqq: 1`))
    const known = /known here: (.*)$/.exec(fault ?? '')?.[1]?.split(', ') ?? []
    expect(known.length).toBeGreaterThan(5)
    expect(rows.map(([key]) => key).sort()).toEqual(known.sort())
  })

  // A default in back quotes at the beginning is one that can be written.
  const written = rows.flatMap(([key, preset]) => {
    const literal = /^`([^`]+)`/.exec(preset)?.[1]
    return literal === undefined || key === 'others' ? [] : [[key, literal] as const]
  })

  test.each(written)('%s is %s when it is not written', (key, literal) => {
    const withDefault = configOf(
      yaml(
        `${entry}, ${key}: ${/[{]/.test(literal) && literal !== '{}' ? `'${literal.replace(/^"|"$/g, '')}'` : literal}`,
      ),
    )
    // What is written may stand in full where a default is left out: these are the same to whoever reads them.
    const fill = (config: typeof withDefault) => ({
      ...config,
      schedules: config.schedules.map(schedule => ({ jitter: 0, whenSynced: false, missed: 'skip', ...schedule })),
      devices: config.devices.map(device => filled({ ...device, parts: device.parts?.map(filled) })),
    })
    expect(fill(withDefault)).toEqual(fill(configOf(yaml(entry))))
  })
})

function filled<T extends { topic: string }>(thing: T): T {
  const { topic } = thing
  const topics = {
    availabilityTopic: `${topic}/availability`,
    commandTopic: `${topic}/set`,
    errorTopic: `${topic}/error`,
  }
  return { stamp: 'none', ...topics, ...thing }
}
