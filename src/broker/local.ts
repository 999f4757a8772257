/**
 * The gateway's own access to the hub: devices, bridges and programs that embed the gateway publish
 * and subscribe here without a connection.
 */
import { type BridgeBroker, SPOOL_CLIENT_PREFIX, type SpoolFilter } from '../bridge/ports.ts'
import type { CommandListener, DeviceBroker } from '../devices/ports.ts'
import type { Properties } from '../mqtt/properties.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import type { Hub } from './hub.ts'
import type { Listener, SessionQueue } from './ports.ts'

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
      filters.map(({ filter, qos }) => ({ topic: filter, qos, spool: true })),
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

  /** Ends the spools of bridges that are configured no more: nobody would ever empty them. */
  async discardSpoolsExcept(clientIds: ReadonlySet<string>): Promise<void> {
    const { queues } = this.#hub.persistence
    for (const clientId of [...queues.clientIds()]) {
      if (!clientId.startsWith(SPOOL_CLIENT_PREFIX) || clientIds.has(clientId)) continue
      const waiting = queues.find(clientId)?.count ?? 0
      this.#hub.log.warn({ spool: clientId, waiting }, 'a bridge is configured no more; what waited for it is given up')
      await queues.discard(clientId)
    }
  }
}
