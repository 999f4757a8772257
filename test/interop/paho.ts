/** Eclipse Paho's Python client as the other side, driven line by line through `paho_client.py`. */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { ROOT } from '../support/gateway.ts'
import { pythonWith } from '../support/needs.ts'
import { until, within } from '../support/wait.ts'

const SCRIPT = join(import.meta.dirname, 'paho_client.py')
/** Where `scripts/test` unpacks Paho 2. */
const PAHO2 = join(ROOT, 'node_modules/.cache/larder-paho-2/usr/lib/python3/dist-packages')
/** Python takes its time to start on a loaded machine. */
const START_TIMEOUT = 20_000

/** A Python with a Paho, and the folder it has it from when that is not the system's. */
export interface Installation {
  python: string
  path?: string
}

/** Debian's own Paho (1.6 in Debian 12), or undefined. */
export function debianPaho(): Installation | undefined {
  const python = pythonWith('paho.mqtt.client', { package: 'python3-paho-mqtt' })
  return python === undefined ? undefined : { python }
}

/** Paho 2, or undefined. */
export function paho2(): Installation | undefined {
  const python = pythonWith('paho.mqtt.enums', { package: 'python3-paho-mqtt', path: PAHO2 })
  return python === undefined ? undefined : { python, path: PAHO2 }
}

export interface PahoMessage {
  topic: string
  payload: string
  qos: number
  retain: boolean
  properties: Record<string, unknown>
}

type Event = { event: string } & Record<string, unknown>

export interface PahoConnect {
  version: 3 | 4 | 5
  clientId?: string
  /** Clean Session or Clean Start 0. */
  persistent?: boolean
  /** Session expiry interval in seconds (MQTT 5). */
  expiry?: number
  keepalive?: number
  will?: { topic: string; payload: string; qos?: number; retain?: boolean; properties?: Record<string, unknown> }
  properties?: Record<string, unknown>
  websocket?: boolean
}

export interface PahoFilter {
  topic: string
  qos?: 0 | 1 | 2
  noLocal?: boolean
  retainAsPublished?: boolean
  retainHandling?: 0 | 1 | 2
}

export interface PahoPublish {
  qos?: 0 | 1 | 2
  retain?: boolean
  properties?: Record<string, unknown>
}

export class Paho implements AsyncDisposable {
  readonly messages: PahoMessage[] = []
  readonly #child: ChildProcessWithoutNullStreams
  readonly #events: Event[] = []
  readonly #ended: Promise<void>
  #errors = ''

  constructor({ python, path }: Installation) {
    this.#child = spawn(python, [SCRIPT], {
      env: path === undefined ? process.env : { ...process.env, PYTHONPATH: path },
    })
    this.#child.stdin.on('error', () => {}) // it may be gone already
    this.#child.stderr.on('data', text => {
      this.#errors += text
    })
    createInterface({ input: this.#child.stdout }).on('line', line => this.#take(JSON.parse(line) as Event))
    this.#ended = new Promise(resolve => this.#child.once('close', () => resolve()))
  }

  /** Starts Python and tells which Paho it has. */
  async ready(): Promise<{ version: string; api: number }> {
    return (await this.next('ready', START_TIMEOUT)) as unknown as { version: string; api: number }
  }

  get payloads(): string[] {
    return this.messages.map(message => message.payload)
  }

  /** Connects and gives what CONNACK said. */
  async connect(port: number, options: PahoConnect): Promise<Event> {
    this.#do({ do: 'connect', port, ...options })
    return await this.next('connected')
  }

  /** Subscribes and gives the codes of SUBACK. */
  async subscribe(filters: PahoFilter[], properties?: Record<string, unknown>): Promise<number[]> {
    this.#do({ do: 'subscribe', filters, properties })
    return (await this.next('subscribed')).codes as number[]
  }

  async unsubscribe(...filters: string[]): Promise<number[]> {
    this.#do({ do: 'unsubscribe', filters })
    return (await this.next('unsubscribed')).codes as number[]
  }

  /** Publishes; resolves when Paho says that it is done: PUBACK or PUBCOMP came, or QoS 0 is written. Gives the reason code. */
  async publish(topic: string, payload: string | Buffer, options: PahoPublish = {}): Promise<number> {
    this.#do({ do: 'publish', topic, payload: Buffer.from(payload).toString('base64'), ...options })
    return (await this.next('published')).code as number
  }

  async disconnect(options: { reason?: number; properties?: Record<string, unknown> } = {}): Promise<void> {
    this.#do({ do: 'disconnect', ...options })
    await this.next('disconnected')
  }

  /** Breaks the line without DISCONNECT, and ends. */
  async reset(): Promise<void> {
    this.#do({ do: 'reset' })
    await within(this.#ended, { what: 'the end of Paho' })
  }

  async received(count: number): Promise<void> {
    await until(() => this.messages.length >= count, {
      what: () => `${count} messages; got ${JSON.stringify(this.payloads)}\n${this.#errors}`,
    })
  }

  /** The next event of this kind. */
  async next(kind: string, timeout?: number): Promise<Event> {
    return await until(
      () => {
        const index = this.#events.findIndex(event => event.event === kind)
        if (index >= 0) return this.#events.splice(index, 1)[0]
        if (this.#child.exitCode !== null) throw new Error(`Paho ended\n${this.#errors}`)
        return undefined
      },
      {
        what: () => `'${kind}'; got ${JSON.stringify(this.#events)}\n${this.#errors}`,
        every: 2,
        ...(timeout === undefined ? {} : { timeout }),
      },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  #do(command: Record<string, unknown>): void {
    this.#child.stdin.write(`${JSON.stringify(command)}\n`)
  }

  #take(event: Event): void {
    if (event.event !== 'message') {
      this.#events.push(event)
      return
    }
    const { topic, payload, qos, retain, properties } = event as unknown as PahoMessage
    this.messages.push({ topic, payload: Buffer.from(payload, 'base64').toString(), qos, retain, properties })
  }
}
