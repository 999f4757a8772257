/**
 * The sensors that the kernel itself drives, found by what they are and not by a number that changes from boot to boot:
 *
 *   one_wire   /sys/bus/w1/devices/28-…         thermometers on the 1-Wire bus (DS18B20 and its like)
 *   iio        /sys/bus/iio/devices/iio:device* BME280, DHT22, light, CO₂, analogue inputs
 *   hwmon      /sys/class/hwmon/hwmon*          temperatures, voltages, fans
 *   thermal    /sys/class/thermal/thermal_zone* the board's own temperature
 *
 * Each has its own unit in the kernel (Documentation/ABI/testing/sysfs-bus-iio, Documentation/hwmon/sysfs-interface.rst,
 * Documentation/w1/slaves/w1_therm.rst); what comes out here is in the unit that people use.
 */
import { access, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ValueDescription } from '../../src/devices/ports.ts'
import { LarderError } from '../../src/kernel/errors.ts'

export const SYSFS_ROOT = '/sys'

export type KernelBus = 'one_wire' | 'iio' | 'hwmon' | 'thermal'

/** A sensor as the owner names it. */
export interface KernelSensor {
  readonly bus: KernelBus
  /** Of `one_wire` its identifier, else the name that its driver gives; `any` is the only one that there is. */
  readonly chip: string
  /** Of `iio` and `hwmon`: what it measures there, such as `humidityrelative` or `temp1`. */
  readonly channel?: string | undefined
}

/** A sensor that is there. */
export interface KernelChannel extends KernelSensor {
  readonly path: string
  /** What the file holds becomes `(number + offset) * scale`. */
  readonly scale: number
  readonly offset: number
  readonly description: ValueDescription
}

interface Quantity {
  /** From the kernel's unit. */
  readonly scale: number
  readonly description: ValueDescription
}

const measured = (scale: number, unit: string, deviceClass?: string): Quantity => ({
  scale,
  description: { unit, deviceClass, stateClass: 'measurement' },
})

const TEMPERATURE = measured(0.001, '°C', 'temperature')

/** By the beginning of the channel's name. */
const IIO: readonly (readonly [string, Quantity])[] = [
  ['temp', TEMPERATURE],
  ['humidityrelative', measured(0.001, '%', 'humidity')],
  ['pressure', measured(10, 'hPa', 'atmospheric_pressure')], // from kPa
  ['illuminance', measured(1, 'lx', 'illuminance')],
  ['concentration_co2', measured(10_000, 'ppm', 'carbon_dioxide')], // from percent
  ['voltage', measured(0.001, 'V', 'voltage')],
  ['current', measured(0.001, 'A', 'current')],
  ['power', measured(0.001, 'W', 'power')],
  ['resistance', measured(1, 'Ω')],
]

const HWMON: readonly (readonly [string, Quantity])[] = [
  ['temp', TEMPERATURE],
  ['humidity', measured(0.001, '%', 'humidity')],
  ['in', measured(0.001, 'V', 'voltage')],
  ['curr', measured(0.001, 'A', 'current')],
  ['power', measured(0.000_001, 'W', 'power')],
  ['fan', measured(1, 'rpm')],
]

/** What a sensor measures, as far as its name says. */
export function descriptionOf({ bus, channel = '' }: KernelSensor): ValueDescription {
  return quantityOf(bus, channel)?.description ?? {}
}

function quantityOf(bus: KernelBus, channel: string): Quantity | undefined {
  if (bus === 'one_wire' || bus === 'thermal') return TEMPERATURE
  const known = bus === 'iio' ? IIO : HWMON
  return known.find(([prefix]) => channel.startsWith(prefix))?.[1]
}

/** All that are there, in the order of their names. `root` is for tests. */
export async function kernelChannels(root = SYSFS_ROOT): Promise<KernelChannel[]> {
  return (await Promise.all([oneWire(root), iio(root), hwmon(root), thermal(root)])).flat()
}

