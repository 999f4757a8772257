/**
 * The end of a connection, and what it means for the session: whether it goes on without one and how
 * long, what becomes of its will, and of messages of shared subscriptions that it leaves behind.
 */

import type { Message } from '../mqtt/message.ts'
import type { Properties } from '../mqtt/properties.ts'
import { encodeForwarded } from '../mqtt/publish-properties.ts'
import { splitShare } from '../mqtt/topics.ts'
import type { Hub } from './hub.ts'
import type { Delivery } from './ports.ts'
import type { Session } from './session.ts'
import { NEVER_EXPIRES } from './terms.ts'

/** A will, as the message that it becomes. */
export interface Will {
  readonly topic: string
  readonly payload: Buffer
  readonly qos: Message['qos']
  readonly retain: boolean
  /** Those of its properties that are passed on, in wire form. */
  readonly forwarded: Buffer | undefined
  /** Seconds from its publication to its expiry. */
  readonly messageExpiryInterval: number | undefined
  /** Seconds from the end of the connection to its publication. */
  readonly willDelayInterval: number
}

/** The will of a CONNECT; its properties are those of MQTT 5. */
export function willOf(packet: {
  topic: string
  payload: Buffer
  qos: Message['qos']
  retain: boolean
  properties: Properties
}): Will {
  const { willDelayInterval = 0, messageExpiryInterval, ...forwarded } = packet.properties
  const { topic, payload, qos, retain } = packet
  const encoded = encodeForwarded(forwarded)
  return { topic, payload, qos, retain, willDelayInterval, messageExpiryInterval, forwarded: encoded }
}

/** The connection of `session` has ended. Called once. */
export function endSession(session: Session): void {
  const { hub, queue, terms } = session
  const interval = terms.sessionExpiryInterval
  const filters = session.subscribing.sharedCount > 0 ? session.subscribing.filters.filter(isShared) : []
  const left = filters.length > 0 ? leftBehind(session) : []
  const goesOn = queue !== null && interval > 0
  session.subscribing.close(!goesOn)
  session.outbound.close()
  session.inbound.close()
  queue?.detach()
  if (session.memoryQueue !== null) session.memoryQueue.onReady = null
  if (!session.connected) {
    // It came to nothing; but a session that it has taken up goes on from here.
    session.will = null
    if (queue === null) return
  }
  if (goesOn) {
    const seconds = interval === NEVER_EXPIRES ? undefined : interval
    const leftAt = seconds === undefined ? undefined : hub.persistence.time.now()
    hub.persistence.queues.setExpiry(session.id, { interval: seconds, leftAt })
  }
  if (!hub.closed) leaveTo(session, { goesOn, left, filters })
  // [MQTT-3.1.2-23] A session that was taken up by a connection which does not prolong it ends with that.
  if (queue !== null && !goesOn) void hub.discard(session.id)
}

function isShared(filter: string): boolean {
  return splitShare(filter) !== undefined
}

/** What the end of a connection means to others. At the gateway's own stop there are none. */
function leaveTo(session: Session, ending: { goesOn: boolean; left: Delivery[]; filters: string[] }): void {
  const { hub, queue, terms } = session
  for (const delivery of ending.left) {
    hub.shared.handOn(session.id, ending.filters, delivery, () => queue?.remove(delivery))
  }
  const interval = terms.sessionExpiryInterval
  const expiry = interval === NEVER_EXPIRES ? Number.POSITIVE_INFINITY : interval * 1000
  const will = takeWill(session, expiry)
  const isTimed = ending.goesOn && expiry !== Number.POSITIVE_INFINITY
  if (will !== null || isTimed) hub.departed.add(session.id, expiry, will)
}

/**
 * [MQTT-3.1.2-8] and, in MQTT 5, Will Delay Interval: the will comes when that has passed or the session ends,
 * whichever is first. Publishes it if that is now, else gives what is to be done later.
 * At the gateway's own stop the will stays in the store: the standard lets a server defer it to the restart, and a
 * client that is back by then has not died.
 */
function takeWill(session: Session, expiry: number): { delay: number; publish: () => void } | null {
  const { hub, will } = session
  session.will = null
  if (will === null) {
    if (session.isWillStored) void hub.persistence.delWill(session)
    return null
  }
  const publish = () => {
    publishWill(hub, session, will)
    void hub.persistence.delWill(session)
  }
  const delay = will.willDelayInterval * 1000
  if (delay > 0 && expiry > 0) return { delay, publish }
  publish()
  return null
}

function publishWill(hub: Hub, session: Session, will: Will): void {
  const message = hub.messageOf({ ...will, clientId: session.id, userName: session.userName })
  hub.whenMayPublish(session, message, allowed => {
    if (allowed) hub.route(message, session, null)
  })
}

/** Messages of shared subscriptions that the session has and did not acknowledge, oldest first. A message of QoS 2 that was sent stays [MQTT-4.8.2-5]. */
function leftBehind(session: Session): Delivery[] {
  const left = session.outbound.unacknowledged().filter(({ isShared, qos }) => isShared && qos === 1)
  if (session.memoryQueue === null) return left
  for (let next = session.memoryQueue.take(); next !== undefined; next = session.memoryQueue.take()) {
    if (next.isShared) left.push(next)
  }
  return left
}
