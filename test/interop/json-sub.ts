/**
 * `mosquitto_sub -V 5` as a process that prints each message with all of its properties (`%j`). JSON
 * objects have no repeated keys, so the user properties are taken from `%P`, which prints every pair, in order.
 */
import { Process } from '../support/process.ts'
import { until } from '../support/wait.ts'

export interface JsonMessage {
  topic: string
  payload: string
  qos: number
  retain: number
  properties?: Record<string, unknown>
  /** `key:value` of each pair, in order, parted by blanks. */
  userProperties: string
}

export class JsonSub implements AsyncDisposable {
  readonly process: Process
  #read = 0
  readonly #messages: JsonMessage[] = []

  private constructor(port: number, args: readonly string[]) {
    this.process = new Process('stdbuf', [
      ...['-oL', 'mosquitto_sub', '-V', '5', '-h', '127.0.0.1', '-p', String(port), '-d', '-F', '\\t%P\\t%j'],
      ...args,
    ])
  }

  /** Starts it with these arguments beside address and version, and waits for its SUBACK. */
  static async start(port: number, ...args: readonly string[]): Promise<JsonSub> {
    const sub = new JsonSub(port, args)
    try {
      await sub.process.line(line => line.startsWith('Subscribed'))
      return sub
    } catch (error) {
      await sub[Symbol.asyncDispose]()
      throw error
    }
  }

  get messages(): readonly JsonMessage[] {
    for (; this.#read < this.process.lines.length; this.#read++) {
      const [before, userProperties, json] = (this.process.lines[this.#read] as string).split('\t')
      if (before !== '' || json === undefined) continue
      this.#messages.push({ ...JSON.parse(json), userProperties: userProperties as string })
    }
    return this.#messages
  }

  get payloads(): string[] {
    return this.messages.map(message => message.payload)
  }

  /** Waits until `count` messages have come, and gives them all. */
  async received(count: number): Promise<readonly JsonMessage[]> {
    await until(() => this.messages.length >= count, {
      what: () => `${count} messages; got ${this.messages.length}\n${this.process.transcript()}`,
    })
    return this.messages
  }

  /** Leaves in good order. Resolves when it is gone. */
  async stop(): Promise<void> {
    await this.process.kill('SIGTERM')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process[Symbol.asyncDispose]()
  }
}
