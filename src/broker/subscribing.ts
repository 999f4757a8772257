/**
 * SUBSCRIBE and UNSUBSCRIBE, and what a session's subscriptions mean for a message: with several that
 * match, it gets the message once, at the highest QoS among them (MQTT 3.1.1 §3.3.5).
 */
import type { SubscribePacket, UnsubscribePacket } from '../mqtt/control.ts'
import { encodeControl } from '../mqtt/control.ts'
import { MalformedPacketError } from '../mqtt/malformed.ts'
import type { QoS } from '../mqtt/packets.ts'
import { filterMatches, topicFilterFault } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import type { Listener, Subscription } from './ports.ts'
import type { Session } from './session.ts'

/** SUBACK return code of a refused subscription. */
const FAILURE = 0x80
/** Answers kept for a session with several subscriptions; when full, all are dropped and found again. */
const MAX_CACHED_TOPICS = 1_000

export class Subscribing {
  readonly #session: Session
  readonly #hub: Hub
  readonly #subscriptions = new Map<string, Subscription>()
  readonly #granted = new Map<string, QoS>()
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

  /** The highest QoS of the subscriptions that match; the topic is known to match one. */
  grantedFor(topic: string): QoS {
    const subscriptions = this.#subscriptions
    if (subscriptions.size === 1) for (const only of subscriptions.values()) return only.qos
    const known = this.#granted.get(topic)
    if (known !== undefined) return known
    let granted: QoS = 0
    for (const { topic: filter, qos } of subscriptions.values()) {
      if (qos > granted && filterMatches(filter, topic)) granted = qos
    }
    if (this.#granted.size >= MAX_CACHED_TOPICS) this.#granted.clear()
    this.#granted.set(topic, granted)
    return granted
  }

  /** SUBACK is sent when the subscriptions are durable; the retained messages follow it. */
  async subscribe(packet: SubscribePacket): Promise<void> {
    for (const { topic } of packet.subscriptions) this.#check(topic)
    const answers = await Promise.all(packet.subscriptions.map(({ topic, qos }) => this.#authorize({ topic, qos })))
    if (this.#session.closed) return
    const allowed = answers.filter(subscription => subscription !== null)
    for (const subscription of allowed) this.#set(subscription)
    const durable =
      this.#session.clean || allowed.length === 0
        ? undefined
        : this.#hub.persistence.addSubscriptions(this.#session, allowed)
    // The subscriptions are in force: what else the client sent may be read while they become durable.
    this.#session.resume()
    await durable
    if (this.#session.closed) return
    // [MQTT-3.8.4-4] [MQTT-3.8.4-5]
    const granted = answers.map(subscription => subscription?.qos ?? FAILURE)
    this.#session.send(encodeControl({ cmd: 'suback', messageId: packet.messageId, granted }, 4))
    this.#hub.emit('subscribe', allowed, this.#session)
    for (const { topic, qos } of allowed) this.#session.sendRetained(topic, qos)
  }

  async unsubscribe(packet: UnsubscribePacket): Promise<void> {
    const filters = packet.unsubscriptions
    for (const filter of filters) this.#check(filter)
    for (const filter of filters) this.#delete(filter)
    if (!this.#session.clean) await this.#hub.persistence.removeSubscriptions(this.#session, filters)
    if (this.#session.closed) return
    // [MQTT-3.10.4-5]
    this.#session.send(encodeControl({ cmd: 'unsuback', messageId: packet.messageId }, 4))
    this.#hub.emit('unsubscribe', filters, this.#session)
  }

  /** The connection is gone. The subscriptions of a persistent session stay in the store. */
  close(): void {
    for (const filter of this.filters) this.#delete(filter)
  }

  #check(filter: string): void {
    const fault = topicFilterFault(filter, this.#hub.limits.maxTopicLevels)
    if (fault !== undefined) throw new MalformedPacketError(fault)
  }

  #authorize(subscription: Subscription): Promise<Subscription | null> {
    return new Promise(resolve => {
      this.#hub.authorizeSubscribe(this.#session, subscription, (error, allowed) =>
        resolve(error !== null && error !== undefined ? null : (allowed ?? null)),
      )
    })
  }

  #set(subscription: Subscription): void {
    this.#subscriptions.set(subscription.topic, subscription)
    this.#granted.clear()
    this.#hub.mq.on(subscription.topic, this.#listener)
  }

  #delete(filter: string): void {
    if (!this.#subscriptions.delete(filter)) return
    this.#granted.clear()
    this.#hub.mq.removeListener(filter, this.#listener)
  }
}
