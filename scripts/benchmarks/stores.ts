/**
 * The brokers that `scripts/bench store` compares, each on core 0 with a data folder of its own on a real disk. Every
 * measurement has a fresh one. None has a limit on what may wait: only that is asked for which makes a million messages fit.
 */
import { rmSync } from 'node:fs'
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../test/support/free-port.ts'
import { ROOT } from '../../test/support/gateway.ts'
import { findBinary } from '../../test/support/needs.ts'
import { Process } from '../../test/support/process.ts'
import { CORE } from './core.ts'
import { untilConnack } from './queue-load.ts'

export interface Contestant {
  readonly name: string
  /** What it promises about a message that it has acknowledged. */
  readonly about: string
  /** Whether its queues are there after an orderly restart. */
  readonly survivesRestart: boolean
  /** False for one that is too slow to be given a million messages, or has nothing new to tell about them. */
  readonly takesMany: boolean
  /** Writes its configuration into `folder`, and gives its command line. */
  prepare(port: number, folder: string): Promise<string[]>
}

/** Where the data lies: Debian keeps /tmp in memory on newer systems, and /var/tmp on disk. */
const DISK = '/var/tmp'
/** File systems in memory; see statfs(2). */
const TMPFS = 0x0102_1994
const RAMFS = 0x8584_58f6
/** ms for a broker that loads, or saves, a million messages. */
const PATIENCE = 120_000

/** All that are installed. */
export function contestants(): Contestant[] {
  const mosquitto = findBinary('mosquitto')
  return [larder, ...(mosquitto === undefined ? [] : mosquittos(mosquitto)), aedes]
}

const larder: Contestant = {
  name: 'larder',
  about: 'acknowledged means on the disk (durability: ack)',
  survivesRestart: true,
  takesMany: true,
  async prepare(port, folder) {
    const limits = 'max_queued_messages: 100000000, max_queued_bytes: 64GiB, max_total_bytes: 64GiB'
    const lines = [
      `listeners: ['mqtt://127.0.0.1:${port}']`,
      `data_dir: '${folder}/data'`,
      'store: { durability: ack }',
      `limits: { ${limits}, max_total_messages: 100000000 }`,
      'log: { level: warn }',
    ]
    return [process.execPath, join(ROOT, 'dist/larder.js'), 'start', '-c', await write(folder, 'larder.yaml', lines)]
  },
}

const aedes: Contestant = {
  name: 'aedes-level',
  about: 'stock aedes and aedes-persistence-level: acknowledged before it is stored, never synced',
  survivesRestart: true,
  takesMany: true,
  prepare: async (port, folder) => [
    process.execPath,
    join(ROOT, 'scripts/benchmarks/aedes-server.mjs'),
    String(port),
    `${folder}/data`,
  ],
}

function mosquittos(binary: string): Contestant[] {
  const kinds = [
    { name: 'mosquitto-ram', about: 'persistence false', takesMany: true, lines: ['persistence false'] },
    {
      // As Debian ships it, a publisher with few in flight waits 40 ms for acknowledgements that Nagle holds back.
      name: 'mosquitto-nodelay',
      about: 'persistence false, set_tcp_nodelay true',
      takesMany: false,
      lines: ['persistence false', 'set_tcp_nodelay true'],
    },
    {
      name: 'mosquitto-saved',
      about: 'persistence true: saved every 30 minutes, and at the stop',
      takesMany: true,
      lines: ['persistence true'],
    },
    {
      name: 'mosquitto-each',
      about: 'autosave_on_changes true, autosave_interval 1: the whole database is saved after every message',
      takesMany: false,
      lines: ['persistence true', 'autosave_on_changes true', 'autosave_interval 1'],
    },
  ]
  return kinds.map(({ name, about, takesMany, lines }) => ({
    name,
    about,
    survivesRestart: !lines.includes('persistence false'),
    takesMany,
    async prepare(port, folder) {
      const all = [
        `listener ${port} 127.0.0.1`,
        'allow_anonymous true',
        'log_dest none',
        'user root',
        'max_queued_messages 0',
        `persistence_location ${folder}/`,
        ...lines,
      ]
      return [binary, '-c', await write(folder, 'mosquitto.conf', all)]
    },
  }))
}

/** One broker in its folder; it can be stopped and started again. */
export class StoreBroker implements AsyncDisposable {
  readonly name: string
  readonly port: number
  /** Everything that it stores lies here; its configuration too. */
  readonly folder: string
  readonly #command: string[]
  #process: Process | undefined
  /** Somebody who interrupts the bench shall not find his disk full. */
  readonly #onExit = () => {
    if (this.#process?.running === true) process.kill(this.#process.pid, 'SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }

  private constructor(name: string, port: number, folder: string, command: string[]) {
    this.name = name
    this.port = port
    this.folder = folder
    this.#command = command
    process.once('exit', this.#onExit)
  }

  /** A fresh one, that accepts connections. */
  static async start(contestant: Contestant): Promise<StoreBroker> {
    const { type } = await statfs(DISK)
    if (type === TMPFS || type === RAMFS) throw new Error(`${DISK} is in memory: there is no disk to measure`)
    const folder = await mkdtemp(join(DISK, 'larder-bench-'))
    const port = await freePort()
    const broker = new StoreBroker(contestant.name, port, folder, await contestant.prepare(port, folder))
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
    this.#process = new Process('taskset', ['-c', String(CORE), ...this.#command])
    await untilConnack(this.port, PATIENCE).catch(error => {
      throw new Error(`${this.name} does not answer: ${error}\n${this.#running.transcript()}`)
    })
    return (performance.now() - begun) / 1_000
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

async function write(folder: string, name: string, lines: readonly string[]): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, `${lines.join('\n')}\n`)
  return file
}
