/** Devices as `larder.yaml` has them, announced; whatever is announced is held to what Home Assistant takes. */
import { expect } from 'vitest'
import type { DeviceConfig } from '../../../../src/config/schema.ts'
import {
  type Announcement,
  announcementsOf,
  configTopic,
  type House,
  type Inhabitant,
} from '../../../../src/devices/home-assistant/announcement.ts'
import type { Component, Role } from '../../../../src/devices/home-assistant/component.ts'
import { thingId } from '../../../../src/devices/home-assistant/ids.ts'
import type { DeviceState, Thing, ValueDescription } from '../../../../src/devices/ports.ts'
import { discoveryFaults } from '../../../support/home-assistant.ts'
import { configOf } from '../../config/loading.ts'

export const HOUSE: House = { gateway: 'Larder', version: '0.1.0', prefix: 'homeassistant' }
export const HEALTH = { store: 'whole', troubles: [], bridges: [] }
export type Values = Readonly<Record<string, ValueDescription>>

/** A thing that has given all of `values`, and knows of nothing else. */
export function inhabitant(thing: Thing, values: Values, more: Partial<Inhabitant> = {}): Inhabitant {
  const counters = { readings: 0, dropped: 0, faults: 0, commands: 0 }
  const { name, room, topic } = thing
  const state: DeviceState = {
    name,
    room,
    topic,
    kind: 'custom',
    state: 'online',
    since: 0,
    counters,
    values,
    seen: Object.keys(values),
    latest: new Map(),
    numbers: {},
  }
  const commandTopic = `${topic}/set`
  return { thing, role: 'sensor', hasParts: false, isGateway: false, commandTopic, state, ...more }
}

/** The one device of this YAML. */
export function deviceOf(yaml: string): DeviceConfig {
  return configOf(`devices:\n  - { ${yaml} }`).devices[0]!
}

/** What is announced, as Home Assistant reads it; it must have nothing against it. */
export function announced(
  inhabitants: readonly Inhabitant[],
  before: (topic: string) => Announcement | undefined = () => undefined,
  health: Parameters<typeof announcementsOf>[2] = HEALTH,
): Map<string, Announcement> {
  const found = announcementsOf(HOUSE, inhabitants, health, before)
  return new Map(
    [...found].map(([topic, announcement]) => {
      const text = JSON.stringify(announcement)
      expect(discoveryFaults(topic, text)).toEqual([])
      return [topic, JSON.parse(text)]
    }),
  )
}

/** The announcement of one thing; undefined when there is none. */
export function one(
  thing: Thing,
  values: Values,
  role: Role = 'sensor',
  before?: Announcement,
): Announcement | undefined {
  const topic = configTopic(HOUSE, thingId(HOUSE.gateway, thing))
  return announced([inhabitant(thing, values, { role })], at => (at === topic ? before : undefined)).get(topic)
}

/** Its components by their names, without what all have. */
export function components(announcement: Announcement | undefined): Record<string, object> {
  return Object.fromEntries(
    Object.values(announcement?.components ?? {}).map(
      ({ name, unique_id, default_entity_id, qos, ...rest }: Component) => [name ?? '', rest],
    ),
  )
}

/** A device of which more is to be said. */
export const serial = 'name: T, room: Kitchen, serial: { path: /dev/ttyS0 }'
