/**
 * The cases of `scripts/bench store`. Each measurement starts a fresh broker on an empty folder, warms it up with the same
 * load, and counts until the broker is at rest again, so that what it does behind its acknowledgements (compaction,
 * messages acknowledged before they are stored) is on its bill. Storage is what the kernel counts for the process:
 * pages of files made dirty, each as often as it goes to the disk.
 */
import {
  folderBytes,
  peakMemory,
  processorSeconds,
  residentMemory,
  storageBytes,
  writtenBytes,
} from '../../test/support/procfs.ts'
import { until } from '../../test/support/wait.ts'
import { PinnedBroker } from './pinned-broker.ts'
import { comeBack, type Enqueuing, enqueue, leaveSessions, take } from './queue-load.ts'
import type { Contestant } from './stores.ts'

export interface StoreScenario {
  /** Messages of a measurement. */
  messages: number
  rounds: number
  /** Bytes. */
  payload: number
  /** Messages that wait while memory is looked at. */
  queued: number
}

export interface Case {
  name: string
  title: string
  /** Persistent sessions that want every message. */
  sessions: number
  /** Whether the session is there and takes them. */
  isOnline: boolean
  /** Messages that the publisher has in flight. */
  window: number
  /** Whether the session comes back afterwards. */
  drains: boolean
}

export const CASES: readonly Case[] = [
  { name: 'online', title: 'one session, there', sessions: 1, isOnline: true, window: 100, drains: false },
  { name: 'away', title: 'one session, away', sessions: 1, isOnline: false, window: 1_000, drains: true },
  { name: 'away-20', title: 'one session, away', sessions: 1, isOnline: false, window: 20, drains: false },
  { name: 'ten-away', title: 'ten sessions, away', sessions: 10, isOnline: false, window: 1_000, drains: false },
]
export const DRAIN = 'drain'

/** One broker in one case of one round. Of a case that drains there are two. */
export interface Measurement {
  broker: string
  case: string
  round: number
  messages: number
  /** Messages that were acknowledged, or delivered, in a second. */
  rate: number
  /** Processor time of the broker in µs a message. */
  processor: number
  /** Bytes to storage a message. */
  storage: number
  /** Bytes given to write(2) and its kin a message: files and sockets. */
  written: number
  /** Bytes that the data folder grew by for a message. */
  disk: number
  /** Part of its core that the load generator used: near 1, the figure is the generator's and not the broker's. */
  generator: number
  /** Messages that were sent, and not acknowledged or not delivered. */
  missing: number
}

/** A long queue, and a restart with it. */
export interface Many {
  broker: string
  /** Messages that wait. */
  messages: number
  /** Bytes. */
  resident: number
  peak: number
  disk: number
  restart?: {
    /** Seconds from SIGTERM to the end. */
    stop: number
    /** Seconds from the start to the first CONNACK. */
    ready: number
    /** Seconds from the returning client's connect to its first message. */
    first: number
    /** Messages a second. */
    rate: number
    missing: number
    /** Bytes, at most, until all were delivered. */
    peak: number
  }
}

/** Seconds for which a measurement publishes at most: slow brokers get fewer messages. */
const MAX_PUBLISHING = 10
const MAX_WARMING = 2
/** Messages of the warming in parts of those that are measured. */
const WARMING = 0.5
const MAX_DRAINING = 20
/** For the long queue. */
const MAX_FILLING = 150
const MAX_EMPTYING = 150
const FILLING_WINDOW = 1_000
/** A broker is at rest when it neither writes nor computes for so many ms… */
const REST = 400
/** …as far as one tick of the kernel's account, which every timer may cost. */
const REST_PROCESSOR = 0.011
const REST_PATIENCE = 120_000

