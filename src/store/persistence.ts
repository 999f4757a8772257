/**
 * The store as aedes knows a persistence: its whole contract, over the queue engine. The broker's own
 * sessions use `queues`; the queue methods of the contract (`outgoing…`) serve whatever else speaks it,
 * and may be slow.
 */
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { Message as BrokerMessage, Persistence, QueueTarget, Subscription, Will } from '../broker/ports.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import { LarderError } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import { Committer, type CommitterStats } from './committer.ts'
import { batchWriter, type Database, openDatabase } from './database.ts'
import type { Engine, EngineStats } from './engine.ts'
import type { Ref } from './entry.ts'
import { subscriptionKey } from './keys.ts'
import type { LevelQueue, QueueLimits } from './queue.ts'
import { load } from './recovery.ts'
import { RetainedMessages } from './retained.ts'
import { Subscriptions } from './subscriptions.ts'
import { Wills } from './wills.ts'

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
}

/** Everything that exists while the store is open. */
interface Open {
  database: Database
  committer: Committer
  engine: Engine
  subscriptions: Subscriptions
  retained: RetainedMessages
  wills: Wills
  incoming: Map<string, Set<number>>
  retainedTimer: Timer
}

export class LevelPersistence implements Persistence {
  readonly #options: LevelPersistenceOptions
  readonly #clock: Clock
  readonly #log: Log
  #open: Open | null = null
  /** Whose wills these are. Not copied: in a cluster, a broker's name may be given after this. */
  broker: { id: string } | null = null

  constructor(options: LevelPersistenceOptions, deps: { clock: Clock; log: Log }) {
    this.#options = options
    this.#clock = deps.clock
    this.#log = deps.log
  }

  get queues(): Engine {
    return this.#opened.engine
  }

  get stats(): CommitterStats & EngineStats & { retained: number } {
    const { committer, engine, retained } = this.#opened
    return { ...committer.stats, ...engine.stats, retained: retained.count }
  }

  /** Opens the store and reads what must be in memory. See `openDatabase` for its errors. */
  async setup(broker: { id: string }): Promise<void> {
    this.broker = broker
    const { dataDir, commitDelay, retainedInterval, limits } = this.#options
    const log = this.#log
    const database = await openDatabase(join(dataDir, 'store'), { clock: this.#clock, log })
    const retained = new RetainedMessages({ clock: this.#clock })
    const committer = new Committer({
      writer: batchWriter(database),
      clock: this.#clock,
      log,
      soonDelay: commitDelay,
      late: () => retained.takeUrgent(),
    })
    const subscriptions = new Subscriptions()
    const incoming = new Map<string, Set<number>>()
    const wills = new Wills({ committer, clock: this.#clock })
    const engine = await load({ database, committer, subscriptions, retained, incoming, wills, limits, log })
    const retainedTimer = this.#clock.every(retainedInterval, () => this.#writeRetained())
    this.#open = { database, committer, engine, subscriptions, retained, wills, incoming, retainedTimer }
  }

  async destroy(): Promise<void> {
    const { committer, database, retainedTimer } = this.#opened
    retainedTimer.cancel()
    this.#writeRetained()
    this.#open = null
    await committer.close()
    await database.close()
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
    await new Promise<void>(resolve => engine.accept(messageOf(packet), targets, { settled: resolve }))
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

  get #opened(): Open {
    if (this.#open === null) throw new LarderError('STORE_FAILED', 'the store is not open.')
    return this.#open
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
