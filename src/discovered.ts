/** What is plugged in, and whether a device of the configuration uses it. Part of the composition root. */
import { type Discovered, discover, type Found } from '../device/discovery.ts'
import type { DeviceConfig } from './config/schema.ts'

export interface Known extends Found {
  readonly used: boolean
}

/** `machine` in the place of /sys and /dev. Never rejects. */
export async function discovered(
  devices: readonly DeviceConfig[],
  machine?: Parameters<typeof discover>[0],
): Promise<Record<keyof Discovered, Known[]>> {
  const { ports, sensors, chips } = await discover(machine)
  const marks = (kind: DeviceConfig['kind']) =>
    devices.filter(device => device.kind === kind).flatMap(device => marksOf(device))
  const known = (kind: DeviceConfig['kind']) => {
    const used = marks(kind)
    return (found: Found): Known => ({ ...found, used: used.some(mark => mark(found)) })
  }
  return { ports: ports.map(known('serial')), sensors: sensors.map(known('file')), chips: chips.map(known('gpio')) }
}

type Mark = (found: Found) => boolean

/** How what a device uses is told from the rest: by what stands in the lines that are offered for it. */
function marksOf(device: DeviceConfig): Mark[] {
  const has = (text: string): Mark => {
    const word = new RegExp(`(?<![\\w/.-])${text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w/.-])`, 'i')
    return ({ what, config }) => word.test(what) || word.test(config)
  }
  switch (device.kind) {
    case 'serial': {
      const { path, usb } = device.settings
      const ids = usb === undefined ? [] : [usb.serial ?? `${usb.vendor}:${usb.product}`]
      return [...(path === undefined ? [] : [path]), ...ids].map(has)
    }
    case 'file': {
      const { path, sensor } = device.settings
      if (sensor === undefined) return path === undefined ? [] : [has(path)]
      const marks = [has(`${sensor.bus}: ${sensor.chip}`)]
      if (sensor.channel !== undefined) marks.push(has(sensor.channel))
      return [found => marks.every(mark => mark(found))]
    }
    case 'gpio': {
      const { chip } = device.settings
      return [chip === undefined ? ({ what }) => what.includes("the header's pins") : has(chip)]
    }
    default:
      return []
  }
}
