/** The doctor's looks at the machine, each on a machine that is made for it: recorded files of the kernel, real processes. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { loadConfig } from '../../../src/config/load.ts'
import { examine } from '../../../src/doctor/examine.ts'
import type { CheckName, DoctorDependencies, Finding, Subject } from '../../../src/doctor/ports.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { LarderError } from '../../../src/kernel/errors.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'larder-doctor-'))
  mkdirSync(join(root, 'data'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** A file of the kernel. */
function shows(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
}

function subjectOf(yaml: string, rest: Partial<Subject> = {}): Subject {
  const text = `data_dir: ${join(root, 'data')}\n${yaml}`
  const result = loadConfig({ text, env: {}, cwd: root, checks: { cron: () => undefined } })
  if ('faults' in result) throw new Error(result.faults.map(({ message }) => message).join('\n'))
  return { config: result.config, faults: [], file: 'larder.yaml', running: undefined, ...rest }
}

async function found(
  check: CheckName,
  subject: Subject,
  deps: Partial<DoctorDependencies> = {},
): Promise<Omit<Finding, 'check'>[]> {
  const all: Finding[] = []
  const whole: DoctorDependencies = {
    clock: systemClock,
    sync: { isSynced: () => true },
    roots: { sys: join(root, 'sys'), proc: '/proc', dev: join(root, 'dev') },
    addresses: () => [],
    serialPorts: async () => [],
    findUsb: async () => [],
    chipOf: async () => ({ label: 'pinctrl-bcm2711', isNamed: name => name === 'gpiochip0' }),
    verify: async () => undefined,
    ask: async () => undefined,
    upstreams: () => [
      { place: 'cloud', dial: () => Promise.reject(new Error()), explain: () => ({ reason: 'closed' }) },
    ],
    ...deps,
  }
  for await (const finding of examine(subject, whole)) all.push(finding)
  expect(new Set(all.map(each => each.check))).toEqual(
    new Set(['config', 'listeners', 'power', 'disk', 'clock', 'serial', 'gpio', 'cloud']),
  )
  return all.filter(each => each.check === check).map(({ check: _, ...rest }) => rest)
}

const THROTTLED = 'sys/devices/platform/soc/soc:firmware/get_throttled'

test.each<[state: string, grade: string, cause: string]>([
  ['0', 'ok', 'high enough'],
  ['50005', 'fail', 'too low now'],
  ['50000', 'warn', 'was too low since the start'],
  ['20002', 'warn', 'slowed down now'],
  ['80000', 'warn', 'was slowed down since the start'],
])('voltage %s: %s', async (state, grade, cause) => {
  shows(THROTTLED, `${state}\n`)
  const [voltage] = await found('power', subjectOf(''))
  expect(voltage).toMatchObject({ subject: 'voltage', grade, cause: expect.stringContaining(cause) })
  expect(voltage?.mend === undefined).toBe(grade === 'ok')
})

test('voltage by vcgencmd; nothing on other machines', async () => {
  const ask = async (tool: string) => (tool === 'vcgencmd' ? 'throttled=0x50005\n' : undefined)
  expect((await found('power', subjectOf(''), { ask }))[0]).toMatchObject({ grade: 'fail' })
  expect(await found('power', subjectOf(''))).toMatchObject([
    { grade: 'skip', cause: expect.stringContaining('cannot tell here') },
    { grade: 'skip', cause: expect.stringContaining('cannot tell here') },
  ])
})

test.each([
  ['48100', 'ok', '48 °C'],
  ['71000', 'warn', '71 °C'],
  ['82500', 'fail', '83 °C'],
])('heat %s: %s', async (temperature, grade, shown) => {
  shows('sys/class/thermal/thermal_zone0/temp', '30000\n')
  shows('sys/class/thermal/thermal_zone1/temp', `${temperature}\n`)
  const [, heat] = await found('power', subjectOf(''))
  expect(heat).toMatchObject({ subject: 'heat', grade, cause: expect.stringContaining(shown) })
})

describe('clock', () => {
  const TLS = 'bridges: [{ name: cloud, url: "mqtts://cloud.example", out: [{ filter: "#" }] }]'
  test.each<[what: string, yaml: string, wall: number, isSynced: boolean, grade: string, cause: RegExp]>([
    ['set', '', Date.UTC(2026, 5, 1, 12), true, 'ok', /2026-06-01 12:00:00 UTC/],
    ['perhaps not set', '', Date.UTC(2026, 5, 1), false, 'warn', /nothing tells/],
    ['without a battery', '', Date.UTC(1970, 0, 1), false, 'fail', /1970-01-01/],
    ['without a battery, and TLS', TLS, Date.UTC(1970, 0, 1), false, 'fail', /TLS needs it/],
    ['not to be believed', 'store: { trust_clock: never }', Date.UTC(2026, 5, 1), false, 'skip', /not to believe/],
  ])('%s', async (_, yaml, wall, isSynced, grade, cause) => {
    const clock = { ...systemClock, wall: () => wall }
    const [told] = await found('clock', subjectOf(yaml), { clock, sync: { isSynced: () => isSynced } })
    expect(told).toMatchObject({ grade, cause: expect.stringMatching(cause) })
  })
})

