/** SUBSCRIBE and UNSUBSCRIBE, and what a session's subscriptions mean for a message. */
import type { SubscribePacket, UnsubscribePacket } from '../mqtt/control.ts'
import { MalformedPacketError, protocolError } from '../mqtt/malformed.ts'
import type { QoS } from '../mqtt/packets.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { grantsOf } from '../mqtt/subscription.ts'
import { splitShare, subscriptionFault } from '../mqtt/topics.ts'
import { answerOf } from './answer.ts'
import type { Hub } from './hub.ts'
import { mountedFilter } from './mount.ts'
import type { OwnSubscriptions } from './own-subscriptions.ts'
import type { Listener, Message, Subscription } from './ports.ts'
import type { Session } from './session.ts'
import { Slices } from './slices.ts'

/** Subscriptions that are dealt with before it is looked whether others must have their turn: 4 ms with 1,000 access rules. */
const BATCH = 64

/** Retain handling: retained messages are sent when the subscription is new. */
const IF_NEW = 1
/** Retain handling: retained messages are never sent. */
const NEVER = 2

type Answer =
  | { readonly code: number; readonly subscription: null }
  | { readonly code: number; readonly subscription: Subscription; readonly isNew: boolean }

export class Subscribing {
  readonly #session: Session
  readonly #hub: Hub
  readonly #subscriptions: OwnSubscriptions
  readonly #listener: Listener

  /** `subscriptions` are the session's; only here they are changed. */
  constructor(deps: { session: Session; hub: Hub; subscriptions: OwnSubscriptions; listener: Listener }) {
    this.#session = deps.session
    this.#hub = deps.hub
    this.#subscriptions = deps.subscriptions
    this.#listener = deps.listener
  }

  get filters(): string[] {
    return this.#subscriptions.filters
  }

  /** Their filters as they are within the broker: with the mount point. */
  get all(): Subscription[] {
    return this.#subscriptions.all
  }

  /** Shared ones among them. */
  get count(): number {
    return this.#subscriptions.size
  }

  get sharedCount(): number {
    return this.#subscriptions.sharedSize
  }

  /** Takes up the subscriptions of a session that came back. */
  restore(subscriptions: Subscription[]): void {
    for (const subscription of subscriptions) this.#set(subscription)
  }

