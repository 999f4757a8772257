/**
 * The guard of `scripts/bench counts`: what the gateway does for a thousand messages, counted instead of timed. Other work
 * on the machine does not change how much a gateway allocates and how often it calls the system, if the load is in
 * lock-step: the generator sends a whole window, in one write, when everything of the one before has been answered.
 * Medians of a few rounds come back within five in a hundred, idle machine or busy; `counts.json` has what is expected.
 */

import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Gateway, ROOT, startGateway } from '../../test/support/gateway.ts'
import { median } from './command-line.ts'
import { type Flags, generate, type Mode } from './generator.ts'

/** For 1,000 messages, SUBSCRIBEs or connections. */
export interface Counts {
  /** On V8's heap. */
  readonly bytes: number
  readonly promises: number
  /** Every other asynchronous resource: ticks, immediates, timers, requests, sockets. See node:async_hooks. */
  readonly callbacks: number
  /** Calls of read(2) and write(2) and their kin. */
  readonly reads: number
  /** Absent where LevelDB writes tables beside it, when it likes. */
  readonly writes?: number
}

export interface Load {
  readonly name: string
  readonly mode: Mode
  readonly flags: Flags
  /** In a round. */
  readonly messages: number
  /** By WebSocket. */
  readonly isWeb?: boolean
  /** What the gateway must have first. */
  readonly before?: { readonly mode: Mode; readonly flags: Flags }
  readonly writesTables?: boolean
}

/** Growth that is a fault, and shrinking that calls for new expectations. */
export const TOLERANCE = 0.1
/** For 1,000 messages: what timers and the compiler's threads do in the time that a round takes. Bytes are never so few. */
const NOISE = 2
/** Rounds before counting, as long as those that count: what is hot is compiled by then, and allocates less. */
const WARM_UP = 3
/** Topics with a retained message, beside the one that is asked for. */
const RETAINED = 1_000

const WINDOW = { window: 100, lockstep: 1 }

export const LOADS: readonly Load[] = [
  { name: '1 to 1, QoS 0', mode: 'run', flags: WINDOW, messages: 20_000 },
  { name: '1 to 10, QoS 0', mode: 'run', flags: { ...WINDOW, subscribers: 10 }, messages: 10_000 },
  { name: '1 to 1, QoS 1', mode: 'run', flags: { ...WINDOW, qos: 1 }, messages: 20_000 },
  { name: '1 to 1, QoS 2', mode: 'run', flags: { ...WINDOW, qos: 2 }, messages: 10_000 },
  { name: 'MQTT 5, 3 user properties', mode: 'run', flags: { ...WINDOW, version: 5, properties: 3 }, messages: 20_000 },
  { name: 'WebSocket', mode: 'run', flags: { ...WINDOW, ws: 1 }, messages: 20_000, isWeb: true },
  {
    name: 'QoS 1 for a session that is away',
    mode: 'enqueue',
    flags: { ...WINDOW, qos: 1 },
    messages: 10_000,
    before: { mode: 'leave', flags: { qos: 1, clean: 0 } },
    writesTables: true,
  },
  {
    name: 'one exact SUBSCRIBE',
    mode: 'ask',
    flags: { topics: RETAINED },
    messages: 2_000,
    before: { mode: 'enqueue', flags: { topics: RETAINED, qos: 1, retain: 1, window: 100, messages: RETAINED } },
  },
  { name: 'connects', mode: 'connect', flags: { window: 1 }, messages: 2_000 },
]

const CONFIG = 'limits: { max_inflight: 1000, max_queued_messages: 1000000 }\nlog: { level: warn }'

/** Counts of each load by its name, each in a gateway of its own; medians of `rounds`. */
export async function countLoads(loads: readonly Load[], rounds: number): Promise<Record<string, Counts>> {
  const counts: Record<string, Counts> = {}
  for (const load of loads) counts[load.name] = await countLoad(load, rounds)
  return counts
}

async function countLoad(load: Load, rounds: number): Promise<Counts> {
  const preload = pathToFileURL(join(ROOT, 'scripts/benchmarks/counting.mjs'))
  await using gateway = await startGateway({ config: CONFIG, env: { NODE_OPTIONS: `--import ${preload}` } })
  const common = { port: load.isWeb ? gateway.wsPort : gateway.port, pid: gateway.pid, prefix: 'counts' }
  if (load.before !== undefined) await generate(load.before.mode, { ...common, ...load.before.flags })
  const round = () => generate(load.mode, { ...common, ...load.flags, messages: load.messages })
  for (let i = 0; i < WARM_UP; i++) await round()
  const each: Required<Counts>[] = []
  let before = await totals(gateway)
  for (let i = 0; i < rounds; i++) {
    const { lost, misordered } = await round()
    if (lost + misordered > 0) throw new Error(`${load.name}: ${lost} lost, ${misordered} out of order`)
    const after = await totals(gateway)
    const part = (key: keyof Counts) => ((after[key] - before[key]) * 1_000) / load.messages
    each.push({
      bytes: part('bytes'),
      promises: part('promises'),
      callbacks: part('callbacks'),
      reads: part('reads'),
      writes: part('writes'),
    })
    before = after
  }
  const middle = (key: keyof Counts) => Math.round(median(each.map(counts => counts[key])) * 10) / 10
  const [bytes, promises, callbacks] = [Math.round(middle('bytes')), middle('promises'), middle('callbacks')]
  const counts = { bytes, promises, callbacks, reads: middle('reads') }
  return load.writesTables ? counts : { ...counts, writes: middle('writes') }
}

async function totals(gateway: Gateway): Promise<Required<Counts>> {
  const from = gateway.process.lines.length
  process.kill(gateway.pid, 'SIGUSR2')
  const line = await gateway.process.line(line => line.startsWith('counts '), { from })
  return JSON.parse(line.slice('counts '.length))
}

export interface Change {
  readonly load: string
  readonly what: string
  /** Undefined: nothing is known of it. */
  readonly expected: number | undefined
  readonly found: number
}

/** What has grown beyond the tolerance, or was never expected; and what has fallen so far that a later growth would hide in it. */
export function changes(
  expected: Readonly<Record<string, Counts>>,
  found: Readonly<Record<string, Counts>>,
): { grown: Change[]; fallen: Change[] } {
  const all = Object.entries(found).flatMap(([load, counts]) =>
    Object.entries(counts).map(
      ([what, number]): Change => ({ load, what, expected: expected[load]?.[what as keyof Counts], found: number }),
    ),
  )
  return {
    grown: all.filter(({ expected: old, found: now }) => old === undefined || now > old * (1 + TOLERANCE) + NOISE),
    fallen: all.filter(({ expected: old, found: now }) => old !== undefined && now < old * (1 - TOLERANCE) - NOISE),
  }
}
