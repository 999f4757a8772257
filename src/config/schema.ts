/**
 * What the rest of the gateway gets of `larder.yaml`: plain data, every default filled in, durations in
 * milliseconds, sizes in bytes, paths absolute. How the file is written is the business of the other
 * files of this folder; nobody else ever sees the text.
 */
import type { LogFormat, LogLevel } from '../kernel/log.ts'
import type { BridgeConfig, BridgeRule, UpstreamTlsConfig } from './bridge-schema.ts'
import type { FileConfig } from './kinds/file.ts'
import type { GpioConfig } from './kinds/gpio.ts'
import type { SerialConfig } from './kinds/serial.ts'
import type { SystemConfig } from './kinds/system.ts'

export type { BridgeConfig, BridgeRule, FileConfig, GpioConfig, SerialConfig, SystemConfig, UpstreamTlsConfig }

export interface Config {
  /** The gateway's name; also the room of its `system` source. */
  name: string
  /** Absolute path of the folder that the store lives in. */
  dataDir: string
  listeners: ListenerConfig[]
  /** What stands for all listeners that have no rules of their own. */
  access: AccessConfig
  store: StoreConfig
  limits: LimitsConfig
  devices: DeviceConfig[]
  schedules: ScheduleConfig[]
  bridges: BridgeConfig[]
  homeAssistant: HomeAssistantConfig
  metrics: MetricsConfig
  dashboard: DashboardConfig
  log: LogConfig
}

export interface ListenerConfig {
  protocol: 'mqtt' | 'mqtts' | 'ws' | 'wss' | 'unix'
  /** Name or address, an IPv6 address without its brackets; empty of `unix`. */
  host: string
  /** 0 takes any free one. */
  port: number
  /** WebSocket: the path that is answered; absent, every path is. Of `unix`: the absolute path of the socket. */
  path?: string
  /** Of `mqtts` and `wss`; paths absolute. */
  tls?: TlsConfig
  access: AccessConfig
  /** Connections that it may have; absent, what `limits` lets all together have. */
  maxConnections?: number
  /** Bytes of one packet, both ways. */
  maxPacketSize: number
  maxQos: 0 | 1 | 2
  /** MQTT 5: topic aliases that a client may use; absent, the gateway's own choice. */
  maxTopicAlias?: number
  /** Protocol levels: 3 (MQTT 3.1), 4 (3.1.1), 5. */
  versions: (3 | 4 | 5)[]
  /** Put before every topic of its clients. */
  mountPoint: string
  /** Where a client's user name comes from: its CONNECT, or its certificate. */
  usernameFrom: 'connect' | 'common_name' | 'subject'
  usernameAsClientId: boolean
  /** PROXY protocol, version 1 or 2, comes before everything else. */
  proxyProtocol: boolean
  /** WebSocket: values of the Origin header that are let in; absent, any. */
  origins?: string[]
  /** Of `unix`: mode of the socket. */
  socketMode: number
}

/** Files are PEM. */
export interface TlsConfig {
  cert?: string
  key?: string
  /** Of those who sign clients' certificates. */
  ca?: string
  /** The same, all `*.pem`, `*.crt` and hashed names in it. */
  caFolder?: string
  crl?: string
  clientCertificates: 'none' | 'optional' | 'required'
  minVersion: 'TLSv1.2' | 'TLSv1.3'
  ciphers?: string
  ciphersTls13?: string
  alpn: string[]
  /** Lines `identity:hexadecimal key`. */
  pskFile?: string
  pskHint: string
}

export interface AccessConfig {
  /** Absolute; undefined: there are no passwords. */
  passwordFile: string | undefined
  /** Absolute; in Mosquitto's syntax. Undefined: who is in may do everything. */
  aclFile: string | undefined
  /** Whether a client without a user name may come in. */
  allowAnonymous: boolean
  /** As in Mosquitto: the list is not asked about a SUBSCRIBE, only about each message that it would bring. */
  grantEverySubscription: boolean
  /** Client identifiers must begin with one of these; empty: any. */
  clientIdPrefixes: string[]
  /** Whether a client may come without an identifier and be given one. */
  allowEmptyClientId: boolean
  /** Of identifiers that are given. */
  autoIdPrefix: string
}

