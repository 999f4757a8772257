/**
 * The gateway's own access to the hub: devices, bridges and programs that embed the gateway publish
 * and subscribe here without a connection.
 */
import {
  type BridgeBroker,
  DEAD_LETTERS_SUFFIX,
  type FoundSpool,
  type Receipt,
  type ReceivedMessage,
  SPOOL_CLIENT_PREFIX,
  type SpoolFilter,
  type SpoolRequest,
  type SpoolWay,
} from '../bridge/ports.ts'
import type { CommandListener, DeviceBroker } from '../devices/ports.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Message } from '../mqtt/message.ts'
import type { Properties } from '../mqtt/properties.ts'
import { grantsOf, isMeant } from '../mqtt/subscription.ts'
import { topicNameFault } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import type { Listener, ReceivedIds, SessionQueue, Settlement } from './ports.ts'

export class LocalAccess implements DeviceBroker, BridgeBroker {
  readonly #hub: Hub

  constructor(deps: { hub: Hub }) {
    this.#hub = deps.hub
  }

  /** Resolves when the message is settled; rejects when the topic is none. */
  publish(
    topic: string,
    payload: Buffer,
    options: { qos: 0 | 1 | 2; retain: boolean; properties?: Properties },
  ): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#hub.publish({ topic, payload, ...options }, null, error => (error ? reject(error) : resolve()))
    })
  }

  /** Throws when `filter` is no topic filter. Retained messages come before this returns. */
  subscribe(filter: string, listener: CommandListener): () => void {
    if (this.#hub.persistence === undefined)
      throw new Error('a gateway that has not started has no topics to subscribe to')
    const onMessage: Listener = (message, done) => {
      listener(message.topic, message.payload, false)
      done()
    }
    this.#hub.subscribe(filter, onMessage)
    for (const message of this.#hub.persistence.queues.retained(filter)) {
      listener(message.topic, message.payload, true)
    }
    return () => this.#hub.unsubscribe(filter, onMessage)
  }

  async spools(clientId: string): Promise<FoundSpool[]> {
    const { persistence } = this.#hub
    const found: FoundSpool[] = []
    for (const each of [...persistence.queues.clientIds()]) {
      if (ownerOf(each) !== clientId || each.endsWith(DEAD_LETTERS_SUFFIX)) continue
      const subscriptions = await persistence.subscriptionsByClient({ id: each })
      const filters = subscriptions.map(({ topic, qos, except }): SpoolFilter => {
        return { filter: topic, qos: qos === 2 ? 2 : 1, except }
      })
      found.push({ clientId: each, filters, count: persistence.queues.find(each)?.count ?? 0 })
    }
    return found
  }

  async openSpools(requests: readonly SpoolRequest[], way?: SpoolWay): Promise<SessionQueue[]> {
    const { persistence, links } = this.#hub
    const opened = await Promise.all(
      requests.map(async ({ clientId, filters }) => {
        const queue = await persistence.queues.open(clientId)
        return { clientId, filters, queue, before: await persistence.subscriptionsByClient({ id: clientId }) }
      }),
    )
    const known = new Set(opened.flatMap(({ before }) => before.map(({ topic }) => topic)))
    const changes: Promise<void>[] = []
    // From here on without a pause, so that what moves from one to another is nowhere missed and nowhere twice.
    for (const { clientId, filters, queue, before } of opened) {
      if (way !== undefined) links.setWay(clientId, way)
      const id = { id: clientId }
      const wanted = new Set(filters.map(({ filter }) => filter))
      const stale = before.map(({ topic }) => topic).filter(topic => !wanted.has(topic))
      if (stale.length > 0) changes.push(persistence.removeSubscriptions(id, stale))
      // What a bridge brings in is not for its own spools: it came from there.
      const base = { spool: true, nl: true, ...(ownerOf(clientId) === clientId ? {} : { owner: ownerOf(clientId) }) }
      const subscriptions = filters.map(({ filter: topic, qos, except }) => {
        return { topic, qos, ...base, ...(except === undefined ? {} : { except }) }
      })
      changes.push(persistence.addSubscriptions(id, subscriptions))
      for (const subscription of subscriptions) {
        if (known.has(subscription.topic)) continue
        // As with any new subscription, what is retained comes first.
        const grant = grantsOf([subscription]).others
        for (const message of persistence.queues.retained(subscription.topic)) {
          const isTheirs = message.clientId === ownerOf(clientId)
          if (isTheirs || !isMeant(subscription, message.topic)) continue
          persistence.queues.acceptRetained(message, queue, grant)
        }
      }
    }
    await Promise.all(changes)
    return opened.map(({ queue }) => queue)
  }

  async discardSpool(clientId: string): Promise<void> {
    this.#hub.links.deleteWay(clientId)
    await this.#hub.persistence.queues.discard(clientId)
  }

  get maxPacketSize(): number {
    return this.#hub.limits.maxPacketSize
  }

  now(): number {
    return this.#hub.persistence.time.now()
  }

  oldest(clientIds: readonly string[]): number | undefined {
    return this.#hub.persistence.oldest?.(clientId => clientIds.includes(clientId))
  }

  receive(
    clientId: string,
    { topic, payload, qos, retain, properties = {}, upstreamTopic = topic, isReplay }: ReceivedMessage,
    settlement: Settlement | null,
    packetId?: number,
  ): Receipt {
    const { maxTopicLevels, maxPacketSize } = this.#hub.limits
    // Checked like any client's: an upstream may be anybody's.
    const fault = topicNameFault(topic, maxTopicLevels)
    if (fault !== undefined) return { fault }
    if (topic.startsWith('$SYS/')) return { fault: 'topics below $SYS/ are this gateway’s own' }
    if (payload.length > maxPacketSize) return { fault: `it is larger than ${maxPacketSize} bytes` }
    let message: Message
    try {
      message = this.#hub.messageOf({ topic, payload, qos, retain, properties, clientId })
    } catch (error) {
      return { fault: reasonOf(error) }
    }
    if (isReplay === true && this.#isRetained(topic, payload)) {
      settlement?.settled()
      return 'known'
    }
    const received = packetId === undefined ? undefined : { clientId, packetId }
    const source = { link: clientId, topic: upstreamTopic }
    return this.#hub.links.arrive(message, source, null, settlement, received) === 'known' ? 'known' : 'taken'
  }

  #isRetained(topic: string, payload: Buffer): boolean {
    for (const message of this.#hub.persistence.queues.retained(topic)) return message.payload.equals(payload)
    return false
  }

  left(clientId: string, message: Message, isNamed: boolean, isRepeated: boolean): void {
    this.#hub.links.left(ownerOf(clientId), message, isNamed, isRepeated)
  }

  received(clientId: string): ReceivedIds {
    return this.#hub.persistence.queues.received(clientId)
  }

  repeated(clientId: string, packetId: number, settlement: Settlement): void {
    this.#hub.persistence.queues.repeated(clientId, packetId, settlement)
  }

  forget(clientId: string, packetId: number, done: () => void): void {
    this.#hub.persistence.queues.forget(clientId, packetId, done)
  }

  append(queue: SessionQueue, { topic, payload, properties = {} }: ReceivedMessage): Promise<void> {
    return new Promise((resolve, reject) => {
      const message = this.#hub.messageOf({ topic, payload, qos: 1, retain: false, properties })
      const grants = grantsOf([{ topic, qos: 1 }])
      this.#hub.persistence.queues.accept(message, [{ queue, grants, isShared: false }], {
        settled: resolve,
        refused: () => reject(new LarderError('STORE_FULL', 'the store has no room for the message.')),
      })
    })
  }

  /** Ends the spools of bridges that are configured no more: nobody would ever empty them. */
  async discardSpoolsExcept(clientIds: ReadonlySet<string>): Promise<void> {
    const { queues } = this.#hub.persistence
    for (const clientId of [...queues.clientIds()]) {
      if (!clientId.startsWith(SPOOL_CLIENT_PREFIX)) continue
      if (clientIds.has(ownerOf(clientId))) continue
      this.#hub.links.deleteWay(clientId)
      const waiting = queues.find(clientId)?.count ?? 0
      this.#hub.log.warn({ spool: clientId, waiting }, 'a bridge is configured no more; what waited for it is given up')
      await queues.discard(clientId)
    }
  }
}

/** The bridge's own client identifier, of that of one of its spools. Names of bridges have no slash. */
function ownerOf(clientId: string): string {
  return clientId.split('/', 2).join('/')
}
