/**
 * The rules of the house, held by looking at the import statements of every file: arrows point one way,
 * neighbours know each other only through `ports.ts` of the one that consumes, a package has one owning
 * folder, a file fits in the head. The lint rules say the same while one writes; this test also sees to it
 * that there was something to look at.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix, relative, resolve } from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')

/** The folders of src/ and whom each may import from besides itself and the ports.ts of its neighbours. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  kernel: [],
  mqtt: ['kernel'],
  config: ['kernel', 'mqtt'],
  access: ['kernel', 'mqtt'],
  broker: ['kernel', 'mqtt'],
  store: ['kernel', 'mqtt'],
  cluster: ['kernel', 'mqtt'],
  listen: ['kernel', 'mqtt'],
  devices: ['kernel', 'mqtt'],
  bridge: ['kernel', 'mqtt'],
  observe: ['kernel', 'mqtt'],
  dashboard: ['kernel', 'mqtt'],
  doctor: ['kernel', 'mqtt', 'config'],
  cli: ['kernel', 'mqtt', 'config'],
}
/** Folders that nobody's ports.ts concerns: the first layers, and the command line, which is no part of the gateway. */
const WITHOUT_PORTS = new Set(['kernel', 'mqtt', 'doctor', 'cli'])

/** Which folder owns a package. `src/` itself is main.ts and index.ts, which join the parts and need none. */
const OWNERS: Readonly<Record<string, string>> = {
  aedes: 'src/broker',
  level: 'src/store',
  'classic-level': 'src/store',
  'abstract-level': 'src/store',
  'aedes-persistence-redis': 'src/cluster',
  'mqemitter-redis': 'src/cluster',
  ioredis: 'src/cluster',
  '@node-rs/argon2': 'src/access',
  ws: 'src/listen',
  mqtt: 'src/bridge',
  'node-cron': 'src/devices',
  pino: 'src/kernel',
  'prom-client': 'src/observe',
  preact: 'src/dashboard/page',
  '@preact/signals': 'src/dashboard/page',
  uplot: 'src/dashboard/page',
  yaml: 'src/config',
  valibot: 'src/config',
  serialport: 'device/serial',
  '@serialport/*': 'device/serial',
  onoff: 'device/gpio',
  epoll: 'device/gpio',
}

/** Who may do what the table forbids, and why. */
const EXCEPTIONS: Readonly<Record<string, readonly string[]>> = {
  // The entry of the program composes the commands, and loads for each only what it needs.
  'src/cli/main.ts': [
    'src/main.ts',
    'src/devices/cron.ts',
    'src/access/password-file.ts',
    'src/observe/mosquitto-log.ts',
    'src/observe/mosquitto-lines.ts',
    'src/observe/strftime.ts',
    'package.json',
  ],
}

/** What runs in the browser. */
const PAGE = 'src/dashboard/page/'

const MAX_LINES = 500

