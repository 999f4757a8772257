/** What a client and the gateway agree on at CONNECT. MQTT 3.x agrees on fixed values. */
import type { Properties } from '../mqtt/properties.ts'

/** Session Expiry Interval that means never (MQTT 5 §3.1.2.11.2). */
export const NEVER_EXPIRES = 0xffff_ffff

export interface Terms {
  /** Seconds that the session outlives its connection; 0 ends it with the connection, `NEVER_EXPIRES` never. */
  sessionExpiryInterval: number
  /** QoS 1 and 2 messages that the client takes before it has acknowledged any. */
  readonly receiveMaximum: number
  /** Bytes of the largest packet that the client takes. */
  readonly maximumPacketSize: number
  /** Highest topic alias that the client takes; 0 for none. */
  readonly topicAliasMaximum: number
  /** The client wants to be told why on any packet, not only on CONNACK and DISCONNECT [MQTT-3.1.2-29]. */
  readonly requestProblemInformation: boolean
}

/** MQTT 3.x: `clean` says whether the session ends with its connection, or is kept as long as `longestExpiry` (seconds). */
export function fixedTerms(clean: boolean, longestExpiry = NEVER_EXPIRES): Terms {
  return {
    sessionExpiryInterval: clean ? 0 : longestExpiry,
    receiveMaximum: 65_535,
    maximumPacketSize: Number.POSITIVE_INFINITY,
    topicAliasMaximum: 0,
    requestProblemInformation: false,
  }
}

/** MQTT 5: what the properties of CONNECT ask for, and the standard's defaults. No session is kept over `longestExpiry` (seconds). */
export function askedTerms(properties: Properties, longestExpiry = NEVER_EXPIRES): Terms {
  return {
    sessionExpiryInterval: Math.min(properties.sessionExpiryInterval ?? 0, longestExpiry),
    receiveMaximum: properties.receiveMaximum ?? 65_535,
    maximumPacketSize: properties.maximumPacketSize ?? Number.POSITIVE_INFINITY,
    topicAliasMaximum: properties.topicAliasMaximum ?? 0,
    requestProblemInformation: properties.requestProblemInformation !== false,
  }
}
