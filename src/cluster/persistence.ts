/**
 * The broker's store on an engine that others keep and several gateways share: aedes' contract is passed on to the
 * engine, and the queue extension made of it. What the broker asks for at once (who wants a topic, retained messages) is
 * answered from copies that follow what the gateways announce, and are read anew when Redis was away.
 */
import { Readable } from 'node:stream'
import type { LifeTime, Listener, Persistence, Subscription, Will } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { ClientRef, Contract, ContractPacket } from './contract.ts'
import type { ClusterEmitter } from './emitter.ts'
import { ContractEngine } from './engine.ts'
import type { Link } from './link.ts'
import { Owners } from './owners.ts'
import { ContractQueue, MEMORY_BYTES, type QueueStore } from './queue.ts'
import { Records } from './records.ts'
import { RetainedCopy } from './retained.ts'
import { type ClusterBroker, clearPacket, Sessions } from './sessions.ts'
import { SubscriptionsCopy, type SubscriptionWatcher } from './subscriptions.ts'
import { Wills } from './wills.ts'
import { keyOf, type PacketId, packetOf } from './wire.ts'

/** Where the package announces subscriptions: `…/add` and `…/rm`. */
const ANNOUNCED = '$SYS/sub/+'
const ADDED = '$SYS/sub/add'

/** Everything that exists while the store is open. */
interface Open {
  broker: ClusterBroker
  contract: Contract
  engine: ContractEngine
  sessions: Sessions
  subscriptions: SubscriptionsCopy
  retained: RetainedCopy
  owners: Owners
  wills: Wills
}

