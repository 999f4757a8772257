/**
 * The store as aedes knows a persistence: its whole contract, over the queue engine. The broker's own
 * sessions use `queues`; the queue methods of the contract (`outgoing…`) serve whatever else speaks it,
 * and may be slow.
 */
import { Readable } from 'node:stream'
import type {
  Message as BrokerMessage,
  LifeTime,
  Persistence,
  QueueTarget,
  Subscription,
  Will,
} from '../broker/ports.ts'
import { LarderError } from '../kernel/errors.ts'
import { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import type { Engine } from './engine.ts'
import type { Ref } from './entry.ts'
import { subscriptionKey } from './keys.ts'
import type { Opening } from './opening.ts'
import type { LevelQueue } from './queue.ts'
import { type Parts, Store, type StoreDependencies, type StoreOptions, type StoreStats } from './store.ts'
import type { StoreTools } from './tools.ts'

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

export class LevelPersistence implements Persistence {
  /** Whose wills these are. Not copied: in a cluster, a broker's name may be given after this. */
  broker: { id: string } | null = null
  readonly #store: Store

  constructor(options: StoreOptions, deps: StoreDependencies) {
    this.#store = new Store(options, deps)
  }

  get queues(): Engine {
    return this.#store.parts.engine
  }

  get time(): LifeTime {
    return this.#store.time
  }

  get stats(): StoreStats {
    return this.#store.stats
  }

  /** How the store came up: whole, repaired or replaced. */
  get opening(): Opening {
    return this.#store.opening
  }

  /** Milliseconds before a power cut in which acknowledged messages may be lost, at most. */
  get lossWindow(): number {
    return this.#store.lossWindow
  }

  /** Milliseconds that the oldest message of these sessions has waited, as of some ten seconds ago; 0 when none waits. */
  oldest(isMeant: (clientId: string) => boolean): number {
    return this.#parts.ages.oldest(isMeant)
  }

  /** For whoever looks at the store, copies or compacts it while it is in use. */
  get tools(): StoreTools {
    return this.#store.tools
  }

  /** The same of one session; undefined when none waits, or none is known yet. */
  oldestOf(clientId: string): number | undefined {
    const queue = this.queues.find(clientId) as LevelQueue | undefined
    return queue === undefined ? undefined : this.#parts.ages.of(queue)
  }

  /** What keeps the store from writing, for a person; undefined when nothing does. */
  get trouble(): string | undefined {
    return this.#store.trouble
  }

  /** Opens the store. See `openStore` for its errors. */
  async setup(broker: { id: string }): Promise<void> {
    this.broker = broker
    await this.#store.open()
  }

  async destroy(): Promise<void> {
    await this.#store.close()
  }

  async storeRetained(packet: ContractPacket): Promise<void> {
    const { retained, committer } = this.#parts
    const message = messageOf(packet)
    retained.set(message)
    if (message.qos > 0) await committer.durable()
  }

  createRetainedStream(filter: string): Readable {
    return this.createRetainedStreamCombi([filter])
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    const { retained } = this.#parts
    const found = new Set<BrokerMessage>()
    for (const filter of filters) for (const message of retained.matching(filter)) found.add(message)
    return Readable.from(Array.from(found, message => this.#retainedPacketOf(message)))
  }

  async addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<void> {
    const { committer, subscriptions: known } = this.#parts
    const queue = this.#queueOf(client)
    for (const { topic, ...options } of subscriptions) {
      known.set(queue, { topic, ...options })
      const value = Buffer.from(JSON.stringify(options))
      committer.write({ type: 'put', key: subscriptionKey(queue.session, topic), value }, 'now')
    }
    await committer.durable()
  }

  async removeSubscriptions(client: ClientRef, filters: string[]): Promise<void> {
    const { engine, committer, subscriptions } = this.#parts
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
    const { engine, subscriptions } = this.#parts
    const queue = engine.find(client.id) as LevelQueue | undefined
    return queue === undefined ? [] : subscriptions.of(queue)
  }

  async subscriptionsByTopic(topic: string): Promise<(Subscription & { clientId: string })[]> {
    return this.#parts.subscriptions
      .matching(topic)
      .map(({ queue, subscription }) => ({ clientId: queue.clientId, ...subscription }))
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    const { subscriptions } = this.#parts
    return { subsCount: subscriptions.queuedCount, clientsCount: subscriptions.sessionCount }
  }

  getClientList(filter: string): Readable {
    return Readable.from(this.#parts.subscriptions.subscribersOf(filter))
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: ContractPacket): Promise<void> {
    await this.outgoingEnqueueCombi([subscription], packet)
  }

  async outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: ContractPacket): Promise<void> {
    const { engine } = this.#parts
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
    const { engine, committer } = this.#parts
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
    const queue = this.#parts.engine.find(client.id) as LevelQueue | undefined
    if (queue === undefined) return Readable.from([])
    const packets = async function* () {
      for await (const ref of queue.all()) yield packetOf(ref)
    }
    return Readable.from(packets())
  }

  async incomingStorePacket(client: ClientRef, packet: ContractPacket): Promise<void> {
    const { incoming, committer } = this.#parts
    incoming.record(client.id, packet.messageId as number, messageOf(packet))
    await committer.durable()
  }

  async incomingGetPacket(client: ClientRef, packet: { messageId: number }): Promise<object> {
    const message = await this.#parts.incoming.messageOf(client.id, packet.messageId)
    if (message === undefined) throw new Error('no such packet')
    return contractPacket(message, packet.messageId)
  }

  async incomingDelPacket(client: ClientRef, packet: { messageId: number }): Promise<void> {
    const { incoming } = this.#parts
    if (!incoming.of(client.id).has(packet.messageId)) throw new Error('no such packet')
    await new Promise<void>(resolve => incoming.forget(client.id, packet.messageId, resolve))
  }

  async cleanIncoming(client: ClientRef): Promise<void> {
    const { incoming, committer } = this.#parts
    incoming.forgetAll(client.id)
    await committer.durable()
  }

  async putWill(client: ClientRef, packet: Will): Promise<void> {
    packet.brokerId = (this.broker as { id: string }).id
    packet.clientId = client.id
    this.#parts.wills.set(client.id, packet)
  }

  async getWill(client: ClientRef): Promise<Will | undefined> {
    return this.#parts.wills.get(client.id)
  }

  async delWill(client: ClientRef): Promise<Will | undefined> {
    return this.#parts.wills.delete(client.id)
  }

  streamWill(brokers: Record<string, unknown> = {}): Readable {
    return Readable.from(this.#parts.wills.ofOthers(brokers))
  }

  get #parts(): Parts {
    return this.#store.parts
  }

  #retainedPacketOf(message: BrokerMessage): object {
    const { cmd, topic, payload, qos, retain } = message
    return { cmd, id: this.broker?.id, topic, payload, qos, retain }
  }

  #queueOf(client: ClientRef): LevelQueue {
    const { engine } = this.#parts
    return (engine.find(client.id) as LevelQueue | undefined) ?? engine.create(client.id)
  }

  async #findRef(client: ClientRef, matches: (ref: Ref) => boolean): Promise<Ref | undefined> {
    const queue = this.#parts.engine.find(client.id) as LevelQueue | undefined
    if (queue === undefined) return undefined
    for await (const ref of queue.all()) if (matches(ref)) return ref
    return undefined
  }
}

function messageOf(packet: ContractPacket): Message {
  const { topic, payload, qos, retain } = packet
  const message = Message.of({ topic, payload, qos, retain, dup: packet.dup === true })
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
