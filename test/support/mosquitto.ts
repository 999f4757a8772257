/**
 * Debian's real `mosquitto` as the peer of a test: on a free loopback port, with a folder of its own
 * under the system's temporary one. It counts as started when it accepts a connection; what it logs is
 * kept and is part of every failure's message. `remove()` ends it and deletes the folder; whatever a
 * failed test leaves behind goes when the test process exits.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { freePort } from './free-port.ts'
import { findBinary } from './needs.ts'

/** Starting takes some 20 ms here; a loaded machine may need long. */
const START_DEADLINE = 10_000
/** Mosquitto saves its database on SIGTERM before it ends. */
const STOP_DEADLINE = 10_000
/** Attempts when the free port was taken by somebody else in between. */
const PORT_ATTEMPTS = 5
/** Kept in memory of each broker's log, so that a chatty test does not grow without bound. */
const LOG_LIMIT = 16 * 1024 * 1024

export interface MosquittoOptions {
  /** Lines of `mosquitto.conf` after ours; `{dir}` stands for the broker's own folder. */
  config?: readonly string[]
  /** Default: any free one. */
  port?: number
  /** User names and passwords. Given, anonymous clients are refused. */
  users?: Readonly<Record<string, string>>
  /** In another network namespace: the command that starts it there, and where it is found from here. */
  elsewhere?: { readonly host: string; readonly through: readonly [string, ...string[]] }
}

export interface Mosquitto {
  readonly port: number
  readonly dir: string
  /** Orderly end (SIGTERM): a broker with `persistence true` saves its database. The folder stays for `restart`. */
  stop(): Promise<void>
  /** SIGKILL: what was in memory only is gone. */
  kill(): Promise<void>
  /** Starts again on the same port and folder, stopping first when it runs. */
  restart(): Promise<void>
  /** Everything logged so far, over all restarts. `log_type all` is on, so every packet has its line. */
  logs(): string
  /** Ends it if it runs, and deletes its folder. */
  remove(): Promise<void>
}

/** Starts a broker and resolves when it accepts connections. Rejects with its log when it does not. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  for (let attempt = 1; ; attempt++) {
    const broker = new Broker(options.port ?? (await freePort()), options)
    try {
      await broker.restart()
      return broker
    } catch (error) {
      await broker.remove()
      const taken = String(error).includes('Address already in use')
      if (options.port !== undefined || !taken || attempt === PORT_ATTEMPTS) throw error
    }
  }
}

class Broker implements Mosquitto {
  readonly port: number
  readonly dir: string
  readonly #elsewhere: MosquittoOptions['elsewhere']
  #child: ChildProcess | undefined
  #logs = ''
  readonly #onExit = () => {
    this.#child?.kill('SIGKILL')
    rmSync(this.dir, { recursive: true, force: true })
  }

  constructor(port: number, options: MosquittoOptions) {
    this.port = port
    this.#elsewhere = options.elsewhere
    this.dir = mkdtempSync(join(tmpdir(), 'larder-mosquitto-'))
    process.once('exit', this.#onExit)
    const access = options.users === undefined ? ['allow_anonymous true'] : this.#writeUsers(options.users)
    const lines = [
      options.elsewhere === undefined ? `listener ${port} 127.0.0.1` : `listener ${port}`,
      'log_dest stderr',
      'log_type all',
      // As root it would become the user `mosquitto`, who may not write in our folder.
      'user root',
      ...access,
      ...(options.config ?? []).map(line => line.replaceAll('{dir}', this.dir)),
    ]
    writeFileSync(this.#path('mosquitto.conf'), `${lines.join('\n')}\n`)
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM')
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    await this.stop()
    const mosquitto = findBinary('mosquitto') ?? 'mosquitto'
    const [command, ...before] = [...(this.#elsewhere?.through ?? []), mosquitto] as [string, ...string[]]
    const child = spawn(command, [...before, '-c', this.#path('mosquitto.conf')], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let failure: Error | undefined
    child.once('error', error => {
      failure = error
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#logs = (this.#logs + text).slice(-LOG_LIMIT)
    })
    this.#child = child
    const deadline = performance.now() + START_DEADLINE
    while (!(await accepts(this.port, this.#elsewhere?.host))) {
      if (failure !== undefined || hasEnded(child) || performance.now() > deadline) {
        if (!hasEnded(child) && failure === undefined) await this.kill()
        throw new Error(`mosquitto did not start on port ${this.port}: ${failure?.message ?? this.#logs}`)
      }
      await delay(10)
    }
    // Somebody else may answer on the port while ours is on its way out.
    if (hasEnded(child)) throw new Error(`mosquitto ended on port ${this.port}: ${this.#logs}`)
  }

  logs(): string {
    return this.#logs
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.dir, { recursive: true, force: true })
    process.off('exit', this.#onExit)
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child === undefined || child.pid === undefined || hasEnded(child)) return
    // 'close' rather than 'exit': by then the whole log has been read.
    const closed = once(child, 'close')
    child.kill(signal)
    const late = setTimeout(() => child.kill('SIGKILL'), STOP_DEADLINE)
    await closed
    clearTimeout(late)
  }

  #writeUsers(users: Readonly<Record<string, string>>): string[] {
    const file = this.#path('passwords')
    writeFileSync(file, '')
    for (const [user, password] of Object.entries(users)) {
      const made = spawnSync('mosquitto_passwd', ['-b', file, user, password], { encoding: 'utf8' })
      if (made.status !== 0) throw new Error(`mosquitto_passwd failed: ${made.stderr ?? made.error}`)
    }
    return ['allow_anonymous false', `password_file ${file}`]
  }

  #path(name: string): string {
    return join(this.dir, name)
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Whether something accepts TCP connections there. */
async function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
