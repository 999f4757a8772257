/** SUBSCRIBE and UNSUBSCRIBE, and what a session's subscriptions mean for a message. */
import type { SubscribePacket, UnsubscribePacket } from '../mqtt/control.ts'
import { MalformedPacketError, protocolError } from '../mqtt/malformed.ts'
import type { QoS } from '../mqtt/packets.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { type Grants, grantsOf } from '../mqtt/subscription.ts'
import { filterMatches, splitShare, subscriptionFault } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import { mountedFilter } from './mount.ts'
import type { Listener, Subscription } from './ports.ts'
import type { Session } from './session.ts'

/** Answers kept for a session with several subscriptions; when full, all are dropped and found again. */
const MAX_CACHED_TOPICS = 1_000

/** Retain handling: retained messages are sent when the subscription is new. */
const IF_NEW = 1
/** Retain handling: retained messages are never sent. */
const NEVER = 2

export class Subscribing {
  readonly #session: Session
  readonly #hub: Hub
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #grants = new Map<string, Grants>()
  readonly #listener: Listener

  constructor(deps: { session: Session; hub: Hub; listener: Listener }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#listener = deps.listener
  }

  get filters(): string[] {
    return [...this.#subscriptions.keys()]
  }

  /** Takes up the subscriptions of a session that came back. */
  restore(subscriptions: Subscription[]): void {
    for (const subscription of subscriptions) this.#set(subscription)
  }

  /** What the subscriptions that match grant together; the topic is known to match one. Shared ones do not count. */
  grantsFor(topic: string): Grants {
    const known = this.#grants.get(topic)
    if (known !== undefined) return known
    const matching: Subscription[] = []
    for (const subscription of this.#subscriptions.values()) {
      // A shared filter as it is written matches no topic: '$share/…' is a dollar topic like any other.
      if (filterMatches(subscription.topic, topic) && splitShare(subscription.topic) === undefined) {
        matching.push(subscription)
      }
    }
    const grants = grantsOf(matching)
    if (this.#grants.size >= MAX_CACHED_TOPICS) this.#grants.clear()
    this.#grants.set(topic, grants)
    return grants
  }

  /** SUBACK is sent when the subscriptions are durable; the retained messages follow it. */
  async subscribe(packet: SubscribePacket): Promise<void> {
    const requests = packet.subscriptions.map(request => this.#check(request, packet))
    const answers = await Promise.all(requests.map(request => this.#authorize(request)))
    if (this.#session.closed) return
    const allowed = answers.filter(subscription => subscription !== null)
    const isNew = allowed.map(({ topic }) => !this.#subscriptions.has(topic))
    for (const subscription of allowed) this.#set(subscription)
    if (this.#session.queue !== null && allowed.length > 0) {
      const durable = this.#hub.persistence.addSubscriptions(this.#session, allowed)
      // The subscriptions are in force: what else the client sent may be read while they become durable.
      this.#session.resume()
      await durable
      if (this.#session.closed) return
    }
    // [MQTT-3.8.4-4] [MQTT-3.8.4-5]
    const refusal = this.#session.version === 5 ? ReasonCode.NOT_AUTHORIZED : ReasonCode.UNSPECIFIED_ERROR
    const granted = answers.map(subscription => subscription?.qos ?? refusal)
    this.#session.sendControl({ cmd: 'suback', messageId: packet.messageId, granted })
    this.#hub.emit('subscribe', allowed, this.#session)
    for (const [i, subscription] of allowed.entries()) this.#sendRetained(subscription, isNew[i] === true)
    this.#session.resume()
  }

  async unsubscribe(packet: UnsubscribePacket): Promise<void> {
    for (const filter of packet.unsubscriptions) this.#checkFilter(filter)
    const filters = packet.unsubscriptions.map(filter => mountedFilter(this.#session.rules.mountPoint, filter))
    const granted = filters.map(filter =>
      this.#delete(filter) ? ReasonCode.SUCCESS : ReasonCode.NO_SUBSCRIPTION_EXISTED,
    )
    if (this.#session.queue !== null) await this.#hub.persistence.removeSubscriptions(this.#session, filters)
    if (this.#session.closed) return
    // [MQTT-3.10.4-5]
    this.#session.sendControl({ cmd: 'unsuback', messageId: packet.messageId, granted })
    this.#hub.emit('unsubscribe', filters, this.#session)
  }

  /** The connection is gone. The subscriptions of a session that goes on stay in the store, and its place in shared ones. */
  close(sessionEnds: boolean): void {
    for (const filter of this.filters) {
      if (sessionEnds) this.#hub.shared.remove(this.#session.id, filter)
      this.#hub.mq.removeListener(filter, this.#listener)
    }
    this.#subscriptions.clear()
  }

  #check(request: SubscribePacket['subscriptions'][number], packet: SubscribePacket): Subscription {
    const { mountPoint, maxQos } = this.#session.rules
    this.#checkFilter(request.topic)
    const topic = mountedFilter(mountPoint, request.topic)
    // [MQTT-3.8.4-8] The server may grant less than was asked for.
    const qos = Math.min(request.qos, maxQos) as QoS
    // [MQTT-3.8.3-4]
    if (request.nl && splitShare(topic) !== undefined) throw protocolError('a shared subscription with no local')
    // What a bridge of MQTT 3.x says by its protocol level, MQTT 5 says by options.
    const { isBridge } = this.#session
    const { nl = false, rap = false, rh = 0 } = request
    const [subscriptionIdentifier] = packet.properties.subscriptionIdentifiers ?? []
    const identified = subscriptionIdentifier === undefined ? {} : { subscriptionIdentifier }
    return { topic, qos, nl: nl || isBridge, rap: rap || isBridge, rh, ...identified }
  }

  #checkFilter(filter: string): void {
    const fault = subscriptionFault(filter, this.#hub.limits.maxTopicLevels)
    if (fault !== undefined) throw new MalformedPacketError(fault, ReasonCode.TOPIC_FILTER_INVALID)
  }

  #authorize(subscription: Subscription): Promise<Subscription | null> {
    if (this.#session.rules.access?.maySubscribe(this.#session, subscription.topic) === false) {
      return Promise.resolve(null)
    }
    return new Promise(resolve => {
      this.#hub.authorizeSubscribe(this.#session, subscription, (error, allowed) =>
        resolve(error !== null && error !== undefined ? null : (allowed ?? null)),
      )
    })
  }

  #sendRetained(subscription: Subscription, isNew: boolean): void {
    const { rh = 0 } = subscription
    // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    if (rh === NEVER || (rh === IF_NEW && !isNew)) return
    // Nor are they sent for shared subscriptions (§4.8.2).
    if (splitShare(subscription.topic) === undefined) this.#session.sendRetained(subscription)
  }

  #set(subscription: Subscription): void {
    this.#subscriptions.set(subscription.topic, subscription)
    this.#grants.clear()
    if (splitShare(subscription.topic) !== undefined) {
      this.#hub.shared.add(this.#session.id, subscription)
    } else {
      this.#hub.mq.on(subscription.topic, this.#listener)
    }
  }

  /** False when there was no such subscription. */
  #delete(filter: string): boolean {
    if (!this.#subscriptions.delete(filter)) return false
    this.#grants.clear()
    this.#hub.shared.remove(this.#session.id, filter)
    this.#hub.mq.removeListener(filter, this.#listener)
    return true
  }
}
