/**
 * Which port an adapter is, read from a tree of sysfs as Linux 6.6 on a Pi 4 has it: an FTDI adapter (usb-serial: the
 * port lies below its interface), an Arduino (CDC-ACM: the interface is the port), a two-port CP2105, the board's own UART.
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { PortClaims } from '../../../device/serial/claims.ts'
import { describePlace, locate } from '../../../device/serial/place.ts'
import { describeUsb, findUsb, listPorts, type PortRoots } from '../../../device/serial/usb.ts'

const BUS = 'devices/platform/scb/fd500000.pcie/pci0000:00/0000:00:00.0/0000:01:00.0/usb1/1-1'
const FTDI = {
  idVendor: '0403',
  idProduct: '6001',
  manufacturer: 'FTDI',
  product: 'FT232R USB UART',
  serial: 'A5069RR4',
}
const ARDUINO = { idVendor: '2341', idProduct: '0043', manufacturer: 'Arduino (www.arduino.cc)', serial: '95530343' }
const CP2105 = { idVendor: '10C4', idProduct: 'EA70', product: 'CP2105 Dual USB to UART Bridge Controller' }

let root: string
let roots: PortRoots

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'larder-sysfs-'))
  roots = { sysfs: join(root, 'sys'), dev: join(root, 'dev') }
  mkdirSync(roots.dev)
  for (const name of ['tty', 'tty0', 'tty63', 'console', 'ptmx']) place(name, `devices/virtual/tty/${name}`)
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

function write(folder: string, files: Record<string, string>): void {
  mkdirSync(folder, { recursive: true })
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), `${text}\n`)
}

function link(path: string, target: string): void {
  mkdirSync(dirname(path), { recursive: true })
  symlinkSync(relative(dirname(path), target), path)
}

/** A port in `class/tty` whose folder is at `where`; with a device above it if there is one. */
function place(name: string, where: string, device?: string, files: Record<string, string> = {}): void {
  const folder = join(roots.sysfs, where)
  write(folder, { dev: '188:0', ...files })
  if (device !== undefined) link(join(folder, 'device'), join(roots.sysfs, device))
  link(join(roots.sysfs, 'class/tty', name), folder)
  writeFileSync(join(roots.dev, name), '')
}

/** Plugs an adapter of usb-serial into a port of the hub; returns how to pull it. */
function plug(name: string, hub: string, says: Record<string, string>, number = '00'): () => void {
  const adapter = join(roots.sysfs, BUS, hub)
  const side = `${BUS}/${hub}/${hub}:1.${Number.parseInt(number, 16)}`
  write(adapter, says)
  write(join(roots.sysfs, side), { bInterfaceNumber: number })
  place(name, `${side}/${name}/tty/${name}`, `${side}/${name}`)
  return () => {
    for (const path of [join(roots.sysfs, 'class/tty', name), join(roots.dev, name), adapter]) {
      rmSync(path, { recursive: true })
    }
  }
}

function plugArduino(name = 'ttyACM0'): void {
  const side = `${BUS}/1-1.4/1-1.4:1.0`
  write(join(roots.sysfs, BUS, '1-1.4'), ARDUINO)
  write(join(roots.sysfs, side), { bInterfaceNumber: '00' })
  place(name, `${side}/tty/${name}`, side)
}

