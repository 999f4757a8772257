/**
 * The gateway as a fortress: a real process that is attacked while a bystander, an ordinary client, goes on
 * publishing to itself. `withstand` fails when the gateway grows, keeps the bystander waiting, or ends.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from 'vitest'
import { type Gateway, startGateway } from '../../support/gateway.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { residentMemory } from '../../support/procfs.ts'
import { until } from '../../support/wait.ts'

const MIB = 1024 * 1024
/** Growth in MiB that is still called flat: what V8 lets pile up before it collects. An attack on the memory must try for more. */
const FLAT = 48
/** Longest time in ms that a bystander's message may take there and back: a loaded machine, but not a stalled gateway. */
const SERVED_WITHIN = 5_000
/** Round trips before anything is measured: what the first ones cost is not what an attack costs. */
const WARM_UP = 2_000
/** Pause between two looks at the memory, and two messages of the bystander, in ms. */
const BEAT = 5

export class Siege implements AsyncDisposable {
  readonly gateway: Gateway
  readonly #bystander: RawClient
  #beats = 0

  private constructor(gateway: Gateway, bystander: RawClient) {
    this.gateway = gateway
    this.#bystander = bystander
  }

  /** Starts a gateway with these `limits` (lines of YAML) and warms it up. */
  static async lay(limits: readonly string[] = []): Promise<Siege> {
    const config = ['name: Besieged', ...(limits.length === 0 ? [] : ['limits:', ...limits.map(line => `  ${line}`)])]
    const gateway = await startGateway({ config: config.join('\n') })
    try {
      const bystander = await RawClient.connect({ port: gateway.port, clientId: 'bystander', keepalive: 60 })
      await bystander.subscribe({ topic: 'bystander', qos: 1 })
      const siege = new Siege(gateway, bystander)
      for (let i = 0; i < WARM_UP; i++) await siege.#roundTrip()
      return siege
    } catch (error) {
      await gateway[Symbol.asyncDispose]()
      throw error
    }
  }

  get port(): number {
    return this.gateway.port
  }

  get wsPort(): number {
    return this.gateway.wsPort
  }

  /**
   * Runs `attack`, in which whatever must come back is checked, and holds the gateway to its promises meanwhile and
   * after. `flat` in MiB, where an attack is allowed more than the usual.
   */
  async withstand<T>(attack: () => Promise<T>, { flat = FLAT }: { flat?: number } = {}): Promise<T> {
    const before = await residentMemory(this.gateway.pid)
    let peak = before
    let slowest = 0
    let isOver = false
    const watching = (async () => {
      do {
        slowest = Math.max(slowest, await this.#roundTrip())
        peak = Math.max(peak, await residentMemory(this.gateway.pid))
        await pause(BEAT)
      } while (!isOver)
    })()
    const attacking = attack().finally(() => {
      isOver = true
    })
    const [attacked, watched] = await Promise.allSettled([attacking, watching])
    if (watched.status === 'rejected')
      throw new Error(`the bystander was not served\n${this.gateway.log}`, { cause: watched.reason })
    if (attacked.status === 'rejected') throw attacked.reason
    await this.#roundTrip()
    expect(this.gateway.process.running, this.gateway.log).toBe(true)
    expect(slowest, 'slowest round trip of the bystander in ms').toBeLessThan(SERVED_WITHIN)
    expect((peak - before) / MIB, 'growth of the resident memory in MiB').toBeLessThan(flat)
    return attacked.value
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#bystander[Symbol.asyncDispose]()
    await this.gateway[Symbol.asyncDispose]()
  }

  /** Publishes to itself and waits for the message and its acknowledgement. Gives the time in ms. */
  async #roundTrip(): Promise<number> {
    const start = performance.now()
    const payload = String(++this.#beats)
    await this.#bystander.publish('bystander', payload, { qos: 1 })
    await until(() => this.#bystander.payloads.at(-1) === payload, { what: `message ${payload}`, every: 1 })
    this.#bystander.publishes.length = 0
    this.#bystander.others.length = 0
    return performance.now() - start
  }
}