/** The measurement of a case, and of the drain behind it. */
export async function measure(
  contestant: Contestant,
  kind: Case,
  scenario: StoreScenario,
  round: number,
): Promise<Measurement[]> {
  await using broker = await PinnedBroker.start(contestant)
  const sessions = Array.from({ length: kind.sessions }, (_, i) => `bench-session-${i}`)
  const [session = ''] = sessions
  await leaveSessions(broker.port, sessions)
  const { payload } = scenario
  const common = { broker: broker.name, round }

  const publish = async (load: Enqueuing) => {
    if (!kind.isOnline) return { ...(await enqueue(broker.port, load)), delivered: undefined }
    const taking = { ...load, seconds: MAX_DRAINING }
    const taken = take(await comeBack(broker.port, session), taking)
    const enqueued = await enqueue(broker.port, load)
    taking.messages = enqueued.sent
    return { ...enqueued, delivered: (await taken).delivered }
  }

  const empty = await folderBytes(broker.folder)
  const load = { payload, window: kind.window }
  const warming = Math.ceil(scenario.messages * WARMING)
  const { sent: warmed } = await publish({ ...load, messages: warming, first: 0, seconds: MAX_WARMING })
  await atRest(broker)
  const bill = await Bill.open(broker)
  const enqueued = await publish({ ...load, messages: scenario.messages, first: warmed, seconds: MAX_PUBLISHING })
  const { sent } = enqueued
  const cost = await bill.close(sent, enqueued.seconds)
  const disk = ((await folderBytes(broker.folder)) - empty) / (warmed + sent)
  const missing = sent - (enqueued.delivered ?? enqueued.acknowledged)
  const published = { ...common, ...cost, case: kind.name, disk, missing }
  if (!kind.drains) return [published]

  const drainBill = await Bill.open(broker)
  const begun = performance.now()
  const socket = await comeBack(broker.port, session)
  const messages = warmed + sent
  const taken = await take(socket, { payload, messages, first: 0, seconds: MAX_DRAINING, begun })
  const drainCost = await drainBill.close(taken.delivered, taken.seconds)
  const drained = { ...common, ...drainCost, case: DRAIN, disk: 0, missing: messages - taken.delivered }
  return [published, drained]
}

/** Fills one session's queue, looks at the memory, restarts the broker and lets the session come back. */
export async function measureMany(contestant: Contestant, { payload, queued }: StoreScenario): Promise<Many> {
  await using broker = await PinnedBroker.start(contestant)
  const session = 'bench-session'
  await leaveSessions(broker.port, [session])
  const empty = await folderBytes(broker.folder)
  const load = { payload, window: FILLING_WINDOW, messages: queued, first: 0, seconds: MAX_FILLING }
  const { sent: messages } = await enqueue(broker.port, load)
  await atRest(broker)
  const many: Many = {
    broker: broker.name,
    messages,
    resident: await residentMemory(broker.pid),
    peak: await peakMemory(broker.pid),
    disk: (await folderBytes(broker.folder)) - empty,
  }
  if (!contestant.survivesRestart) return many

  const stop = await broker.stop()
  const ready = await broker.start()
  const begun = performance.now()
  const socket = await comeBack(broker.port, session)
  const taken = await take(socket, { payload, messages, first: 0, seconds: MAX_EMPTYING, begun })
  const { delivered, untilFirst: first } = taken
  const rate = delivered / taken.seconds
  many.restart = { stop, ready, first, rate, missing: messages - delivered, peak: await peakMemory(broker.pid) }
  return many
}

/** What a broker used between two moments at which it was at rest. */
class Bill {
  readonly #broker: PinnedBroker
  readonly #before: Counters
  readonly #generator = process.cpuUsage()
  readonly #begun = performance.now()

  private constructor(broker: PinnedBroker, before: Counters) {
    this.#broker = broker
    this.#before = before
  }

  static async open(broker: PinnedBroker): Promise<Bill> {
    return new Bill(broker, await counters(broker))
  }

  /** For so many messages in so many seconds; waits until the broker is at rest. */
  async close(messages: number, seconds: number) {
    const { user, system } = process.cpuUsage(this.#generator)
    const generator = (user + system) / 1_000 / (performance.now() - this.#begun)
    await atRest(this.#broker)
    const before = this.#before
    const after = await counters(this.#broker)
    return {
      messages,
      rate: messages / seconds,
      processor: ((after.processor - before.processor) / messages) * 1e6,
      storage: (after.storage - before.storage) / messages,
      written: (after.written - before.written) / messages,
      generator,
    }
  }
}

interface Counters {
  processor: number
  storage: number
  written: number
}

async function counters({ pid }: PinnedBroker): Promise<Counters> {
  return {
    processor: await processorSeconds(pid),
    storage: await storageBytes(pid),
    written: await writtenBytes(pid),
  }
}

async function atRest(broker: PinnedBroker): Promise<void> {
  let before = await counters(broker)
  let since = performance.now()
  await until(
    async () => {
      const now = await counters(broker)
      const isIdle = now.storage === before.storage && now.processor - before.processor < REST_PROCESSOR
      if (isIdle) return performance.now() - since > REST
      before = now
      since = performance.now()
      return false
    },
    { what: `${broker.name} to be at rest`, every: 20, timeout: REST_PATIENCE },
  )
}