describe('disk', () => {
  test('room, writing, and a store that is whole, damaged, in use', async () => {
    const sound = await found('disk', subjectOf(''), { verify: async () => [] })
    expect(sound).toMatchObject([
      { subject: 'room', grade: 'ok' },
      { subject: 'writing', grade: expect.stringMatching(/ok|warn/), cause: expect.stringMatching(/after [\d.]+ ms/) },
      { subject: 'store', grade: 'ok' },
    ])
    const damaged = await found('disk', subjectOf(''), { verify: async () => ['3 messages that nobody waits for'] })
    expect(damaged[2]).toMatchObject({
      grade: 'fail',
      cause: expect.stringContaining('3 messages'),
      mend: expect.any(String),
    })
    const locked = new LarderError('STORE_LOCKED', 'the store is in use.')
    const inUse = await found('disk', subjectOf(''), { verify: () => Promise.reject(locked) })
    expect(inUse[2]).toMatchObject({ grade: 'skip', cause: 'the store is in use' })
  })

  test('the running gateway says how its store is', async () => {
    const verify = () => Promise.reject(new Error('nobody else may look'))
    const running = { troubles: ['the disk is nearly full'], bridges: [], devices: [] }
    const [, , store] = await found('disk', subjectOf('', { running }), { verify })
    expect(store).toMatchObject({ grade: 'fail', cause: 'the disk is nearly full' })
  })

  test('too little room; nowhere to write', async () => {
    const subject = subjectOf('')
    const { config } = subject
    if (config === undefined) throw new Error('no configuration')
    const withFree = { ...subject, config: { ...config, store: { ...config.store, minFree: 2 ** 60 } } }
    const [room] = await found('disk', withFree)
    expect(room).toMatchObject({ grade: 'fail', cause: expect.stringContaining('nothing new is stored') })
    const elsewhere = { ...subject, config: { ...config, dataDir: '/proc/self' } }
    const [, writing] = await found('disk', elsewhere)
    expect(writing).toMatchObject({
      grade: 'fail',
      cause: expect.stringContaining('nothing can be written in /proc/self'),
    })
  })
})

describe('serial', () => {
  const subject = (path: string, rest: Partial<Subject> = {}) =>
    subjectOf(`devices: [{ name: Scale, room: Kitchen, serial: { path: "${path}" } }]`, rest)

  test('there; not there; a path that may change', async () => {
    shows('dev/ttyUSB0', '')
    const path = join(root, 'dev/ttyUSB0')
    const byId = join(root, 'dev/serial/by-id/usb-FTDI')
    mkdirSync(dirname(byId), { recursive: true })
    symlinkSync(path, byId)
    const serialPorts = async () => [{ path, byId }]
    expect(await found('serial', subject(path), { serialPorts })).toMatchObject([
      { subject: 'Kitchen/Scale', grade: 'warn', mend: `Write "path: ${byId}", which stays the same.` },
    ])
    expect(await found('serial', subject(byId), { serialPorts })).toMatchObject([{ grade: 'ok' }])
    const gone = await found('serial', subject(join(root, 'dev/ttyUSB1')), { serialPorts })
    expect(gone).toMatchObject([{ grade: 'fail', mend: `There is ${byId}.` }])
    const running = { troubles: [], bridges: [], devices: [{ room: 'Kitchen', name: 'Scale', state: 'offline' }] }
    const silent = await found('serial', subject(byId, { running }), { serialPorts })
    expect(silent).toMatchObject([{ grade: 'warn', cause: expect.stringContaining('says nothing') }])
  })

  test('adapters by what they are', async () => {
    const usb = subjectOf(
      'devices: [{ name: Scale, room: Kitchen, serial: { usb: { vendor: "0403", product: "6001" } } }]',
    )
    shows('dev/ttyUSB0', '')
    const port = join(root, 'dev/ttyUSB0')
    expect(await found('serial', usb)).toMatchObject([{ grade: 'fail', cause: 'no adapter 0403:6001 is plugged in' }])
    expect(await found('serial', usb, { findUsb: async () => [port, port] })).toMatchObject([{ grade: 'fail' }])
    expect(await found('serial', usb, { findUsb: async () => [port] })).toMatchObject([{ grade: 'ok' }])
  })

  test('somebody else has it open', async () => {
    shows('dev/ttyUSB0', '')
    const path = join(root, 'dev/ttyUSB0')
    const file = openSync(path, 'r')
    const other = spawn('sleep', ['60'], { stdio: [file, 'ignore', 'ignore'] })
    try {
      await once(other, 'spawn')
      closeSync(file)
      const told = await until(
        async () => {
          const [finding] = await found('serial', subject(path))
          return finding?.grade === 'fail' ? finding : undefined
        },
        { what: 'the other process' },
      )
      expect(told.cause).toMatch(new RegExp(`^sleep \\(process ${other.pid}\\) has .*ttyUSB0 open too$`))
    } finally {
      other.kill('SIGKILL')
    }
  })

  test('the console of the system is on it', async () => {
    shows('dev/ttyAMA0', '')
    shows('proc/cmdline', 'console=tty1 console=ttyAMA0,115200 root=/dev/mmcblk0p2\n')
    const roots = { sys: join(root, 'sys'), proc: join(root, 'proc'), dev: join(root, 'dev') }
    const told = await found('serial', subject(join(root, 'dev/ttyAMA0')), { roots })
    expect(told).toMatchObject(
      [{ grade: 'fail', cause: expect.stringContaining('console'), mend: /raspi-config/ }].map(each => ({
        ...each,
        mend: expect.stringMatching(each.mend),
      })),
    )
  })
})

