/**
 * Persistent sessions that several gateways share: opening one where the client is, and ending it nowhere else. The
 * engine keeps subscriptions and messages, `Records` what the contract has no word for.
 */
import type { LifeTime, SessionExpiry, Subscription } from '../broker/ports.ts'
import type { Contract, ContractPacket } from './contract.ts'
import type { Link } from './link.ts'
import type { Owners } from './owners.ts'
import type { ContractQueue } from './queue.ts'
import { expiryOf, type Records, type SessionRecord } from './records.ts'
import { KEEPER, type SubscriptionsCopy } from './subscriptions.ts'
import { goneOf, type PacketId, placed } from './wire.ts'

/** Packets removed at once when a session ends: enough to fill a round trip. */
const CLEAR_BATCH = 200
/** Sessions read at once. */
const LOAD_BATCH = 100

/** Aedes, as far as the store must know who else is there. */
export interface ClusterBroker {
  readonly id: string
  counter: number
  /** Brokers that were heard of lately, this one included. */
  readonly brokers?: Record<string, unknown>
}

export class Sessions {
  readonly #contract: Contract
  readonly #reader: Contract
  readonly #link: Link
  readonly #records: Records
  readonly #owners: Owners
  readonly #subscriptions: SubscriptionsCopy
  readonly #broker: ClusterBroker
  readonly #time: LifeTime
  readonly #known = new Map<string, SessionRecord>()
  readonly #received = new Map<string, Set<number>>()
  /** Those of them that are not on record yet. */
  readonly #recording = new Map<string, Set<number>>()
  /** Sessions that are being opened. */
  readonly #opening = new Set<string>()
  /** Sessions that were announced while they are being read; null when they are not. */
  #changed: Set<string> | null = null

  constructor(deps: {
    contract: Contract
    /** Asked for whole queues. */
    reader: Contract
    link: Link
    records: Records
    owners: Owners
    subscriptions: SubscriptionsCopy
    broker: ClusterBroker
    time: LifeTime
  }) {
    this.#contract = deps.contract
    this.#reader = deps.reader
    this.#link = deps.link
    this.#records = deps.records
    this.#owners = deps.owners
    this.#subscriptions = deps.subscriptions
    this.#broker = deps.broker
    this.#time = deps.time
  }

  receivedOf(clientId: string): Set<number> | undefined {
    return this.#received.get(clientId)
  }

