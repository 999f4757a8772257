/**
 * What may be sent to an upstream: what it has said about itself in its CONNACK (MQTT 5 §3.2.2.3), for MQTT 3.1.1 what holds
 * for everybody, and of either no more than the owner allows.
 */
import type { IConnackPacket } from 'mqtt'
import type { Way } from './connect-options.ts'
import type { ConnectionSettings } from './connection.ts'

export type ProtocolVersion = 4 | 5

export interface UpstreamLimits {
  readonly version: ProtocolVersion
  /** We are sent what we publish, where we subscribe to it: MQTT 3.1.1 has no way to ask it not to, but for `tryPrivate`. */
  readonly sendsBack: boolean
  /** QoS > 0 messages sent and not acknowledged. */
  readonly receiveMaximum: number
  /** Bytes of one packet; Infinity for any. */
  readonly maximumPacketSize: number
  readonly maximumQos: 0 | 1 | 2
  readonly retainAvailable: boolean
  readonly topicAliasMaximum: number
  readonly sessionPresent: boolean
  /** Seconds, when the upstream has its own idea of it. */
  readonly serverKeepAlive: number | undefined
  /** When it has given us an identifier of its own. */
  readonly assignedClientId: string | undefined
}

/** Packet identifiers that there are. */
const MAX_IN_FLIGHT = 65_535

/** Topic aliases of each direction when the owner says nothing: more than brokers allow, and names of little memory. */
export const TOPIC_ALIASES = 32

type OwnLimits = Pick<ConnectionSettings, 'maxPacketSize' | 'maxQos' | 'outgoingRetain' | 'maxTopicAlias'>

export function limitsOf(
  packet: IConnackPacket,
  { version, isBridge = false }: Way,
  own: OwnLimits = {},
): UpstreamLimits {
  const properties = (version === 5 ? packet.properties : undefined) ?? {}
  const theirSize = properties.maximumPacketSize ?? Number.POSITIVE_INFINITY
  const theirQos = properties.maximumQoS ?? 2
  return {
    version,
    sendsBack: version === 4 && !isBridge,
    receiveMaximum: properties.receiveMaximum ?? MAX_IN_FLIGHT,
    maximumPacketSize: Math.min(theirSize, own.maxPacketSize ?? theirSize),
    maximumQos: Math.min(theirQos, own.maxQos ?? theirQos) as 0 | 1 | 2,
    retainAvailable: (properties.retainAvailable ?? true) && own.outgoingRetain !== false,
    topicAliasMaximum: Math.min(properties.topicAliasMaximum ?? 0, own.maxTopicAlias ?? TOPIC_ALIASES),
    sessionPresent: packet.sessionPresent,
    serverKeepAlive: properties.serverKeepAlive,
    assignedClientId: properties.assignedClientIdentifier,
  }
}
