/**
 * The scenario of `scripts/bench devices`: the built gateway on core 0 with serial devices on pseudo-terminals, whose other
 * ends, like the subscriber, are here. Readings are lines of JSON; each has a number of its own, so that none can be
 * lost unseen. What `socat` takes to carry a line from one end to the other is in every time.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { type Gateway, startGateway } from '../../test/support/gateway.ts'
import { RawClient } from '../../test/support/mqtt-client.ts'
import { processorSeconds } from '../../test/support/procfs.ts'
import { openPty, type Pty } from '../../test/support/pty.ts'
import { until } from '../../test/support/wait.ts'
import { CORE } from './core.ts'

/** ms between two lines whose time is taken: each finds the gateway idle. */
const SAMPLE_PAUSE = 10
/** ms between two looks at what is due. */
const TICK = 2
/** ms for which the idle gateway is watched. */
const IDLE = 5_000

export interface Load {
  /** Readings a second that were sent. */
  rate: number
  sent: number
  received: number
  /** Processor time as a part of a core: under the load, and without one. */
  processor: number
  idle: number
}

/** The gateway, its devices and the subscriber to all of them. */
export async function openDevices(sources: number): Promise<Devices> {
  const cables = await Promise.all(Array.from({ length: sources }, () => openPty()))
  try {
    const gateway = await startGateway({ config: configFor(cables), cpu: CORE })
    const subscriber = await RawClient.connect({ port: gateway.port, keeping: false })
    const devices = new Devices(cables, gateway, subscriber)
    await subscriber.subscribe({ topic: '/Home/Bench/#', qos: 0 })
    await devices.warmUp()
    return devices
  } catch (error) {
    await Promise.all(cables.map(cable => cable.close()))
    throw error
  }
}

function configFor(cables: readonly Pty[]): string {
  const devices = cables.map(
    ({ path }, i) => `  - { name: S${i}, room: Bench, serial: { path: ${path}, baud: 115200 } }`,
  )
  return `log: { level: warn }\ndevices:\n${devices.join('\n')}`
}

class Devices {
  readonly #cables: readonly Pty[]
  readonly #gateway: Gateway
  readonly #subscriber: RawClient
  /** Monotonic time in ms at which each reading came, by its number. */
  readonly #arrived = new Map<number, number>()
  #next = 0

  constructor(cables: readonly Pty[], gateway: Gateway, subscriber: RawClient) {
    this.#cables = cables
    this.#gateway = gateway
    this.#subscriber = subscriber
    subscriber.onPacket = packet => {
      if (packet.cmd !== 'publish') return
      const number = /"n":(\d+)/.exec(packet.payload.toString())?.[1]
      if (number !== undefined) this.#arrived.set(Number(number), performance.now())
    }
  }

  /** A reading of every device has come. */
  async warmUp(): Promise<void> {
    const numbers = this.#cables.map(cable => this.#send(cable))
    await until(() => numbers.every(number => this.#arrived.has(number)), {
      what: () => `a reading of each device\n${this.#gateway.log}`,
    })
  }

  /** Times in ms from a line that is written to its message, one after the other, all devices in turn. */
  async latencies(samples: number): Promise<number[]> {
    const times: number[] = []
    for (let i = 0; i < samples; i++) {
      const sent = performance.now()
      const number = this.#send(this.#cables[i % this.#cables.length] as Pty)
      await until(() => this.#arrived.has(number), { what: 'the reading', every: SAMPLE_PAUSE })
      times.push((this.#arrived.get(number) ?? Number.NaN) - sent)
    }
    return times
  }

  /** `rate` readings a second, evenly over time and devices. */
  async load({ rate, seconds }: { rate: number; seconds: number }): Promise<Load> {
    const { pid } = this.#gateway
    const rested = await processorSeconds(pid)
    await pause(IDLE)
    const before = await processorSeconds(pid)
    this.#arrived.clear()
    const began = performance.now()
    const count = rate * seconds
    for (let sent = 0; sent < count; await pause(TICK)) {
      const due = Math.min(count, Math.floor(((performance.now() - began) / 1000) * rate))
      for (; sent < due; sent++) this.#send(this.#cables[sent % this.#cables.length] as Pty)
    }
    const took = (performance.now() - began) / 1000
    // What is not there by then is lost.
    await until(() => this.#arrived.size === count, { what: 'all readings', timeout: 5_000 }).catch(() => {})
    const used = (await processorSeconds(pid)) - before
    return {
      rate: count / took,
      sent: count,
      received: this.#arrived.size,
      processor: used / took,
      idle: (before - rested) / (IDLE / 1000),
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscriber.socket.destroy()
    await this.#gateway[Symbol.asyncDispose]()
    await Promise.all(this.#cables.map(cable => cable.close()))
  }

  #send(cable: Pty): number {
    const number = this.#next++
    cable.write(`{"temperature":21.5,"humidity":40,"n":${number}}\n`)
    return number
  }
}
