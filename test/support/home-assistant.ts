/**
 * What Home Assistant (2026) takes in the discovery of a device, field by field, as its documentation has it: for each field a
 * type, and the rules between fields for which it leaves an entity out. Ours stands here only in so far as we promise more:
 * full names, an entity identifier to begin with, no retained commands.
 */
import { topicFilterFault, topicNameFault } from '../../src/mqtt/topics.ts'

type Check = (value: unknown) => boolean
type Fields = Readonly<Record<string, Check>>

const text: Check = value => typeof value === 'string'
const flag: Check = value => typeof value === 'boolean'
const whole: Check = value => Number.isInteger(value) && (value as number) >= 0
const qos: Check = value => value === 0 || value === 1 || value === 2
const subscribed: Check = value => typeof value === 'string' && topicFilterFault(value, 200) === undefined
const published: Check = value => typeof value === 'string' && topicNameFault(value, 200) === undefined
const texts: Check = value => Array.isArray(value) && value.length > 0 && value.every(text)
const oneOf =
  (...words: (string | null)[]): Check =>
  value =>
    words.includes(value as string)
const listOf =
  (fields: Fields, required: readonly string[]): Check =>
  value =>
    Array.isArray(value) && value.every(each => faultsIn(each, fields, required).length === 0)

const availability = {
  availability: listOf(
    { topic: subscribed, payload_available: text, payload_not_available: text, value_template: text },
    ['topic'],
  ),
  availability_mode: oneOf('all', 'any', 'latest'),
}
const shared: Fields = {
  ...availability,
  state_topic: subscribed,
  command_topic: published,
  qos,
  encoding: text,
  message_expiry_interval: whole,
}
const device: Fields = {
  identifiers: texts,
  connections: Array.isArray,
  name: text,
  manufacturer: text,
  model: text,
  model_id: text,
  sw_version: text,
  hw_version: text,
  serial_number: text,
  suggested_area: text,
  configuration_url: text,
  via_device: text,
}
const origin: Fields = { name: text, sw_version: text, support_url: text }

const common: Fields = {
  ...shared,
  platform: text,
  unique_id: text,
  name: value => value === null || (typeof value === 'string' && value !== ''),
  default_entity_id: value => typeof value === 'string' && /^[a-z_]+\.[a-z0-9_]+$/.test(value),
  icon: text,
  entity_category: oneOf('config', 'diagnostic'),
  enabled_by_default: flag,
  visible_by_default: flag,
  json_attributes_topic: subscribed,
  json_attributes_template: text,
  value_template: text,
}

const SENSOR_CLASSES = [
  ...[
    'absolute_humidity',
    'apparent_power',
    'aqi',
    'area',
    'atmospheric_pressure',
    'battery',
    'blood_glucose_concentration',
  ],
  ...['carbon_dioxide', 'carbon_monoxide', 'conductivity', 'current', 'data_rate', 'data_size', 'date', 'distance'],
  ...['duration', 'energy', 'energy_distance', 'energy_storage', 'enum', 'frequency', 'gas', 'humidity', 'illuminance'],
  ...[
    'irradiance',
    'moisture',
    'monetary',
    'nitrogen_dioxide',
    'nitrogen_monoxide',
    'nitrous_oxide',
    'ozone',
    'ph',
    'pm1',
  ],
  ...['pm10', 'pm25', 'pm4', 'power', 'power_factor', 'precipitation', 'precipitation_intensity', 'pressure'],
  ...['reactive_energy', 'reactive_power', 'signal_strength', 'sound_pressure', 'speed', 'sulphur_dioxide'],
  ...[
    'temperature',
    'temperature_delta',
    'timestamp',
    'volatile_organic_compounds',
    'volatile_organic_compounds_parts',
  ],
  ...['voltage', 'volume', 'volume_flow_rate', 'volume_storage', 'water', 'weight', 'wind_direction', 'wind_speed'],
]
const BINARY_CLASSES = [
  ...['battery', 'battery_charging', 'carbon_monoxide', 'cold', 'connectivity', 'door', 'garage_door', 'gas', 'heat'],
  ...['light', 'lock', 'moisture', 'motion', 'moving', 'occupancy', 'opening', 'plug', 'power', 'presence', 'problem'],
  ...['running', 'safety', 'smoke', 'sound', 'tamper', 'update', 'vibration', 'window'],
]

interface Platform {
  readonly required: readonly string[]
  /** Its own, besides `common`. */
  readonly fields: Fields
}

