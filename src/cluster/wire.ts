/**
 * Messages outside the gateway. The packages encode plain objects (MessagePack); a `Message` is taken apart before
 * and put together after. What a session is granted goes with its copy of the message, in the field that
 * the contract has for properties: it is passed on as it is.
 */
import { Message } from '../mqtt/message.ts'
import type { QoS } from '../mqtt/packets.ts'
import type { Grant } from '../mqtt/subscription.ts'
import type { ContractPacket } from './contract.ts'

/** A message as it travels between gateways. Absent is what is undefined. */
export interface Carried {
  topic: string
  payload: Buffer | string
  qos: QoS
  retain: boolean
  clientId?: string
  forwarded?: Buffer
  expiresAt?: number
}

export function carried(message: Message): Carried {
  const { topic, payload, qos, retain, clientId, forwarded, expiresAt } = message
  const plain: Carried = { topic, payload, qos, retain }
  if (clientId !== undefined) plain.clientId = clientId
  if (forwarded !== undefined) plain.forwarded = forwarded
  if (expiresAt !== undefined) plain.expiresAt = expiresAt
  return plain
}

/** Throws when `plain` is nothing that `carried` made. */
export function revived(plain: Carried): Message {
  const { topic, payload, qos, retain, clientId, forwarded, expiresAt } = plain
  // A stock aedes on the same Redis may have stored text.
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  if (typeof topic !== 'string' || !Buffer.isBuffer(bytes)) throw new TypeError('this is no message')
  return Message.of({
    topic,
    payload: bytes,
    qos,
    retain,
    clientId: clientId ?? undefined,
    forwarded: forwarded ?? undefined,
    expiresAt: expiresAt ?? undefined,
  })
}

/** What one session gets of a message. */
export interface Place {
  readonly message: Message
  readonly qos: QoS
  readonly retain: boolean
  readonly subscriptionIdentifiers: readonly number[] | undefined
  readonly isShared: boolean
}

/** What `grant` gives of a message; undefined when nothing is queued. One of QoS 0 is queued for spools only, at QoS 1. */
export function placeOf(
  message: Message,
  grant: Grant,
  options: { retain: boolean; isShared: boolean },
): Place | undefined {
  const qos = message.qos === 0 ? 1 : (Math.min(grant.qos, message.qos) as QoS)
  if (qos === 0) return undefined
  return { message, qos, subscriptionIdentifiers: grant.subscriptionIdentifiers, ...options }
}

/** Which packet of the engine it is. */
export interface PacketId {
  readonly brokerId: string
  readonly brokerCounter: number
  /** The place in the session's queue, from which the packet identifier follows. */
  readonly index: number
}

interface Extras {
  index?: number
  forwarded?: Buffer
  expiresAt?: number
  subscriptionIdentifiers?: readonly number[]
  isShared?: boolean
  isGone?: boolean
}

/** The packet of a place. `messageId` when it has one of its own. */
export function packetOf(id: PacketId, place: Place, messageId?: number): ContractPacket {
  const { brokerId, brokerCounter, index } = id
  const { message, qos, retain, subscriptionIdentifiers, isShared } = place
  const { topic, payload, clientId, forwarded, expiresAt } = carried(message)
  const properties: Extras = { index }
  if (forwarded !== undefined) properties.forwarded = forwarded
  if (expiresAt !== undefined) properties.expiresAt = expiresAt
  if (subscriptionIdentifiers !== undefined) properties.subscriptionIdentifiers = subscriptionIdentifiers
  if (isShared) properties.isShared = true
  const own = messageId === undefined ? {} : { messageId }
  const from = clientId === undefined ? {} : { clientId }
  return { cmd: 'publish', brokerId, brokerCounter, topic, payload, qos, retain, properties, ...own, ...from }
}

/** What takes the place of a packet that was acknowledged, until the engine has removed it. */
export function goneOf(id: PacketId): ContractPacket {
  const { brokerId, brokerCounter, index } = id
  const nothing = { topic: '', payload: Buffer.alloc(0), qos: 1, retain: false }
  return { cmd: 'publish', brokerId, brokerCounter, ...nothing, messageId: index, properties: { index, isGone: true } }
}

/** Names a packet within one session. */
export function keyOf(id: { brokerId?: string | undefined; brokerCounter?: number }): string {
  return `${id.brokerId}:${id.brokerCounter}`
}

/** A packet of the engine, read back. Throws when it is none of ours. */
export function placed(packet: ContractPacket): PacketId & Place & { isGone: boolean; packetId: number | undefined } {
  const { brokerId = '', brokerCounter = 0, topic = '', payload = '', retain = false, clientId, messageId } = packet
  const { index, forwarded, expiresAt, subscriptionIdentifiers, isShared, isGone } = (packet.properties ?? {}) as Extras
  const qos = (packet.qos ?? 1) as QoS
  const message = revived({
    topic,
    payload,
    qos,
    retain,
    ...(clientId == null ? {} : { clientId }),
    ...(forwarded == null ? {} : { forwarded }),
    ...(expiresAt == null ? {} : { expiresAt }),
  })
  return {
    brokerId,
    brokerCounter,
    // A stock aedes numbers nothing: its own counter is as good as any.
    index: index ?? brokerCounter,
    message,
    qos,
    retain,
    subscriptionIdentifiers: subscriptionIdentifiers ?? undefined,
    isShared: isShared === true,
    isGone: isGone === true,
    packetId: messageId ?? undefined,
  }
}
