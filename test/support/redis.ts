/**
 * Debian's real `redis-server` as the peer of a test: on a free loopback port, with a folder of its own under the system's
 * temporary one. Without `appendonly` it writes nothing; with it, every command is on disk before it is answered, so
 * that a kill loses nothing. `remove()` ends it, by its process id, and deletes the folder.
 */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from './free-port.ts'
import { findBinary } from './needs.ts'
import { Process } from './process.ts'

/** Attempts when the free port was taken by somebody else in between. */
const PORT_ATTEMPTS = 5

export interface RedisOptions {
  /** Keeps its data over a kill. */
  appendonly?: boolean
}

export class RedisServer {
  readonly port: number
  readonly dir: string
  readonly #options: RedisOptions
  #process: Process | undefined
  readonly #onExit = () => rmSync(this.dir, { recursive: true, force: true })

  constructor(port: number, options: RedisOptions) {
    this.port = port
    this.dir = mkdtempSync(join(tmpdir(), 'larder-redis-'))
    this.#options = options
    process.once('exit', this.#onExit)
  }

  get url(): string {
    return `redis://127.0.0.1:${this.port}`
  }

  /** Starts it (again) on the same port and folder, and waits until it takes commands. */
  async start(): Promise<void> {
    const durable = this.#options.appendonly === true
    const args = [
      '--port',
      String(this.port),
      '--bind',
      '127.0.0.1',
      '--dir',
      this.dir,
      '--save',
      '',
      '--daemonize',
      'no',
    ]
    const log = ['--appendonly', durable ? 'yes' : 'no', '--appendfsync', 'always']
    this.#process = new Process(findBinary('redis-server') ?? 'redis-server', [...args, ...log])
    await this.#process.line(line => line.includes('Ready to accept connections'))
  }

  /** SIGKILL: what it has not written is gone. */
  async kill(): Promise<void> {
    await this.#process?.kill('SIGKILL')
  }

  /** Holds it, so that it answers nothing and closes nothing; `resume` lets it go on. */
  pause(): void {
    if (this.#process !== undefined) process.kill(this.#process.pid, 'SIGSTOP')
  }

  resume(): void {
    if (this.#process !== undefined) process.kill(this.#process.pid, 'SIGCONT')
  }

  async remove(): Promise<void> {
    if (this.#process?.running) await this.kill()
    this.#onExit()
    process.off('exit', this.#onExit)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove()
  }
}

/** Starts a server and resolves when it takes commands. Rejects with what it said when it does not. */
export async function startRedis(options: RedisOptions = {}): Promise<RedisServer> {
  for (let attempt = 1; ; attempt++) {
    const server = new RedisServer(await freePort(), options)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.remove()
      if (attempt === PORT_ATTEMPTS || !String(error).includes('Address already in use')) throw error
    }
  }
}

/** A way to a server that can be cut: connections end, and no new ones come about. */
export interface RedisPath extends AsyncDisposable {
  readonly url: string
  cut(): void
  mend(): void
}

export async function openPath(redis: RedisServer): Promise<RedisPath> {
  const sockets = new Set<Socket>()
  let isCut = false
  const server = createServer(near => {
    if (isCut) {
      near.destroy()
      return
    }
    const far = connect(redis.port, '127.0.0.1')
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}) // what is cut may complain
      from.on('close', () => {
        sockets.delete(from)
        to.destroy()
      })
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = () => {
    isCut = true
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    cut,
    mend: () => {
      isCut = false
    },
    [Symbol.asyncDispose]: async () => {
      cut()
      server.close()
      await once(server, 'close')
    },
  }
}
