/** Each kind of device and value, and what is announced of it. */
import { describe, expect, test } from 'vitest'
import { MAX_ENTITIES, ownTopics } from '../../../../src/devices/home-assistant/announcement.ts'
import type { Role } from '../../../../src/devices/home-assistant/component.ts'
import { gatewayId, thingId } from '../../../../src/devices/home-assistant/ids.ts'
import { SENDERS } from '../../../property/devices/senders.ts'
import { decoder } from '../../../support/decode.ts'
import { announced, components, deviceOf, HOUSE, inhabitant, one, serial, type Values } from './announcing.ts'

const sensor = { platform: 'sensor', state_topic: '/Home/Kitchen/T' }
const gpio = 'name: T, room: Kitchen, gpio: { pin: 1, direction: '
const order = { command_topic: '/Home/Kitchen/T/set', message_expiry_interval: 15, retain: false }

const CASES: [what: string, yaml: string, role: Role, values: Values, expected: Record<string, object>][] = [
  [
    'a quantity with a unit, which has statistics',
    `${serial}, round: 1, stale_after: 90s`,
    'sensor',
    { '': { unit: '°C', deviceClass: 'temperature' } },
    {
      '': {
        ...sensor,
        ...{ unit_of_measurement: '°C', device_class: 'temperature', state_class: 'measurement' },
        ...{ suggested_display_precision: 1, expire_after: 90 },
      },
    },
  ],
  ['a value of which nothing is known', serial, 'sensor', { '': {} }, { '': sensor }],
  [
    'text, which has no decimals although the device has',
    `${serial}, round: 2`,
    'sensor',
    { battery_low: {} },
    {
      'Battery low': {
        ...sensor,
        value_template: '{% if "battery_low" in value_json %}{{ value_json["battery_low"] }}{% endif %}',
      },
    },
  ],
  [
    'what is not retained, and so is not renewed either',
    `${serial}, stale_after: 90s, retain: false`,
    'sensor',
    { '': {} },
    { '': sensor },
  ],
  [
    'several values in one message with its time',
    `${serial}, stamp: json, fields: { TEMP: { name: temperature, round: 1 } }`,
    'sensor',
    { temperature: { unit: '°C', deviceClass: 'temperature', stateClass: 'measurement' }, 'a"b': {} },
    {
      Temperature: {
        ...sensor,
        ...{ unit_of_measurement: '°C', device_class: 'temperature', state_class: 'measurement' },
        suggested_display_precision: 1,
        value_template:
          '{% if "temperature" in value_json["value"] %}{{ value_json["value"]["temperature"] }}{% endif %}',
      },
      'A"b': {
        ...sensor,
        value_template: '{% if "a\\"b" in value_json["value"] %}{{ value_json["value"]["a\\"b"] }}{% endif %}',
      },
    },
  ],
  [
    'several values with a topic each',
    `${serial}, publish: fields`,
    'sensor',
    { humidity: { unit: '%', deviceClass: 'humidity' }, set: {} },
    {
      Humidity: {
        ...sensor,
        state_topic: '/Home/Kitchen/T/humidity',
        ...{ unit_of_measurement: '%', device_class: 'humidity', state_class: 'measurement' },
      },
      Set: { ...sensor, state_topic: '/Home/Kitchen/T/set_' },
    },
  ],
  [
    'a counter',
    `${gpio}count, per_pulse: 0.01 }, fields: { total: { unit: m³, device_class: gas } }`,
    'sensor',
    {
      total: { unit: 'm³', deviceClass: 'gas', stateClass: 'total_increasing' },
      rate: { stateClass: 'measurement' },
    },
    {
      Total: {
        ...sensor,
        ...{ unit_of_measurement: 'm³', device_class: 'gas', state_class: 'total_increasing' },
        value_template: '{% if "total" in value_json %}{{ value_json["total"] }}{% endif %}',
      },
      Rate: {
        ...sensor,
        state_class: 'measurement',
        value_template: '{% if "rate" in value_json %}{{ value_json["rate"] }}{% endif %}',
      },
    },
  ],
  [
    'energy of which nobody says how it behaves',
    serial,
    'sensor',
    { '': { unit: 'kWh', deviceClass: 'energy' } },
    { '': { ...sensor, unit_of_measurement: 'kWh', device_class: 'energy', state_class: 'total_increasing' } },
  ],
  [
    'a class without the unit that it needs, and one that there is not for a sensor',
    `${serial}, publish: fields`,
    'sensor',
    { a: { deviceClass: 'temperature' }, b: { deviceClass: 'ph' } },
    {
      A: { ...sensor, state_topic: '/Home/Kitchen/T/a' },
      B: { ...sensor, state_topic: '/Home/Kitchen/T/b', device_class: 'ph' },
    },
  ],
  [
    'one of several texts',
    `${serial}, map: { "0": idle, "1": heating, default: unknown }`,
    'sensor',
    { '': {} },
    { '': { ...sensor, device_class: 'enum', options: ['idle', 'heating', 'unknown'] } },
  ],
  [
    'one of two texts with a class for them',
    `${serial}, device_class: window, map: { "1": open, "0": closed }`,
    'sensor',
    { '': { deviceClass: 'window' } },
    { '': { ...sensor, platform: 'binary_sensor', device_class: 'window', payload_on: 'open', payload_off: 'closed' } },
  ],
  [
    'one of two texts that are the owner’s own',
    `${serial}, map: { "1": heating, "0": idle }`,
    'sensor',
    { '': {} },
    { '': sensor },
  ],
  [
    'true and false, which are capitals when they come out of JSON',
    `${serial}, fields: { BAT: { map: { "1": true, "0": false } } }`,
    'sensor',
    { BAT: {} },
    {
      BAT: {
        ...sensor,
        platform: 'binary_sensor',
        value_template: '{% if "BAT" in value_json %}{{ value_json["BAT"] }}{% endif %}',
        ...{ payload_on: 'True', payload_off: 'False' },
      },
    },
  ],
  [
    'what is on or off by its class alone',
    `${serial}, device_class: smoke`,
    'sensor',
    { '': { deviceClass: 'smoke' } },
    {
      '': {
        ...sensor,
        ...{ platform: 'binary_sensor', device_class: 'smoke', payload_on: 'True', payload_off: 'False' },
        value_template: '{{ (value | string | lower) in ["on","true","1","yes","open"] }}',
      },
    },
  ],
  [
    'what is on or off when it has no unit, and a quantity when it has one or is reckoned with',
    `${serial}, publish: fields, fields: { c: { scale: 0.5 } }`,
    'sensor',
    { a: { deviceClass: 'battery' }, b: { deviceClass: 'battery', unit: '%' }, c: { deviceClass: 'battery' } },
    {
      A: {
        ...sensor,
        state_topic: '/Home/Kitchen/T/a',
        ...{ platform: 'binary_sensor', device_class: 'battery', payload_on: 'True', payload_off: 'False' },
        value_template: '{{ (value | string | lower) in ["on","true","1","yes","open"] }}',
      },
      B: {
        ...sensor,
        state_topic: '/Home/Kitchen/T/b',
        ...{ device_class: 'battery', unit_of_measurement: '%', state_class: 'measurement' },
      },
      C: { ...sensor, state_topic: '/Home/Kitchen/T/c' },
    },
  ],
  [
    'an input',
    `${gpio}in }, device_class: door, map: { on: closed, off: open }, stale_after: 1h, qos: 1`,
    'input',
    { '': { deviceClass: 'door' } },
    {
      '': {
        ...sensor,
        ...{ platform: 'binary_sensor', device_class: 'door', payload_on: 'closed', payload_off: 'open' },
        expire_after: 3600,
      },
    },
  ],
  [
    'an input with its time, of a class that it cannot have',
    `${gpio}in }, device_class: temperature, stamp: json`,
    'input',
    { '': { deviceClass: 'temperature' } },
    {
      '': {
        ...sensor,
        ...{ platform: 'binary_sensor', payload_on: 'on', payload_off: 'off' },
        value_template: '{{ value_json["value"] }}',
      },
    },
  ],
  [
    'a button',
    `${gpio}in, edge: rising }`,
    'press',
    {},
    { '': { ...sensor, platform: 'event', event_types: ['press'], value_template: '{"event_type":"press"}' } },
  ],
  [
    'an output, whose state has words of its own',
    `${gpio}out }, map: { on: running, off: still }, stale_after: 1m`,
    'output',
    { '': {} },
    {
      '': {
        ...sensor,
        ...order,
        platform: 'switch',
        ...{ payload_on: 'on', payload_off: 'off', state_on: 'running', state_off: 'still' },
      },
    },
  ],
  [
    'an output that goes off by itself',
    `${gpio}out, pulse: 500ms }`,
    'pulse',
    { '': {} },
    { '': { ...order, platform: 'button', payload_press: 'on' } },
  ],
]

