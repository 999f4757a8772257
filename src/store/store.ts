/**
 * The store as a whole: opens it, joins its parts over the opened disk, keeps its rhythms (retained values, the time,
 * the sweep, the look at the free space), closes it.
 */
import { join } from 'node:path'
import type { Clock, ClockSync, Timer } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { QueueAges } from './ages.ts'
import { type BatchWriter, Committer, type Operation } from './committer.ts'
import type { CommitterStats } from './committer-stats.ts'
import { type Disk, type DiskStats, isFull } from './disk.ts'
import { DiskGuard } from './disk-guard.ts'
import { Durability, type DurabilityRule } from './durability.ts'
import { Engine, type EngineStats } from './engine.ts'
import { Incoming } from './incoming.ts'
import { EVERYTHING, nameKey } from './keys.ts'
import { migrate } from './migrations.ts'
import { closeStore, type Opening, openStore } from './opening.ts'
import { type QueueLimits, Quota } from './quota.ts'
import { QueueReader } from './reader.ts'
import { load } from './recovery.ts'
import { RetainedMessages } from './retained.ts'
import { Sessions } from './sessions.ts'
import { Subscriptions } from './subscriptions.ts'
import { Sweeper } from './sweeper.ts'
import { encodeTime, StoreTime } from './time.ts'
import { StoreTools } from './tools.ts'
import { Wills } from './wills.ts'

/** Milliseconds between two rounds that give back the space of what was deleted. */
const RECLAIM_INTERVAL_MS = 2_000
/** It is given back when less than this part is left of what waited since the last time: the whole store may be rewritten for it. */
const RECLAIM_SHARE = 0.75
/** Milliseconds that it waits for the last deletions to be written: on a disk that takes nothing they never are. */
const RECLAIM_PATIENCE_MS = 1_000
/** Milliseconds that whoever looks at the store waits for what is still in memory: a few slow batches. */
const SETTLE_PATIENCE_MS = 20_000
/** Batches that take all that the committer gathers (8 MiB and a message, of which a batch takes 4 MiB), with one to spare. */
const SETTLE_BATCHES = 4
/** Milliseconds that a batch may take before the disk counts as stuck: the worst cards take a few seconds. */
const STUCK_MS = 30_000
/** Milliseconds between two records of the time of the store, while there are other writes anyway… */
const TIME_INTERVAL_MS = 10_000
/** …and while there are none. */
const IDLE_TIME_INTERVAL_MS = 600_000

export interface StoreOptions {
  /** Folder of the gateway's data; the store is its subfolder `store`. */
  dataDir: string
  /** Milliseconds that a commit waits when only online sessions wait for it. */
  commitDelay: number
  /** Milliseconds between writes of retained messages of QoS 0. */
  retainedInterval: number
  limits: QueueLimits
  /** What an acknowledgement promises; see durability.ts. */
  durability: { window: number; rules: readonly DurabilityRule[] }
  /** QoS 0 is queued for sessions that are away. */
  queueQos0: boolean
  /** Bytes that stay free on the disk. */
  minFree: number
}

export interface StoreDependencies {
  clock: Clock
  sync: ClockSync
  log: Log
  /** Stands between the store and the disk: for tests of a disk that fails. */
  writer?: (disk: BatchWriter) => BatchWriter
}

export interface StoreStats extends CommitterStats, EngineStats, DiskStats {
  /** References whose message was not on disk, or that could not be read themselves. */
  dangling: number
  /** Retained messages. */
  retained: number
  /** Bytes of their topics, payloads and properties. */
  retainedBytes: number
  /** Persistent sessions, those of bridges among them. */
  sessions: number
  /** Subscriptions of clients' persistent sessions. */
  subscriptions: number
  sharedSubscriptions: number
  /** Messages that wait, each counted for every session that it waits for. */
  messages: number
  /** Bytes of their topics, payloads and properties. */
  messageBytes: number
}

/** What there is while the store is open. */
export type Parts = ReturnType<Store['assemble']>

interface Open {
  disk: Disk
  opening: Opening
  parts: Parts
  timers: Timer[]
}

