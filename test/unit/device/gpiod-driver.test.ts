/**
 * The driver of gpiod's tools against stand-ins that print what the real ones print: which options each version is
 * given, and what becomes of its processes. On real chips, with the real tools, it is tested by `scripts/test gpio`.
 */
import { appendFile, chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GpiodDriver } from '../../../device/gpio/gpiod-driver.ts'
import { parseChips, parseEdge } from '../../../device/gpio/gpiod-tools.ts'
import type { GpioLine, GpioLineSettings } from '../../../src/devices/ports.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { until } from '../../support/wait.ts'

const INPUT: GpioLineSettings = { pin: 17, direction: 'in', activeLow: false, debounce: 0, initial: undefined }
const OUTPUT: GpioLineSettings = { ...INPUT, direction: 'out' }

let folder: string
let path: string | undefined
let lines: GpioLine[]
let edges: [boolean, number][]
let lost: string[]

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-gpiod-'))
  path = process.env.PATH
  process.env.PATH = `${join(folder, 'bin')}:${path}`
  lines = []
  edges = []
  lost = []
  await mkdir(join(folder, 'bin'))
  await writeFile(join(folder, 'events'), '')
  await writeFile(join(folder, 'calls'), '')
})

afterEach(async () => {
  for (const line of lines) await line.close()
  process.env.PATH = path
  await rm(folder, { recursive: true })
})

async function script(name: string, body: string): Promise<void> {
  const file = join(folder, 'bin', name)
  await writeFile(file, `#!/bin/sh\nF='${folder}'\necho "${name} $*" >>"$F/calls"\n${body}\n`)
  await chmod(file, 0o755)
}

/** Tools of that version, for a chip whose line 17 has `level`. */
async function install(version: 1 | 2, level: 0 | 1 = 0): Promise<void> {
  const consumer =
    version === 1 ? '\tline  17: "GPIO17" "%s" input active-high [used]' : 'gpiochip0 17 "GPIO17" input consumer=%s'
  // Says that it holds the line, and prints what is added to `events`.
  const hold = (name: string) => `echo ${name} >"$F/holder"; echo $$ >"$F/pid"; exec tail -n +1 -f "$F/events"`
  const number = version === 1 ? '1.6.3' : '2.2.1'
  await script(
    'gpiomon',
    `[ "$1" = --version ] && { echo 'gpiomon (libgpiod) v${number}'; exit; }
[ -e "$F/fault" ] && { cat "$F/fault" >&2; exit 1; }
${hold('gpiomon')}`,
  )
  await script('gpioset', hold('gpioset'))
  await script('gpioget', `echo ${level}`)
  await script(
    'gpiodetect',
    `echo 'gpiochip0 [pinctrl-bcm2711] (58 lines)'; echo 'gpiochip1 [raspberrypi-exp-gpio] (8 lines)'`,
  )
  const free = version === 1 ? '\tline  17: "GPIO17" unused input active-high' : 'gpiochip0 17 "GPIO17" input'
  await script(
    'gpioinfo',
    `kill -0 "$(cat "$F/pid" 2>/dev/null)" 2>/dev/null && [ -e "$F/holder" ] && printf '${consumer}\\n' "$(cat "$F/holder")" || echo '${free}'`,
  )
}

async function open(settings: GpioLineSettings): Promise<GpioLine> {
  const line = await new GpiodDriver({ clock: systemClock }).open(settings, {
    changed: (level, at) => edges.push([level, at]),
    lost: reason => lost.push(reason),
  })
  lines.push(line)
  return line
}

async function calls(tool: string): Promise<string[]> {
  const all = (await readFile(join(folder, 'calls'), 'utf8')).split('\n')
  return all.filter(call => call.startsWith(`${tool} `) && !call.endsWith('--version'))
}

async function pid(): Promise<number> {
  return Number(await readFile(join(folder, 'pid'), 'utf8'))
}

function isAlive(process_: number): boolean {
  try {
    process.kill(process_, 0)
    return true
  } catch {
    return false
  }
}

