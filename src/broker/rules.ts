/** What one listener asks of its clients, and lets them do. */
import type { ProtocolVersion, QoS } from '../mqtt/packets.ts'
import { TOPIC_ALIAS_MAXIMUM } from './aliases.ts'
import type { Limits } from './limits.ts'
import type { AccessRules } from './ports.ts'

export interface ConnectionRules {
  /** Null lets everybody in, and do everything. */
  readonly access: AccessRules | null
  readonly versions: readonly ProtocolVersion[]
  /** Bytes of the largest packet taken from a client. */
  readonly maxPacketSize: number
  readonly maxQos: QoS
  /** Highest topic alias that a client may use (MQTT 5). */
  readonly maxTopicAlias: number
  /** Put before every topic and filter of a client, and taken away from what it is sent. */
  readonly mountPoint: string
  /** Where the user name comes from: CONNECT, or the client's certificate. */
  readonly usernameFrom: 'connect' | 'common_name' | 'subject'
  /** The user name is the client identifier, whatever CONNECT says. */
  readonly usernameAsClientId: boolean
  /** Client identifiers must begin with one of these; empty: any. */
  readonly clientIdPrefixes: readonly string[]
  /** Whether a client may come without an identifier and be given one. */
  readonly allowEmptyClientId: boolean
  /** Of identifiers that are given. */
  readonly autoIdPrefix: string
}

/** The rules of a connection about which nothing more is said. */
export function defaultRules(limits: Limits): ConnectionRules {
  return {
    access: null,
    versions: [3, 4, 5],
    maxPacketSize: limits.maxPacketSize,
    maxQos: 2,
    maxTopicAlias: TOPIC_ALIAS_MAXIMUM,
    mountPoint: '',
    usernameFrom: 'connect',
    usernameAsClientId: false,
    clientIdPrefixes: [],
    allowEmptyClientId: true,
    autoIdPrefix: 'larder-',
  }
}
