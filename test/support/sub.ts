/**
 * `mosquitto_sub` as a process: a real subscriber that was written by others. It is subscribed when
 * `startSub` resolves, and tells messages apart from its own chatter by a tab at the start of the line.
 */
import { Process } from './process.ts'
import { until } from './wait.ts'

export interface SubMessage {
  topic: string
  payload: string
  qos: number
  retain: boolean
}

export interface SubOptions {
  port: number
  topics: readonly string[]
  qos?: 0 | 1 | 2
  clientId?: string
  /** Keeps its session while it is away (`-c`); needs a client identifier. */
  persistent?: boolean
  /** More arguments, as `-V mqttv31`. */
  args?: readonly string[]
  /** A command that starts it. */
  through?: readonly string[]
}

export class Sub {
  readonly process: Process
  readonly #messages: SubMessage[] = []
  #read = 0

  constructor(options: SubOptions) {
    // Its chatter would stay in its buffer until the first message: stdbuf sends it line by line.
    const [command = 'stdbuf', ...before] = [...(options.through ?? []), 'stdbuf']
    this.process = new Process(command, [
      ...before,
      ...['-oL', 'mosquitto_sub'],
      ...['-h', '127.0.0.1', '-p', String(options.port), '-d', '-F', '\\t%q\\t%r\\t%t\\t%p'],
      ...['-q', String(options.qos ?? 0)],
      ...(options.clientId === undefined ? [] : ['-i', options.clientId]),
      ...(options.persistent === true ? ['-c'] : []),
      ...options.topics.flatMap(topic => ['-t', topic]),
      ...(options.args ?? []),
    ])
  }

  /** Everything that came so far, in order. */
  get messages(): readonly SubMessage[] {
    for (; this.#read < this.process.lines.length; this.#read++) {
      const line = this.process.lines[this.#read]
      if (line === undefined || !line.startsWith('\t')) continue
      const [, qos = '', retain, topic = '', ...payload] = line.split('\t')
      this.#messages.push({ topic, payload: payload.join('\t'), qos: Number(qos), retain: retain === '1' })
    }
    return this.#messages
  }

  get payloads(): string[] {
    return this.messages.map(message => message.payload)
  }

  /** Waits until `count` messages have come, and gives them all. */
  async received(count: number, timeout?: number): Promise<readonly SubMessage[]> {
    await this.#until(() => this.messages.length >= count, `${count} messages`, timeout)
    return this.messages
  }

  /** Waits until a message comes that `match` accepts, among all so far. */
  async message(match: (message: SubMessage) => boolean, what: string, timeout?: number): Promise<SubMessage> {
    await this.#until(() => this.messages.some(match), what, timeout)
    return this.messages.find(match) as SubMessage
  }

  /** Leaves in good order: mosquitto_sub sends DISCONNECT. */
  async stop(): Promise<void> {
    await this.process.kill('SIGTERM')
  }

  /** Vanishes without DISCONNECT. */
  async kill(): Promise<void> {
    await this.process.kill('SIGKILL')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }

  async #until(condition: () => boolean, what: string, timeout?: number): Promise<void> {
    await until(condition, {
      what: () => `${what}; got ${this.messages.length}\n${this.process.transcript()}`,
      ...(timeout === undefined ? {} : { timeout }),
    })
  }
}

/** Starts a subscriber and waits for its SUBACK. */
export async function startSub(options: SubOptions): Promise<Sub> {
  const sub = new Sub(options)
  try {
    await sub.process.line(line => line.startsWith('Subscribed'))
    return sub
  } catch (error) {
    await sub[Symbol.asyncDispose]()
    throw error
  }
}
