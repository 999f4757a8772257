/** What is plugged into this machine, each with the lines that put it into `larder.yaml`. Reads sysfs and opens nothing. */
import { readFile } from 'node:fs/promises'
import { BOARD_CHIPS, HEADER_CHIPS, readChips } from './gpio/chip.ts'
import { listPorts, MACHINE, type PortInfo } from './serial/usb.ts'
import { type KernelChannel, kernelChannels, nameOf } from './sysfs/kernel-sensors.ts'

/** One thing that is there. */
export interface Found {
  /** For a person: `FTDI FT232R USB UART on /dev/ttyUSB0`. */
  readonly what: string
  /** What stands for it in the configuration: `file: { one_wire: 28-0316a2794a2f }`. */
  readonly config: string
}

export interface Discovered {
  readonly ports: readonly Found[]
  readonly sensors: readonly Found[]
  readonly chips: readonly Found[]
}

/** `roots` are in the place of /sys and /dev, for tests. Never rejects: what cannot be read is not listed. */
export async function discover(roots = MACHINE): Promise<Discovered> {
  const [ports, channels, chips] = await Promise.all([
    listPorts(roots),
    kernelChannels(roots.sysfs),
    readChips(`${roots.sysfs}/class/gpio`).catch(() => []),
  ])
  return {
    ports: ports.map(portFound),
    sensors: await Promise.all(channels.map(sensorFound)),
    chips: chips.filter(({ label }) => !BOARD_CHIPS.test(label)).map(chipFound),
  }
}

function chipFound({ label, ngpio }: { label: string; ngpio: number }): Found {
  const isHeader = HEADER_CHIPS.includes(label)
  return {
    what: `${label}, ${isHeader ? "the header's pins" : `lines 0 to ${ngpio - 1}`}`,
    config: `gpio: { ${isHeader ? 'pin: 17' : `chip: ${label}, line: 0`}, direction: in }`,
  }
}

function portFound({ path, byId, vendor, product, serial, description }: PortInfo): Found {
  const usb = vendor === undefined ? '' : ` (${vendor}:${product}${serial === undefined ? '' : `, serial ${serial}`})`
  return { what: `${description ?? 'serial port'} on ${path}${usb}`, config: `serial: { path: ${byId ?? path} }` }
}

async function sensorFound(channel: KernelChannel): Promise<Found> {
  const { unit = '', deviceClass = '' } = channel.description
  const text = await readFile(channel.path, 'utf8').catch(() => '')
  const number = text.trim() === '' ? Number.NaN : (Number(text) + channel.offset) * channel.scale
  const value = Number.isFinite(number) ? `${Number(number.toPrecision(4))} ${unit}`.trim() : 'no answer'
  return { what: [deviceClass, value].filter(Boolean).join(' '), config: `file: { ${nameOf(channel)} }` }
}
