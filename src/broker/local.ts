/**
 * The gateway's own access to the hub: devices, bridges and programs that embed the gateway publish
 * and subscribe here without a connection.
 */
import {
  type BridgeBroker,
  DEAD_LETTERS_SUFFIX,
  type ReceivedMessage,
  SPOOL_CLIENT_PREFIX,
  type SpoolFilter,
} from '../bridge/ports.ts'
import type { CommandListener, DeviceBroker } from '../devices/ports.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Message } from '../mqtt/message.ts'
import type { Properties } from '../mqtt/properties.ts'
import { grantsOf } from '../mqtt/subscription.ts'
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

  async openSpool(clientId: string, filters: readonly SpoolFilter[]): Promise<SessionQueue> {
    const { persistence } = this.#hub
    const queue = await persistence.queues.open(clientId)
    const wanted = new Set(filters.map(({ filter }) => filter))
    const before = await persistence.subscriptionsByClient({ id: clientId })
    const stale = before.map(({ topic }) => topic).filter(topic => !wanted.has(topic))
    if (stale.length > 0) await persistence.removeSubscriptions({ id: clientId }, stale)
    await persistence.addSubscriptions(
      { id: clientId },
      // What a bridge brings in is not for its own spool: it came from there.
      filters.map(({ filter, qos }) => ({ topic: filter, qos, spool: true, nl: true })),
    )
    const known = new Set(before.map(({ topic }) => topic))
    for (const { filter, qos } of filters) {
      if (known.has(filter)) continue
      // As with any new subscription, what is retained comes first.
      const grant = grantsOf([{ topic: filter, qos }]).others
      for (const message of persistence.queues.retained(filter)) {
        persistence.queues.acceptRetained(message, queue, grant)
      }
    }
    return queue
  }

  get gatewayId(): string {
    return this.#hub.id
  }

  receive(
    clientId: string,
    { topic, payload, qos, retain, properties = {} }: ReceivedMessage,
    settlement: Settlement | null,
    packetId?: number,
  ): string | undefined {
    const { maxTopicLevels, maxPacketSize } = this.#hub.limits
    // Checked like any client's: an upstream may be anybody's.
    const fault = topicNameFault(topic, maxTopicLevels)
    if (fault !== undefined) return fault
    if (topic.startsWith('$SYS/')) return 'topics below $SYS/ are this gateway’s own'
    if (payload.length > maxPacketSize) return `it is larger than ${maxPacketSize} bytes`
    let message: Message
    try {
      message = this.#hub.messageOf({ topic, payload, qos, retain, properties, clientId })
    } catch (error) {
      return reasonOf(error)
    }
    this.#hub.route(message, null, settlement, packetId === undefined ? undefined : { clientId, packetId })
    return undefined
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
      const spool = clientId.endsWith(DEAD_LETTERS_SUFFIX) ? clientId.slice(0, -DEAD_LETTERS_SUFFIX.length) : clientId
      if (clientIds.has(spool)) continue
      const waiting = queues.find(clientId)?.count ?? 0
      this.#hub.log.warn({ spool: clientId, waiting }, 'a bridge is configured no more; what waited for it is given up')
      await queues.discard(clientId)
    }
  }
}