describe('an input', () => {
  test.each([
    [1, 'gpiomon --line-buffered --format=%e %s %n gpiochip0 17', 'gpioget gpiochip0 17'],
    [2, 'gpiomon --format %e %S --chip gpiochip0 17', 'gpioget --numeric --chip gpiochip0 17'],
  ] as const)('through version %i is read, then watched', async (version, monitored, read) => {
    await install(version, 1)
    const line = await open(INPUT)
    expect(await line.read()).toBe(true)
    expect(await calls('gpioget')).toEqual([read])
    expect(await calls('gpiomon')).toEqual([monitored])
    await appendFile(
      join(folder, 'events'),
      version === 1 ? '0 100 5000000\n1 101 0\n' : '2 100.005000000\n1 101.000000000\n',
    )
    await until(() => edges.length === 2, { what: 'two edges' })
    expect(edges).toEqual([
      [false, 100_005],
      [true, 101_000],
    ])
    expect(await line.read()).toBe(true)
    await line.close()
    expect(isAlive(await pid())).toBe(false)
    expect(lost).toEqual([])
  })

  test.each([
    [1, { pull: 'up' }, ['--bias=pull-up']],
    [1, { pull: 'none' }, ['--bias=disable']],
    [2, { pull: 'down' }, ['--bias=pull-down']],
    [2, { pull: 'none' }, ['--bias=disabled']],
    [1, { edges: 'rising' }, ['--rising-edge']],
    [2, { edges: 'falling' }, ['--edges=falling']],
    [2, { edges: 'falling', activeLow: true }, ['--edges=rising']],
  ] as const)('version %i is told of %j', async (version, settings, options) => {
    await install(version)
    await open({ ...INPUT, ...settings })
    for (const option of options) expect((await calls('gpiomon'))[0]?.split(' ')).toContain(option)
  })

  test('active low is turned round', async () => {
    await install(2, 1)
    const line = await open({ ...INPUT, activeLow: true })
    expect(await line.read()).toBe(false)
    await appendFile(join(folder, 'events'), '2 1.000000000\n')
    await until(() => edges.length === 1, { what: 'an edge' })
    expect(edges).toEqual([[true, 1_000]])
  })

  test('whose process ends is lost, and says so', async () => {
    await install(1)
    const line = await open(INPUT)
    process.kill(await pid(), 'SIGKILL')
    await until(() => lost.length > 0, { what: 'the loss' })
    expect(lost).toEqual(['GPIO 17 fails: it ended with SIGKILL.'])
    await expect(line.read()).rejects.toThrow('it ended with SIGKILL')
  })

  test('noise is no edge', async () => {
    await install(1)
    await open(INPUT)
    await appendFile(join(folder, 'events'), `hello\n\n1\n${'x'.repeat(100_000)}\n1 2 3 4\n1 5 0\n`)
    await until(() => edges.length > 0, { what: 'the edge' })
    expect(edges).toEqual([[true, 5_000]])
  })
})

describe('an output', () => {
  test.each([
    [1, undefined, 0, 'gpioset --mode=signal gpiochip0 17=0', []],
    [1, true, 0, 'gpioset --mode=signal gpiochip0 17=1', []],
    [2, undefined, 1, 'gpioset --chip gpiochip0 17=1', ['gpioget --as-is --numeric --chip gpiochip0 17']],
    [2, false, 1, 'gpioset --chip gpiochip0 17=0', []],
  ] as const)('through version %i, initial %s, while the line is at %i', async (version, initial, level, set, read) => {
    await install(version, level)
    await open({ ...OUTPUT, initial })
    expect(await calls('gpioset')).toEqual([set])
    expect(await calls('gpioget')).toEqual(read)
  })

  test('is held by one process after the other', async () => {
    await install(2)
    const line = await open({ ...OUTPUT, activeLow: true })
    const first = await until(async () => (await pid().catch(() => 0)) || undefined, { what: 'the holder' })
    expect(await line.read()).toBe(true)
    await line.write(false)
    expect(isAlive(first)).toBe(false)
    expect(await line.read()).toBe(false)
    await line.write(false)
    expect(await calls('gpioset')).toEqual(['gpioset --chip gpiochip0 17=0', 'gpioset --chip gpiochip0 17=1'])
    expect(lost).toEqual([])
  })
})

describe('what goes wrong is said in a sentence', () => {
  test.each([
    ['gpiomon: error waiting for events: Device or resource busy', 'GPIO 17 is held by another program or driver.'],
    ['gpiomon: unable to open chip: Permission denied', 'This user may not use GPIO 17.'],
    ['gpiomon: out of luck', 'GPIO 17 fails: gpiomon: out of luck.'],
  ])('%s', async (complaint, message) => {
    await install(1)
    await writeFile(join(folder, 'fault'), complaint)
    await expect(open(INPUT)).rejects.toMatchObject({ code: 'DEVICE_FAILED', message })
  })

  test('a chip of another board', async () => {
    await install(2)
    await expect(open({ ...INPUT, chip: 'gpiochip7' })).rejects.toThrow(
      'There is no GPIO chip gpiochip7; there is pinctrl-bcm2711, raspberrypi-exp-gpio.',
    )
  })

  test('no tools', async () => {
    process.env.PATH = join(folder, 'bin')
    await expect(open(INPUT)).rejects.toMatchObject({
      code: 'DRIVER_MISSING',
      hint: 'Install them: apt-get install gpiod.',
    })
    expect(await new GpiodDriver({ clock: systemClock }).isThere()).toBe(false)
  })
})

test('chips as gpiodetect lists them, each once', () => {
  const answer =
    'gpiochip0 [pinctrl-rp1] (54 lines)\ngpiochip10 [gpio-brcmstb@107d508500] (32 lines)\ngpiochip0 [pinctrl-rp1] (54 lines)\n'
  expect(parseChips(answer).map(({ name, label, ngpio }) => [name, label, ngpio])).toEqual([
    ['gpiochip0', 'pinctrl-rp1', 54],
    ['gpiochip10', 'gpio-brcmstb@107d508500', 32],
  ])
})

test.each([
  ['1 1763858123 0', { level: true, at: 1_763_858_123_000 }],
  ['2 7.000000001', { level: false, at: 7_000.000_001 }],
  ['0 0 999999999', { level: false, at: 999.999_999 }],
  ['3 1 1', undefined],
  ['1 1', undefined],
  ['', undefined],
])('gpiomon says %j', (line, edge) => {
  expect(parseEdge(line)).toEqual(edge)
})
