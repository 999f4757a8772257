/** `devices`: what every device has, and what each kind of device adds. */
import * as v from 'valibot'
import type { DeviceConfig, FileConfig, GpioConfig, SerialConfig, SystemConfig } from './schema.ts'
import { exactlyOne, list, map, type Report } from './structure.ts'
import { level, levelFault, levels, topicName } from './topics.ts'
import { choice, decimal, duration, flag, type Schema, size, text, whole } from './values.ts'

export const DEVICE_KINDS = ['serial', 'gpio', 'file', 'system'] as const
export type DeviceKind = (typeof DEVICE_KINDS)[number]

/** Where devices are put that name no topic of their own. */
export function defaultTopic(room: string, name: string): string {
  return `/Home/${room}/${name}`
}

const DAY = 86_400_000

/** Characters of a regular expression: longer ones are programs. */
const MAX_PATTERN = 500

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

function serial(): Schema<SerialConfig> {
  const entries = {
    path: text({ example: '/dev/ttyUSB0' }),
    baud: v.optional(whole({ min: 50, max: 4_000_000, example: 9600 }), 9600),
    data_bits: v.optional(choice([8, 7]), 8),
    parity: v.optional(choice(['none', 'even', 'odd']), 'none'),
    stop_bits: v.optional(choice([1, 2]), 1),
    codec: v.optional(choice(['json', 'pairs', 'csv', 'number']), 'json'),
    columns: v.optional(list(text({ example: 'temperature', fault: levelFault }), { example: 'temperature', min: 1 })),
    separator: v.optional(text({ example: '";"', max: 8 }), ','),
    max_line: v.optional(size({ min: 16, max: 1_048_576, example: '4KiB' }), '4KiB'),
    silence: v.optional(duration({ min: 100, max: DAY, example: '5m' })),
    write_line_ending: v.optional(choice(['\n', '\r\n', '\r', '']), '\n'),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    if (written.codec === 'csv') {
      if (!('columns' in written))
        report('csv needs the names of its columns, such as columns: [temperature, humidity]', ['columns'], 'missing')
    } else if ('columns' in written) report('belongs to codec: csv', ['columns'], 'key')
    const seen = new Set<unknown>()
    for (const [index, column] of Array.isArray(written.columns) ? written.columns.entries() : []) {
      if (seen.has(column)) report('is the name of a column before it as well', ['columns', index])
      seen.add(column)
    }
  }
  return v.pipe(
    map(entries, { example: 'path: /dev/ttyUSB0', check }),
    v.transform(({ columns, silence, ...rest }) => ({ ...rest, columns: columns ?? [], silence })),
  )
}

function gpio(): Schema<GpioConfig> {
  const entries = {
    pin: whole({ min: 0, max: 53, example: 17 }),
    direction: choice(['in', 'out']),
    active_low: v.optional(flag(), false),
    debounce: v.optional(duration({ min: 0, max: 10_000, example: '20ms' }), '20ms'),
    initial: v.optional(flag()),
    driver: v.optional(choice(['auto', 'onoff', 'memory']), 'auto'),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    if (written.direction === 'in' && 'initial' in written) report('belongs to direction: out', ['initial'], 'key')
  }
  return v.pipe(
    map(entries, { example: 'pin: 17', check }),
    v.transform(({ initial, ...rest }) => ({ ...rest, initial })),
  )
}

function file(): Schema<FileConfig> {
  const entries = {
    path: text({ example: '/sys/bus/w1/devices/28-0123456789ab/temperature' }),
    every: v.optional(duration({ min: 100, max: DAY, example: '30s' }), '30s'),
    pattern: v.optional(text({ example: "'t=(-?\\d+)'", max: MAX_PATTERN, fault: patternFault })),
  }
  return v.pipe(
    map(entries, { example: 'path: /sys/class/thermal/thermal_zone0/temp' }),
    v.transform(({ pattern, ...rest }) => ({ ...rest, pattern })),
  )
}

function system() {
  return map(
    {
      every: v.optional(duration({ min: 100, max: DAY, example: '10s' }), '10s'),
      disk: v.exactOptional(text({ example: '/' })),
    },
    { example: 'every: 10s' },
  )
}

function patternFault(pattern: string): string | undefined {
  let groups: number
  try {
    // With an empty alternative it matches anything, and tells how many groups there are.
    groups = new RegExp(`${pattern}|`).exec('')!.length - 1
  } catch (error) {
    return `is not a regular expression: ${(error as Error).message.replace(/^.*: /s, '')}`
  }
  return groups === 1
    ? undefined
    : `must have one group in ( ) around the number, such as 't=(-?\\d+)'; found ${groups}`
}
