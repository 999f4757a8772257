/** The bounds of the broker. All are settings of `larder.yaml` under `limits`; the defaults are there. */
export interface Limits {
  /** Bytes of the largest packet taken from a client. */
  maxPacketSize: number
  /** Messages of QoS 1 and 2 sent to one client and not acknowledged by it. */
  maxInflight: number
  /**
   * Messages of QoS 1 and 2 that one client may have sent without our acknowledgement. MQTT 5 clients are told
   * and held to it (Receive Maximum); the socket of an older one is not read beyond: the disk sets the pace.
   */
  receiveMaximum: number
  /** Messages that wait for one session. Beyond, the oldest goes. */
  maxQueuedMessages: number
  /** Bytes of topics and payloads that wait for one session. Beyond, the oldest goes. */
  maxQueuedBytes: number
  /** Bytes handed to one socket that it has not taken. Beyond, QoS 0 is dropped for it. */
  maxUnsent: number
  /** Milliseconds from the connection to its CONNECT. */
  connectTimeout: number
  /** Milliseconds. A longer keep alive, or none, is cut to this (MQTT 5) or refused (3.x); 0 leaves it to the client. */
  maxKeepalive: number
  maxTopicLevels: number
  /** MQTT 5: a payload that is said to be UTF-8 and is not is refused [MQTT-3.3.2-4]. */
  checkPayloadFormat: boolean
  /** Bytes of QoS 1 and 2 messages sent to one client and not acknowledged by it; Infinity for any. One is always sent. */
  maxInflightBytes: number
  /** Subscriptions of one session. More are refused; those that it has may be renewed, also when they are more. */
  maxSubscriptions: number
  /** User properties of one packet (MQTT 5). */
  maxUserProperties: number
  /** PUBLISH packets a second from one client; beyond, it is not read. 0 for any number. */
  maxPublishRate: number
  /** PUBLISH packets that a client which was silent may send at once, whatever its rate. */
  publishBurst: number
  /** Bytes that all connections together may make the gateway hold. */
  memory: number
  /** Milliseconds that a session outlives its connection at most; Infinity for ever. */
  maxSessionExpiry: number
  /** Sessions, those without a connection included; Infinity for any number. */
  maxSessions: number
  /** Whether clients may have messages retained. */
  retainAvailable: boolean
}

/** Largest packet taken before CONNECT: a client identifier, a will and credentials fit; a flood of strangers stays small. */
export const MAX_CONNECT_PACKET = 256 * 1024

/** Bytes waiting in one socket beyond which no queue is emptied into it. */
export const SEND_HIGH_WATER = 256 * 1024