  /** SUBACK is sent when the subscriptions are durable; the retained messages follow it. */
  async subscribe(packet: SubscribePacket): Promise<void> {
    const slices = new Slices({ clock: this.#hub.clock })
    const requests: Subscription[] = []
    for (const batch of batches(packet.subscriptions)) {
      if (slices.isOver) await slices.next()
      for (const request of batch) requests.push(this.#check(request, packet))
    }
    const answers: Answer[] = []
    const durable: Promise<void>[] = []
    for (const batch of batches(requests)) {
      if (slices.isOver) await slices.next()
      const asked = batch.map(request => this.#authorize(request))
      const allowed = asked.some(isLater) ? await Promise.all(asked) : (asked as (Subscription | null)[])
      if (this.#session.closed) return
      const taken = allowed.map(subscription => this.#take(subscription))
      answers.push(...taken)
      if (this.#session.queue !== null) durable.push(this.#keep(taken))
    }
    // The subscriptions are in force: what else the client sent may be read while they become durable.
    const isKept = this.#session.queue !== null
    if (isKept) this.#session.resume()
    if (durable.length > 0) await Promise.all(durable)
    if (this.#session.closed) return
    // [MQTT-3.8.4-4] [MQTT-3.8.4-5]
    const granted = answers.map(({ code }) => code)
    this.#session.sendControl({ cmd: 'suback', messageId: packet.messageId, granted })
    const added = answers.filter(isGiven)
    const subscriptions = added.map(({ subscription }) => subscription)
    this.#hub.emit('subscribe', subscriptions, this.#session)
    for (const batch of batches(added)) {
      if (slices.isOver) await slices.next()
      if (this.#session.closed) return
      for (const { subscription, isNew } of batch) this.#sendRetained(subscription, isNew)
    }
    if (!isKept) this.#session.resume()
  }

  /** UNSUBACK is sent when that is durable; what follows in the stream is read before, where it has to become so. */
  async unsubscribe(packet: UnsubscribePacket): Promise<void> {
    const slices = new Slices({ clock: this.#hub.clock })
    const filters: string[] = []
    for (const batch of batches(packet.unsubscriptions)) {
      if (slices.isOver) await slices.next()
      for (const filter of batch) {
        this.#checkFilter(filter)
        filters.push(mountedFilter(this.#session.rules.mountPoint, filter))
      }
    }
    const granted: number[] = []
    const durable: Promise<void>[] = []
    for (const batch of batches(filters)) {
      if (slices.isOver) await slices.next()
      if (this.#session.closed) return
      for (const filter of batch) {
        granted.push(this.#delete(filter) ? ReasonCode.SUCCESS : ReasonCode.NO_SUBSCRIPTION_EXISTED)
      }
      if (this.#session.queue !== null) {
        durable.push(handled(this.#hub.persistence.removeSubscriptions(this.#session, [...batch])))
      }
    }
    const isKept = this.#session.queue !== null
    if (isKept) this.#session.resume()
    if (durable.length > 0) await Promise.all(durable)
    if (this.#session.closed) return
    // [MQTT-3.10.4-5]
    this.#session.sendControl({ cmd: 'unsuback', messageId: packet.messageId, granted })
    this.#hub.emit('unsubscribe', filters, this.#session)
    if (!isKept) this.#session.resume()
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

  /** Puts a subscription in force. A session that came back with more than may be keeps them, and may renew them. */
  #take(subscription: Subscription | null): Answer {
    if (subscription === null) return { code: this.#refusal(ReasonCode.NOT_AUTHORIZED), subscription: null }
    const isNew = !this.#subscriptions.has(subscription.topic)
    if (isNew && this.#subscriptions.size >= this.#hub.limits.maxSubscriptions) {
      return { code: this.#refusal(ReasonCode.QUOTA_EXCEEDED), subscription: null }
    }
    this.#set(subscription)
    return { code: subscription.qos, subscription, isNew }
  }

  /** MQTT 3.x has one word for all reasons. */
  #refusal(reasonCode: number): number {
    return this.#session.version === 5 ? reasonCode : ReasonCode.UNSPECIFIED_ERROR
  }

  /** Resolves when the subscriptions of a session that is kept are durable. */
  #keep(answers: readonly Answer[]): Promise<void> {
    const subscriptions = answers.filter(isGiven).map(({ subscription }) => subscription)
    if (subscriptions.length === 0) return Promise.resolve()
    return handled(this.#hub.persistence.addSubscriptions(this.#session, subscriptions))
  }

  #authorize(subscription: Subscription): Subscription | null | Promise<Subscription | null> {
    if (this.#session.rules.access?.maySubscribe(this.#session, subscription.topic) === false) return null
    return answerOf(answer =>
      this.#hub.authorizeSubscribe(this.#session, subscription, (error, allowed) =>
        answer(error !== null && error !== undefined ? null : (allowed ?? null)),
      ),
    )
  }

  /** With RETAIN set [MQTT-3.3.1-8]. */
  #sendRetained(subscription: Subscription, isNew: boolean): void {
    const { rh = 0 } = subscription
    if (!this.#hub.limits.retainAvailable) return
    // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
    if (rh === NEVER || (rh === IF_NEW && !isNew)) return
    // Nor are they sent for shared subscriptions (§4.8.2).
    if (splitShare(subscription.topic) !== undefined) return
    const { queues } = this.#hub.persistence
    const session = this.#session
    const grant = grantsOf([subscription]).others
    const { subscriptionIdentifiers } = grant
    session.outbound.sendRetained(queues.retained(subscription.topic), message => {
      if (!this.#hub.mayForward(session, message) || !this.#isStillRightful(message)) return
      if (subscription.nl === true && message.clientId === session.id) return
      const qos = Math.min(message.qos, grant.qos) as QoS
      if (qos === 0) session.outbound.sendNow(message, true, subscriptionIdentifiers)
      else if (session.queue !== null) queues.acceptRetained(message, session.queue, grant)
      else session.memoryQueue?.push(message, { qos, retain: true, subscriptionIdentifiers, isShared: false })
    })
  }

  /** A retained message whose publisher has lost the right to it is not delivered (CVE-2018-12546). */
  #isStillRightful({ clientId, userName, topic }: Message): boolean {
    return clientId === undefined || this.#session.rules.access?.mayPublish({ id: clientId, userName }, topic) !== false
  }

  #set(subscription: Subscription): void {
    if (this.#subscriptions.set(subscription)) this.#hub.shared.add(this.#session.id, subscription)
    else this.#hub.mq.on(subscription.topic, this.#listener)
  }

  /** False when there was no such subscription. */
  #delete(filter: string): boolean {
    if (!this.#subscriptions.delete(filter)) return false
    this.#hub.shared.remove(this.#session.id, filter)
    this.#hub.mq.removeListener(filter, this.#listener)
    return true
  }
}

function isGiven(answer: Answer): answer is Extract<Answer, { isNew: boolean }> {
  return answer.subscription !== null
}

function isLater(answer: unknown): boolean {
  return answer instanceof Promise
}

/** It is awaited later, and may be rejected before. */
function handled(work: Promise<void>): Promise<void> {
  work.catch(() => {})
  return work
}

/** Mostly there is one subscription in a packet: that costs no generator. */
function batches<T>(items: readonly T[]): Iterable<readonly T[]> {
  return items.length <= BATCH ? [items] : slicesOf(items)
}

function* slicesOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += BATCH) yield items.slice(at, at + BATCH)
}