export class ContractPersistence implements Persistence {
  /** Wall time: the gateways have no other in common. */
  readonly time: LifeTime
  /** Told of the subscriptions of all gateways: the hub's shared subscriptions. */
  watcher: SubscriptionWatcher | null = null
  readonly #link: Link
  readonly #mq: ClusterEmitter
  readonly #clock: Clock
  readonly #log: Log
  readonly #onAnnounced: Listener = (message, done) => {
    this.#follow(message.topic, message.payload)
    done()
  }
  /** Clients that other gateways are to be told of. */
  readonly #untold = new Set<string>()
  #open: Open | null = null

  constructor(deps: { link: Link; mq: ClusterEmitter; clock: Clock; log: Log }) {
    this.#link = deps.link
    this.#mq = deps.mq
    this.#clock = deps.clock
    this.#log = deps.log
    this.time = { now: () => deps.clock.wall() }
  }

  get queues(): ContractEngine {
    return this.#opened.engine
  }

  get broker(): { id: string } {
    return this.#opened.broker
  }

  get stats(): { waiting: number; refused: number; retained: number; dropped: number } {
    const { engine, retained } = this.#opened
    return { ...engine.stats, retained: retained.count, dropped: this.#mq.dropped }
  }

  /** Connects and reads what must be in memory. See `Link.open` for its errors. */
  async setup(broker: ClusterBroker): Promise<void> {
    const link = this.#link
    const { contract, reader, emitter } = await link.open()
    const records = new Records({ link })
    const owners = new Owners({ mq: this.#mq })
    const retained = new RetainedCopy({ contract, link, time: this.time })
    const store = this.#storeOf({ broker, contract, reader, records })
    const subscriptions = new SubscriptionsCopy({ newQueue: clientId => new ContractQueue({ clientId, store }) })
    subscriptions.watcher = {
      add: (clientId, subscription) => this.watcher?.add(clientId, subscription),
      remove: (clientId, filter) => this.watcher?.remove(clientId, filter),
    }
    const sessions = new Sessions({ contract, reader, link, records, owners, subscriptions, broker, time: this.time })
    const engine = new ContractEngine({ sessions, subscriptions, retained, records, log: this.#log })
    const wills = new Wills({ contract, link, records, owners, clock: this.#clock, brokerId: broker.id })
    this.#open = { broker, contract, engine, sessions, subscriptions, retained, owners, wills }
    owners.listen()
    this.#mq.on(ANNOUNCED, this.#onAnnounced)
    this.#mq.onMessage = message => {
      if (message.retain) retained.follow(message)
    }
    this.#mq.onQueued = clientIds => {
      for (const clientId of clientIds) subscriptions.find(clientId)?.wake()
    }
    link.onBack = () => void this.#catchUp()
    try {
      await this.#mq.open(emitter)
      await contract.setup(broker)
      await sessions.load()
      await retained.load()
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  /** What is under way is written, if Redis is there. */
  async destroy(): Promise<void> {
    const { contract } = this.#opened
    await this.#close()
    await contract.destroy()
  }

  async storeRetained(packet: ContractPacket): Promise<void> {
    await this.#opened.contract.storeRetained(packet)
  }

  createRetainedStream(filter: string): Readable {
    return this.#opened.contract.createRetainedStream(filter)
  }

  createRetainedStreamCombi(filters: string[]): Readable {
    return this.#opened.contract.createRetainedStreamCombi(filters)
  }

  /** Resolves when the engine has them and this gateway knows; the others hear of them at the same time. */
  async addSubscriptions(client: ClientRef, subscriptions: Subscription[]): Promise<void> {
    if (subscriptions.length > 0) await this.#opened.sessions.announce(client.id, subscriptions)
  }

  async removeSubscriptions(client: ClientRef, filters: string[]): Promise<void> {
    const { contract } = this.#opened
    if (filters.length > 0) await this.#link.insist(() => contract.removeSubscriptions({ id: client.id }, filters))
  }

  async cleanSubscriptions(client: ClientRef): Promise<void> {
    await this.#opened.contract.cleanSubscriptions(client)
  }

  async subscriptionsByClient(client: ClientRef): Promise<Subscription[]> {
    return this.#opened.sessions.subscriptionsOf(client.id)
  }

  async subscriptionsByTopic(topic: string): Promise<object[]> {
    return this.#opened.contract.subscriptionsByTopic(topic)
  }

  async countOffline(): Promise<{ subsCount: number; clientsCount: number }> {
    return this.#opened.contract.countOffline()
  }

  getClientList(filter: string): Readable {
    return this.#opened.contract.getClientList(filter)
  }

  async outgoingEnqueue(subscription: { clientId: string }, packet: ContractPacket): Promise<void> {
    await this.#opened.contract.outgoingEnqueue(subscription, packet)
  }

  async outgoingEnqueueCombi(subscriptions: { clientId: string }[], packet: ContractPacket): Promise<void> {
    await this.#opened.contract.outgoingEnqueueCombi(subscriptions, packet)
  }

  async outgoingUpdate(client: ClientRef, packet: ContractPacket): Promise<void> {
    await this.#opened.contract.outgoingUpdate(client, packet)
  }

  async outgoingClearMessageId(client: ClientRef, packet: ContractPacket): Promise<unknown> {
    return this.#opened.contract.outgoingClearMessageId(client, packet)
  }

  outgoingStream(client: ClientRef): Readable {
    return this.#opened.contract.outgoingStream(client)
  }

  async incomingStorePacket(client: ClientRef, packet: ContractPacket): Promise<void> {
    await this.#opened.contract.incomingStorePacket(client, packet)
  }

  async incomingGetPacket(client: ClientRef, packet: ContractPacket): Promise<object> {
    return this.#opened.contract.incomingGetPacket(client, packet)
  }

  async incomingDelPacket(client: ClientRef, packet: ContractPacket): Promise<void> {
    await this.#opened.contract.incomingDelPacket(client, packet)
  }

  /** Never rejects because the gateway stops: nobody waits for it. */
  async putWill(client: ClientRef, will: Will): Promise<void> {
    await this.#opened.wills.put(client.id, will).catch(ignore)
  }

  async getWill(client: ClientRef): Promise<Will | undefined> {
    return this.#opened.wills.get(client.id)
  }

  /** As `putWill`. A client without the broker that it was connected to is one of this gateway. */
  async delWill(client: ClientRef): Promise<Will | undefined> {
    const { id, brokerId } = client
    return this.#opened.wills.delete(brokerId === undefined ? { id } : { id, brokerId }).catch(ignore)
  }

  streamWill(brokers: Record<string, unknown> = {}): Readable {
    const { wills, broker } = this.#opened
    // A broker that knows of no others need not ask them.
    return Readable.from(wills.ofOthers(brokers, broker.brokers !== undefined))
  }

  get #opened(): Open {
    if (this.#open === null) throw new LarderError('STORE_FAILED', 'the store is not open.')
    return this.#open
  }

  async #close(): Promise<void> {
    const { owners } = this.#opened
    this.#link.onBack = null
    await this.#link.close()
    this.#open = null
    owners.stop()
    this.#mq.removeListener(ANNOUNCED, this.#onAnnounced)
  }

  #storeOf(deps: { broker: ClusterBroker; contract: Contract; reader: Contract; records: Records }): QueueStore {
    const { broker, contract, reader, records } = deps
    const link = this.#link
    return {
      read: (clientId, isNew) => link.insist(() => readPage(contract, clientId, isNew)),
      async append(clientId, places) {
        const first = await records.givePlaces(clientId, places.length)
        const ids = places.map((_, i) => ({
          brokerId: broker.id,
          brokerCounter: ++broker.counter,
          index: first + i,
        }))
        // Each of these takes the same two steps on one connection, so they take them in order.
        await Promise.all(
          places.map((place, i) => {
            const packet = packetOf(ids[i] as PacketId, place)
            return link.insist(() => contract.outgoingEnqueue({ clientId }, packet))
          }),
        )
        return ids
      },
      async rewrite(clientId, packet) {
        await link.insist(() => contract.outgoingUpdate({ id: clientId }, packet))
      },
      async clear(clientId, id, released) {
        await clearPacket(link, contract, clientId, id)
        if (released) await records.forgetRelease(clientId, keyOf(id))
      },
      release: (clientId, id, number) => records.release(clientId, keyOf(id), number),
      all: clientId => reader.outgoingStream({ id: clientId }),
      tell: clientId => this.#tell(clientId),
      unreadable: (clientId, error) => {
        this.#log.error({ client: clientId, reason: reasonOf(error) }, 'a queued message cannot be read and is removed')
      },
    }
  }

  /** Once a turn: a message for many sessions is one announcement. */
  #tell(clientId: string): void {
    this.#untold.add(clientId)
    if (this.#untold.size > 1) return
    setImmediate(() => {
      const clientIds = [...this.#untold]
      this.#untold.clear()
      this.#mq.announce(clientIds)
    })
  }

  #follow(topic: string, payload: Buffer): void {
    if (this.#open === null) return
    try {
      this.#open.sessions.follow(JSON.parse(payload.toString()), topic === ADDED)
    } catch (error) {
      this.#log.error({ topic, reason: reasonOf(error) }, 'an announcement of subscriptions cannot be read')
    }
  }

  /** Redis was away: what the other gateways did meanwhile was not heard. */
  async #catchUp(): Promise<void> {
    const { sessions, retained, subscriptions } = this.#opened
    try {
      await sessions.load()
      await retained.load()
      for (const queue of subscriptions.queues()) queue.wake()
    } catch {
      // The gateway stops.
    }
  }
}

/** As many packets as a page has, and no more new ones than fit in memory. */
async function readPage(
  contract: Contract,
  clientId: string,
  isNew: (packet: ContractPacket) => boolean,
): Promise<{ packets: ContractPacket[]; isCut: boolean }> {
  const packets: ContractPacket[] = []
  let bytes = 0
  for await (const found of contract.outgoingStream({ id: clientId })) {
    const packet = found as ContractPacket
    packets.push(packet)
    if (isNew(packet)) bytes += packet.payload?.length ?? 0
    if (bytes >= MEMORY_BYTES) return { packets, isCut: true }
  }
  return { packets, isCut: false }
}

function ignore(): undefined {}
