/**
 * What `scripts/bench` measures, in the order of its table. A scenario is a load of the generator, or a few steps with
 * one; each gives one figure of each broker.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { residentMemory } from '../../test/support/procfs.ts'
import type { Running, Transport } from './contestants.ts'
import { type Flags, generate, holdConnections, type Measured } from './generator.ts'
import { processorOf, wakeUps } from './watch.ts'

/** What a figure is. Of all of them less is better. */
export type Unit = 'µs' | 'ms' | 'MB' | 'wake-ups/s'

export interface Figure {
  readonly value: number
  readonly unit: Unit
  /** What else is to be told: messages a second, and the like. */
  readonly rate?: number
  readonly lost?: number
  readonly misordered?: number
  /** Part of its core that the generator used. */
  readonly generator?: number
}

export interface Scenario {
  readonly name: string
  /** What we want to be of Mosquitto's figure: so many times less. Or the most that our own may be. */
  readonly goal?: { readonly times: number } | { readonly most: number }
  readonly transport?: Transport
  /** MQTT 5 only. */
  readonly is5?: boolean
  /** A broker of its own, which nothing was done with before. */
  readonly fresh?: boolean
  /** `size` shortens it: 1 is the whole. */
  measure(broker: Running, size: number): Promise<Figure>
}

/** Seconds for which an idle broker is watched. */
const IDLE_TIME = 10
/** Messages retained beside the one that is asked for. */
const RETAINED = 20_000
/** Messages that are published before a measurement: Node compiles what is hot. Part of the load. */
const WARM_UP = 0.2

let runs = 0

/** Topics and clients of each measurement have names of their own. */
const prefix = () => `bench${++runs}`

function target({ pid, ports }: Running, transport: Transport = 'tcp'): Flags {
  const way = transport === 'tcp' ? {} : { [transport]: 1 }
  return { port: ports[transport], pid, ...way }
}

function figureOf(measured: Measured): Figure {
  const { microseconds, rate, lost, misordered, generator } = measured
  return { value: microseconds, unit: 'µs', rate, lost, misordered, generator }
}

/** A load that runs, after a short one that does not count. */
function load(name: string, messages: number, flags: Flags, rest: Omit<Scenario, 'name' | 'measure'> = {}): Scenario {
  return {
    name,
    ...rest,
    async measure(broker, size) {
      const common = { ...target(broker, rest.transport), ...flags, ...(rest.is5 ? { version: 5 } : {}) }
      const publishers = Number(flags.publishers ?? 1)
      const count = Math.max(Math.round((messages * size) / publishers), 20) * publishers
      const warm = Math.ceil((count * WARM_UP) / publishers) * publishers
      await generate('run', { ...common, messages: warm, prefix: prefix() })
      return figureOf(await generate('run', { ...common, messages: count, prefix: prefix() }))
    },
  }
}

/** The time that messages take, at a rate that nobody has to strain for: its 99th percentile. */
function latency(name: string, rate: number, qos: number): Scenario {
  return {
    name,
    async measure(broker, size) {
      const common = { ...target(broker), qos, rate, window: 1_000 }
      await generate('run', { ...common, messages: rate, prefix: prefix() })
      const messages = Math.max(Math.round(rate * 10 * size), 200)
      const {
        p99 = Number.NaN,
        lost,
        misordered,
        ...rest
      } = await generate('run', { ...common, messages, prefix: prefix() })
      return { value: p99, unit: 'ms', rate: rest.rate, lost, misordered }
    },
  }
}

const enqueue: Scenario = {
  name: 'QoS 1 for a session that is away',
  goal: { times: 1 },
  fresh: true,
  async measure(broker, size) {
    const common = { ...target(broker), qos: 1, window: 1_000, prefix: prefix() }
    await generate('leave', { ...common, clean: 0 })
    return figureOf(await generate('enqueue', { ...common, messages: 200_000 * size }))
  },
}

const drain: Scenario = {
  name: '50,000 that waited',
  goal: { times: 1 },
  fresh: true,
  async measure(broker, size) {
    const common = { ...target(broker), qos: 1, window: 1_000, prefix: prefix(), messages: 50_000 * size }
    await generate('leave', { ...common, clean: 0 })
    await generate('enqueue', common)
    return figureOf(await generate('drain', { ...common, clean: 0 }))
  },
}

async function retain(broker: Running): Promise<Flags> {
  const common = { ...target(broker), topics: RETAINED, prefix: prefix() }
  await generate('enqueue', { ...common, qos: 1, retain: 1, window: 200, messages: RETAINED })
  return common
}

const readRetained: Scenario = {
  name: `${RETAINED.toLocaleString('en')} retained, by #`,
  goal: { times: 3 },
  fresh: true,
  async measure(broker) {
    const common = await retain(broker)
    const flags = { ...common, messages: RETAINED, filter: `${common.prefix}/#` }
    await generate('drain', flags)
    return figureOf(await generate('drain', flags))
  },
}

