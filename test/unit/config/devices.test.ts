/** What is written at a device comes out as it is meant, or is a fault at its place. */
import { expect, test } from 'vitest'
import { configOf, faultsOf } from './loading.ts'

const one = (rest: string, more = '') =>
  `devices:\n  - { name: A, room: R, gpio: { pin: 1, direction: in }, ${rest} }\n${more}`
const devicesOf = (text: string) => configOf(text).devices

test('all that shapes a reading', () => {
  const [device] = devicesOf(`
devices:
  - name: Radio
    room: Cellar
    topic: rf/{gateway}/{room}/{name}
    availability_topic: "{topic}/there"
    command_topic: "rf/{name}/do"
    error_topic: rf/error
    stamp: properties
    stale_after: 10m
    scale: 0.1
    round: 1
    map: { 0: closed, "1": open, default: 7 }
    deadband: 5%
    unit: °C
    device_class: temperature
    state_class: measurement
    min_interval: 10s
    max_interval: 5m
    window: { every: 1m, of: median }
    publish: fields
    fields:
      TEMP: { name: temperature, scale: 0.1, deadband: 0.2, window: { every: 30s } }
      RSSI: drop
      NOTHING:
      "*": { round: 2 }
    others: drop
    parts:
      - { when: { id: "0001", channel: [1, 2], ok: true }, name: Fridge, room: Kitchen, value: TEMP, stale_after: 1h }
      - { name: Garden, topic: "g/{name}", qos: 1, retain: no, publish: json, stamp: none }
    file: { path: /x }
`)
  const asIs = { scale: 1, offset: 0, round: undefined }
  const interval = { minInterval: 10_000, maxInterval: 300_000, window: { every: 60_000, of: 'median' } }
  expect(device).toStrictEqual({
    name: 'Radio',
    room: 'Cellar',
    kind: 'file',
    settings: { path: '/x', every: 30_000, pattern: undefined },
    topic: 'rf/Larder/Cellar/Radio',
    availabilityTopic: 'rf/Larder/Cellar/Radio/there',
    commandTopic: 'rf/Radio/do',
    errorTopic: 'rf/error',
    qos: 0,
    retain: true,
    publish: 'fields',
    stamp: 'properties',
    staleAfter: 600_000,
    shape: {
      scale: 0.1,
      offset: 0,
      round: 1,
      map: { '0': 'closed', '1': 'open', default: 7 },
      deadband: { by: 0.05, relative: true },
      unit: '°C',
      deviceClass: 'temperature',
      stateClass: 'measurement',
    },
    ...interval,
    fields: {
      TEMP: {
        name: 'temperature',
        ...asIs,
        scale: 0.1,
        deadband: { by: 0.2, relative: false },
        window: { every: 30_000, of: 'average' },
      },
      RSSI: 'drop',
      '*': { ...asIs, round: 2 },
    },
    others: 'drop',
    parts: [
      {
        name: 'Fridge',
        room: 'Kitchen',
        topic: '/Home/Kitchen/Fridge',
        when: { id: ['0001'], channel: ['1', '2'], ok: ['true'] },
        value: 'TEMP',
        qos: 0,
        retain: true,
        publish: 'fields',
        stamp: 'properties',
        staleAfter: 3_600_000,
        shape: asIs,
      },
      {
        name: 'Garden',
        room: 'Cellar',
        topic: 'g/Garden',
        when: {},
        qos: 1,
        retain: false,
        publish: 'json',
        stamp: 'none',
        staleAfter: 600_000,
        shape: asIs,
      },
    ],
  })
})

test('topics of all devices', () => {
  const text = `
name: House/One
devices:
  topic: "{gateway}/{room}/{name}"
  availability_topic: "{topic}/up"
  command_topic: cmd/{room}/{name}
  list:
    - { name: A, room: R, gpio: { pin: 1, direction: in }, parts: [{ name: P }] }
    - { name: B, room: R, topic: own, command_topic: "{topic}/do", gpio: { pin: 2, direction: out } }
    - { name: C, system: }
`
  const below = (topic: string) => ({ topic, availabilityTopic: `${topic}/up` })
  expect(devicesOf(text)).toMatchObject([
    { ...below('House/One/R/A'), commandTopic: 'cmd/R/A', parts: [below('House/One/R/P')] },
    { ...below('own'), commandTopic: 'own/do' },
    { ...below('House/One/House/One/C'), commandTopic: 'cmd/House/One/C' },
  ])
  expect(devicesOf(text)[0]).not.toHaveProperty('errorTopic')
  expect(devicesOf(text)[0]?.parts?.[0]).not.toHaveProperty('commandTopic')
  expect(devicesOf('devices: { topic: x/y }')).toEqual([])
})

test('a schedule', () => {
  const { schedules } = configOf(
    one('', 'schedules: [{ cron: "0 7 * * *", jitter: 30s, when_synced: true, missed: once, poll: A }]'),
  )
  expect(schedules).toStrictEqual([{ cron: '0 7 * * *', jitter: 30_000, whenSynced: true, missed: 'once', poll: 'A' }])
})