  /** A message of QoS 2 was taken from a client, and is to be on record. */
  noteReceived(clientId: string, packetId: number): void {
    for (const noted of [this.#received, this.#recording]) {
      noted.set(clientId, (noted.get(clientId) ?? new Set<number>()).add(packetId))
    }
  }

  /** Puts it on record. */
  async recordReceived(clientId: string, packetId: number): Promise<void> {
    await this.#records.addReceived(clientId, packetId)
    const recording = this.#recording.get(clientId)
    recording?.delete(packetId)
    if (recording?.size === 0) this.#recording.delete(clientId)
  }

  expiryOf(clientId: string): SessionExpiry {
    return expiryOf(this.#known.get(clientId))
  }

  /** Ignored of a session that is connected to another gateway by now. */
  setExpiry(clientId: string, expiry: SessionExpiry): void {
    const queue = this.#subscriptions.find(clientId)
    const owner = this.#owners.of(clientId)
    if (queue === undefined || (owner !== undefined && owner !== this.#broker.id)) return
    const { interval, leftAt } = expiry
    const sentUpTo = this.#opening.has(clientId) ? undefined : queue.sentUpTo
    const record = { interval, leftAt, at: this.#broker.id, sentUpTo }
    this.#known.set(clientId, record)
    this.#records.setSession(clientId, record).catch(ignore)
  }

  async open(clientId: string): Promise<ContractQueue> {
    const queue = this.#subscriptions.make(clientId)
    this.#opening.add(clientId)
    try {
      // Asked before the session is noted as open here, which is written over what is asked for.
      const before = this.#records.remembered(clientId)
      const isNew = await this.#records.makeSession(clientId, { at: this.#broker.id })
      if (isNew) {
        // Of a session of this name that ended while a message was on its way to it.
        await this.#clearAll(clientId)
        await this.announce(clientId, [KEEPER])
      } else {
        this.#subscriptions.replace(clientId, await this.subscriptionsOf(clientId))
      }
      queue.remember(await before)
      const received = await this.#records.received(clientId)
      for (const packetId of this.#recording.get(clientId) ?? []) received.add(packetId)
      this.#received.set(clientId, received)
      return queue
    } finally {
      this.#opening.delete(clientId)
    }
  }

  /** Ends a session, unless it is another gateway's to end. */
  async discard(clientId: string): Promise<void> {
    try {
      if (await this.#mayEnd(clientId)) await this.#end(clientId)
      else this.#subscriptions.replace(clientId, this.#subscriptions.of(clientId))
    } catch {
      // The gateway stops.
    }
  }

  /** Writes subscriptions; every gateway hears of them. */
  announce(clientId: string, subscriptions: Subscription[]): Promise<void> {
    return this.#link.insist(() => this.#contract.addSubscriptions({ id: clientId }, subscriptions))
  }

  async subscriptionsOf(clientId: string): Promise<Subscription[]> {
    const found = await this.#link.insist(() => this.#contract.subscriptionsByClient({ id: clientId }))
    return found.filter(({ topic }) => topic !== KEEPER.topic).map(plain)
  }

  /** Another gateway, or this one, has changed subscriptions. */
  follow(change: { clientId: string; subs: Subscription[] }, isAdded: boolean): void {
    const { clientId, subs } = change
    this.#changed?.add(clientId)
    for (const subscription of subs) {
      if (isAdded) {
        this.#subscriptions.make(clientId)
        this.#subscriptions.set(clientId, plain(subscription))
      } else {
        this.#subscriptions.delete(clientId, subscription.topic)
      }
    }
    if (this.#subscriptions.find(clientId) === undefined) this.#forget(clientId)
  }

  /** Reads all sessions. */
  async load(): Promise<void> {
    const changed = new Set<string>()
    this.#changed = changed
    const clientIds = await this.#records.clientIds()
    const there = new Set(clientIds)
    for (const clientId of this.#subscriptions.clientIds) {
      if (there.has(clientId) || changed.has(clientId) || this.#opening.has(clientId)) continue
      this.#subscriptions.end(clientId)
      this.#forget(clientId)
    }
    for (let i = 0; i < clientIds.length; i += LOAD_BATCH) {
      await Promise.all(clientIds.slice(i, i + LOAD_BATCH).map(clientId => this.#loadOne(clientId, changed)))
    }
    if (this.#changed === changed) this.#changed = null
  }

  async #loadOne(clientId: string, changed: Set<string>): Promise<void> {
    const record = await this.#records.session(clientId)
    if (record === undefined) return
    if (this.#owners.of(clientId) !== this.#broker.id) this.#known.set(clientId, record)
    let subscriptions: Subscription[]
    do {
      changed.delete(clientId)
      subscriptions = await this.subscriptionsOf(clientId)
    } while (changed.has(clientId))
    this.#subscriptions.replace(clientId, subscriptions)
  }

  async #mayEnd(clientId: string): Promise<boolean> {
    const me = this.#broker.id
    const owner = this.#owners.of(clientId)
    if (owner !== undefined) return owner === me
    const record = await this.#records.session(clientId)
    if (record === undefined) return true
    const { interval, leftAt, at } = record
    if (interval === undefined) return false
    if (leftAt !== undefined) return leftAt + interval * 1000 <= this.#time.now()
    // Its gateway crashed, if it is not there.
    if (at === undefined || at === me) return true
    return this.#link.hasHeardAll && this.#broker.brokers?.[at] === undefined
  }

  async #end(clientId: string): Promise<void> {
    const left = await this.#allOf(clientId)
    await this.#link.insist(() => this.#contract.cleanSubscriptions({ id: clientId }))
    this.#subscriptions.end(clientId)
    this.#forget(clientId)
    await this.#records.endSession(clientId)
    await this.#clearEach(clientId, left)
  }

  #forget(clientId: string): void {
    this.#known.delete(clientId)
    this.#received.delete(clientId)
  }

  async #clearAll(clientId: string): Promise<void> {
    await this.#clearEach(clientId, await this.#allOf(clientId))
  }

  async #allOf(clientId: string): Promise<PacketId[]> {
    return this.#link.insist(async () => {
      const ids: PacketId[] = []
      for await (const packet of this.#reader.outgoingStream({ id: clientId })) ids.push(idOf(packet as ContractPacket))
      return ids
    })
  }

  async #clearEach(clientId: string, ids: readonly PacketId[]): Promise<void> {
    for (let i = 0; i < ids.length; i += CLEAR_BATCH) {
      await Promise.all(ids.slice(i, i + CLEAR_BATCH).map(id => clearPacket(this.#link, this.#contract, clientId, id)))
    }
  }
}

/**
 * Removes a packet. The contract removes by packet identifier, and only what was given one in this process; so it is given one
 * now, and marked as gone with it, in case the second step never comes.
 */
export async function clearPacket(link: Link, contract: Contract, clientId: string, id: PacketId): Promise<void> {
  const client = { id: clientId }
  const gone = goneOf(id)
  await link.insist(async () => {
    await contract.outgoingUpdate(client, gone)
    await contract.outgoingClearMessageId(client, gone)
  })
}

function idOf(packet: ContractPacket): PacketId {
  try {
    const { brokerId, brokerCounter, index } = placed(packet)
    return { brokerId, brokerCounter, index }
  } catch {
    return { brokerId: `${packet.brokerId}`, brokerCounter: packet.brokerCounter ?? 0, index: 0 }
  }
}

/** A subscription as we gave it to the engine, without what it and MessagePack add. */
function plain(subscription: Subscription & { clientId?: string }): Subscription {
  const { clientId: _, ...fields } = subscription
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value != null)) as unknown as Subscription
}

function ignore(): void {}