describe('a device', () => {
  test.each(CASES)('%s', (_, yaml, role, values, expected) => {
    expect(components(one(deviceOf(yaml), values, role))).toEqual(expected)
  })

  test('is in its room, behind its gateway, and there when both are', () => {
    const thing = deviceOf('name: Wärme, room: Keller/Süd, file: { path: /x }, availability_topic: up')
    const announcement = one(thing, { '': {} })
    expect(announcement?.device).toEqual({
      identifiers: [thingId('Larder', thing)],
      name: 'Wärme',
      suggested_area: 'Keller/Süd',
      via_device: gatewayId('Larder'),
    })
    expect(announcement?.origin).toEqual({ name: 'Larder', sw_version: '0.1.0' })
    expect(announcement?.availability).toEqual([{ topic: ownTopics(HOUSE).availability }, { topic: 'up' }])
    expect(announcement?.availability_mode).toBe('all')
    const [component] = Object.values(announcement?.components ?? {})
    expect(component?.default_entity_id).toBe('sensor.keller_sud_warme')
    expect(component?.unique_id).toBe(`${thingId('Larder', thing)}_value`)
  })

  test('of which nothing is known is not announced yet', () => {
    expect(one(deviceOf(serial), {})).toBeUndefined()
  })

  test('has the values that it gave, not all that its source knows of', () => {
    const thing = deviceOf(`${serial}, publish: fields, fields: { c: { unit: V } }`)
    const all = inhabitant(thing, { a: {}, b: {}, c: { unit: 'V' } })
    const [announcement] = [...announced([{ ...all, state: { ...all.state, seen: ['b'] } }]).values()].slice(1)
    expect(Object.keys(components(announcement))).toEqual(['B'])
  })

  test('of the gateway’s own room has no area', () => {
    const announcement = one(deviceOf('name: T, room: Larder, file: { path: /x }'), { '': {} })
    expect(announcement?.device).not.toHaveProperty('suggested_area')
  })

  test('keeps its identifiers when a value is renamed, and drops what is dropped', () => {
    const unique = (more: string, name: string) =>
      Object.keys(one(deviceOf(`${serial}${more}`), { [name]: {} })?.components ?? {})
    const before = unique('', 'TEMP')
    expect(before).toHaveLength(1)
    expect(unique(', fields: { TEMP: { name: temperature } }', 'temperature')).toEqual(before)
    expect(unique(', fields: { TEMP: drop }', 'TEMP')).toEqual([])
  })

  test('cannot have entities without end', () => {
    const values = Object.fromEntries(Array.from({ length: 3 * MAX_ENTITIES }, (_, i) => [`f${i}`, {}]))
    expect(Object.keys(one(deviceOf(serial), values)?.components ?? {})).toHaveLength(MAX_ENTITIES)
  })
})

test.each(SENDERS.map(({ settings }) => [settings.codec, settings] as const))(
  'what %s knows of its values is taken',
  (_, settings) => {
    const values = decoder(settings).codec.values ?? {}
    const announcement = one(deviceOf(`${serial}, publish: fields`), values)
    const found = Object.values(announcement?.components ?? {})
    expect(found).toHaveLength(Math.min(Object.keys(values).length, MAX_ENTITIES))
    const known = new Set(Object.values(values).flatMap(({ deviceClass }) => deviceClass ?? []))
    // No class is lost: each is one of its kind of entity and has its unit.
    expect(new Set(found.flatMap(({ device_class: itsClass }) => itsClass ?? []))).toEqual(known)
  },
)
