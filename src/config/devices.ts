/** `devices`: what every device has, and what each kind of device adds. */
import * as v from 'valibot'
import { type FileConfig, file } from './kinds/file.ts'
import { type GpioConfig, gpio } from './kinds/gpio.ts'
import { type SerialConfig, serial } from './kinds/serial.ts'
import { type SystemConfig, system } from './kinds/system.ts'
import type { DeviceConfig } from './schema.ts'
import { exactlyOne, list, map, type Report } from './structure.ts'
import { level, levels, topicName } from './topics.ts'
import { choice, decimal, flag, type Schema, whole } from './values.ts'

export const DEVICE_KINDS = ['serial', 'gpio', 'file', 'system'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

/** Where devices are put that name no topic of their own. */
export function defaultTopic(room: string, name: string): string {
  return `/Home/${room}/${name}`
}

/** What is still to be filled in once the whole file is known: `room` of `system`, paths, topic. */
export type DeviceEntry = Omit<DeviceConfig, 'room' | 'topic' | 'kind' | 'settings'> & {
  room?: string
  topic?: string
} & (
    | { kind: 'serial'; settings: SerialConfig }
    | { kind: 'gpio'; settings: GpioConfig }
    | { kind: 'file'; settings: FileConfig }
    | { kind: 'system'; settings: Omit<SystemConfig, 'disk'> & { disk?: string } }
  )

export function deviceList(): Schema<DeviceEntry[]> {
  return list(device(), { example: 'name: Thermometer' })
}

function device(): Schema<DeviceEntry> {
  const entries = {
    name: level('Thermometer'),
    room: v.exactOptional(levels('Kitchen')),
    topic: v.exactOptional(topicName('/Home/Kitchen/Thermometer')),
    qos: v.optional(choice([0, 1]), 0),
    retain: v.optional(flag(), true),
    publish: v.exactOptional(choice(['json', 'fields'])),
    scale: v.optional(decimal(0.001), 1),
    offset: v.optional(decimal(-0.5), 0),
    round: v.exactOptional(whole({ min: 0, max: 10, example: 1 })),
    serial: v.exactOptional(serial()),
    gpio: v.exactOptional(gpio()),
    file: v.exactOptional(file()),
    system: v.exactOptional(system()),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    if (!exactlyOne(written, DEVICE_KINDS, 'a device', report)) return
    if (!('room' in written) && !('system' in written))
      report('is required, such as room: Kitchen', ['room'], 'missing')
  }
  return v.pipe(
    map(entries, { example: 'name: Thermometer', present: DEVICE_KINDS, check }),
    v.transform(({ serial, gpio, file, system, scale, offset, round, publish, ...common }): DeviceEntry => {
      const rest = { ...common, publish: publish ?? (system ? 'fields' : 'json'), shape: { scale, offset, round } }
      if (serial) return { ...rest, kind: 'serial', settings: serial }
      if (gpio) return { ...rest, kind: 'gpio', settings: gpio }
      if (file) return { ...rest, kind: 'file', settings: file }
      return { ...rest, kind: 'system', settings: system! }
    }),
  )
}