export class Store {
  readonly time: StoreTime
  readonly #durability: Durability
  readonly #options: StoreOptions
  readonly #deps: StoreDependencies
  readonly #location: string
  readonly #guard: DiskGuard
  #reclaimedAt = Number.NEGATIVE_INFINITY
  #open: Open | null = null

  constructor(options: StoreOptions, deps: StoreDependencies) {
    const { clock, sync, log } = deps
    this.#options = options
    this.#deps = deps
    this.#location = join(options.dataDir, 'store')
    this.#durability = new Durability(options.durability)
    this.time = new StoreTime({ clock, sync })
    this.#guard = new DiskGuard({ location: this.#location, minFree: options.minFree }, { clock, log })
  }

  /** Throws LarderError STORE_FAILED while the store is not open. */
  get parts(): Parts {
    return this.#opened.parts
  }

  /** How the store came up: whole, repaired or replaced. */
  get opening(): Opening {
    return this.#opened.opening
  }

  /** Milliseconds before a power cut in which acknowledged messages may be lost, at most. */
  get lossWindow(): number {
    return this.#durability.longest
  }

  get stats(): StoreStats {
    const { disk, parts } = this.#opened
    const { committer, engine, reader, retained, quota, sessions, subscriptions } = parts
    return {
      ...committer.stats,
      ...engine.stats,
      ...disk.stats,
      dangling: reader.dangling,
      retained: retained.count,
      retainedBytes: retained.bytes,
      sessions: sessions.count,
      subscriptions: subscriptions.plainCount,
      sharedSubscriptions: subscriptions.sharedCount,
      messages: quota.count,
      messageBytes: quota.bytes,
    }
  }

