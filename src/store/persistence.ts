/**
 * The store as aedes knows a persistence: its whole contract, over the queue engine. The broker's own
 * sessions use `queues`; the queue methods of the contract (`outgoing…`) serve whatever else speaks it,
 * and may be slow.
 */
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Message as BrokerMessage, Persistence, QueueTarget, Subscription, Will } from '../broker/ports.ts'
import type { Clock, ClockSync, Timer } from '../kernel/clock.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import { type BatchWriter, Committer, type CommitterStats, type Operation } from './committer.ts'
import { type Disk, type DiskStats, isFull } from './disk.ts'
import { DiskGuard } from './disk-guard.ts'
import { Durability, type DurabilityRule } from './durability.ts'
import { Engine, type EngineStats, type Incoming } from './engine.ts'
import type { Ref } from './entry.ts'
import { nameKey, subscriptionKey } from './keys.ts'
import { migrate } from './migrations.ts'
import { type Opening, openStore } from './opening.ts'
import type { LevelQueue } from './queue.ts'
import { type QueueLimits, Quota } from './quota.ts'
import { QueueReader } from './reader.ts'
import { load } from './recovery.ts'
import { RetainedMessages } from './retained.ts'
import { Sessions } from './sessions.ts'
import { Subscriptions } from './subscriptions.ts'
import { Sweeper } from './sweeper.ts'
import { encodeTime, StoreTime } from './time.ts'
import { Wills } from './wills.ts'

/** Milliseconds between two records of the time of the store, while there are other writes anyway… */
const TIME_INTERVAL_MS = 10_000
/** …and while there are none. */
const IDLE_TIME_INTERVAL_MS = 600_000

interface ClientRef {
  id: string
}

/** A packet as aedes' contract passes it. */
interface ContractPacket {
  cmd?: string
  topic: string
  payload: Buffer
  qos: QoS
  retain: boolean
  dup?: boolean
  brokerId?: string
  brokerCounter?: number
  messageId?: number
}

export interface LevelPersistenceOptions {
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

export interface LevelPersistenceDependencies {
  clock: Clock
  sync: ClockSync
  log: Log
  /** Stands between the store and the disk: for tests of a disk that fails. */
  writer?: (disk: BatchWriter) => BatchWriter
}

export type StoreStats = CommitterStats &
  EngineStats &
  DiskStats & { dangling: number; retained: number; messages: number; bytesWaiting: number }

/** Everything that exists while the store is open. */
interface Open {
  disk: Disk
  opening: Opening
  parts: Parts
  timers: Timer[]
}

type Parts = ReturnType<LevelPersistence['assemble']>

export class LevelPersistence implements Persistence {
  readonly time: StoreTime
  readonly #options: LevelPersistenceOptions
  readonly #deps: LevelPersistenceDependencies
  readonly #guard: DiskGuard
  #open: Open | null = null
  /** Whose wills these are. Not copied: in a cluster, a broker's name may be given after this. */
  broker: { id: string } | null = null

  constructor(options: LevelPersistenceOptions, deps: LevelPersistenceDependencies) {
    const { clock, sync, log } = deps
    this.#options = options
    this.#deps = deps
    this.time = new StoreTime({ clock, sync })
    this.#guard = new DiskGuard({ location: this.#location, minFree: options.minFree }, { clock, log })
  }

  get #location(): string {
    return join(this.#options.dataDir, 'store')
  }

  get queues(): Engine {
    return this.#opened.engine
  }

  get stats(): StoreStats {
    const { committer, engine, reader, retained, quota } = this.#opened
    const { disk } = this.#open as Open
    const waiting = { messages: quota.count, bytesWaiting: quota.bytes }
    return {
      ...committer.stats,
      ...engine.stats,
      ...disk.stats,
      ...waiting,
      dangling: reader.dangling,
      retained: retained.count,
    }
  }

