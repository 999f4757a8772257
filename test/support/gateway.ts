/**
 * The built gateway as a black box: `node dist/larder.js start -c <folder>/larder.yaml` in a temporary
 * folder, on free ports that stay the same over restarts. Its configuration is YAML text; listeners
 * and data folder are added unless the text brings its own. Builds `dist/` once when the sources are newer.
 */
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { freePort } from './free-port.ts'
import { type Exit, Process, type ProcessOptions, run } from './process.ts'

/** The checkout. */
export const ROOT = resolve(import.meta.dirname, '../..')
const BUNDLE = join(ROOT, 'dist/larder.js')
/** Gateways under test keep there what V8 has made of the program; it goes with the packages. */
export const CACHES = join(ROOT, 'node_modules/.cache')
/** What a bundle is made of; anything newer than it calls for a build. */
const SOURCES = ['src', 'device', 'scripts/build.mjs', 'scripts/build-page.mjs', 'package.json']
/** Deadline in ms for a build on a loaded machine. */
const BUILD_TIMEOUT = 60_000

export interface GatewayOptions {
  /** YAML text. Without it the gateway runs on its built-in default configuration, with only ports and folder changed. */
  config?: string | undefined
  /** More arguments for `larder start`. */
  args?: readonly string[]
  env?: Record<string, string>
  /** Kept when the gateway is disposed of; without it a folder of its own is made and taken away. */
  dataDir?: string
  /** False to come back at once, for starts that are meant to fail. */
  waitReady?: boolean
  /** Pins it to one core. */
  cpu?: number
  /** A command that starts it, with the gateway's own command line as its last arguments. */
  through?: readonly [string, ...string[]]
}

export class Gateway {
  readonly port: number
  readonly wsPort: number
  /** Holds `larder.yaml` and, unless told otherwise, the data folder. */
  readonly folder: string
  readonly dataDir: string
  readonly #options: GatewayOptions
  #process: Process | undefined

  constructor(place: { port: number; wsPort: number; folder: string; dataDir: string; options: GatewayOptions }) {
    this.port = place.port
    this.wsPort = place.wsPort
    this.folder = place.folder
    this.dataDir = place.dataDir
    this.#options = place.options
  }

  get process(): Process {
    if (this.#process === undefined) throw new Error('the gateway was not started')
    return this.#process
  }

  get pid(): number {
    return this.process.pid
  }

  get exit(): Promise<Exit> {
    return this.process.exit
  }

  /** What it said so far, for failure messages. */
  get log(): string {
    return this.process.transcript()
  }

  /** Everything it logged since its last start. */
  get stderr(): string {
    return this.process.errors.join('\n')
  }

  /** Starts it (again) on the same ports and data, and waits until it says that it is ready. */
  async start(): Promise<void> {
    const { config, args = [], env = {}, cpu, through } = this.#options
    const larder = [BUNDLE, 'start', ...(config === undefined ? [] : ['-c', join(this.folder, 'larder.yaml')]), ...args]
    const surroundings = {
      cwd: this.folder,
      env: {
        ...(config === undefined
          ? { LARDER_LISTENERS: this.listeners.join(','), LARDER_DATA_DIR: this.dataDir }
          : { LARDER_LISTENERS: undefined, LARDER_DATA_DIR: undefined }),
        // Many gateways start at once: where a test is not about the page, there is none.
        LARDER_DASHBOARD_LISTEN: config !== undefined && /^dashboard:/m.test(config) ? undefined : 'off',
        XDG_CACHE_HOME: CACHES,
        ...env,
      },
    }
    const before = through ?? (cpu === undefined ? [] : ['taskset', '-c', String(cpu)])
    const [command = process.execPath, ...rest] = [...before, process.execPath, ...larder]
    this.#process = new Process(command, rest, surroundings)
    if (this.#options.waitReady !== false) await this.ready()
  }

  async ready(): Promise<void> {
    await this.process.line(line => line.startsWith('larder: ready'))
  }

  get listeners(): string[] {
    return [`mqtt://127.0.0.1:${this.port}`, `ws://127.0.0.1:${this.wsPort}/mqtt`]
  }

  /** An orderly stop. Rejects when it does not end with exit code 0. */
  async stop(): Promise<void> {
    const { code, signal } = await this.process.kill('SIGTERM')
    if (code !== 0) throw new Error(`the gateway ended with ${signal ?? code} after SIGTERM\n${this.log}`)
  }

  /** A crash: SIGKILL. */
  async kill(): Promise<void> {
    await this.process.kill('SIGKILL')
  }

  async restart(): Promise<void> {
    if (this.process.running) await this.stop()
    await this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await this.#process[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
  }
}

/** Starts a gateway and waits until it is ready. Use it as `await using gateway = await startGateway({ … })`. */
export async function startGateway(options: GatewayOptions = {}): Promise<Gateway> {
  const gateway = await prepareGateway(options)
  try {
    await gateway.start()
    return gateway
  } catch (error) {
    await gateway[Symbol.asyncDispose]()
    throw error
  }
}

/** Builds, chooses ports, makes the folder and writes the configuration: everything but the start. */
export async function prepareGateway(options: GatewayOptions = {}): Promise<Gateway> {
  await build()
  const folder = await mkdtemp(join(tmpdir(), 'larder-test-'))
  const dataDir = options.dataDir ?? join(folder, 'data')
  const gateway = new Gateway({ port: await freePort(), wsPort: await freePort(), folder, dataDir, options })
  if (options.config !== undefined) await writeFile(join(folder, 'larder.yaml'), complete(options.config, gateway))
  return gateway
}

/** Runs `larder` with a command line of its own to its end. */
export async function larder(args: readonly string[], options: ProcessOptions & { timeout?: number } = {}) {
  await build()
  return await run(process.execPath, [BUNDLE, ...args], options)
}

function complete(config: string, gateway: Gateway): string {
  const has = (key: string): boolean => new RegExp(`^${key}:`, 'm').test(config)
  const listeners = has('listeners') ? '' : `listeners: [${gateway.listeners.map(url => `'${url}'`).join(', ')}]\n`
  const dataDir = has('data_dir') ? '' : `data_dir: '${gateway.dataDir}'\n`
  return `${listeners}${dataDir}${config}\n`
}

let built: Promise<void> | undefined

/** Builds `dist/larder.js` unless it is newer than what it is made of. Once per test file. */
export function build(): Promise<void> {
  built ??= buildIfStale()
  return built
}

async function buildIfStale(): Promise<void> {
  const bundled = await stat(BUNDLE).then(
    found => found.mtimeMs,
    () => 0,
  )
  const newest = Math.max(...(await Promise.all(SOURCES.map(source => newestIn(join(ROOT, source))))))
  if (newest <= bundled) return
  const result = await run(process.execPath, ['scripts/build.mjs'], { cwd: ROOT, timeout: BUILD_TIMEOUT })
  if (result.code !== 0) throw new Error(`the build failed\n${[...result.lines, ...result.errors].join('\n')}`)
}

async function newestIn(path: string): Promise<number> {
  const found = await stat(path)
  if (!found.isDirectory()) return found.mtimeMs
  const inside = await readdir(path, { withFileTypes: true, recursive: true })
  const files = inside.filter(entry => entry.isFile()).map(entry => stat(join(entry.parentPath, entry.name)))
  return Math.max(0, ...(await Promise.all(files)).map(file => file.mtimeMs))
}
