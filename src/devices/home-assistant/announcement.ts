/**
 * What is announced of one device of Home Assistant: who it is, whom it is reached through, whether it is there, and its
 * entities. Pure. Each thing is a device of its own; the gateway is one as well, and has what the `system` source says of it.
 * Home Assistant refuses the whole of an announcement for one unknown key outside its components.
 */
import type { DeviceState, Thing, ValueDescription } from '../ports.ts'
import { SINGLE } from '../shape.ts'
import { type Component, componentOf, type Role, recognise, type Subject } from './component.ts'
import { entityId, gatewayId, thingId, valueId } from './ids.ts'

export const ORIGIN = 'Larder'

/** Entities of one thing: noise in the names of its values must not fill somebody's house. */
export const MAX_ENTITIES = 64

export interface Announcement {
  readonly device: Readonly<Record<string, unknown>>
  readonly origin: { readonly name: string; readonly sw_version?: string | undefined }
  readonly availability: readonly { readonly topic: string }[]
  readonly availability_mode: 'all'
  readonly components: Readonly<Record<string, Component>>
}

/** How the gateway itself is doing. */
export interface GatewayHealth {
  /** How its store came up. */
  readonly store: string
  /** What is wrong with it, as sentences. */
  readonly troubles: readonly string[]
  readonly bridges: readonly { readonly name: string; readonly connected: boolean; readonly waiting: number }[]
}

/** A thing and how it is doing, as the gateway has it. */
export interface Inhabitant {
  readonly thing: Thing
  readonly role: Role
  readonly commandTopic?: string | undefined
  /** Of a part: its device. */
  readonly partOf?: Thing | undefined
  readonly hasParts: boolean
  /** True of the source that speaks of the gateway's own machine. */
  readonly isGateway: boolean
  readonly state: DeviceState
}

/** The gateway, and where its own messages are. */
export interface House {
  readonly gateway: string
  readonly version?: string | undefined
  readonly prefix: string
}

/** The topics of the gateway itself, below the prefix: who may read announcements may read these. */
export function ownTopics({ gateway, prefix }: House): { availability: string; state: string } {
  const below = `${prefix}/device/${gatewayId(gateway)}`
  return { availability: `${below}/availability`, state: `${below}/state` }
}

/** Where a device is announced. */
export function configTopic({ prefix }: House, id: string): string {
  return `${prefix}/device/${id}/config`
}

/**
 * All announcements of a house, by their topics. `before` gives what was announced on a topic: values that were seen once are
 * announced again before they come again.
 */
export function announcementsOf(
  house: House,
  inhabitants: readonly Inhabitant[],
  health: GatewayHealth,
  before: (topic: string) => Announcement | undefined,
): Map<string, Announcement> {
  const self = gatewayId(house.gateway)
  const own = inhabitants.filter(({ isGateway }) => isGateway)
  const past = before(configTopic(house, self))
  const announcements = new Map([[configTopic(house, self), announcementOfGateway(house, own, health, past)]])
  for (const inhabitant of inhabitants) {
    if (inhabitant.isGateway) continue
    const topic = configTopic(house, thingId(house.gateway, inhabitant.thing))
    const components = componentsOf(house, inhabitant, before(topic))
    // Nothing is known of it yet: it is announced with its first value.
    if (Object.keys(components).length > 0) announcements.set(topic, announcementOf(house, inhabitant, components))
  }
  return announcements
}

/** How the gateway is doing, for the entities of its own device. */
export function healthMessage(inhabitants: readonly Inhabitant[], { store, troubles, bridges }: GatewayHealth): string {
  const away = inhabitants.filter(({ state: { state } }) => state === 'offline' || state === 'stale').length
  const byName = bridges.map(({ name, connected, waiting }) => [name, { connected, waiting }])
  return JSON.stringify({
    devices: inhabitants.length,
    away,
    store,
    problem: troubles.length > 0,
    troubles,
    bridges: Object.fromEntries(byName),
  })
}

function announcementOf(house: House, inhabitant: Inhabitant, components: Announcement['components']): Announcement {
  const { gateway } = house
  const { thing, partOf } = inhabitant
  const device = {
    identifiers: [thingId(gateway, thing)],
    name: thing.name,
    suggested_area: thing.room === gateway ? undefined : thing.room,
    via_device: partOf === undefined ? gatewayId(gateway) : thingId(gateway, partOf),
  }
  return { device, ...frame(house), availability: availabilityOf(house, thing), components }
}

function announcementOfGateway(
  house: House,
  own: readonly Inhabitant[],
  health: GatewayHealth,
  past: Announcement | undefined,
): Announcement {
  const id = gatewayId(house.gateway)
  const components = Object.assign(
    healthComponents(house, health),
    ...own.map(inhabitant => {
      const about = { availability: availabilityOf(house, inhabitant.thing), entity_category: 'diagnostic' }
      const each = Object.entries(componentsOf(house, inhabitant, past))
      return Object.fromEntries(each.map(([key, component]) => [key, { ...component, ...about }]))
    }),
  )
  const device = { identifiers: [id], name: house.gateway, manufacturer: ORIGIN, sw_version: house.version }
  return { device, ...frame(house), availability: [{ topic: ownTopics(house).availability }], components }
}

