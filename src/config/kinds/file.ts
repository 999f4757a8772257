/** `devices[].file`: a sensor that the kernel drives, or any file with a number in it. */
import * as v from 'valibot'
import { exactlyOne, map, type Report } from '../structure.ts'
import { duration, type Schema, text } from '../values.ts'

const DAY = 86_400_000

const BUSES = ['one_wire', 'iio', 'hwmon', 'thermal'] as const
export type KernelBus = (typeof BUSES)[number]

/** Characters of a regular expression: longer ones are programs. */
const MAX_PATTERN = 500

export interface FileConfig {
  /** Absolute. Either this, or a sensor that the kernel drives. */
  path?: string
  sensor?: { bus: KernelBus; chip: string; channel?: string }
  /** ms between two readings. */
  every: number
  /** Regular expression whose first group is the value; undefined takes the first number in the file. */
  pattern: string | undefined
}

export function file(): Schema<FileConfig> {
  const entries = {
    path: v.exactOptional(text({ example: '/sys/class/thermal/thermal_zone0/temp' })),
    one_wire: v.exactOptional(text({ example: '28-0123456789ab', fault: oneWireFault })),
    iio: v.exactOptional(text({ example: 'bme280' })),
    hwmon: v.exactOptional(text({ example: 'cpu_thermal' })),
    thermal: v.exactOptional(text({ example: 'cpu-thermal' })),
    channel: v.exactOptional(text({ example: 'humidityrelative' })),
    every: v.optional(duration({ min: 100, max: DAY, example: '30s' }), '30s'),
    pattern: v.optional(text({ example: "'t=(-?\\d+)'", max: MAX_PATTERN, fault: patternFault })),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    exactlyOne(written, ['path', ...BUSES], 'a file', report)
    if ('pattern' in written && !('path' in written)) report('belongs to path', ['pattern'], 'key')
    const hasChannels = 'iio' in written || 'hwmon' in written
    if ('channel' in written && !hasChannels) report('belongs to iio and hwmon', ['channel'], 'key')
  }
  return v.pipe(
    map(entries, { example: 'one_wire: 28-0123456789ab', present: ['path', ...BUSES], check }),
    v.transform(({ path, every, pattern, channel, ...chips }): FileConfig => {
      const bus = BUSES.find(name => chips[camelBus(name)] !== undefined)
      if (bus === undefined) return { path: path as string, every, pattern }
      const sensor = { bus, chip: chips[camelBus(bus)] as string, ...(channel === undefined ? {} : { channel }) }
      return { sensor, every, pattern }
    }),
  )
}

function camelBus(bus: KernelBus): 'oneWire' | 'iio' | 'hwmon' | 'thermal' {
  return bus === 'one_wire' ? 'oneWire' : bus
}

function oneWireFault(chip: string): string | undefined {
  if (chip === 'any' || /^[0-9a-f]{2}-[0-9a-f]{12}$/.test(chip)) return undefined
  return "is not the name of a 1-Wire sensor, such as 28-0123456789ab ('larder devices list' shows those that are there), or any"
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
