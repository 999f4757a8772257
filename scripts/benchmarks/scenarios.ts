/**
 * What `scripts/bench` measures, in the order of its table. A scenario is a load of the generator, or a few steps with
 * one; each gives one figure of each broker.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { proportionalMemory, residentMemory } from '../../test/support/procfs.ts'
import { until } from '../../test/support/wait.ts'
import { BRIDGED, type Running, type Transport } from './contestants.ts'
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
  /** Part of its core that the generator used: near 1, it may be what was slow, and the rate is its own. */
  readonly generator?: number
  /** Of latencies, the longest of all, in ms. */
  readonly worst?: number
  /** Of memory, the proportional set size in MB: pages that processes share are divided among them. */
  readonly proportional?: number
  /** Of an idle broker, the part of a core that it used. */
  readonly processor?: number
}

export type Goal =
  /** So many times less than Mosquitto's figure. */
  | { readonly less: number }
  /** At most so many times Mosquitto's figure, and none later than `worst` ms. */
  | { readonly times: number; readonly worst: number }
  /** At most so many times our own figure of another scenario. */
  | { readonly times: number; readonly of: string }
  /** At least so many times Mosquitto's rate. */
  | { readonly rate: number }
  /** At least so many a second. */
  | { readonly perSecond: number }
  /** At most that, in the figure's unit. */
  | { readonly most: number }

export interface Scenario {
  readonly name: string
  readonly goal?: Goal
  readonly transport?: Transport
  /** MQTT 5 only. */
  readonly is5?: boolean
  /** A broker of its own, with one listener of TCP, which nothing was done with before. */
  readonly fresh?: boolean
  /** The broker has a bridge to the upstream. Implies `fresh`. */
  readonly isBridge?: boolean
  /** `size` shortens it: 1 is the whole. `upstream` is the port of that. */
  measure(broker: Running, size: number, upstream?: number): Promise<Figure>
}

/** Seconds for which an idle broker is watched. */
const IDLE_TIME = 10
/** ms until a broker is at rest: a gateway gives back what a start, or many connections, have left over when it had nothing to do for two periods of 10 s. */
const REST = 30_000
/** Messages retained beside the one that is asked for. */
const RETAINED = 20_000
/** Part of a load that goes before it and does not count: Node compiles what is hot. */
const WARM_UP = 0.2
/** Deliveries that warm up at least, however short the load: by then the compiler is done with what is hot. */
const LEAST_WARM_UP = 150_000
/** Messages that warm up for latencies, and how many of them a second. */
const WARM_UP_ALONE = 100_000
const WARM_UP_RATE = 10_000
/** SUBSCRIBEs that do; stock aedes takes 9 ms for one. */
const LEAST_ASKED = 1_000
/** Drains that go before those that count, and those that do: one takes a sixth of a second, and has code of its own for what is read. */
const DRAINS_BEFORE = 5
const DRAINS = 4
/** Part of the load below which nothing is measured, and the bench itself is tried: then all that goes before is shorter, too. */
const TRIAL = 0.05
/** Bytes of payload after which it is enough. */
const MOST_WARM_UP = 2 ** 31
/** ms for a bridge to come about. */
const BRIDGE_PATIENCE = 30_000

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

/** The figure of the same load some times over. */
function together(figures: readonly Figure[]): Figure {
  const mean = (numbers: number[]) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length
  return {
    value: mean(figures.map(({ value }) => value)),
    unit: 'µs',
    // As many messages each: the times are what adds up.
    rate: 1 / mean(figures.map(({ rate = 0 }) => 1 / rate)),
    lost: Math.max(...figures.map(({ lost = 0 }) => lost)),
    misordered: Math.max(...figures.map(({ misordered = 0 }) => misordered)),
    generator: mean(figures.map(({ generator = 0 }) => generator)),
  }
}

/** Of what goes before a measurement, the part that is left at this size. */
const beforehand = (size: number) => Math.min(1, size / TRIAL)

/** How many messages warm a load of `count` up. */
function warmUpOf(
  count: number,
  size: number,
  { subscribers = 1, spread = 'shared', payload = 64 }: Flags = {},
): number {
  const fan = spread === 'shared' ? Number(subscribers) : 1
  const deliveries = Math.min(LEAST_WARM_UP, MOST_WARM_UP / Number(payload)) * beforehand(size)
  return Math.max(Math.ceil(count * WARM_UP), Math.ceil(deliveries / fan))
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
      await generate('run', { ...common, messages: warmUpOf(count, size, flags), prefix: prefix() })
      return figureOf(await generate('run', { ...common, messages: count, prefix: prefix() }))
    },
  }
}