export interface StoreConfig {
  engine: 'level' | 'redis'
  /** Of Redis. */
  url?: string
  /** ms before a power cut that may be lost: 0 for `ack`, Infinity for `none`. */
  durability: number
  /** The first that matches a topic counts instead. */
  durabilityFor: DurabilityRuleConfig[]
  /** ms that a commit for online sessions waits, so that it can be elided. */
  commitDelay: number
  /** ms between two writes of retained messages that were published with QoS 0. */
  retainedInterval: number
  /** Bytes that stay free on the disk: below, nothing new is stored. */
  minFree: number
  /** QoS 0 messages are kept for persistent sessions that are away. */
  queueQos0: boolean
  /** Whether the wall clock is believed when it says how long the machine was off; `auto` looks for signs. */
  trustClock: 'auto' | 'always' | 'never'
}

export interface DurabilityRuleConfig {
  /** Topic filter. */
  filter: string
  /** As `durability`. */
  window: number
}

export interface LimitsConfig {
  /** Bytes of one packet, both ways. */
  maxPacketSize: number
  /** QoS > 0 messages sent and not acknowledged, per session. */
  maxInflight: number
  /** QoS > 0 messages received and not acknowledged yet, per session. */
  receiveMaximum: number
  /** QoS > 0 messages waiting, per session. */
  maxQueuedMessages: number
  /** Bytes of QoS > 0 messages waiting, per session. */
  maxQueuedBytes: number
  /** ms that a message may wait for a session; Infinity for ever. */
  maxQueuedAge: number
  /** Messages and bytes that wait for all sessions together. */
  maxTotalMessages: number
  maxTotalBytes: number
  /** What gives way at these limits. */
  overflow: 'drop-oldest' | 'drop-newest' | 'reject'
  /** Bytes handed to a socket that has not taken them; QoS 0 beyond is dropped. */
  maxUnsent: number
  /** ms in which a new connection must have sent its CONNECT. */
  connectTimeout: number
  /** ms; a client that asks for a longer keepalive, or none, is refused. 0 = no limit. */
  maxKeepalive: number
  maxTopicLevels: number
  /** MQTT 5: refuse a payload that is said to be UTF-8 and is not. */
  checkPayloadFormat: boolean
  maxConnections: number
  /** Connections from one address, IPv6 by its first 64 bits; those from this machine do not count. */
  maxConnectionsPerAddress: number
  /** Connections whose CONNECT has not come. */
  maxHalfOpen: number
  /** Bytes of QoS > 0 messages sent and not acknowledged, per session; Infinity for any. */
  maxInflightBytes: number
  /** Per session. */
  maxSubscriptions: number
  /** MQTT 5; per packet. */
  maxUserProperties: number
  /** PUBLISH packets a second that are read from one client; 0 = no limit. */
  maxPublishRate: number
  /** PUBLISH packets that are read at once, when the client was silent before. */
  publishBurst: number
  /** Bytes that all connections together may make the gateway hold in memory. */
  memory: number
  /** ms that a session outlives its connection; Infinity for ever. */
  maxSessionExpiry: number
  /** Sessions with and without a connection; Infinity for any number. */
  maxSessions: number
  /** Whether clients may have messages retained. */
  retainAvailable: boolean
}

export interface HomeAssistantConfig {
  enabled: boolean
  /** Announcements go below it. */
  prefix: string
  /** Where Home Assistant says `online` when it has started. */
  birthTopic: string
}

export interface MetricsConfig {
  /** ms between two publications below `$SYS/broker/`; 0 for none. */
  sysInterval: number
  /** Where /metrics and /healthz are answered; absent, nowhere. */
  listen?: { host: string; port: number }
  /** Absolute; its users may read them. With neither this nor a token, everybody may. */
  passwordFile?: string
  bearerToken?: string
}

