/** `devices`: what every device has, and what each kind of device adds. */
import * as v from 'valibot'
import { type FileConfig, file } from './kinds/file.ts'
import { type GpioConfig, gpio } from './kinds/gpio.ts'
import { type SerialConfig, serial } from './kinds/serial.ts'
import { type SystemConfig, system } from './kinds/system.ts'
import type { DeviceCommon, PartConfig } from './schema.ts'
import {
  checkFieldPaces,
  checkThing,
  conditions,
  fields,
  pacingEntries,
  shapeEntries,
  splitShape,
  staleAfter,
} from './shaping.ts'
import { exactlyOne, isMap, list, map, type Report } from './structure.ts'
import { fillTemplate, level, levels, topicTemplate } from './topics.ts'
import { choice, flag, type Schema, text } from './values.ts'

export const DEVICE_KINDS = ['serial', 'gpio', 'file', 'system'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

/** Where devices are put about whose topics nothing more is said. */
export const DEFAULT_TOPIC = '/Home/{room}/{name}'

/** Templates of topics, as they are written: at a device, and for all of them. */
export interface TopicTemplates {
  topic?: string
  availabilityTopic?: string
  commandTopic?: string
  errorTopic?: string
}

type KindEntry =
  | { kind: 'serial'; settings: SerialConfig }
  | { kind: 'gpio'; settings: GpioConfig }
  | { kind: 'file'; settings: FileConfig }
  | { kind: 'system'; settings: Omit<SystemConfig, 'disk'> & { disk?: string } }

type PartEntry = Partial<PartConfig> & Pick<PartConfig, 'name' | 'when' | 'shape'>

/** What is still to be filled in once the whole file is known: `room` of `system`, paths, topics, and what parts have from their device. */
export type DeviceEntry = Omit<DeviceCommon, 'room' | 'topic' | 'parts'> & {
  room?: string
  topic?: string
  parts?: PartEntry[]
  /** Of all devices. */
  templates: TopicTemplates
} & KindEntry

/** A device in its room and on its topics. */
export type PlacedDevice = DeviceCommon & KindEntry

const topicEntries = {
  topic: v.exactOptional(topicTemplate('/Home/{room}/{name}')),
  availability_topic: v.exactOptional(topicTemplate('"{topic}/availability"', true)),
  command_topic: v.exactOptional(topicTemplate('"{topic}/set"', true)),
  error_topic: v.exactOptional(topicTemplate('"{topic}/error"', true)),
}

const EXAMPLE = 'name: Thermometer'

/** A list; or a map with the list and templates for the topics of all. */
export function deviceList(): Schema<DeviceEntry[]> {
  const entries = list(device(), { example: EXAMPLE })
  const within = v.pipe(
    map({ ...topicEntries, list: v.optional(entries, []) }, { example: `list: [${EXAMPLE}]` }),
    v.transform(({ list, ...templates }) => list.map(entry => ({ ...entry, templates }))),
  )
  return v.lazy(input => (isMap(input) ? within : entries)) as Schema<DeviceEntry[]>
}

const thingEntries = {
  name: level('Thermometer'),
  room: v.exactOptional(levels('Kitchen')),
  value: v.exactOptional(text({ example: 'temperature' })),
  stale_after: staleAfter,
  fields: v.exactOptional(fields()),
  ...shapeEntries,
  ...pacingEntries,
}

function device(): Schema<DeviceEntry> {
  const entries = {
    ...thingEntries,
    ...topicEntries,
    qos: v.optional(choice([0, 1]), 0),
    retain: v.optional(flag(), true),
    publish: v.exactOptional(choice(['json', 'fields'])),
    stamp: v.exactOptional(choice(['none', 'json', 'properties'])),
    parts: v.exactOptional(list(part(), { example: 'name: Fridge' })),
    others: v.exactOptional(choice(['publish', 'drop'])),
    serial: v.exactOptional(serial()),
    gpio: v.exactOptional(gpio()),
    file: v.exactOptional(file()),
    system: v.exactOptional(system()),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    const { publish = defaultPublish(written), parts } = written
    checkThing(written, report)
    checkFieldPaces(written, publish, [], report)
    for (const [index, part] of Array.isArray(parts) ? parts.entries() : []) {
      checkFieldPaces(part, publish, ['parts', index], report)
    }
    if (!('parts' in written) && 'others' in written) report('belongs to a device with parts', ['others'], 'key')
    if (!exactlyOne(written, DEVICE_KINDS, 'a device', report)) return
    if (!('room' in written) && !('system' in written))
      report('is required, such as room: Kitchen', ['room'], 'missing')
  }
  return v.pipe(
    map(entries, { example: EXAMPLE, present: DEVICE_KINDS, check }),
    v.transform(({ serial, gpio, file, system, publish, ...common }): DeviceEntry => {
      const { shape, rest } = splitShape(common)
      const shared = { ...rest, publish: publish ?? defaultPublish({ system }), shape, templates: {} }
      if (serial) return { ...shared, kind: 'serial', settings: serial }
      if (gpio) return { ...shared, kind: 'gpio', settings: gpio }
      if (file) return { ...shared, kind: 'file', settings: file }
      return { ...shared, kind: 'system', settings: system! }
    }),
  )
}

function defaultPublish(written: { system?: unknown }): 'json' | 'fields' {
  return written.system === undefined ? 'json' : 'fields'
}

function part(): Schema<PartEntry> {
  const { topic, availability_topic } = topicEntries
  const entries = {
    when: v.optional(conditions(), {}),
    ...thingEntries,
    topic,
    availability_topic,
    qos: v.exactOptional(choice([0, 1])),
    retain: v.exactOptional(flag()),
    publish: v.exactOptional(choice(['json', 'fields'])),
    stamp: v.exactOptional(choice(['none', 'json', 'properties'])),
  }
  return v.pipe(
    map(entries, { example: 'name: Fridge', check: checkThing }),
    v.transform(entry => {
      const { shape, rest } = splitShape(entry)
      return { ...rest, shape }
    }),
  ) as Schema<PartEntry>
}

/** The device in its room, with its topics and parts. `gateway` is the name at the top of the file. */
export function placed(entry: DeviceEntry, gateway: string): PlacedDevice {
  const { templates, parts, ...device } = entry
  const { room = gateway, qos, retain, publish, stamp, staleAfter } = device
  const optional = { ...(stamp === undefined ? {} : { stamp }), ...(staleAfter === undefined ? {} : { staleAfter }) }
  const own = topicsOf({ ...device, room }, templates, gateway)
  // Nobody gives commands to a part.
  const { topic, availabilityTopic } = templates
  const forParts: TopicTemplates = {
    ...(topic === undefined ? {} : { topic }),
    ...(availabilityTopic === undefined ? {} : { availabilityTopic }),
  }
  const given = parts?.map((part): PartConfig => {
    const within = { ...optional, qos, retain, publish, room, ...part }
    return { ...within, ...topicsOf(within, forParts, gateway) }
  })
  return { ...device, room, ...own, ...(given === undefined ? {} : { parts: given }) } as PlacedDevice
}

/** The topics of a device or a part that are not left to their defaults. */
export function topicsOf(
  thing: TopicTemplates & { room: string; name: string },
  templates: TopicTemplates,
  gateway: string,
): TopicTemplates & { topic: string } {
  const { room, name } = thing
  const topic = fillTemplate(thing.topic ?? templates.topic ?? DEFAULT_TOPIC, { gateway, room, name })
  const filled: TopicTemplates & { topic: string } = { topic }
  for (const key of ['availabilityTopic', 'commandTopic', 'errorTopic'] as const) {
    const template = thing[key] ?? templates[key]
    if (template !== undefined) filled[key] = fillTemplate(template, { gateway, room, name, topic })
  }
  return filled
}
