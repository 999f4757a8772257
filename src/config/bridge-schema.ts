/** What a bridge gets of `larder.yaml`; see `schema.ts`. */

export interface BridgeConfig extends ConnectionConfig {
  name: string
  clientId: string
  username?: string
  password?: string
  /** ms; whole seconds. */
  keepalive: number
  maxInflight: number
  /** ms; shortest and longest pause between two attempts to connect. */
  retry: { min: number; max: number }
  /** What is carried to the upstream, from it, and both ways; together at least one. */
  out: BridgeRule[]
  in?: BridgeRule[]
  both?: BridgeRule[]
  notifyUpstream?: boolean
  /** Percent. */
  drainShare?: number
  /** Messages a second. */
  maxRate?: number
}

/** The way to a bridge's upstream. */
export interface ConnectionConfig {
  /** The first address: `mqtt://host:port`, or with `mqtts`, `ws`, `wss`; always with the port. */
  url: string
  /** All addresses, when there are several. */
  urls?: string[]
  roundRobin?: boolean
  version?: 'auto' | '5' | '3.1.1'
  tls?: UpstreamTlsConfig
  /** `http://user:password@host:port`. */
  proxy?: string
  /** ms */
  connectTimeout?: number
  startType?: 'automatic' | 'lazy' | 'once'
  /** Of `lazy`: messages, ms, ms. */
  threshold?: number
  idleTimeout?: number
  maxWait?: number
  bindAddress?: string
  /** ms; whole seconds. */
  tcpKeepalive?: number
  tryPrivate?: boolean
  cleanSession?: boolean
  /** ms; whole seconds. */
  sessionExpiry?: number
  receiveMaximum?: number
  maxTopicAlias?: number
  /** Bytes. */
  maxPacketSize?: number
  maxQos?: 0 | 1 | 2
  outgoingRetain?: boolean
  unsubscribe?: boolean
  notificationTopic?: string
}

/** Of a bridge; files are PEM, paths absolute. */
export interface UpstreamTlsConfig {
  ca?: string
  caFolder?: string
  systemAuthorities?: boolean
  cert?: string
  key?: string
  alpn?: string[]
  serverName?: string
  checkName?: boolean
  minVersion?: 'TLSv1.2' | 'TLSv1.3'
  ciphers?: string
  pskIdentity?: string
  /** Hexadecimal. */
  pskKey?: string
}

/** As Mosquitto's `topic FILTER out|in|both QOS LOCAL-PREFIX REMOTE-PREFIX`. */
export interface BridgeRule {
  /** The local filter is `localPrefix + filter`; the remote topic is `remotePrefix` + the topic without `localPrefix`. */
  filter: string
  qos: 0 | 1 | 2
  /** Absent, as `keep`. */
  retain?: 'keep' | 'clear'
  localPrefix?: string
  remotePrefix?: string
  /** ms of which an outage leaves the newest message of a topic: 0 for all, Infinity for the newest alone. */
  onBacklog?: number
  priority?: 'high' | 'normal' | 'low'
  wrap?: 'json'
  /** ms, bytes, and a topic of the upstream. */
  batch?: { every: number; maxBytes: number; topic: string }
  compress?: 'gzip'
}