/** The one that is meant. Rejects with a LarderError DEVICE_FAILED that says what is there instead. */
export async function findKernelChannel(sensor: KernelSensor, root = SYSFS_ROOT): Promise<KernelChannel> {
  const there = (await kernelChannels(root)).filter(({ bus }) => bus === sensor.bus)
  const isMeant = ({ chip, channel }: KernelChannel) =>
    (sensor.chip === 'any' || chip === sensor.chip) && (sensor.channel === undefined || channel === sensor.channel)
  const [found, ...others] = there.filter(isMeant)
  if (found !== undefined && others.length === 0) return found
  const all = (found === undefined ? there : [found, ...others]).map(nameOf).join(', ')
  const what = found === undefined ? `There is no ${nameOf(sensor)}` : `There are several sensors ${nameOf(sensor)}`
  throw new LarderError('DEVICE_FAILED', `${what}.`, {
    hint: all === '' ? `The kernel shows no ${sensor.bus} sensor: is its overlay in config.txt?` : `There is ${all}.`,
  })
}

/** As it is written in the configuration. */
export function nameOf({ bus, chip, channel }: KernelSensor): string {
  return channel === undefined ? `${bus}: ${chip}` : `${bus}: ${chip}, channel: ${channel}`
}

async function oneWire(root: string): Promise<KernelChannel[]> {
  const folder = join(root, 'bus/w1/devices')
  const chips = (await namesIn(folder)).filter(name => /^[0-9a-f]{2}-[0-9a-f]{12}$/.test(name))
  const found = chips.map(async chip => {
    const path = join(folder, chip, 'temperature')
    return (await exists(path)) ? [channelOf({ bus: 'one_wire', chip }, path)] : []
  })
  return (await Promise.all(found)).flat()
}

async function thermal(root: string): Promise<KernelChannel[]> {
  const folder = join(root, 'class/thermal')
  const zones = (await namesIn(folder)).filter(name => name.startsWith('thermal_zone'))
  const found = zones.map(async zone => {
    const chip = await textOf(join(folder, zone, 'type'))
    return chip === undefined ? [] : [channelOf({ bus: 'thermal', chip }, join(folder, zone, 'temp'))]
  })
  return (await Promise.all(found)).flat()
}

async function hwmon(root: string): Promise<KernelChannel[]> {
  const folder = join(root, 'class/hwmon')
  const found = (await namesIn(folder)).map(async name => {
    const chip = await textOf(join(folder, name, 'name'))
    if (chip === undefined) return []
    return (await namesIn(join(folder, name))).flatMap(file => {
      const channel = /^([a-z]+\d+)_input$/.exec(file)?.[1]
      return channel === undefined ? [] : [channelOf({ bus: 'hwmon', chip, channel }, join(folder, name, file))]
    })
  })
  return (await Promise.all(found)).flat()
}

async function iio(root: string): Promise<KernelChannel[]> {
  const folder = join(root, 'bus/iio/devices')
  const found = (await namesIn(folder)).map(async name => {
    const at = join(folder, name)
    const chip = await textOf(join(at, 'name'))
    if (chip === undefined) return []
    const channels = (await namesIn(at)).map(async file => {
      const [, channel, form] = /^in_([a-z0-9_]+)_(input|raw)$/.exec(file) ?? []
      if (channel === undefined) return []
      const known = channelOf({ bus: 'iio', chip, channel }, join(at, file))
      return form === 'input' ? [known] : [await fromRaw(known, at, channel)]
    })
    return (await Promise.all(channels)).flat()
  })
  return (await Promise.all(found)).flat()
}

/** A raw channel has a scale and an offset of its own, or those of all channels of its type. */
async function fromRaw(known: KernelChannel, folder: string, channel: string): Promise<KernelChannel> {
  const type = channel.replace(/\d+.*$/, '')
  const attribute = async (name: string) => {
    const own = await textOf(join(folder, `in_${channel}_${name}`))
    const number = Number(own ?? (await textOf(join(folder, `in_${type}_${name}`))))
    return Number.isFinite(number) ? number : undefined
  }
  return { ...known, scale: known.scale * ((await attribute('scale')) ?? 1), offset: (await attribute('offset')) ?? 0 }
}

function channelOf(sensor: KernelSensor, path: string): KernelChannel {
  const { scale = 1, description = {} } = quantityOf(sensor.bus, sensor.channel ?? '') ?? {}
  return { ...sensor, path, scale, offset: 0, description }
}

async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).sort()
  } catch {
    return []
  }
}

async function textOf(file: string): Promise<string | undefined> {
  try {
    return (await readFile(file, 'utf8')).trim()
  } catch {
    return undefined
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file)
    return true
  } catch {
    return false
  }
}