  /** What keeps the store from writing, for a person; undefined when nothing does. */
  get trouble(): string | undefined {
    const { committer } = this.parts
    if (committer.isFailing) return 'the store cannot write'
    if (this.#guard.isLow) return 'the disk is nearly full'
    return committer.writingFor > STUCK_MS ? 'the disk does not answer' : undefined
  }

  /** For whoever looks at the store, copies or compacts it while it is in use. */
  get tools(): StoreTools {
    return new StoreTools({ disk: this.#opened.disk, clock: this.#deps.clock, settle: () => this.#settle() })
  }

  /** Opens the store and reads what must be in memory. See `openStore` for its errors. */
  async open(): Promise<void> {
    const { clock, log } = this.#deps
    const guard = this.#guard
    const onFull = () => guard.isFull()
    const { disk, opening, loaded } = await openStore(this.#location, { clock, log, onFull }, async opened => {
      await migrate(opened, { clock, log })
      const parts = this.assemble(opened)
      await load(opened, { ...parts, time: this.time, log })
      return parts
    })
    await guard.start()
    loaded.sweeper.start()
    loaded.ages.start()
    const timers = [clock.every(this.#options.retainedInterval, () => this.#writeRetained())]
    this.#open = { disk, opening, parts: loaded, timers }
  }

  /** Writes what is in memory. */
  async close(): Promise<void> {
    const { disk, parts, timers } = this.#opened
    for (const timer of timers) timer.cancel()
    this.#guard.stop()
    await parts.sweeper.stop()
    await parts.ages.stop()
    this.#writeRetained()
    for (const operation of this.#timeRecord(0)) parts.committer.write(operation, 'lazy')
    await parts.reader.settled()
    this.#open = null
    await parts.committer.close()
    await closeStore(disk)
  }

  /** The parts of the store over an opened disk, all empty. */
  assemble(disk: Disk) {
    const { time } = this
    const { commitDelay, limits, queueQos0 } = this.#options
    const { clock, log, writer = same } = this.#deps
    const guard = this.#guard
    const retained = new RetainedMessages({ time })
    const hasRoom = () => !guard.isLow && !committer.isFailing
    const committer: Committer = new Committer({
      writer: writer(watched(disk, guard)),
      clock,
      log,
      soonDelay: commitDelay,
      late: () => retained.takeUrgent().concat(this.#timeRecord(TIME_INTERVAL_MS)),
      hasRoom,
    })
    const quota = new Quota(limits)
    const sessions = new Sessions({ quota })
    const subscriptions = new Subscriptions({ queueQos0 })
    const incoming = new Incoming({ disk, committer, time })
    const wills = new Wills({ committer, clock })
    const reader = new QueueReader({ disk, committer, sessions, log })
    const engine = new Engine({
      options: { queueQos0 },
      disk,
      reader,
      clock,
      time,
      committer,
      durability: this.#durability,
      quota,
      hasRoom,
      sessions,
      subscriptions,
      retained,
      incoming,
      log,
    })
    const onStep = () => {
      time.catchUp()
      for (const operation of this.#timeRecord(IDLE_TIME_INTERVAL_MS)) committer.write(operation, 'lazy')
      engine.endEpisodes()
      if (guard.isLow) void this.#reclaim(disk, quota, () => reader.settled().then(() => committer.durable()))
    }
    const sweeper = new Sweeper({ queues: sessions, retained, time, clock, log, onStep })
    const ages = new QueueAges({ queues: sessions, time, clock, log })
    return { committer, quota, engine, reader, sessions, subscriptions, retained, incoming, wills, sweeper, ages }
  }

  get #opened(): Open {
    if (this.#open === null) throw new LarderError('STORE_FAILED', 'the store is not open.')
    return this.#open
  }

  /**
   * The disk is nearly full: what was deleted must make room, now that hardly anything is written and LevelDB would
   * not come to it by itself. Not for a few messages, and not where there is no room to rewrite what is left.
   */
  async #reclaim(disk: Disk, quota: Quota, flush: () => Promise<void>): Promise<void> {
    const { clock } = this.#deps
    if (quota.bytes >= RECLAIM_SHARE * quota.peakBytes || quota.bytes > (this.#guard.free ?? 0)) return
    if (clock.monotonic() - this.#reclaimedAt < RECLAIM_INTERVAL_MS) return
    // One at a time, however long it takes.
    this.#reclaimedAt = Number.POSITIVE_INFINITY
    try {
      // What was taken a moment ago is to go as well: there may be no later occasion.
      await Promise.race([flush(), new Promise<void>(resolve => clock.after(RECLAIM_PATIENCE_MS, resolve))])
      quota.peakBytes = quota.bytes
      await disk.compact(EVERYTHING)
      this.#guard.look()
    } catch (error) {
      this.#deps.log.warn({ reason: reasonOf(error) }, 'the space of deleted messages could not be given back')
    } finally {
      this.#reclaimedAt = this.#deps.clock.monotonic()
    }
  }

  /** Writes what is in memory. Throws LarderError STORE_FAILED when the disk does not take it. */
  async #settle(): Promise<void> {
    const { committer, reader } = this.parts
    this.#writeRetained()
    for (const operation of this.#timeRecord(0)) committer.write(operation, 'now')
    const write = async () => {
      await reader.settled()
      for (let batch = 0; batch < SETTLE_BATCHES; batch++) {
        // Also what nobody waits for: messages within a loss window, and those that may yet be elided.
        committer.press()
        await committer.durable()
      }
    }
    const written = write()
    const late = new Promise<'late'>(resolve => this.#deps.clock.after(SETTLE_PATIENCE_MS, () => resolve('late')))
    if ((await Promise.race([written, late])) !== 'late') return
    throw new LarderError('STORE_FAILED', `the store did not take what is in memory: ${this.trouble ?? 'it is slow'}.`)
  }

  #writeRetained(): void {
    const { retained, committer } = this.parts
    for (const operation of retained.takeLazy()) committer.write(operation, 'now')
  }

  /** The write of the time of the store, if the last was so many milliseconds ago. */
  #timeRecord(interval: number): Operation[] {
    const record = this.time.record(interval)
    return record === undefined ? [] : [{ type: 'put', key: nameKey('m', 'time'), value: encodeTime(record) }]
  }
}

/** Tells the guard what is written, and that the disk is full. */
function watched(disk: Disk, guard: DiskGuard): BatchWriter {
  return {
    async write(operations, sync) {
      try {
        await disk.write(operations, sync)
      } catch (error) {
        if (isFull(error)) await guard.isFull()
        throw error
      }
      let bytes = 0
      for (const operation of operations) bytes += operation.type === 'put' ? operation.value.length : 0
      guard.wrote(bytes)
    },
  }
}

const same = (disk: BatchWriter) => disk
