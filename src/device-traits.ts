/** What a device's configuration says to a person: where it is, what it can be told, how often it speaks. Part of the composition root. */
import type { DeviceConfig } from './config/schema.ts'
import type { Device, Thing } from './devices/ports.ts'

/** Periods of silence after which a thing counts as stale, where its owner has said when that is. */
const PERIODS_A_LIFE = 3

/** Where a device is; undefined of one that a program brought. */
export function placeOf(device: Device): string | undefined {
  const config = device as Partial<DeviceConfig>
  switch (config.kind) {
    case 'serial': {
      const { path, usb } = config.settings as { path?: string; usb?: { vendor?: string; product?: string } }
      return path ?? (usb === undefined ? undefined : `USB ${usb.vendor ?? ''}:${usb.product ?? ''}`)
    }
    case 'gpio': {
      const { pin, chip } = config.settings as { pin: number; chip?: string }
      return chip === undefined ? `pin ${pin}` : `${chip} line ${pin}`
    }
    case 'file': {
      const { path, sensor } = config.settings as { path?: string; sensor?: { bus: string; chip: string } }
      return path ?? (sensor === undefined ? undefined : `${sensor.bus} ${sensor.chip}`)
    }
    default:
      return undefined
  }
}

/** Outputs take on and off; what a serial device takes only its owner knows. */
export function commandOf(device: Device): { topic: string; values: string[] } | undefined {
  const config = device as Partial<DeviceConfig>
  const topic = device.commandTopic ?? `${device.topic}/set`
  if (config.kind !== 'gpio' || config.settings?.direction !== 'out') return undefined
  return { topic, values: config.settings.pulse === undefined ? ['on', 'off'] : ['on'] }
}

/** ms between two readings, where the owner has said anything about it. */
export function periodOf(device: Device, thing: Thing): number | undefined {
  const every = (device as { settings?: { every?: number } }).settings?.every
  const longest = thing.window?.every ?? thing.maxInterval
  if (thing.staleAfter !== undefined) return thing.staleAfter / PERIODS_A_LIFE
  if (every !== undefined) return Math.max(every, thing.window?.every ?? 0, thing.minInterval ?? 0)
  return longest
}
