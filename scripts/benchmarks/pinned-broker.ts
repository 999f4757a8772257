/**
 * A broker of `scripts/bench`, on a core of its own, with a folder of its own on a real disk. It can be stopped and
 * started again, and goes with this process: somebody who interrupts the bench shall find neither brokers nor a full disk.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { CACHES } from '../../test/support/gateway.ts'
import { Process } from '../../test/support/process.ts'
import { CORE, onCore } from './core.ts'
import { untilConnack } from './queue-load.ts'

/** Where the data lies: Debian keeps /tmp in memory on newer systems, and /var/tmp on disk. */
const DISK = '/var/tmp'
/** File systems in memory; see statfs(2). */
const TMPFS = 0x0102_1994
const RAMFS = 0x8584_58f6
/** ms for a broker that loads, or saves, a million messages. */
const PATIENCE = 120_000
/**
 * Brokers are started as a service would start them: what somebody has set up for Node.js on this machine (more authorities
 * to trust take a start 30 ms) is not theirs. Starts but the first of a build find what V8 made of it, as on an owner's machine.
 */
const ENVIRONMENT = { NODE_EXTRA_CA_CERTS: undefined, NODE_OPTIONS: undefined, XDG_CACHE_HOME: CACHES }

export interface BrokerPlan {
  readonly name: string
  /** Writes its configuration into `folder`, and gives its command line. */
  prepare(port: number, folder: string): Promise<[string, ...string[]]>
  /** Without it, the core of brokers. */
  readonly core?: number
}

export class PinnedBroker implements AsyncDisposable {
  readonly name: string
  readonly port: number
  /** Everything that it stores lies here; its configuration too. */
  readonly folder: string
  /** Seconds from its last start to the first CONNACK. */
  startTime = Number.NaN
  readonly #command: readonly [string, ...string[]]
  readonly #core: number
  #process: Process | undefined
  readonly #onExit = () => {
    if (this.#process?.running === true) process.kill(this.#process.pid, 'SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  private constructor(plan: BrokerPlan, port: number, folder: string, command: readonly [string, ...string[]]) {
    this.name = plan.name
    this.port = port
    this.folder = folder
    this.#command = command
    this.#core = plan.core ?? CORE
    process.once('exit', this.#onExit)
  }

  /** A fresh one, that accepts connections. */
  static async start(plan: BrokerPlan): Promise<PinnedBroker> {
    const { type } = await statfs(DISK)
    if (type === TMPFS || type === RAMFS) throw new Error(`${DISK} is in memory: there is no disk to measure`)
    const folder = await mkdtemp(join(DISK, 'larder-bench-'))
    const port = await freePort()
    const command = await plan.prepare(port, folder).catch(async error => {
      await rm(folder, { recursive: true, force: true })
      throw error
    })
    const broker = new PinnedBroker(plan, port, folder, command)
    try {
      await broker.start()
      return broker
    } catch (error) {
      await broker[Symbol.asyncDispose]()
      throw error
    }
  }

  get pid(): number {
    return this.#running.pid
  }

  /** Resolves with the seconds from its start to the first CONNACK. */
  async start(): Promise<number> {
    const begun = performance.now()
    const [program, ...args] = onCore(this.#core, this.#command)
    const started = new Process(program, args, { env: ENVIRONMENT })
    this.#process = started
    const ended = started.exit.then(({ code, signal }) => {
      throw new Error(`it has ended with ${signal ?? code}`)
    })
    await Promise.race([untilConnack(this.port, PATIENCE), ended]).catch(error => {
      throw new Error(`${this.name} does not answer: ${error.message}\n${started.transcript()}`)
    })
    ended.catch(() => {}) // later it may
    this.startTime = (performance.now() - begun) / 1_000
    return this.startTime
  }

  /** Orderly; resolves with the seconds that it took. */
  async stop(): Promise<number> {
    const begun = performance.now()
    await this.#running.kill('SIGTERM', PATIENCE)
    return (performance.now() - begun) / 1_000
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.[Symbol.asyncDispose]()
    await rm(this.folder, { recursive: true, force: true })
    process.off('exit', this.#onExit)
  }

  get #running(): Process {
    if (this.#process === undefined) throw new Error(`${this.name} was not started`)
    return this.#process
  }
}

/** A file of these lines in `folder`; its path. */
export async function writeLines(folder: string, name: string, lines: readonly string[]): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, `${lines.join('\n')}\n`)
  return file
}
