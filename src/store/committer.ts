/**
 * Group commit: the one way to the disk. Writes gather in memory; one batch at a time is on its way,
 * and whatever arrives meanwhile goes into the next. How soon the next batch starts depends on the most
 * urgent thing in it:
 *   now   somebody waits for the disk (an offline session's message, a subscription, QoS 2)
 *   soon  only online sessions wait: when it is older than a short delay, in which they may take the
 *         message so that it need not be written at all
 *   lazy  nobody waits (an acknowledged message is to be deleted): with the next batch, or by itself,
 *         unsynced, a little later
 * A message whose publisher does not wait (durability.ts) is written when its own delay is over.
 * A message is never written before one that came earlier: a crash must not turn their order round.
 *
 * A batch that fails is kept and tried again: its publishers are not acknowledged meanwhile.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { type CommitterStats, newCommitterStats } from './committer-stats.ts'
import { delayOf } from './durability.ts'
import { COMMITTING, DURABLE, type Entry, PENDING } from './entry.ts'
import { bodyKey, queueKey, sessionKey } from './keys.ts'
import type { LevelQueue } from './queue.ts'
import { encodeBody, encodePosition, type Position } from './records.ts'

export type Operation = { type: 'put'; key: Buffer; value: Buffer } | { type: 'del'; key: Buffer }

export type Urgency = 'now' | 'soon' | 'lazy'

/** What the committer writes to. */
export interface BatchWriter {
  /** Writes all operations or none. With `sync`, resolves when they are on the disk. */
  write(operations: Operation[], sync: boolean): Promise<void>
}

/** Deletions wait this long for a batch to travel with: nobody waits for them, and a crash only repeats a message. */
const LAZY_DELAY_MS = 250
/** Bytes of messages written in one batch: LevelDB copies a batch twice, and a Pi has 512 MB. */
const MAX_BATCH_BYTES = 4 * 1024 * 1024
/** Bytes of messages that gather although their publishers do not wait: beyond, they are written early. */
const MAX_GATHERED_BYTES = 8 * 1024 * 1024
/** A failed batch is tried again after this time: long enough not to keep a full disk busy. */
const RETRY_DELAY_MS = 1_000

const NOTHING = Buffer.alloc(0)

export class Committer {
  readonly stats: CommitterStats = newCommitterStats()
  readonly #writer: BatchWriter
  readonly #late: () => Operation[]
  readonly #clock: Clock
  readonly #log: Log
  readonly #soonDelay: number
  readonly #hasRoom: () => boolean
  /** In order of arrival. */
  #entries: Entry[] = []
  #gatheredBytes = 0
  /** So many of the entries have a publisher that waits. */
  #awaited = 0
  /** So many of the entries, from the first, were there when the delay began: at its end they are written. */
  #ripe = 0
  /** So many of the entries, from the first, may not wait for the delay. */
  #pressing = 0
  #operations: Operation[] = []
  #waiters: (() => void)[] = []
  #touched = new Set<LevelQueue>()
  /** The most urgent of the gathered writes. */
  #urgency: Urgency = 'lazy'
  /** True when one of the gathered operations must be synced. Messages and waiters always are. */
  #sync = false
  #running = false
  #closing = false
  #timer: { due: number; timer: Timer } | null = null
  /** When messages are written whose publishers do not wait. */
  #deadline: { due: number; timer: Timer } | null = null
  /** That time has come: there may be nothing but what `late` gives. */
  #isDue = false
  #ripening: Timer | null = null
  #immediate = false
  #isFailing = false
  /** When the batch that is on its way was handed to the disk. */
  #writingSince: number | null = null
  #idle: (() => void) | null = null

  /**
   * `soonDelay` in milliseconds: see `soon` above. `late` gives the writes that are gathered elsewhere, when a batch
   * starts. While `hasRoom` says no, messages that only online sessions wait for are not written.
   */
  constructor(deps: {
    writer: BatchWriter
    clock: Clock
    log: Log
    soonDelay: number
    late: () => Operation[]
    hasRoom: () => boolean
  }) {
    this.#writer = deps.writer
    this.#late = deps.late
    this.#clock = deps.clock
    this.#log = deps.log
    this.#soonDelay = deps.soonDelay
    this.#hasRoom = deps.hasRoom
  }

  /** True while the last batch failed. */
  get isFailing(): boolean {
    return this.#isFailing
  }

  /** Milliseconds that the disk has had the batch which is on its way; 0 when there is none. */
  get writingFor(): number {
    return this.#writingSince === null ? 0 : this.#clock.monotonic() - this.#writingSince
  }

  /** Adds a message. It is settled, and its queues are woken, when its batch is durable. */
  add(entry: Entry, urgency: Urgency): void {
    this.#entries.push(entry)
    this.#count(entry, 1)
    if (entry.window > 0) this.#addRelaxed(entry)
    else {
      if (urgency === 'now') this.#pressing = this.#entries.length
      this.hurry(urgency)
    }
  }

