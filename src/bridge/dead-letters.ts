/**
 * What an upstream will not take: too large for it, on a topic that we may not publish, or a message at which it closes
 * the connection again and again. It is set aside in a queue of its own in the store, so that what is behind it goes on,
 * and can be read and sent again. User properties say what a queue would not keep of it.
 */
import type { Delivery, Message, SessionQueue } from '../broker/ports.ts'
import type { Log } from '../kernel/log.ts'
import type { Properties } from '../mqtt/properties.ts'
import { forwardedProperties } from '../mqtt/publish-properties.ts'
import { type BridgeBroker, DEAD_LETTERS_SUFFIX } from './ports.ts'

/** Dead letters kept, the newest: what an owner may look through. */
const MAX_DEAD_LETTERS = 1_000
/** The user property that says why. */
const REASON = 'larder-refused'
/** The one that says that it was retained: a message with RETAIN would become the retained message here. */
const RETAINED = 'larder-retained'

export interface DeadLetter {
  readonly topic: string
  readonly payload: Buffer
  readonly retain: boolean
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
  #retrying: Promise<number> | undefined

  constructor(deps: { broker: BridgeBroker; spool: string; log: Log }) {
    this.#broker = deps.broker
    this.#clientId = deps.spool + DEAD_LETTERS_SUFFIX
    this.#log = deps.log
  }

  get count(): number {
    return this.#queue.count
  }

  async open(): Promise<void> {
    const [queue] = await this.#broker.openSpools([{ clientId: this.#clientId, filters: [] }])
    this.#queue = queue as SessionQueue
  }

  /** Resolves when it is durable: it may leave its spool then. Rejects when there is no room for it. */
  bury(delivery: Delivery, reason: string): Promise<void> {
    this.#last = this.#last.catch(() => {}).then(() => this.#bury(delivery, reason))
    return this.#last
  }

  async *list(): AsyncGenerator<DeadLetter> {
    for await (const { message } of this.#queue.all()) {
      const { reason, isRetained } = marksOf(propertiesOf(message))
      yield { topic: message.topic, payload: message.payload, retain: isRetained, reason }
    }
  }

  /**
   * Puts each at the end of the spool that `spoolOf` names for its topic, and returns how many there were. What is set
   * aside meanwhile, perhaps the same again, stays. Who asks while it is under way is told the same.
   */
  retry(spoolOf: (topic: string) => SessionQueue): Promise<number> {
    this.#retrying ??= this.#retry(spoolOf).finally(() => {
      this.#retrying = undefined
    })
    return this.#retrying
  }

  async #retry(spoolOf: (topic: string) => SessionQueue): Promise<number> {
    const all = this.#queue.count
    let count = 0
    for await (const delivery of this.#queue.all()) {
      if (count === all) break
      const { topic, payload } = delivery.message
      const { properties, isRetained } = marksOf(propertiesOf(delivery.message))
      await this.#append(spoolOf(topic), { topic, payload }, properties, isRetained ? [[RETAINED, '1']] : [])
      this.#queue.remove(delivery)
      count++
    }
    return count
  }

  async #bury({ message, retain }: Delivery, reason: string): Promise<void> {
    const { topic, payload } = message
    const { properties, isRetained } = marksOf(propertiesOf(message))
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
    const marks: [string, string][] = [[REASON, reason]]
    if (message.retain || retain || isRetained) marks.push([RETAINED, '1'])
    await this.#append(this.#queue, { topic, payload }, properties, marks)
    this.#log.warn(
      { code: 'BRIDGE_REFUSED', topic, bytes: payload.length, reason },
      'the upstream does not take a message: it is set aside',
    )
  }

  #append(
    queue: SessionQueue,
    { topic, payload }: { topic: string; payload: Buffer },
    properties: Properties,
    marks: readonly [string, string][],
  ): Promise<void> {
    const userProperties = [...(properties.userProperties ?? []), ...marks]
    return this.#broker.append(queue, {
      topic,
      payload,
      qos: 1,
      retain: false,
      properties: { ...properties, userProperties },
    })
  }
}

/** What the user properties of a dead letter, or of one that is sent again, say; and the properties without that. */
export function marksOf(properties: Properties): { properties: Properties; isRetained: boolean; reason: string } {
  const { userProperties } = properties
  const isMarked = userProperties?.some(([name]) => name === REASON || name === RETAINED) === true
  if (userProperties === undefined || !isMarked) return { properties, isRetained: false, reason: '' }
  const others = userProperties.filter(([name]) => name !== REASON && name !== RETAINED)
  const { userProperties: _, ...rest } = properties
  return {
    properties: others.length === 0 ? rest : { ...rest, userProperties: others },
    isRetained: userProperties.some(([name]) => name === RETAINED),
    reason: userProperties.findLast(([name]) => name === REASON)?.[1] ?? '',
  }
}

function propertiesOf({ forwarded }: Message): Properties {
  return forwarded === undefined ? {} : forwardedProperties(forwarded)
}