/**
 * The time that messages take, at a rate that nobody has to strain for: its 99th percentile. The generator never sleeps
 * and sends when it is time, whatever is still on its way; that the broker's core wakes up first is part of all figures.
 */
function latency(name: string, rate: number, qos: number): Scenario {
  return {
    name,
    goal: { times: 1.5, worst: 2 },
    async measure(broker, size) {
      const common = { ...target(broker), qos, window: 1_000 }
      // Each message by itself, as in what follows: a flood comes in few pieces, and leaves the code cold that each piece needs.
      const before = Math.ceil(WARM_UP_ALONE * beforehand(size))
      await generate('run', { ...common, rate: WARM_UP_RATE, messages: before, prefix: prefix() })
      const messages = Math.max(Math.round(rate * 10 * size), 200)
      const measured = await generate('run', { ...common, rate, messages, prefix: prefix() })
      const { p99 = Number.NaN, worst = Number.NaN, lost, misordered } = measured
      return { value: p99, unit: 'ms', worst, lost, misordered }
    },
  }
}

/** QoS 1 to a broker that brings it to another one; it counts when it has come out there. */
const bridge: Scenario = {
  name: 'bridge out, QoS 1',
  isBridge: true,
  async measure(broker, size, upstream = 0) {
    const common = { ...target(broker), 'subscriber-port': upstream, qos: 1, window: 200 }
    const round = (messages: number) => generate('run', { ...common, messages, prefix: `${BRIDGED}/${prefix()}` })
    await until(async () => (await round(1)).lost === 0, { timeout: BRIDGE_PATIENCE, what: 'the bridge' })
    const count = Math.max(Math.round(100_000 * size), 100)
    await round(warmUpOf(count, size))
    return figureOf(await round(count))
  },
}

/** A persistent session that is away, and what it is to receive. */
async function fillQueue(common: Flags, messages: number): Promise<Measured> {
  await generate('leave', { ...common, clean: 0 })
  return await generate('enqueue', { ...common, messages })
}

const enqueue: Scenario = {
  name: 'QoS 1 for a session that is away',
  goal: { rate: 1 },
  fresh: true,
  async measure(broker, size) {
    const common = { ...target(broker), qos: 1, window: 1_000 }
    const count = Math.round(200_000 * size)
    await fillQueue({ ...common, prefix: prefix() }, warmUpOf(count, size))
    return figureOf(await fillQueue({ ...common, prefix: prefix() }, count))
  },
}

const drain: Scenario = {
  name: '50,000 that waited',
  goal: { rate: 1 },
  fresh: true,
  async measure(broker, size) {
    const round = async (messages: number) => {
      const common = { ...target(broker), qos: 1, window: 1_000, prefix: prefix() }
      await fillQueue(common, messages)
      return await generate('drain', { ...common, clean: 0, messages })
    }
    for (let drained = 0; drained < DRAINS_BEFORE; drained++) await round(Math.ceil(50_000 * beforehand(size)))
    const figures: Figure[] = []
    for (let drained = 0; drained < DRAINS; drained++) figures.push(figureOf(await round(Math.round(50_000 * size))))
    return together(figures)
  },
}

async function retain(broker: Running): Promise<Flags> {
  const common = { ...target(broker), topics: RETAINED, prefix: prefix() }
  await generate('enqueue', { ...common, qos: 1, retain: 1, window: 200, messages: RETAINED })
  return common
}

const readRetained: Scenario = {
  name: `${RETAINED.toLocaleString('en')} retained, by #`,
  goal: { rate: 3 },
  fresh: true,
  async measure(broker, size) {
    const common = await retain(broker)
    const flags = { ...common, messages: RETAINED, filter: `${common.prefix}/#` }
    for (let read = 0; read < LEAST_WARM_UP * beforehand(size); read += RETAINED) await generate('drain', flags)
    return figureOf(await generate('drain', flags))
  },
}

const askRetained: Scenario = {
  name: `one exact SUBSCRIBE beside ${RETAINED.toLocaleString('en')} retained`,
  goal: { most: 150 },
  fresh: true,
  async measure(broker, size) {
    const common = await retain(broker)
    await generate('ask', { ...common, messages: Math.ceil(LEAST_ASKED * beforehand(size)) })
    return figureOf(await generate('ask', { ...common, messages: Math.max(Math.round(3_000 * size), 100) }))
  },
}