const PLATFORMS: Readonly<Record<string, Platform>> = {
  sensor: {
    required: ['state_topic'],
    fields: {
      device_class: oneOf(...SENSOR_CLASSES),
      unit_of_measurement: text,
      state_class: oneOf('measurement', 'measurement_angle', 'total', 'total_increasing'),
      expire_after: whole,
      suggested_display_precision: whole,
      options: texts,
      force_update: flag,
      last_reset_value_template: text,
      entity_category: oneOf('diagnostic'),
    },
  },
  binary_sensor: {
    required: ['state_topic'],
    fields: {
      device_class: oneOf(...BINARY_CLASSES),
      payload_on: text,
      payload_off: text,
      expire_after: whole,
      off_delay: whole,
      force_update: flag,
      entity_category: oneOf('diagnostic'),
    },
  },
  switch: {
    required: ['command_topic'],
    fields: {
      device_class: oneOf('outlet', 'switch'),
      payload_on: text,
      payload_off: text,
      state_on: text,
      state_off: text,
      optimistic: flag,
      retain: value => value === false,
    },
  },
  button: {
    required: ['command_topic'],
    fields: {
      device_class: oneOf('identify', 'restart', 'update'),
      payload_press: text,
      retain: value => value === false,
    },
  },
  event: {
    required: ['state_topic', 'event_types'],
    fields: { device_class: oneOf('button', 'doorbell', 'motion'), event_types: texts },
  },
}

/** What Home Assistant would have against the message on `topic`: sentences; none when it takes it all. */
export function discoveryFaults(topic: string, payload: string, prefix = 'homeassistant'): string[] {
  const id = topic.startsWith(`${prefix}/device/`)
    ? topic.slice(`${prefix}/device/`.length).replace(/\/config$/, '')
    : ''
  const faults =
    /^[A-Za-z0-9_-]+$/.test(id) && topic.endsWith('/config') ? [] : [`${topic} is no topic of an announcement`]
  const root = JSON.parse(payload)
  const at = (place: string) => (fault: string) => `${place}: ${fault}`
  faults.push(
    ...faultsIn(root, { ...shared, device: isMap, origin: isMap, components: isMap }, [
      'device',
      'origin',
      'components',
    ]),
  )
  faults.push(...faultsIn(root.device, device, ['identifiers']).map(at('device')))
  faults.push(...faultsIn(root.origin, origin, ['name']).map(at('origin')))
  const seen = new Set<string>()
  for (const [key, component] of Object.entries<Record<string, unknown>>(root.components)) {
    faults.push(...componentFaults({ ...inherited(root), ...component }).map(at(`components.${key}`)))
    const unique = `${component.platform} ${component.unique_id}`
    if (seen.has(unique)) faults.push(`${unique} is there twice`)
    seen.add(unique)
  }
  return faults
}

function inherited(root: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(root).filter(([key]) => key in shared))
}

function componentFaults(component: Record<string, unknown>): string[] {
  const platform = PLATFORMS[String(component.platform)]
  if (platform === undefined) return [`there is no platform ${component.platform}`]
  const required = ['platform', 'unique_id', 'default_entity_id', 'name', ...platform.required]
  const faults = faultsIn(component, { ...common, ...platform.fields }, required)
  const { device_class, unit_of_measurement, state_class, options, suggested_display_precision } = component
  if (!String(component.default_entity_id).startsWith(`${component.platform}.`))
    faults.push('another platform in its entity')
  if (options !== undefined) {
    if (device_class !== 'enum') faults.push('options need the device class enum')
    if (unit_of_measurement !== undefined || state_class !== undefined)
      faults.push('options have no unit and no state class')
    if (suggested_display_precision !== undefined) faults.push('options have no decimals')
  }
  if (component.payload_on !== undefined && component.payload_on === component.payload_off)
    faults.push('on and off are one')
  return faults
}

function faultsIn(value: unknown, fields: Fields, required: readonly string[]): string[] {
  if (!isMap(value)) return ['is no map']
  return [
    ...required.filter(key => !(key in value)).map(key => `${key} is missing`),
    ...Object.entries(value).flatMap(([key, each]) => {
      const check = Object.hasOwn(fields, key) ? fields[key] : undefined
      if (check === undefined) return [`${key} is not known`]
      return check(each) ? [] : [`${key} is ${JSON.stringify(each)}`]
    }),
  ]
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