  /** Adds a write. `done` is called when it is durable; `queue` has its position written along. */
  write(operation: Operation | null, urgency: Urgency, options: { done?: () => void; queue?: LevelQueue } = {}): void {
    if (operation !== null) this.#operations.push(operation)
    if (options.queue !== undefined) this.#touched.add(options.queue)
    if (options.done !== undefined) this.#waiters.push(options.done)
    if (operation !== null && urgency !== 'lazy') this.#sync = true
    this.hurry(urgency)
  }

  /** Sees to it that a batch with all that was added before starts within `delay` milliseconds. */
  within(delay: number): void {
    const due = this.#clock.monotonic() + delay
    if (this.#deadline !== null && this.#deadline.due <= due) return
    this.#deadline?.timer.cancel()
    const timer = this.#clock.after(delay, () => {
      this.#deadline = null
      this.#isDue = true
      this.press()
    })
    this.#deadline = { due, timer }
  }

  #addRelaxed(entry: Entry): void {
    if (this.#gatheredBytes > MAX_GATHERED_BYTES) this.press()
    else this.within(delayOf(entry.window))
  }

  /** Resolves when everything that was added before is durable. */
  durable(operation: Operation | null = null): Promise<void> {
    return new Promise(resolve => this.write(operation, 'now', { done: resolve }))
  }

  /** The messages that are here may not wait for the delay any more: somebody who was to take them has gone. */
  press(): void {
    this.#pressing = this.#entries.length
    this.hurry('now')
  }

  /** Sees to it that the next batch starts no later than `urgency` asks for. */
  hurry(urgency: Urgency): void {
    if (urgency === 'now' || this.#urgency === 'lazy') this.#urgency = urgency
    // After a failure, the retry has its own time.
    if (this.#running || this.#immediate || this.#isFailing) return
    if (urgency === 'now') {
      this.#immediate = true
      // After the input of this turn of the event loop, so that one batch takes all of it.
      setImmediate(() => {
        this.#immediate = false
        void this.#run()
      })
    } else if (urgency === 'lazy') {
      // No timer that runs is longer, but for a retry's.
      if (this.#timer === null) this.#schedule(LAZY_DELAY_MS)
    } else if (this.#ripening === null) {
      this.#ripe = 0
      this.#ripen()
    }
  }

  /** Writes what is left; resolves when it is durable, or when one attempt has failed. */
  async close(): Promise<void> {
    this.#closing = true
    this.#ripening?.cancel()
    this.#deadline?.timer.cancel()
    this.#timer?.timer.cancel()
    this.#timer = null
    if (this.#running) await new Promise<void>(resolve => (this.#idle = resolve))
    while (!this.#isEmpty()) {
      this.#pressing = this.#entries.length
      const failures = this.stats.failures
      await this.#commit()
      if (this.stats.failures > failures) return
    }
  }

  /**
   * Every delay, writes the messages that were there at the last and have not been taken since, so that each
   * has between one and two delays to be elided.
   */
  #ripen(): void {
    this.#ripening = this.#clock.after(this.#soonDelay, () => {
      // Timers come before input: after a stall, the acknowledgements that wait in the sockets go first.
      setImmediate(() => this.#writeRipe())
    })
  }

  #writeRipe(): void {
    this.#ripening = null
    if (this.#closing) return
    this.#dropElided()
    if (this.#hasRoom()) this.#pressing = Math.max(this.#pressing, this.#ripe)
    this.#ripe = this.#entries.length
    if (!this.#isFailing && (this.#pressing > 0 || this.#operations.length > 0)) void this.#run()
    if (this.#awaited > 0) this.#ripen()
  }

  /** Forgets the messages that everybody took while they waited for the delay. */
  #dropElided(): void {
    const entries = this.#entries
    const isAlive = (entry: Entry) => entry.isAlive
    const kept = entries.filter(isAlive)
    if (kept.length === entries.length) return
    this.stats.elided += entries.length - kept.length
    this.#ripe = entries.slice(0, this.#ripe).filter(isAlive).length
    this.#pressing = entries.slice(0, this.#pressing).filter(isAlive).length
    this.#entries = kept
    this.#gatheredBytes = 0
    this.#awaited = 0
    for (const entry of kept) this.#count(entry, 1)
  }

  #count(entry: Entry, sign: 1 | -1): void {
    this.#gatheredBytes += sign * entry.message.size
    if (entry.window === 0) this.#awaited += sign
  }

  /** The oldest of the pressing messages, as many as fit a batch. */
  #takePressing(): Entry[] {
    let count = 0
    for (let bytes = 0; count < this.#pressing && bytes < MAX_BATCH_BYTES; count++) {
      bytes += (this.#entries[count] as Entry).message.size
    }
    const taken = this.#entries.splice(0, count)
    for (const entry of taken) this.#count(entry, -1)
    this.#ripe = Math.max(0, this.#ripe - count)
    this.#pressing -= count
    return taken
  }

  #isEmpty(): boolean {
    if (this.#isDue) return false
    return this.#entries.length + this.#operations.length + this.#waiters.length + this.#touched.size === 0
  }

  #schedule(delay: number): void {
    const due = this.#clock.monotonic() + delay
    if (this.#timer !== null && this.#timer.due <= due) return
    this.#timer?.timer.cancel()
    const timer = this.#clock.after(delay, () => {
      this.#timer = null
      void this.#run()
    })
    this.#timer = { due, timer }
  }

  async #run(): Promise<void> {
    if (this.#running || this.#closing) return
    if (this.#isEmpty()) {
      this.#isFailing = false
      return
    }
    this.#timer?.timer.cancel()
    this.#timer = null
    this.#running = true
    const failures = this.stats.failures
    await this.#commit()
    this.#running = false
    if (this.#idle !== null) this.#idle()
    else if (this.stats.failures > failures) this.#schedule(RETRY_DELAY_MS)
    else if (!this.#isEmpty()) this.hurry(this.#urgency)
  }

  async #commit(): Promise<void> {
    this.#dropElided()
    const entries = this.#takePressing()
    const waiters = this.#waiters
    const operations = this.#operations.concat(this.#late())
    const touched = this.#touched
    const sync = this.#sync
    this.#waiters = []
    this.#operations = []
    this.#touched = new Set()
    this.#sync = false
    this.#isDue = false
    // What did not fit goes next; younger messages stay, and must ripen.
    this.#urgency = this.#pressing > 0 ? 'now' : this.#awaited > 0 ? 'soon' : 'lazy'

    const batch = operations.slice()
    const written: Entry[] = []
    const positions: [LevelQueue, Position][] = []
    for (const entry of entries) {
      if (!entry.isAlive) continue
      this.#stage(entry, batch, touched)
      written.push(entry)
    }
    const mustSync = sync || waiters.length > 0 || written.some(entry => entry.window !== Number.POSITIVE_INFINITY)
    for (const queue of touched) {
      if (queue.discarded) continue
      const position = queue.position()
      positions.push([queue, position])
      batch.push({ type: 'put', key: sessionKey('p', queue.session), value: encodePosition(position) })
    }
    try {
      if (batch.length > 0) {
        this.#writingSince = this.#clock.monotonic()
        await this.#writer.write(batch, mustSync)
        this.stats.latency.note(this.writingFor)
        this.stats.commits++
        if (mustSync) this.stats.syncs++
        for (const operation of batch) {
          this.stats.bytes += operation.key.length + (operation.type === 'put' ? operation.value.length : 0)
        }
      }
      if (this.#isFailing) this.#log.info({}, 'the store writes again')
      this.#isFailing = false
    } catch (error) {
      this.stats.failures++
      if (!this.#isFailing) {
        this.#log.error({ reason: reasonOf(error) }, 'the store cannot write; what needs the disk is not acknowledged')
      }
      this.#isFailing = true
      for (const entry of written) {
        entry.state = PENDING
        entry.mayBeWritten = true
        this.#count(entry, 1)
      }
      this.#entries = written.concat(this.#entries)
      this.#pressing += written.length
      this.#ripe += written.length
      this.#operations = operations.concat(this.#operations)
      this.#waiters = waiters.concat(this.#waiters)
      for (const queue of touched) this.#touched.add(queue)
      this.#sync ||= sync
      return
    } finally {
      this.#writingSince = null
    }
    for (const [queue, position] of positions) queue.positionWritten(position)
    for (const entry of written) this.#becameDurable(entry)
    for (const done of waiters) done()
    for (const entry of written) for (const ref of entry.refs) ref.queue.committed()
  }

  #stage(entry: Entry, batch: Operation[], touched: Set<LevelQueue>): void {
    entry.state = COMMITTING
    const { receipt } = entry
    if (receipt !== undefined) batch.push({ type: 'put', key: receipt.key, value: NOTHING })
    if (entry.mayBeWritten) {
      batch.push({ type: 'del', key: bodyKey(entry.id) })
      for (const { queue, index } of entry.refs) batch.push({ type: 'del', key: queueKey(queue.session, index) })
    }
    entry.refs = entry.refs.filter(ref => !ref.removed)
    if (entry.waiting === 0) return
    entry.place()
    const places = []
    for (const ref of entry.refs) {
      const { queue, index } = ref
      batch.push({ type: 'put', key: queueKey(queue.session, index), value: ref.record() })
      places.push({ session: queue.session, index })
      touched.add(queue)
    }
    if (entry.isInline) return
    batch.push({ type: 'put', key: bodyKey(entry.id), value: encodeBody(entry.message, entry.acceptedAt, places) })
  }

  #becameDurable(entry: Entry): void {
    const wasWritten = entry.state === COMMITTING
    entry.state = DURABLE
    const { receipt } = entry
    receipt?.ids.set(receipt.packetId, null)
    if (wasWritten) {
      // What was acknowledged while the batch was on its way is deleted by the next.
      for (const { queue, index, removed } of entry.refs) {
        if (removed) this.write({ type: 'del', key: queueKey(queue.session, index) }, 'lazy', { queue })
      }
      if (entry.refs.length > 0 && !entry.isInline && entry.isAbandoned()) {
        this.write({ type: 'del', key: bodyKey(entry.id) }, 'lazy')
      }
    }
    entry.settle()
  }
}