test.each<[what: string, text: string, fault: string]>([
  [
    'a placeholder nobody knows',
    one('topic: »"x/{rom}"'),
    'devices[0].topic: {rom} is not known; use {gateway}, {room} or {name}',
  ],
  [
    'a topic that speaks of itself',
    one('topic: »"{topic}/x"'),
    'devices[0].topic: {topic} is not known; use {gateway}, {room} or {name}',
  ],
  ['a wildcard', one('command_topic: »"{topic}/#"'), 'devices[0].command_topic: must not contain wildcards'],
  [
    'commands where readings go',
    one('command_topic: »"{topic}"'),
    'devices[0].command_topic: the topic /Home/R/A is taken already, by devices[0]: give one of them another name, room or topic',
  ],
  [
    'one availability for two',
    `devices:\n  availability_topic: "{room}/up"\n  list:\n    - { name: A, room: R, system: }\n    - { name: »B, room: R, system: }`,
    'devices.list[1].name: the topic R/up is taken already, by devices.list[0]: give one of them another name, room or topic',
  ],
  [
    'a part where its device is',
    one('parts: [{ name: »A }]'),
    'devices[0].parts[0].name: the topic /Home/R/A is taken already, by devices[0]: give one of them another name, room or topic',
  ],
  [
    'two parts on one topic',
    one('parts: [{ name: P, topic: x }, { name: Q, topic: »x }]'),
    'devices[0].parts[1].topic: the topic x is taken already, by devices[0].parts[0]: give one of them another name, room or topic',
  ],
  [
    'two of one name on different topics',
    `${one('')}  - { name: »A, room: R, topic: x, system: }`,
    'devices[1].name: the name R/A is taken already, by devices[0]: give one of them another name or room',
  ],
  [
    'a part that takes commands',
    one('parts: [{ name: P, »command_topic: x }]'),
    'devices[0].parts[0].command_topic: unknown key',
  ],
  [
    'one line of a chip twice',
    `${one('')}  - { name: B, room: R, gpio: { chip: x, line: 1, direction: in } }
  - { name: C, room: R, gpio: { chip: x, line: »1, direction: out } }
  - { name: D, room: R, gpio: { chip: y, line: 1, direction: out } }`,
    'devices[2].gpio.line: the line x 1 is taken already, by devices[1]: a line has one use',
  ],
  ['others of nobody', one('»others: drop'), 'devices[0].others: belongs to a device with parts'],
  [
    'intervals the wrong way round',
    one('min_interval: 1m, max_interval: »10s'),
    'devices[0].max_interval: must not be shorter than min_interval',
  ],
  [
    'an interval that is longer than a life',
    one('min_interval: »6m, stale_after: 10m'),
    'devices[0].min_interval: must not be longer than half of stale_after, which is how often values are renewed',
  ],
  [
    'an interval of a field in one message',
    one('fields: { t: { »window: { every: 1m } } }'),
    'devices[0].fields.t.window: needs publish: fields; in one message for all, what is written at the device counts',
  ],
  [
    'an interval of a field in one message of a part',
    one('parts: [{ name: P, fields: { t: { »min_interval: 1m } } }]'),
    'devices[0].parts[0].fields.t.min_interval: needs publish: fields; in one message for all, what is written at the device counts',
  ],
  [
    'fields of one value',
    one('value: t, »fields: { t: drop }'),
    'devices[0].fields: belongs to several values, and value takes one: shape that one itself',
  ],
  [
    'two fields of one name',
    one('fields: { a: { round: 1 }, b: »{ name: a } }'),
    'devices[0].fields.b: is called a, as a is',
  ],
  [
    'one name for all fields',
    one('fields: { "*": { »name: a } }'),
    'devices[0].fields["*"].name: one name for all that are left cannot be',
  ],
  [
    'a field that is neither',
    one('fields: { a: »keep }'),
    "devices[0].fields.a: must be a map of keys, such as round: 1, or the word drop; found the text 'keep'",
  ],
  [
    'fields that are none',
    one('fields: »[a]'),
    'devices[0].fields: must be a map, such as temperature: { round: 1 }; found a list',
  ],
  [
    'a deadband that is none',
    one('deadband: »-1'),
    'devices[0].deadband: must be how far a value has to move, such as 0.2 or 5%; found the number -1',
  ],
  ['a map to a map', one('map: { a: »{ b: 1 } }'), 'devices[0].map.a: must be one value, such as closed; found a map'],
  [
    'a condition that is none',
    one('parts: [{ name: P, when: { id: »{ a: 1 } } }]'),
    'devices[0].parts[0].when.id: must be one value',
  ],
  [
    'a window of another kind',
    one('window: { every: 1m, of: »mean }'),
    'devices[0].window.of: must be average, min, max, median, sum or last',
  ],
  [
    'a device class',
    one('device_class: »CO2'),
    'devices[0].device_class: may have small letters, digits and _ only, such as carbon_dioxide',
  ],
  [
    'neither list nor map',
    'devices: »5',
    'devices: must be a list, each entry behind a dash, such as - name: Thermometer; found the number 5',
  ],
])('%s', (_, marked, fault) => {
  const before = marked.slice(0, marked.indexOf('»')).split('\n')
  const place = `${before.length}:${before.at(-1)!.length + 1}`
  expect(faultsOf(marked.replace('»', ''))).toEqual([expect.stringContaining(`${place}: ${fault}`)])
})
