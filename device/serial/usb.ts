/**
 * Serial ports as the kernel lists them, and which of them a USB adapter's own words mean. Read from sysfs, because
 * `udevadm`, which `serialport` asks, is not in a slim container. `<sysfs>/class/tty/<name>/device` leads into the tree
 * of devices; above it stand the USB interface (`bInterfaceNumber`) and the adapter (`idVendor`, `idProduct`, `serial`).
 */
import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** Folders above a port in which its adapter is looked for: a port of a USB serial driver is three below. */
const MAX_CLIMB = 6
/** Consoles and the like, of which every machine has sixty-four: no ports, and not worth the look. */
const NO_PORT = /^(?:tty\d*|console|ptmx|vcs.*)$/
/** What the kernel calls a place for a port on which there is none (`PORT_UNKNOWN`). */
const EMPTY_SLOT = '0'

/** Where to look; the machine's own unless a test brings a recorded tree. */
export interface PortRoots {
  readonly sysfs: string
  readonly dev: string
}

export const MACHINE: PortRoots = { sysfs: '/sys', dev: '/dev' }

/** A serial port. What a port on the board itself does not have is absent. */
export interface PortInfo {
  /** Such as `/dev/ttyUSB0`. */
  readonly path: string
  /** The link of udev that stays the same, such as `/dev/serial/by-id/usb-FTDI_…-if00-port0`. */
  readonly byId?: string
  /** Four hexadecimal digits, lower case. */
  readonly vendor?: string
  readonly product?: string
  readonly serial?: string
  /** Number of the interface of an adapter with several. */
  readonly interface?: number
  /** What the adapter calls itself: `FTDI FT232R USB UART`. */
  readonly description?: string
}

/** What an adapter must say of itself. */
export interface UsbMatch {
  /** Four hexadecimal digits, lower case. */
  readonly vendor: string
  readonly product: string
  readonly serial?: string | undefined
  readonly interface?: number | undefined
}

/** All serial ports, in the order of their names. Empty where there is no sysfs. Never rejects. */
export async function listPorts(roots: PortRoots = MACHINE): Promise<PortInfo[]> {
  const [names, links] = await Promise.all([portNames(roots), linksById(roots)])
  const ports = await Promise.all(names.map(name => portInfo(name, roots, links)))
  return ports.filter(port => port !== undefined)
}

/** The ports of adapters that `match`. Never rejects. */
export async function findUsb(match: UsbMatch, roots: PortRoots = MACHINE): Promise<PortInfo[]> {
  const none = new Map<string, string>()
  const ports = await Promise.all((await portNames(roots)).map(name => portInfo(name, roots, none)))
  return ports.filter(port => port !== undefined && fits(port, match)) as PortInfo[]
}

/** A match in words: `0403:6001 with serial number A5069RR4`. */
export function describeUsb({ vendor, product, serial, interface: number }: UsbMatch): string {
  const details = [
    ...(serial === undefined ? [] : [`serial number ${serial}`]),
    ...(number === undefined ? [] : [`interface ${number}`]),
  ]
  return `${vendor}:${product}${details.length === 0 ? '' : ` with ${details.join(' and ')}`}`
}

function fits(port: PortInfo, match: UsbMatch): boolean {
  return (
    port.vendor === match.vendor &&
    port.product === match.product &&
    (match.serial === undefined || port.serial === match.serial) &&
    (match.interface === undefined || port.interface === match.interface)
  )
}

async function portNames({ sysfs }: PortRoots): Promise<string[]> {
  const names = await readdir(join(sysfs, 'class/tty')).catch(() => [])
  return names.filter(name => !NO_PORT.test(name)).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }))
}

async function portInfo(
  name: string,
  { sysfs, dev }: PortRoots,
  links: ReadonlyMap<string, string>,
): Promise<PortInfo | undefined> {
  const node = join(sysfs, 'class/tty', name)
  // Pseudo-terminals and other inventions of software have no device.
  const device = await realpath(join(node, 'device')).catch(() => undefined)
  if (device === undefined || (await attribute(node, 'type')) === EMPTY_SLOT) return undefined
  const byId = links.get(name)
  return { path: join(dev, name), ...(byId === undefined ? {} : { byId }), ...(await adapterOf(device)) }
}

/** What the USB adapter above `device` says of itself; nothing when there is none. */
async function adapterOf(device: string): Promise<Omit<PortInfo, 'path' | 'byId'>> {
  let number: string | undefined
  for (let folder = device, climbed = 0; climbed < MAX_CLIMB; folder = dirname(folder), climbed++) {
    number ??= await attribute(folder, 'bInterfaceNumber')
    const vendor = await attribute(folder, 'idVendor')
    if (vendor === undefined) continue
    const words = ['idProduct', 'serial', 'manufacturer', 'product'].map(word => attribute(folder, word))
    const [product = '', serial, manufacturer, model] = await Promise.all(words)
    const description = [manufacturer, model].filter(word => word !== undefined).join(' ')
    return {
      vendor: vendor.toLowerCase(),
      product: product.toLowerCase(),
      ...(serial === undefined ? {} : { serial }),
      ...(number === undefined ? {} : { interface: Number.parseInt(number, 16) }),
      ...(description === '' ? {} : { description }),
    }
  }
  return {}
}

/** The text of a file of the kernel, or undefined. */
async function attribute(folder: string, name: string): Promise<string | undefined> {
  const text = await readFile(join(folder, name), 'utf8').catch(() => '')
  return text.trim() || undefined
}

/** The links that udev makes, by the name of the port that they lead to. None without udev. */
async function linksById({ dev }: PortRoots): Promise<Map<string, string>> {
  const folder = join(dev, 'serial/by-id')
  const names = await readdir(folder).catch(() => [])
  const pairs = await Promise.all(
    names.map(async name => {
      const target = await readlink(join(folder, name)).catch(() => undefined)
      return target === undefined ? undefined : ([basename(target), join(folder, name)] as const)
    }),
  )
  return new Map(pairs.filter(pair => pair !== undefined))
}
