/** Announcements that depend on more than one device: on what was announced before, on parts, and on the gateway itself. */
import { describe, expect, test } from 'vitest'
import { type Announcement, configTopic, ownTopics } from '../../../../src/devices/home-assistant/announcement.ts'
import { gatewayId, thingId } from '../../../../src/devices/home-assistant/ids.ts'
import { announced, components, deviceOf, HOUSE, inhabitant, one, type Values } from './announcing.ts'

describe('values that were announced before', () => {
  const yaml = 'name: T, room: Kitchen, publish: PUBLISH, serial: { path: /dev/ttyS0 }'
  const values = { temperature: { unit: '°C', deviceClass: 'temperature' }, 'a/b"c': {} }

  test.each(['json', 'fields'])('are announced again before they come again (%s)', publish => {
    const device = deviceOf(yaml.replace('PUBLISH', publish))
    const first = one(device, { ...values, 'a/b"c': {} })
    const again = one(device, {}, 'sensor', first)
    // As a topic, the name has lost what a topic must not have: it is announced when it comes.
    const kept = publish === 'json' ? first?.components : without(first, 'A/b"c')
    expect(again?.components).toEqual(kept)
  })

  test.each<[string, string, Values]>([
    ['dropped', ', fields: { temperature: drop }', {}],
    ['not spoken of where the others are dropped', ', fields: { "*": drop }', {}],
    ['one of several where there is but one now', '', { '': {} }],
  ])('are gone when they are %s', (_, more, now) => {
    const first = one(deviceOf(yaml.replace('PUBLISH', 'json')), { temperature: { unit: '°C' } })
    const again = one(deviceOf(`${yaml.replace('PUBLISH', 'json')}${more}`), now, 'sensor', first)
    expect(Object.values(again?.components ?? {}).map(({ name }) => name)).toEqual('' in now ? [null] : [])
  })

  test('have their identifiers, and are known by them when they are renamed', () => {
    const json = yaml.replace('PUBLISH', 'json')
    const renamed = (name: string) => deviceOf(`${json}, fields: { temperature: { name: ${name}, unit: °C } }`)
    const first = one(renamed('warmth'), { warmth: { unit: '°C' } })
    const again = one(renamed('heat'), {}, 'sensor', first)
    expect(Object.keys(again?.components ?? {})).toEqual(Object.keys(first?.components ?? {}))
    expect(components(again).Heat).toMatchObject({ unit_of_measurement: '°C' })
    // That `warmth` was `temperature`, nobody knows any more.
    expect(one(deviceOf(json), {}, 'sensor', first)).toBeUndefined()
  })

  test('are what is known of them when they have come again', () => {
    const device = deviceOf(yaml.replace('PUBLISH', 'json'))
    const first = one(device, { temperature: { unit: '°C', deviceClass: 'temperature' } })
    expect(components(one(device, { temperature: {} }, 'sensor', first)).Temperature).not.toHaveProperty('device_class')
  })

  test('are not looked for in what others have written', () => {
    const device = deviceOf(yaml.replace('PUBLISH', 'json'))
    const first = one(device, { temperature: {} })
    const forged = JSON.parse(JSON.stringify(first).replaceAll('temperature', '\\\\q'))
    expect(one(device, {}, 'sensor', forged)).toBeUndefined()
  })

  function without(announcement: Announcement | undefined, name: string) {
    return Object.fromEntries(Object.entries(announcement?.components ?? {}).filter(([, each]) => each.name !== name))
  }
})

describe('what several are heard through', () => {
  const receiver = deviceOf(
    'name: Receiver, room: Kitchen, serial: { path: /x }, parts: [{ name: Fridge, stale_after: 1m }]',
  )
  const fridge = receiver.parts![0]!
  const found = announced([
    inhabitant(receiver, {}, { hasParts: true }),
    inhabitant(fridge, { temperature: { unit: '°C', deviceClass: 'temperature' } }, { partOf: receiver }),
  ])

  test('is a device that says whether it is there', () => {
    const announcement = found.get(configTopic(HOUSE, thingId('Larder', receiver)))
    expect(components(announcement)).toEqual({
      Connection: {
        platform: 'binary_sensor',
        device_class: 'connectivity',
        entity_category: 'diagnostic',
        state_topic: '/Home/Kitchen/Receiver/availability',
        payload_on: 'online',
        payload_off: 'offline',
        availability: [{ topic: ownTopics(HOUSE).availability }],
      },
    })
  })

  test('and each of them is one behind it', () => {
    const announcement = found.get(configTopic(HOUSE, thingId('Larder', fridge)))
    expect(announcement?.device.via_device).toBe(thingId('Larder', receiver))
    expect(announcement?.availability[1]).toEqual({ topic: '/Home/Kitchen/Fridge/availability' })
    expect(components(announcement).Temperature).toMatchObject({ expire_after: 60 })
  })
})

test('the gateway is a device with its health, its bridges and its machine', () => {
  const system = deviceOf('name: Gateway, system: { every: 10s }')
  const bridges = [{ name: 'cloud\'s "own"', connected: true, waiting: 3 }]
  const found = announced(
    [inhabitant(system, { temperature_c: { unit: '°C', deviceClass: 'temperature' } }, { isGateway: true })],
    undefined,
    { store: 'whole', troubles: [], bridges },
  )
  expect([...found.keys()]).toEqual([configTopic(HOUSE, gatewayId('Larder'))])
  const announcement = [...found.values()][0]!
  expect(announcement.device).toMatchObject({ identifiers: [gatewayId('Larder')], name: 'Larder', sw_version: '0.1.0' })
  const { state, availability } = ownTopics(HOUSE)
  const diagnostic = { entity_category: 'diagnostic', state_topic: state }
  const bridge = 'value_json["bridges"]["cloud\'s \\"own\\""]'
  expect(components(announcement)).toEqual({
    'Devices away': {
      ...diagnostic,
      platform: 'sensor',
      state_class: 'measurement',
      value_template: '{{ value_json["away"] }}',
    },
    Store: { ...diagnostic, platform: 'sensor', value_template: '{{ value_json["store"] }}' },
    Trouble: {
      ...diagnostic,
      ...{ platform: 'binary_sensor', device_class: 'problem', payload_on: 'True', payload_off: 'False' },
      value_template: '{{ value_json["problem"] }}',
      json_attributes_topic: state,
      json_attributes_template: '{{ {"troubles": value_json["troubles"]} | tojson }}',
    },
    'Bridge cloud\'s "own"': {
      ...diagnostic,
      ...{ platform: 'binary_sensor', device_class: 'connectivity', payload_on: 'True', payload_off: 'False' },
      value_template: `{{ ${bridge}["connected"] }}`,
    },
    'Bridge cloud\'s "own" waiting': {
      ...diagnostic,
      ...{ platform: 'sensor', state_class: 'measurement', unit_of_measurement: 'messages' },
      value_template: `{{ ${bridge}["waiting"] }}`,
    },
    'Temperature c': {
      platform: 'sensor',
      entity_category: 'diagnostic',
      state_topic: '/Home/Larder/Gateway/temperature_c',
      ...{ unit_of_measurement: '°C', device_class: 'temperature', state_class: 'measurement' },
      availability: [{ topic: availability }, { topic: '/Home/Larder/Gateway/availability' }],
    },
  })
})