  /** How the store came up: whole, repaired or replaced. */
  get opening(): Opening {
    if (this.#open === null) throw notOpen()
    return this.#open.opening
  }

  /** Opens the store and reads what must be in memory. See `openStore` for its errors. */
  async setup(broker: { id: string }): Promise<void> {
    this.broker = broker
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
    const timers = [
      clock.every(this.#options.retainedInterval, () => this.#writeRetained()),
      clock.every(IDLE_TIME_INTERVAL_MS, () => this.#writeTime()),
    ]
    this.#open = { disk, opening, parts: loaded, timers }
  }

  /** The parts of the store over an opened disk, all empty. */
  assemble(disk: Disk) {
    const { time } = this
    const { commitDelay, durability, limits, queueQos0 } = this.#options
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
    const incoming: Incoming = new Map()
    const wills = new Wills({ committer, clock })
    const reader = new QueueReader({ disk, committer, sessions, log })
    const engine = new Engine({
      options: { queueQos0 },
      disk,
      reader,
      clock,
      time,
      committer,
      durability: new Durability(durability),
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
      engine.endEpisodes()
    }
    const sweeper = new Sweeper({ queues: sessions, retained, time, clock, log, onStep })
    return { committer, quota, engine, reader, sessions, subscriptions, retained, incoming, wills, sweeper }
  }

  async destroy(): Promise<void> {
    const { committer, sweeper } = this.#opened
    const { disk, timers } = this.#open as Open
    for (const timer of timers) timer.cancel()
    this.#guard.stop()
    await sweeper.stop()
    this.#writeRetained()
    for (const operation of this.#timeRecord(0)) committer.write(operation, 'lazy')
    this.#open = null
    await committer.close()
    await disk.close()
  }

  async storeRetained(packet: ContractPacket): Promise<void> {
    const { retained, committer } = this.#opened
    const message = messageOf(packet)
    retained.set(message)
    if (message.qos > 0) await committer.durable()
  }

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    const { retained } = this.#opened
    const found = new Set<BrokerMessage>()
    for (const filter of filters) for (const message of retained.matching(filter)) found.add(message)
    return Readable.from(Array.from(found, message => this.#retainedPacketOf(message)))
  }

  async addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<void> {
    const { committer, subscriptions: known } = this.#opened
    const queue = this.#queueOf(client)
    for (const { topic, ...options } of subscriptions) {
      known.set(queue, { topic, ...options })
      const value = Buffer.from(JSON.stringify(options))
      committer.write({ type: 'put', key: subscriptionKey(queue.session, topic), value }, 'now')
    }
    await committer.durable()
  }

  async removeSubscriptions(client: ClientRef, filters: string[]): Promise<void> {
    const { engine, committer, subscriptions } = this.#opened
    const queue = engine.find(client.id) as LevelQueue | undefined
    if (queue === undefined) return
    for (const filter of filters) {
      if (!subscriptions.delete(queue, filter)) continue
      committer.write({ type: 'del', key: subscriptionKey(queue.session, filter) }, 'now')
    }
    await committer.durable()
  }

  async cleanSubscriptions(client: ClientRef): Promise<void> {
    const filters = (await this.subscriptionsByClient(client)).map(subscription => subscription.topic)
    await this.removeSubscriptions(client, filters)
  }

  async subscriptionsByClient(client: ClientRef): Promise<Subscription[]> {
    const { engine, subscriptions } = this.#opened
    const queue = engine.find(client.id) as LevelQueue | undefined
    return queue === undefined ? [] : subscriptions.of(queue)
  }

  async subscriptionsByTopic(topic: string): Promise<(Subscription & { clientId: string })[]> {
    return this.#opened.subscriptions
      .matching(topic)
      .map(({ queue, subscription }) => ({ clientId: queue.clientId, ...subscription }))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    const { subscriptions } = this.#opened
    return { subsCount: subscriptions.queuedCount, clientsCount: subscriptions.sessionCount }
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.#opened.subscriptions.subscribersOf(filter))
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: ContractPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet)
  }

  async outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: ContractPacket): Promise<void> {
    const { engine } = this.#opened
    const targets: QueueTarget[] = subscriptions.map(({ clientId }) => ({
      queue: this.#queueOf({ id: clientId }),
      grants: grantsOf([{ topic: packet.topic, qos: packet.qos }]),
      isShared: false,
    }))
    await new Promise<void>((resolve, reject) => {
      const refused = () => reject(new LarderError('STORE_FULL', 'the store has no room for the message.'))
      engine.accept(messageOf(packet), targets, { settled: resolve, refused })
    })
  }

  async outgoingUpdate(client: ClientRef, packet: ContractPacket): Promise<void> {
    const { engine, committer } = this.#opened
    const isPubrel = packet.cmd === 'pubrel'
    const ref = await this.#findRef(client, found =>
      isPubrel
        ? found.packetId === packet.messageId
        : found.message.brokerId === packet.brokerId && found.message.brokerCounter === packet.brokerCounter,
    )
    if (ref === undefined) throw new Error('no such packet')
    if (isPubrel) ref.released = engine.nextRelease()
    else ref.packetId = packet.messageId
    engine.rewrite(ref, () => {})
    await committer.durable()
  }

  async outgoingClearMessageId(client: ClientRef, packet: { messageId?: number }): Promise<object | undefined> {
    const ref = await this.#findRef(
      client,
      found => found.packetId !== undefined && found.packetId === packet.messageId,
    )
    if (ref === undefined) return undefined
    ref.queue.remove(ref)
    return packetOf(ref)
  }

  outgoingStream(client: ClientRef): Readable {
    const queue = this.#opened.engine.find(client.id) as LevelQueue | undefined
    if (queue === undefined) return Readable.from([])
    const packets = async function* () {
      for await (const ref of queue.all()) yield packetOf(ref)
    }
    return Readable.from(packets())
  }

  async incomingStorePacket(client: ClientRef, packet: ContractPacket): Promise<void> {
    const { engine, committer } = this.#opened
    engine.recordReceived(client.id, packet.messageId as number, messageOf(packet))
    await committer.durable()
  }

  async incomingGetPacket(client: ClientRef, packet: { messageId: number }): Promise<object> {
    const message = await this.#opened.engine.receivedMessage(client.id, packet.messageId)
    if (message === undefined) throw new Error('no such packet')
    return contractPacket(message, packet.messageId)
  }

  async incomingDelPacket(client: ClientRef, packet: { messageId: number }): Promise<void> {
    const { engine } = this.#opened
    if (!engine.received(client.id).has(packet.messageId)) throw new Error('no such packet')
    await new Promise<void>(resolve => engine.forget(client.id, packet.messageId, resolve))
  }

  async cleanIncoming(client: ClientRef): Promise<void> {
    const { engine, committer } = this.#opened
    engine.forgetAll(client.id)
    await committer.durable()
  }

  async putWill(client: ClientRef, packet: Will): Promise<void> {
    packet.brokerId = (this.broker as { id: string }).id
    packet.clientId = client.id
    this.#opened.wills.set(client.id, packet)
  }

  async getWill(client: ClientRef): Promise<Will | undefined> {
    return this.#opened.wills.get(client.id)
  }

  async delWill(client: ClientRef): Promise<Will | undefined> {
    return this.#opened.wills.delete(client.id)
  }

  streamWill(brokers: Record<string, unknown> = {}): Readable {
    return Readable.from(this.#opened.wills.ofOthers(brokers))
  }

  get #opened(): Parts {
    if (this.#open === null) throw notOpen()
    return this.#open.parts
  }

  #retainedPacketOf(message: BrokerMessage): object {
    const { cmd, topic, payload, qos, retain } = message
    return { cmd, id: this.broker?.id, topic, payload, qos, retain }
  }

  #queueOf(client: ClientRef): LevelQueue {
    const { engine } = this.#opened
    return (engine.find(client.id) as LevelQueue | undefined) ?? engine.create(client.id)
  }

  async #findRef(client: ClientRef, matches: (ref: Ref) => boolean): Promise<Ref | undefined> {
    const queue = this.#opened.engine.find(client.id) as LevelQueue | undefined
    if (queue === undefined) return undefined
    for await (const ref of queue.all()) if (matches(ref)) return ref
    return undefined
  }