describe('the list', () => {
  test('has what adapters say of themselves, and udev’s links where udev is', async () => {
    plug('ttyUSB10', '1-1.2', FTDI)
    plug('ttyUSB2', '1-1.3', CP2105, '01')
    plugArduino()
    place('ttyAMA0', 'devices/platform/soc/fe201000.serial/tty/ttyAMA0', 'devices/platform/soc/fe201000.serial', {
      type: '32',
    })
    link(join(roots.dev, 'serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0'), join(roots.dev, 'ttyUSB10'))
    expect(await listPorts(roots)).toEqual([
      {
        path: join(roots.dev, 'ttyACM0'),
        vendor: '2341',
        product: '0043',
        serial: '95530343',
        interface: 0,
        description: 'Arduino (www.arduino.cc)',
      },
      { path: join(roots.dev, 'ttyAMA0') },
      {
        path: join(roots.dev, 'ttyUSB2'),
        vendor: '10c4',
        product: 'ea70',
        interface: 1,
        description: 'CP2105 Dual USB to UART Bridge Controller',
      },
      {
        path: join(roots.dev, 'ttyUSB10'),
        byId: join(roots.dev, 'serial/by-id/usb-FTDI_FT232R_USB_UART_A5069RR4-if00-port0'),
        vendor: '0403',
        product: '6001',
        serial: 'A5069RR4',
        interface: 0,
        description: 'FTDI FT232R USB UART',
      },
    ])
  })

  test('leaves out slots without a port, as ttyS0 to ttyS3 are on most machines', async () => {
    place('ttyS0', 'devices/platform/serial8250/tty/ttyS0', 'devices/platform/serial8250', { type: '4' })
    place('ttyS1', 'devices/platform/serial8250/tty/ttyS1', 'devices/platform/serial8250', { type: '0' })
    expect((await listPorts(roots)).map(({ path }) => path)).toEqual([join(roots.dev, 'ttyS0')])
  })

  test('is empty where there is no sysfs', async () => {
    expect(await listPorts({ sysfs: join(root, 'none'), dev: join(root, 'none') })).toEqual([])
  })

  test('of this machine can be made', async () => {
    for (const { path } of await listPorts()) expect(path).toMatch(/^\/dev\//)
  })
})

describe('an adapter', () => {
  const match = { vendor: '0403', product: '6001' }

  test('is found again under another name', async () => {
    const pull = plug('ttyUSB0', '1-1.2', FTDI)
    expect(await locate({ usb: match }, roots)).toMatchObject({ path: join(roots.dev, 'ttyUSB0') })
    pull()
    expect(await locate({ usb: match }, roots)).toEqual({ missing: 'no adapter 0403:6001 is plugged in' })
    plug('ttyUSB1', '1-1.2', FTDI)
    expect(await locate({ usb: match }, roots)).toMatchObject({ path: join(roots.dev, 'ttyUSB1') })
  })

  test('is told from its twin by its serial number', async () => {
    plug('ttyUSB0', '1-1.2', FTDI)
    plug('ttyUSB1', '1-1.3', { ...FTDI, serial: 'B0000001' })
    plug('ttyUSB2', '1-1.1', { idVendor: '0403', idProduct: '6001' })
    expect((await findUsb({ ...match, serial: 'B0000001' }, roots)).map(({ path }) => path)).toEqual([
      join(roots.dev, 'ttyUSB1'),
    ])
    expect(await locate({ usb: match }, roots)).toEqual({
      missing:
        `3 ports fit 0403:6001: ${join(roots.dev, 'ttyUSB0')} (A5069RR4, interface 0), ` +
        `${join(roots.dev, 'ttyUSB1')} (B0000001, interface 0), ${join(roots.dev, 'ttyUSB2')} (no serial number, interface 0)` +
        '; say which with serial or interface, or by path',
    })
  })

  test('with two ports is told by the interface', async () => {
    plug('ttyUSB0', '1-1.3', CP2105, '00')
    plug('ttyUSB1', '1-1.3', CP2105, '01')
    const usb = { vendor: '10c4', product: 'ea70', interface: 1 }
    expect(await locate({ usb }, roots)).toMatchObject({ path: join(roots.dev, 'ttyUSB1') })
    expect(describePlace({ usb })).toBe('the adapter 10c4:ea70 with interface 1')
    expect(describeUsb({ ...match, serial: 'X', interface: 0 })).toBe('0403:6001 with serial number X and interface 0')
  })

  test('is missing when its node is', async () => {
    plug('ttyUSB0', '1-1.2', FTDI)
    rmSync(join(roots.dev, 'ttyUSB0'))
    expect(await locate({ usb: match }, roots)).toEqual({ missing: `${join(roots.dev, 'ttyUSB0')} is not there` })
  })
})

test('a port is one device’s until it is given back', () => {
  const claims = new PortClaims()
  expect(claims.claim('188:0', 'Meter')).toBeUndefined()
  expect(claims.claim('188:0', 'Scale')).toBe('Meter')
  expect(claims.claim('188:1', 'Scale')).toBeUndefined()
  claims.release('188:0')
  expect(claims.claim('188:0', 'Scale')).toBeUndefined()
})