const askRetained: Scenario = {
  name: `one exact SUBSCRIBE beside ${RETAINED.toLocaleString('en')} retained`,
  goal: { most: 150 },
  fresh: true,
  async measure(broker, size) {
    const common = await retain(broker)
    const messages = Math.max(Math.round(5_000 * size), 100)
    await generate('ask', { ...common, messages })
    return figureOf(await generate('ask', { ...common, messages }))
  },
}

function connects(name: string, count: number, before: number, goal: number): Scenario {
  return {
    name,
    goal: { most: goal },
    fresh: true,
    async measure(broker, size) {
      const common = { ...target(broker), window: 50, prefix: prefix() }
      if (before > 0) await generate('connect', { ...common, messages: Math.ceil(before * size) })
      return figureOf(await generate('connect', { ...common, messages: Math.ceil(count * size) }))
    },
  }
}

function resident(name: string, clients: number, goal: number): Scenario {
  return {
    name,
    goal: { most: goal },
    fresh: true,
    async measure(broker, size) {
      const subscribers = Math.round(clients * size)
      const flags = { ...target(broker), subscribers, spread: 'own', prefix: prefix() }
      await using _ = subscribers === 0 ? undefined : await holdConnections(flags)
      return { value: (await residentMemory(broker.pid)) / 2 ** 20, unit: 'MB' }
    },
  }
}

const start: Scenario = {
  name: 'start to the first CONNACK',
  goal: { most: 250 },
  fresh: true,
  measure: async ({ startTime = Number.NaN }) => ({ value: startTime * 1_000, unit: 'ms' }),
}

const idle: Scenario = {
  name: 'idle, wake-ups a second',
  goal: { most: 5 },
  fresh: true,
  async measure({ pid }, size) {
    // What the start has left to be done is not idleness.
    await pause(3_000 * size)
    const time = Math.max(IDLE_TIME * size, 1)
    const [wakes, processor] = [await wakeUps(pid), await processorOf(pid)]
    await pause(time * 1_000)
    const used = ((await processorOf(pid)) - processor) / time
    return { value: ((await wakeUps(pid)) - wakes) / time, unit: 'wake-ups/s', generator: used }
  },
}

const PAIRS = { publishers: 50, subscribers: 50, spread: 'own', qos: 1, window: 20 }

export const SCENARIOS: readonly Scenario[] = [
  load('1 to 1, QoS 0', 1_000_000, {}, { goal: { times: 12 } }),
  load('1 to 10, QoS 0', 200_000, { subscribers: 10 }, { goal: { times: 30 } }),
  load('1 to 100, QoS 0', 30_000, { subscribers: 100 }, { goal: { times: 30 } }),
  load('50 to 1, QoS 0', 1_000_000, { publishers: 50, window: 200 }, { goal: { times: 12 } }),
  load('1 to 1, QoS 1, window 20', 200_000, { qos: 1, window: 20 }, { goal: { times: 4 } }),
  load('1 to 1, QoS 1, window 200', 300_000, { qos: 1, window: 200 }, { goal: { times: 8 } }),
  load('1 to 1, QoS 2, window 200', 200_000, { qos: 2, window: 200 }, { goal: { times: 6 } }),
  load('50 pairs, QoS 1', 300_000, PAIRS, { goal: { times: 5 } }),
  load('10,000 subscriptions', 500_000, { topics: 10_000 }, { goal: { times: 10 } }),
  load('16 KB payload', 30_000, { payload: 16_384, window: 100 }, { goal: { times: 1.5 } }),
  load('256 KB payload', 3_000, { payload: 262_144, window: 20 }, { goal: { times: 1 } }),
  load('MQTT 5', 1_000_000, {}, { is5: true }),
  load('MQTT 5, aliases', 1_000_000, { alias: 10 }, { is5: true }),
  load('MQTT 5, 3 user properties', 500_000, { properties: 3 }, { is5: true }),
  load('MQTT 5, QoS 1, window 200', 300_000, { qos: 1, window: 200 }, { is5: true }),
  load('WebSocket', 500_000, {}, { transport: 'ws' }),
  load('TLS', 500_000, {}, { transport: 'tls' }),
  enqueue,
  drain,
  readRetained,
  askRetained,
  connects('connects, fresh', 5_000, 0, 125),
  connects('connects, warm', 20_000, 20_000, 50),
  resident('resident, idle', 0, 60),
  resident('resident, 1,000 clients', 1_000, 75),
  resident('resident, 10,000 clients', 10_000, 160),
  start,
  idle,
  latency('p99 at 1,000/s, QoS 0', 1_000, 0),
  latency('p99 at 1,000/s, QoS 1', 1_000, 1),
  latency('p99 at 10,000/s, QoS 0', 10_000, 0),
  latency('p99 at 10,000/s, QoS 1', 10_000, 1),
]
