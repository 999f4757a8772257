/** The gateway in the guest, with a client that hears everything. Runs in the guest. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { RawClient } from '../../support/mqtt-client.ts'
import { Process } from '../../support/process.ts'
import { until } from '../../support/wait.ts'

const PORT = 1883
const FOLDER = '/tmp/larder'
const CONFIG = `${FOLDER}/larder.yaml`
/** Deadline in ms of everything here: the guest's processor is emulated. */
export const PATIENCE = 30_000

export class House {
  #gateway: Process | undefined
  #client: RawClient | undefined
  #tools = ''
  #devices = ''

  /** Starts the gateway on `devices` (YAML), with the tools of `tools` on its PATH. */
  async start(devices: string, tools: string): Promise<void> {
    this.#devices = devices
    this.#tools = tools
    mkdirSync(FOLDER, { recursive: true })
    this.configure(devices)
    await this.restart()
  }

  configure(devices: string): void {
    const rest = `listeners: ['mqtt://127.0.0.1:${PORT}']\naccess: { allow_anonymous: true }\nlog: { level: info }\n`
    writeFileSync(CONFIG, `${rest}data_dir: ${FOLDER}/data\ndevices:\n${devices}`)
  }

  /** Starts it again, once it has ended. */
  async restart(): Promise<void> {
    this.configure(this.#devices)
    this.#gateway = new Process('/usr/bin/node', ['/app/dist/larder.js', 'start', '-c', CONFIG], {
      env: { PATH: `${this.#tools}:/usr/bin:/bin` },
    })
    await this.#gateway.line(line => line.startsWith('larder: ready'), { timeout: PATIENCE })
    this.#client = await RawClient.connect({ port: PORT, patience: PATIENCE })
    await this.#client.subscribe({ topic: '#', qos: 0 })
  }

  /** Ends the gateway. */
  async end(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#gateway?.kill(signal, PATIENCE)
    await this.client.closed
  }

  /** Has the gateway read its configuration again. */
  reload(): void {
    process.kill(this.gateway.pid, 'SIGHUP')
  }

  get gateway(): Process {
    if (this.#gateway === undefined) throw new Error('the gateway is not started')
    return this.#gateway
  }

  get client(): RawClient {
    if (this.#client === undefined) throw new Error('the client is not connected')
    return this.#client
  }

  /** Payloads on a topic so far. */
  payloads(topic: string): string[] {
    return this.client.publishes.filter(each => each.topic === topic).map(each => each.payload.toString())
  }

  /** Waits until the last payload on `topic` is as `match` wants it. */
  async hears(topic: string, match: string | ((payload: string) => boolean)): Promise<string> {
    return await until(
      () => {
        const last = this.payloads(topic).at(-1)
        return last !== undefined && (typeof match === 'string' ? last === match : match(last)) ? last : undefined
      },
      {
        timeout: PATIENCE,
        every: 1,
        what: () => `${topic} to be ${match}; it was ${this.payloads(topic).slice(-5).join(' ')}\n${this.said(15)}`,
      },
    )
  }

  /** Publishes a command and waits until the gateway has it. */
  async command(topic: string, payload: string): Promise<void> {
    await this.client.publish(`${topic}/set`, payload, { qos: 1 })
  }

  /** The last lines that the gateway logged. */
  said(lines: number): string {
    return this.gateway.errors.slice(-lines).join('\n')
  }

  /** Descriptors that the gateway has open. */
  descriptors(): string[] {
    const folder = `/proc/${this.gateway.pid}/fd`
    return readdirSync(folder)
  }

  /** Processes of a program, wherever they come from. */
  static running(name: string): number {
    const pids = readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && existsSync(`/proc/${pid}/cmdline`))
    return pids.filter(pid => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes(name)
      } catch {
        return false // it ended meanwhile
      }
    }).length
  }
}