describe('pins', () => {
  const PINS = `devices:
  - { name: Door, room: Hall, gpio: { pin: 17, direction: in } }
  - { name: Lamp, room: Hall, gpio: { pin: 27, direction: out } }`

  test.each<[version: string, gpioinfo: string]>([
    [
      '1',
      'gpiochip0 - 58 lines:\n\tline  17:     "GPIO17"       unused   input  active-high \n\tline  27:     "GPIO27"      "w1-bus"  output  active-high [used]\n',
    ],
    [
      '2',
      'gpiochip0 - 58 lines:\n\tline  17:\t"GPIO17"        \tinput\n\tline  27:\t"GPIO27"        \toutput consumer="w1-bus"\ngpiochip1 - 8 lines:\n\tline  17:\tunnamed  \toutput consumer="other"\n',
    ],
  ])('gpioinfo %s: free, and in use', async (_, gpioinfo) => {
    shows('dev/gpiochip0', '')
    const ask = async (tool: string) => (tool === 'gpioinfo' ? gpioinfo : undefined)
    expect(await found('gpio', subjectOf(PINS), { ask })).toMatchObject([
      { grade: 'ok', cause: expect.stringContaining('gpiochip0 may be used') },
      { subject: 'Hall/Door', grade: 'ok' },
      { subject: 'Hall/Lamp', grade: 'fail', cause: 'GPIO 27 is in use by "w1-bus"' },
    ])
  })

  test('no chip; none that may be used; what the running gateway says', async () => {
    const none = new LarderError('DRIVER_MISSING', 'This machine shows no GPIO pins.', { hint: 'Give it /sys.' })
    const told = await found('gpio', subjectOf(PINS), { chipOf: () => Promise.reject(none) })
    expect(told).toMatchObject([
      { grade: 'fail', cause: expect.stringContaining('this user may use neither') },
      { subject: 'Hall/Door', grade: 'fail', mend: 'Give it /sys.' },
      { subject: 'Hall/Lamp', grade: 'fail', mend: 'Give it /sys.' },
    ])
    shows('sys/class/gpio/export', '')
    const devices = [
      { room: 'Hall', name: 'Door', state: 'online' },
      { room: 'Hall', name: 'Lamp', state: 'offline' },
    ]
    const running = { troubles: [], bridges: [], devices }
    expect((await found('gpio', subjectOf(PINS, { running }))).map(({ grade }) => grade)).toEqual(['ok', 'ok', 'fail'])
  })
})

test('a check that does not end is given up', async () => {
  const clock = new ManualClock(Date.UTC(2026, 6, 1))
  const disk = found('disk', subjectOf(''), { clock, verify: () => new Promise(() => {}) })
  await until(() => clock.pending > 0, { what: 'the checks to begin' })
  await clock.advance(120_000)
  expect(await disk).toMatchObject([{ grade: 'warn', cause: 'it was not done within 60 s' }])
})

test('a configuration with faults: they are said, and the machine is looked at all the same', async () => {
  shows(THROTTLED, '0')
  const subject: Subject = {
    config: undefined,
    faults: ['larder.yaml:3:1: x'],
    file: 'larder.yaml',
    running: undefined,
  }
  expect(await found('config', subject)).toMatchObject([{ grade: 'fail', cause: 'larder.yaml:3:1: x' }])
  expect((await found('power', subject))[0]).toMatchObject({ grade: 'ok' })
  expect(await found('listeners', subject)).toMatchObject([{ grade: 'skip' }])
})