/** Import specifiers of a file: static, side-effect, dynamic and require, types included. */
function imports(text: string): string[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1')
  const patterns = [
    /\b(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]/g,
    /\bimport\s*['"]([^'"]+)['"]/g,
    /\bimport\s*\(\s*['"`]([^'"`]+)['"`]/g,
    /\brequire\s*\(\s*['"`]([^'"`]+)['"`]/g,
  ]
  return patterns.flatMap(pattern => [...code.matchAll(pattern)].map(match => match[1] ?? ''))
}

/** What is wrong with the imports of `file` (a path from the root), as sentences. */
function violations(file: string, text: string): string[] {
  return imports(text).flatMap(specifier => {
    const fault = specifier.startsWith('.')
      ? arrowFault(file, posix.join(posix.dirname(file), specifier))
      : packageFault(file, specifier)
    return fault === undefined ? [] : [`${file} imports ${specifier}: ${fault}`]
  })
}

function arrowFault(from: string, to: string): string | undefined {
  if (EXCEPTIONS[from]?.includes(to)) return undefined
  const [top, folder = ''] = from.split('/')
  const [toTop, toFolder = ''] = to.split('/')
  const toPorts = posix.basename(to) === 'ports.ts' && !WITHOUT_PORTS.has(toFolder)
  if (!/\.(tsx?|css|json)$/.test(to)) return 'relative imports end in .ts'
  if (from.split('/').length === 2) {
    // src/main.ts knows everybody; device/open-source.ts is device/ like the rest.
    if (top === 'src') return toFolder === 'cli' ? 'the gateway does not know its command line' : undefined
  }
  if (top === 'device') {
    if (toTop === 'device') return undefined
    return to === 'src/devices/ports.ts' || to.startsWith('src/kernel/')
      ? undefined
      : 'device/ knows src/kernel and src/devices/ports.ts'
  }
  if (toTop !== 'src') return 'only main.ts knows device/'
  if (to.split('/').length === 2) return 'nobody knows main.ts'
  if (from.startsWith(PAGE)) {
    const isKnown = to.startsWith(PAGE) || to === 'src/dashboard/api.ts'
    return isKnown ? undefined : 'the page runs in a browser: it knows api.ts only'
  }
  if (to.startsWith(PAGE)) return 'the page runs in a browser'
  const arrows = ARROWS[folder]
  if (arrows === undefined) return `src/${folder} has no row in the table of arrows`
  if (toFolder === folder || arrows.includes(toFolder)) return undefined
  if (toPorts && !WITHOUT_PORTS.has(folder)) return undefined
  return `src/${folder} may import ${[...arrows, 'the ports.ts of neighbours'].join(', ')}`
}

function packageFault(file: string, specifier: string): string | undefined {
  const bare = specifier.startsWith('node:')
  if (bare) return undefined
  if (builtinModules.includes(specifier)) return `write node:${specifier}`
  const [scope = '', name] = specifier.split('/')
  const owner = OWNERS[scope.startsWith('@') ? `${scope}/${name}` : scope] ?? OWNERS[`${scope}/*`]
  if (owner === undefined) return 'the package has no owner in the table'
  return file.startsWith(`${owner}/`) ? undefined : `the package belongs to ${owner}`
}

function filesUnder(...folders: string[]): string[] {
  return folders.flatMap(folder =>
    readdirSync(join(ROOT, folder), { withFileTypes: true, recursive: true })
      .filter(entry => entry.isFile() && /\.tsx?$/.test(entry.name))
      .map(entry => relative(ROOT, join(entry.parentPath, entry.name)).split('\\').join('/')),
  )
}

const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

describe('the house', () => {
  const files = filesUnder('src', 'device')

  test('was looked at: every folder of the house has files', () => {
    expect(files.length).toBeGreaterThan(20)
    const inhabited = new Set(files.map(file => file.split('/').slice(0, 2).join('/')))
    for (const folder of ['kernel', 'mqtt', 'config', 'broker', 'store', 'listen', 'devices', 'bridge', 'cli']) {
      expect(inhabited).toContain(`src/${folder}`)
    }
    for (const folder of ['codecs', 'gpio', 'serial', 'sysfs']) expect(inhabited).toContain(`device/${folder}`)
    // And their imports were found: a house whose rooms never meet has been read wrongly.
    const relatives = files.flatMap(file => imports(read(file))).filter(specifier => specifier.startsWith('.'))
    expect(relatives.length).toBeGreaterThan(files.length)
  })

  test('has no folder without a row in the table of arrows', () => {
    const folders = files
      .filter(file => file.startsWith('src/') && file.split('/').length > 2)
      .map(file => file.split('/')[1])
    expect([...new Set(folders)].filter(folder => ARROWS[folder ?? ''] === undefined)).toEqual([])
  })

  test('has arrows that point one way, and packages that stay with their owners', () => {
    expect(files.flatMap(file => violations(file, read(file)))).toEqual([])
  })

  test('has no exception that nobody needs', () => {
    for (const [file, targets] of Object.entries(EXCEPTIONS)) {
      const reached = imports(read(file)).map(specifier => posix.join(posix.dirname(file), specifier))
      expect(targets.filter(target => !reached.includes(target))).toEqual([])
    }
  })

  test('exports nothing that changes: in the build a file takes once what another exports', () => {
    const changes = /^export (let|var)\b/m
    expect(changes.test('import a\nexport let b = 1')).toBe(true)
    expect(files.filter(file => changes.test(read(file)))).toEqual([])
  })

  test(`has no file of more than ${MAX_LINES} lines`, () => {
    const long = filesUnder('src', 'device', 'test', 'scripts').filter(
      file => read(file).split('\n').length > MAX_LINES,
    )
    expect(long).toEqual([])
  })
})

describe('the rules', () => {
  test.each<[string, string, string]>([
    ['an arrow that points back', 'src/kernel/x.ts', "import { Hub } from '../broker/hub.ts'"],
    ['an arrow that points back, as a type', 'src/mqtt/x.ts', "import type { Hub } from '../broker/hub.ts'"],
    ['the kernel that knows a port', 'src/kernel/x.ts', "import type { Source } from '../devices/ports.ts'"],
    ['a neighbour that is not asked through its port', 'src/store/x.ts', "import { Hub } from '../broker/hub.ts'"],
    ['an import over several lines', 'src/store/x.ts', "import {\n  Hub,\n  Session,\n} from '../broker/hub.ts'"],
    ['an export that imports', 'src/store/x.ts', "export { Hub } from '../broker/hub.ts'"],
    ['a dynamic import', 'src/store/x.ts', "const hub = await import('../broker/hub.ts')"],
    ['a side-effect import', 'src/store/x.ts', "import '../broker/hub.ts'"],
    ['a part that knows main', 'src/broker/x.ts', "import { createGateway } from '../main.ts'"],
    ['a part that knows a device', 'src/devices/x.ts', "import { open } from '../../device/serial/driver.ts'"],
    ['a device that knows the broker', 'device/serial/x.ts', "import { Hub } from '../../src/broker/hub.ts'"],
    [
      'a device that knows more of devices than its port',
      'device/serial/x.ts',
      "import { x } from '../../src/devices/link.ts'",
    ],
    ['a command that knows the store', 'src/cli/x.ts', "import { open } from '../store/database.ts'"],
    ['main that knows a command', 'src/main.ts', "import { run } from './cli/larder.ts'"],
    ['a package in another folder', 'src/bridge/x.ts', "import { Level } from 'level'"],
    ['a package loaded late in another folder', 'device/sysfs/x.ts', "const { Gpio } = await import('onoff')"],
    ['a page that knows its server', 'src/dashboard/page/x.tsx', "import { Router } from '../router.ts'"],
    ['a server that knows its page', 'src/dashboard/x.ts', "import { App } from './page/app.tsx'"],
    ['a part of a scoped package', 'src/devices/x.ts', "import { x } from '@serialport/parser-readline'"],
    ['a package without an owner', 'src/broker/x.ts', "import _ from 'lodash'"],
    ['a built-in without its prefix', 'src/broker/x.ts', "import fs from 'fs'"],
    ['a relative import without .ts', 'src/broker/x.ts', "import { x } from './hub.js'"],
    ['a folder that is not in the table', 'src/attic/x.ts', "import { x } from '../kernel/clock.ts'"],
  ])('notice %s', (_, file, text) => {
    expect(violations(file, text)).toHaveLength(1)
  })

  test.each<[string, string, string]>([
    ['the kernel from anywhere', 'src/store/x.ts', "import type { Clock } from '../kernel/clock.ts'"],
    ['a port of a neighbour', 'src/store/x.ts', "import type { QueueEngine } from '../broker/ports.ts'"],
    ['a file of the same folder', 'src/store/x.ts', "import { x } from './keys.ts'"],
    ['a device and its port', 'device/gpio/x.ts', "import type { GpioDriver } from '../../src/devices/ports.ts'"],
    ['a package at home', 'device/gpio/x.ts', "const { Gpio } = await import('onoff')"],
    ['a built-in module', 'src/store/x.ts', "import { join } from 'node:path'"],
    [
      'everybody, for main',
      'src/main.ts',
      "import { Hub } from './broker/hub.ts'\nimport { open } from '../device/open-source.ts'",
    ],
    [
      'words in a comment',
      'src/kernel/x.ts',
      "// import { Hub } from '../broker/hub.ts'\n/* import '../broker/hub.ts' */",
    ],
  ])('allow %s', (_, file, text) => {
    expect(violations(file, text)).toEqual([])
  })
})
