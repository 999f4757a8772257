/** Which port is whose, on real pseudo-terminals: adapters that come back under another name, two claims on one port, twenty at once. */
import { mkdirSync, mkdtempSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { PortClaims } from '../../device/serial/claims.ts'
import type { PortRoots } from '../../device/serial/usb.ts'
import { needs } from '../support/needs.ts'
import { Process } from '../support/process.ts'
import { openPty, type Pty } from '../support/pty.ts'
import { SerialRig } from '../support/serial-rig.ts'
import { until } from '../support/wait.ts'

/** Of the run with many adapters: a serial line at 115,200 baud carries 11,520 bytes a second. */
const ADAPTERS = 20
const BYTES_A_SECOND = 11_520
const SECONDS = 3

const rig = new SerialRig()

describe.skipIf(!needs('socat'))('an adapter', () => {
  let first: Pty
  let second: Pty
  let root: string
  let roots: PortRoots
  const usb = { vendor: '0403', product: '6001', serial: 'A5069RR4' }

  beforeEach(async () => {
    ;[first, second] = await Promise.all([openPty(), openPty()])
    root = mkdtempSync(join(tmpdir(), 'larder-sysfs-'))
    roots = { sysfs: join(root, 'sys'), dev: join(root, 'dev') }
    mkdirSync(join(roots.sysfs, 'class/tty'), { recursive: true })
    mkdirSync(roots.dev)
  })
  afterEach(async () => {
    await rig.stop()
    await Promise.all([first.close(), second.close()])
    rmSync(root, { recursive: true, force: true })
  })

  /** Puts the adapter into the tree of sysfs, and its node, which is a real terminal, into /dev. */
  function plug(name: string, cable: Pty): void {
    const adapter = join(roots.sysfs, 'devices/usb1/1-1')
    const port = join(adapter, '1-1:1.0', name)
    const node = join(port, 'tty', name)
    mkdirSync(node, { recursive: true })
    for (const [file, text] of [
      [join(adapter, 'idVendor'), usb.vendor],
      [join(adapter, 'idProduct'), usb.product],
      [join(adapter, 'serial'), usb.serial],
      [join(adapter, '1-1:1.0/bInterfaceNumber'), '00'],
    ] as const) {
      writeFileSync(file, `${text}\n`)
    }
    symlinkSync(relative(node, port), join(node, 'device'))
    const listed = join(roots.sysfs, 'class/tty', name)
    symlinkSync(relative(dirname(listed), node), listed)
    symlinkSync(readlinkSync(cable.path), join(roots.dev, name))
  }

  function unplug(name: string): void {
    rmSync(join(roots.sysfs, 'devices/usb1/1-1'), { recursive: true })
    rmSync(join(roots.sysfs, 'class/tty', name))
    rmSync(join(roots.dev, name))
  }

  it('is found by what it says of itself, and again under another name', async () => {
    const { seen } = await rig.start({ usb }, { roots })
    expect(seen.states).toEqual(['offline: no adapter 0403:6001 with serial number A5069RR4 is plugged in'])
    plug('ttyUSB0', first)
    await seen.is('online')
    first.write('\na:1\nhalf')
    await seen.count(1)
    unplug('ttyUSB0')
    await first.unplug()
    await seen.is(/^offline: no adapter/)
    plug('ttyUSB3', second)
    await seen.is('online')
    second.write('\na:2\n')
    await seen.count(2)
    expect(seen.values).toEqual([{ a: 1 }, { a: 2 }])
  })

  it('that two devices mean is the first one’s, whatever they call it', async () => {
    plug('ttyUSB0', first)
    const link = join(root, 'by-id')
    symlinkSync(join(roots.dev, 'ttyUSB0'), link)
    const claims = new PortClaims()
    const meter = await rig.start({ usb }, { roots, claims, name: 'Meter' })
    const scale = await rig.start({ path: link }, { claims, name: 'Scale' })
    const clock = await rig.start({ path: first.path }, { claims, name: 'Clock' })
    expect(meter.seen.states).toEqual(['online'])
    expect(scale.seen.states).toEqual([`offline: ${link} is the port of Meter already, and a port has one reader`])
    expect(clock.seen.states).toEqual([
      `offline: ${first.path} is the port of Meter already, and a port has one reader`,
    ])
    first.write('\na:1\n')
    await meter.seen.count(1)
    await meter.source.stop()
    await until(() => [scale, clock].some(({ seen }) => seen.state === 'online'), { what: 'one of the others' })
    first.write('\na:2\n')
    await until(() => scale.seen.values.length + clock.seen.values.length === 1, { what: 'a reading' })
    expect(meter.seen.values).toHaveLength(1)
  })
})

describe.skipIf(!needs('socat'))('a port', () => {
  afterEach(() => rig.stop())

  it('that another process has is taken when it is free', async () => {
    await using cable = await openPty()
    await using other = openInAnotherProcess(cable.path)
    await other.line(line => line === 'open')
    const { seen } = await rig.start({ path: cable.path })
    expect(seen.states).toEqual([`offline: ${cable.path} is in use by another program or device`])
    await other.kill()
    await seen.is('online')
  })

  it('that is the gateway’s is not another process’s', async () => {
    await using cable = await openPty()
    const { seen } = await rig.start({ path: cable.path })
    await using other = openInAnotherProcess(cable.path)
    expect(await other.line(line => line !== '')).toMatch(/cannot lock port/i)
    cable.write('\na:1\n')
    await seen.count(1)
    expect(seen.states).toEqual(['online'])
  })

  it(`and ${ADAPTERS - 1} others at 115,200 baud at once lose nothing`, async () => {
    const cables = await Promise.all(Array.from({ length: ADAPTERS }, () => openPty()))
    try {
      const sources = await Promise.all(cables.map(({ path }) => rig.start({ path, baud: 115_200, codec: 'number' })))
      const line = (n: number) => `${String(n).padStart(9, '1')}\n`
      const count = Math.floor((BYTES_A_SECOND * SECONDS) / line(0).length)
      for (const cable of cables) cable.write('\n')
      const began = performance.now()
      const before = process.cpuUsage()
      // As a line does: what is due by now, and no more.
      for (let sent = 0; sent < count; ) {
        const due = Math.min(count, Math.ceil(((performance.now() - began) / 1000) * (BYTES_A_SECOND / line(0).length)))
        const text = Array.from({ length: due - sent }, (_, i) => line(sent + i)).join('')
        for (const cable of cables) cable.write(text)
        sent = due
        await new Promise(resolve => setTimeout(resolve, 5))
      }
      await Promise.all(sources.map(({ seen }) => seen.count(count)))
      const took = (performance.now() - began) / 1000
      const { user, system } = process.cpuUsage(before)
      const wanted = Array.from({ length: count }, (_, n) => Number(line(n)))
      for (const { seen } of sources) expect(seen.values).toEqual(wanted)
      for (const { seen } of sources) expect(seen.faults).toEqual([])
      const rate = Math.round((count * ADAPTERS) / took)
      process.stdout.write(
        `${ADAPTERS} adapters: ${count * ADAPTERS} lines in ${took.toFixed(1)} s (${rate}/s), none lost; ` +
          `${Math.round((user + system) / 1e4 / took)} % of a core, the senders’ own work in it\n`,
      )
    } finally {
      await rig.stop()
      await Promise.all(cables.map(cable => cable.close()))
    }
  })
})

/** Another program that opens the port as we do; says `open`, or why not. */
function openInAnotherProcess(path: string): Process {
  const script = `
    const { SerialPort } = require('serialport')
    const port = new SerialPort({ path: process.argv[1], baudRate: 9600, autoOpen: false })
    port.open(error => console.log(error === null ? 'open' : error.message))
    setInterval(() => {}, 1000)
  `
  return new Process(process.execPath, ['-e', script, path], { cwd: join(import.meta.dirname, '../..') })
}