function frame({ version }: House) {
  return { origin: { name: ORIGIN, sw_version: version }, availability_mode: 'all' } as const
}

/** The gateway's comes first: by it we know our own announcements again. */
function availabilityOf(house: House, { topic, availabilityTopic = `${topic}/availability` }: Thing) {
  return [{ topic: ownTopics(house).availability }, { topic: availabilityTopic }]
}

function componentsOf(
  house: House,
  { thing, role, commandTopic, hasParts, state }: Inhabitant,
  before: Announcement | undefined,
): Record<string, Component> {
  const subject: Subject = { thing, id: thingId(house.gateway, thing), role, commandTopic }
  const { values, seen } = state
  const now = role === 'sensor' ? seen : [SINGLE]
  const past = role === 'sensor' ? remembered(subject, before, now) : new Map<string, ValueDescription>()
  const components = [...past.keys(), ...now]
    .slice(0, MAX_ENTITIES)
    .flatMap(name => componentOf(subject, name, { ...past.get(name), ...values[name] }) ?? [])
  if (hasParts) components.push(reach(house, subject))
  components.sort((a, b) => (a.unique_id < b.unique_id ? -1 : 1))
  return Object.fromEntries(components.map(component => [component.unique_id, component]))
}

/**
 * Values that were announced before and did not come yet, with what they were: the device may speak but once an hour. Only such
 * as the thing may still have; of several values or of a single one, whichever it has now.
 */
function remembered(
  subject: Subject,
  before: Announcement | undefined,
  now: readonly string[],
): Map<string, ValueDescription> {
  const found = Object.values(before?.components ?? {}).flatMap((component): [string, ValueDescription][] => {
    const name = recognise(subject, component)
    if (name === undefined || now.some(each => each === name || (each === SINGLE) !== (name === SINGLE))) return []
    const { unit_of_measurement: unit, device_class: deviceClass, state_class: stateClass } = component
    return [[name, { unit, deviceClass, stateClass } as ValueDescription]]
  })
  return new Map(found)
}

/** Whether the device that others are heard through is there. Shown also while it is not. */
function reach(house: House, { thing, id }: Subject): Component {
  const unique = `${id}_reach`
  return {
    platform: 'binary_sensor',
    unique_id: unique,
    default_entity_id: entityId('binary_sensor', [thing.room, thing.name], unique),
    name: 'Connection',
    device_class: 'connectivity',
    entity_category: 'diagnostic',
    state_topic: thing.availabilityTopic ?? `${thing.topic}/availability`,
    payload_on: 'online',
    payload_off: 'offline',
    availability: [{ topic: ownTopics(house).availability }],
  }
}

function healthComponents(house: House, { bridges }: GatewayHealth): Record<string, Component> {
  const { gateway } = house
  const { state } = ownTopics(house)
  const id = gatewayId(gateway)
  const entity = (platform: 'sensor' | 'binary_sensor', key: string, name: string, expression: string) => {
    const unique = valueId(id, key)
    return {
      platform,
      unique_id: unique,
      default_entity_id: entityId(platform, [gateway, name], unique),
      name,
      entity_category: 'diagnostic',
      state_topic: state,
      value_template: `{{ ${expression} }}`,
    }
  }
  const components: Component[] = [
    { ...entity('sensor', 'away', 'Devices away', 'value_json["away"]'), state_class: 'measurement' },
    entity('sensor', 'store', 'Store', 'value_json["store"]'),
    {
      ...entity('binary_sensor', 'problem', 'Trouble', 'value_json["problem"]'),
      ...{ device_class: 'problem', payload_on: 'True', payload_off: 'False' },
      json_attributes_topic: state,
      json_attributes_template: '{{ {"troubles": value_json["troubles"]} | tojson }}',
    },
    ...bridges.flatMap(({ name }) => {
      const bridge = `value_json["bridges"][${JSON.stringify(name)}]`
      const [link, queue] = [`bridge ${name}`, `queue ${name}`]
      return [
        {
          ...entity('binary_sensor', link, `Bridge ${name}`, `${bridge}["connected"]`),
          ...{ device_class: 'connectivity', payload_on: 'True', payload_off: 'False' },
        },
        {
          ...entity('sensor', queue, `Bridge ${name} waiting`, `${bridge}["waiting"]`),
          ...{ state_class: 'measurement', unit_of_measurement: 'messages' },
        },
      ]
    }),
  ]
  return Object.fromEntries(components.map(component => [component.unique_id, component]))
}
