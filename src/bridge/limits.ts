/** What an upstream has said about itself in its CONNACK (MQTT 5 §3.2.2.3); for MQTT 3.1.1, what holds for everybody. */
import type { IConnackPacket } from 'mqtt'

export type ProtocolVersion = 4 | 5

export interface UpstreamLimits {
  readonly version: ProtocolVersion
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

export function limitsOf(packet: IConnackPacket, version: ProtocolVersion): UpstreamLimits {
  const properties = (version === 5 ? packet.properties : undefined) ?? {}
  return {
    version,
    receiveMaximum: properties.receiveMaximum ?? MAX_IN_FLIGHT,
    maximumPacketSize: properties.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    maximumQos: (properties.maximumQoS ?? 2) as 0 | 1 | 2,
    retainAvailable: properties.retainAvailable ?? true,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    sessionPresent: packet.sessionPresent,
    serverKeepAlive: properties.serverKeepAlive,
    assignedClientId: properties.assignedClientIdentifier,
  }
}