/** The web page. */
export interface DashboardConfig {
  /** Absent, there is none. */
  listen?: { host: string; port: number }
  /** Nobody has named the address: if another program has it, the gateway goes without. */
  isDefault: boolean
  /** Absolute; a password file. Absent: nobody logs in, and only this machine reaches it. */
  users?: string
  /** PEM; absolute. */
  tls?: { cert: string; key: string }
  /** Names that it is called by, besides those of this machine. */
  names: string[]
}

export interface LogConfig {
  level: LogLevel
  format: LogFormat
  /** Lines of this level and above are published below `$SYS/broker/log/`; absent, none. */
  topics?: 'info' | 'warn' | 'error'
}

export type ValueConfig = number | string | boolean

/** What the owner wants done to a value, and what it is. */
export interface ShapeConfig {
  /** A number becomes `value * scale + offset`, rounded to `round` decimals. */
  scale: number
  offset: number
  round: number | undefined
  /** Values that are replaced, by their text; `default` stands for all others. */
  map?: Record<string, ValueConfig>
  deadband?: DeadbandConfig
  unit?: string
  deviceClass?: string
  stateClass?: 'measurement' | 'total' | 'total_increasing'
}

export interface DeadbandConfig {
  /** What a value must move by to be published; a part of it when `relative`. */
  by: number
  relative: boolean
}

/** All times in ms. */
export interface PacingConfig {
  minInterval?: number
  maxInterval?: number
  window?: { every: number; of: 'average' | 'min' | 'max' | 'median' | 'sum' | 'last' }
}

export interface FieldConfig extends ShapeConfig, PacingConfig {
  /** What it is called when it is published. */
  name?: string
}

/** What devices and their parts have in common. */
export interface ThingConfig extends PacingConfig {
  name: string
  /** One or more levels of the topic, such as `Kitchen` or `Cellar/Pantry`. */
  room: string
  topic: string
  /** Absent, `<topic>/availability`. */
  availabilityTopic?: string
  qos: 0 | 1
  retain: boolean
  /** Several named values: as one JSON object on the topic, or each on `<topic>/<field>`. */
  publish: 'json' | 'fields'
  /** The one of several named values that is published, by itself. */
  value?: string
  /** Where messages tell their time and number. */
  stamp?: 'none' | 'json' | 'properties'
  /** ms without a reading after which it counts as offline. */
  staleAfter?: number
  shape: ShapeConfig
  /** By the names that the source gives; `*` for all others. */
  fields?: Record<string, FieldConfig | 'drop'>
}

export interface DeviceCommon extends ThingConfig {
  /** Absent, `<topic>/set` and `<topic>/error`. */
  commandTopic?: string
  errorTopic?: string
  parts?: PartConfig[]
  /** What becomes of readings that no part matches. */
  others?: 'publish' | 'drop'
}

export interface PartConfig extends ThingConfig {
  /** What named values must be, as text. */
  when: Record<string, string[]>
}

export type DeviceConfig =
  | (DeviceCommon & { kind: 'serial'; settings: SerialConfig })
  | (DeviceCommon & { kind: 'gpio'; settings: GpioConfig })
  | (DeviceCommon & { kind: 'file'; settings: FileConfig })
  | (DeviceCommon & { kind: 'system'; settings: SystemConfig })

interface ScheduleCommon {
  name?: string
  /** Five fields, or six with seconds first. */
  cron: string
  /** IANA name such as `Europe/Berlin`; absent, the machine's own. */
  timezone?: string
  /** ms; each run is later by a random time up to this. */
  jitter?: number
  /** Only while the wall clock is known to be right. */
  whenSynced?: boolean
  /** Times that passed while the machine slept. */
  missed?: 'once' | 'skip'
}

export type ScheduleConfig =
  | (ScheduleCommon & { poll: string })
  | (ScheduleCommon & { publish: PublishConfig })
  | (ScheduleCommon & { set: { device: string; value: string } })

export interface PublishConfig {
  topic: string
  payload: string
  qos: 0 | 1 | 2
  retain: boolean
}