function connects(name: string, count: number, before: number, goal: number): Scenario {
  return {
    name,
    goal: { perSecond: goal },
    fresh: true,
    async measure(broker, size) {
      const common = { ...target(broker), window: 50, prefix: prefix() }
      if (before > 0) await generate('connect', { ...common, messages: Math.ceil(before * beforehand(size)) })
      return figureOf(await generate('connect', { ...common, messages: Math.ceil(count * size) }))
    },
  }
}

/** Clients with a subscription each, that do nothing. */
function resident(name: string, clients: number, goal: number): Scenario {
  return {
    name,
    goal: { most: goal },
    fresh: true,
    async measure(broker, size) {
      const subscribers = Math.round(clients * beforehand(size))
      const flags = { ...target(broker), subscribers, spread: 'own', prefix: prefix() }
      await using _ = subscribers === 0 ? undefined : await holdConnections(flags)
      await pause(REST * beforehand(size))
      const [resident, proportional] = [await residentMemory(broker.pid), await proportionalMemory(broker.pid)]
      return { value: resident / 2 ** 20, unit: 'MB', proportional: proportional / 2 ** 20 }
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
    await pause(REST * beforehand(size))
    const time = Math.max(IDLE_TIME * size, 1)
    const [wakes, used] = [await wakeUps(pid), await processorOf(pid)]
    await pause(time * 1_000)
    const processor = ((await processorOf(pid)) - used) / time
    return { value: ((await wakeUps(pid)) - wakes) / time, unit: 'wake-ups/s', processor }
  },
}

const PAIRS = { publishers: 50, subscribers: 50, spread: 'own', qos: 1, window: 20 }

/** 100 clients with 100 filters each, every other one with a plus sign; each message has one that wants it, far from the last. */
const PARTS = { subscribers: 100, topics: 10_000, spread: 'parts' }
const TCP = '1 to 1, QoS 0'
const ACKNOWLEDGED = '1 to 1, QoS 1, window 200'

export const SCENARIOS: readonly Scenario[] = [
  load(TCP, 1_000_000, {}, { goal: { less: 12 } }),
  load('1 to 10, QoS 0', 200_000, { subscribers: 10 }, { goal: { less: 30 } }),
  load('1 to 100, QoS 0', 30_000, { subscribers: 100 }, { goal: { less: 30 } }),
  load('50 to 1, QoS 0', 1_000_000, { publishers: 50, window: 200 }, { goal: { less: 12 } }),
  load('1 to 1, QoS 1, window 20', 200_000, { qos: 1, window: 20 }, { goal: { less: 4 } }),
  load(ACKNOWLEDGED, 300_000, { qos: 1, window: 200 }, { goal: { less: 8 } }),
  load('1 to 1, QoS 2, window 200', 200_000, { qos: 2, window: 200 }, { goal: { less: 6 } }),
  load('50 pairs, QoS 1', 300_000, PAIRS, { goal: { less: 5 } }),
  load('10,000 subscriptions', 500_000, PARTS, { goal: { less: 10 } }),
  load('16 KB payload', 30_000, { payload: 16_384, window: 100 }, { goal: { less: 1.5 } }),
  load('256 KB payload', 3_000, { payload: 262_144, window: 20 }, { goal: { less: 1 } }),
  load('MQTT 5', 1_000_000, {}, { is5: true, goal: { times: 1.15, of: TCP } }),
  load('MQTT 5, aliases', 1_000_000, { alias: 10 }, { is5: true }),
  load('MQTT 5, 3 user properties', 500_000, { properties: 3 }, { is5: true }),
  load(
    'MQTT 5, QoS 1, window 200',
    300_000,
    { qos: 1, window: 200 },
    { is5: true, goal: { times: 1.15, of: ACKNOWLEDGED } },
  ),
  load('WebSocket', 500_000, {}, { transport: 'ws', goal: { times: 2, of: TCP } }),
  load('TLS', 500_000, {}, { transport: 'tls' }),
  bridge,
  enqueue,
  drain,
  readRetained,
  askRetained,
  connects('connects, fresh', 5_000, 0, 8_000),
  connects('connects, warm', 20_000, 20_000, 20_000),
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
