/**
 * What the lines of mosquitto.conf gather, before it is known which of them depend on each other: sections of
 * `larder.yaml`, the listeners and bridges with what only they know, and the habits of Mosquitto that are no
 * part of a `Config`.
 */
import { type Place, Section } from './section.ts'

export const LOG_TYPES = [
  'error',
  'warning',
  'notice',
  'information',
  'debug',
  'subscribe',
  'unsubscribe',
  'websockets',
  'internal',
] as const
export type LogType = (typeof LOG_TYPES)[number]

/** What is logged when nobody says: all that is no packet. */
export const DEFAULT_LOG_TYPES: readonly LogType[] = ['error', 'warning', 'notice', 'information']

/** How Mosquitto would log. */
export interface LogHabits {
  /** Empty: nowhere. */
  destinations: ('stdout' | 'stderr' | 'topic' | 'file')[]
  /** Absolute. */
  file?: string
  types: readonly LogType[]
  timestamp: boolean
  /** As strftime(3) takes it; absent, seconds since 1970. */
  timestampFormat?: string
  connectionMessages: boolean
}

export interface Habits {
  log: LogHabits
  /** Absolute. */
  pidFile?: string
  /** Whom to become when started as root. */
  user?: string
  /** Only this machine reaches it, because no listener is configured. */
  isLocalOnly: boolean
  /** `persistence false`: nothing outlives the process. */
  isVolatile: boolean
}

/** One line for the owner: an option that is not honoured, or not as Mosquitto does it, and why. */
export interface Notice {
  readonly place: Place
  readonly message: string
}

export interface ListenerDraft {
  /** Undefined of the default listener. */
  readonly place: Place | undefined
  port: number
  host?: string
  /** Path of a Unix socket. */
  socket?: string
  protocol: 'mqtt' | 'websockets' | 'http_api'
  domain?: 'ipv4' | 'ipv6'
  networkInterface?: { name: string; place: Place }
  /** Where the user name comes from, in Mosquitto's order of importance. */
  identityAsUsername?: Place
  subjectAsUsername?: Place
  /** Keys of an entry below `listeners`. */
  readonly keys: Section
  readonly tls: Section
  readonly access: Section
}

export interface BridgeDraft {
  readonly name: string
  readonly place: Place
  readonly keys: Section
  /** Its topics. */
  readonly rules: Readonly<Record<'out' | 'in' | 'both', Section[]>>
  /** `host:port` of each, as a URL has them. */
  readonly addresses: string[]
  /** There with the first option that asks for TLS. */
  tls?: Section
  hasTopics: boolean
  hasAddress: boolean
  /** `false`: nobody, or only this broker, is told of its state. */
  notifications?: { isOn: boolean; place: Place }
  isLocalOnly?: boolean
  restart?: { base: number; cap: number; place: Place }
  password?: { password: string; place: Place }
}

/** Where in a file we are: what a line applies to. */
export interface Cursor {
  listener: ListenerDraft
  bridge: BridgeDraft | undefined
  plugin: 'password_file' | 'acl_file' | 'other' | undefined
}

export class Draft {
  readonly store = new Section()
  readonly limits = new Section()
  readonly metrics = new Section()
  readonly access = new Section()
  readonly root = new Section()
  readonly listeners: ListenerDraft[] = []
  /** The one that `port` and options before the first `listener` speak of. */
  readonly defaultListener = createListener(undefined, 1883)
  /** Undefined: nothing speaks of the default listener. */
  defaultListenerPlace: Place | undefined
  readonly bridges: BridgeDraft[] = []
  readonly notices: Notice[] = []
  readonly log: { -readonly [K in keyof LogHabits]?: LogHabits[K] } = {}
  perListener = false
  /** A security option was met: `per_listener_settings` comes too late then. */
  hasSecurity = false
  persistence: { isOn: boolean; place: Place } | undefined
  persistenceFile: { name: string; place: Place } | undefined
  persistenceLocation: { path: string; place: Place } | undefined
  pidFile: string | undefined
  user: string | undefined
  messageSizeLimit: { bytes: number; place: Place } | undefined

  createCursor(): Cursor {
    return { listener: this.defaultListener, bridge: undefined, plugin: undefined }
  }
}

export function createBridge(name: string, place: Place): BridgeDraft {
  const rules = { out: [], in: [], both: [] }
  return { name, place, keys: new Section(), rules, addresses: [], hasTopics: false, hasAddress: false }
}

export function createListener(place: Place | undefined, port: number): ListenerDraft {
  return { place, port, protocol: 'mqtt', keys: new Section(), tls: new Section(), access: new Section() }
}