  #writeRetained(): void {
    const { retained, committer } = this.#opened
    for (const operation of retained.takeLazy()) committer.write(operation, 'now')
  }

  #writeTime(): void {
    for (const operation of this.#timeRecord(IDLE_TIME_INTERVAL_MS)) this.#opened.committer.write(operation, 'lazy')
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

function notOpen(): LarderError {
  return new LarderError('STORE_FAILED', 'the store is not open.')
}

function messageOf(packet: ContractPacket): Message {
  const { topic, payload, qos, retain } = packet
  const message = new Message({ topic, payload, qos, retain, dup: packet.dup === true })
  message.brokerId = packet.brokerId
  message.brokerCounter = packet.brokerCounter ?? 0
  return message
}

/** A reference as aedes' contract streams it: the message, or the PUBREL that is owed for it. */
function packetOf(ref: Ref): object {
  if (ref.released !== undefined) return { cmd: 'pubrel', messageId: ref.packetId }
  return contractPacket(ref.message, ref.packetId)
}

function contractPacket(message: BrokerMessage, messageId: number | undefined): object {
  const { cmd, brokerId, brokerCounter, topic, payload, qos, retain, dup } = message
  return { cmd, brokerId, brokerCounter, topic, payload, qos, retain, dup, messageId }
}
