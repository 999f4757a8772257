/**
 * What an upstream will not take: too large for it, on a topic that we may not publish, or a message at which it closes
 * the connection again and again. It is set aside in a queue of its own in the store, so that what is behind it goes on,
 * and can be read and sent again.
 */
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import type { Log } from '../kernel/log.ts'
import { forwardedProperties } from '../mqtt/publish-properties.ts'
import { type BridgeBroker, DEAD_LETTERS_SUFFIX } from './ports.ts'

/** Dead letters kept, the newest: what an owner may look through. */
const MAX_DEAD_LETTERS = 1_000
/** The user property that says why. */
const REASON = 'larder-refused'

export interface DeadLetter {
  readonly topic: string
  readonly payload: Buffer
  readonly reason: string
}

export class DeadLetters {
  readonly #broker: BridgeBroker
  readonly #clientId: string
  readonly #log: Log
  /** Set by `open`. */
  #queue!: SessionQueue
  /** One at a time, in the order in which they were refused. */
  #last: Promise<void> = Promise.resolve()

  constructor(deps: { broker: BridgeBroker; spool: string; log: Log }) {
    this.#broker = deps.broker
    this.#clientId = deps.spool + DEAD_LETTERS_SUFFIX
    this.#log = deps.log
  }

  get count(): number {
    return this.#queue.count
  }

  async open(): Promise<void> {
    this.#queue = await this.#broker.openSpool(this.#clientId, [])
  }

  /** Resolves when it is durable: it may leave its spool then. Rejects when there is no room for it. */
  bury(delivery: Delivery, reason: string): Promise<void> {
    this.#last = this.#last.catch(() => {}).then(() => this.#bury(delivery, reason))
    return this.#last
  }

  async *list(): AsyncGenerator<DeadLetter> {
    for await (const delivery of this.#queue.all()) yield letterOf(delivery)
  }

  /** Puts all of them at the end of `spool`, and returns how many. They go without RETAIN: newer values may have come. */
  async retry(spool: SessionQueue): Promise<number> {
    let count = 0
    for await (const delivery of this.#queue.all()) {
      const { topic, payload, forwarded } = delivery.message
      const properties = forwarded === undefined ? {} : forwardedProperties(forwarded)
      const userProperties = properties.userProperties?.filter(([name]) => name !== REASON)
      const message = { topic, payload, qos: 1, retain: false, properties: { ...properties, userProperties } } as const
      await this.#broker.append(spool, message)
      this.#queue.remove(delivery)
      count++
    }
    return count
  }

  async #bury(delivery: Delivery, reason: string): Promise<void> {
    const { topic, payload, forwarded } = delivery.message
    const properties = forwarded === undefined ? {} : forwardedProperties(forwarded)
    const userProperties: [string, string][] = [...(properties.userProperties ?? []), [REASON, reason]]
    for (let over = this.#queue.count + 1 - MAX_DEAD_LETTERS; over > 0; over--) {
      for await (const oldest of this.#queue.all()) {
        this.#log.warn(
          { topic: oldest.message.topic },
          'the oldest dead letter of a bridge is given up for a newer one',
        )
        this.#queue.remove(oldest)
        break
      }
    }
    await this.#broker.append(this.#queue, {
      topic,
      payload,
      qos: 1,
      retain: false,
      properties: { ...properties, userProperties },
    })
    this.#log.warn(
      { code: 'BRIDGE_REFUSED', topic, bytes: payload.length, reason },
      'the upstream does not take a message: it is set aside',
    )
  }
}

function letterOf({ message }: Delivery): DeadLetter {
  const { topic, payload, forwarded } = message
  const { userProperties = [] } = forwarded === undefined ? {} : forwardedProperties(forwarded)
  return { topic, payload, reason: userProperties.findLast(([name]) => name === REASON)?.[1] ?? '' }
}
