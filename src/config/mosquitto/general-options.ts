/** Options of mosquitto.conf that apply to the whole broker: limits, persistence, the log, the process. */
import { DEFAULT_LOG_TYPES, LOG_TYPES, type LogType } from './draft.ts'
import { type At, bounded, ignored, key, named, type Option, onlyAs, option } from './option.ts'
import { atLeast, ConfFault, expiration, flag, invalid, oneOf, text, whole, word } from './values.ts'

const KIB = 2 ** 10
const MIB = 2 ** 20
const GIB = 2 ** 30
/** As many as `larder.yaml` takes for what Mosquitto calls no limit. */
const MANY_MESSAGES = 100_000_000
const MANY_CONNECTIONS = 1_000_000
const MANY_SESSIONS = 100_000_000
/** Seconds in a hundred years, the longest that `larder.yaml` takes. */
const MAX_EXPIRATION = 36_500 * 86_400
const MAX_UINT16 = 65_535
/** Largest payload that MQTT allows, in bytes. */
const MAX_PAYLOAD = 268_435_455
const MAX_PACKET = 256 * MIB
/** Bytes of a PUBLISH around its payload: the topic has 64 KiB at most, the properties some more. */
const AROUND_PAYLOAD = 128 * KIB

const storeOf = ({ draft }: At) => draft.store
const limitsOf = ({ draft }: At) => draft.limits

const ALREADY_DURABLE = 'is not needed: what is acknowledged is on disk at once'
const ONLY_LWS = 'is not needed: it is a setting of a library that is not used here'

export const LIMIT_OPTIONS: Readonly<Record<string, Option>> = {
  max_inflight_messages: key(
    whole(-1, MAX_UINT16, () => 'max_inflight_messages must be <= 65535.'),
    limitsOf,
    'max_inflight',
    count => (count < 1 ? MAX_UINT16 : count),
  ),
  max_inflight_bytes: option(atLeast(0), (bytes, at) => {
    const { number, notice } = bounded(bytes, 0, GIB)
    at.draft.limits.set('max_inflight_bytes', number, at.place)
    return notice
  }),
  max_queued_messages: option(atLeast(0), (count, at) => {
    const { number, notice } = bounded(count === 0 ? MANY_MESSAGES : count, 1, MANY_MESSAGES)
    at.draft.limits.set('max_queued_messages', number, at.place)
    return notice
  }),
  max_queued_bytes: option(atLeast(0), (bytes, at) => {
    if (bytes === 0) return 'is not without a limit here: 256 MiB may wait for one client'
    const { number, notice } = bounded(bytes, KIB, 1024 * 1024 * MIB)
    at.draft.limits.set('max_queued_bytes', number, at.place)
    return notice
  }),
  max_packet_size: option(
    whole(20, 2 ** 31 - 1, written => `Invalid max_packet_size value (${written}).`),
    (bytes, at) => {
      const { number, notice } = bounded(bytes, KIB, MAX_PACKET)
      at.draft.limits.set('max_packet_size', number, at.place)
      return notice
    },
  ),
  message_size_limit: option(whole(0, MAX_PAYLOAD), (bytes, at) => {
    if (bytes === 0) return
    at.draft.messageSizeLimit = { bytes: Math.min(bytes + AROUND_PAYLOAD, MAX_PACKET), place: at.place }
    return 'is taken as a limit of packets: who sends a larger one is disconnected (max_packet_size says the same)'
  }),
  max_keepalive: option(whole(0, MAX_UINT16), (seconds, at) => {
    if (seconds !== 0 && seconds !== MAX_UINT16) at.draft.limits.set('max_keepalive', `${seconds}s`, at.place)
  }),
  global_max_connections: option(whole(-(2 ** 31), 2 ** 31 - 1), (count, at) => {
    if (count < 0) return
    const { number, notice } = bounded(count, 1, MANY_CONNECTIONS)
    at.draft.limits.set('max_connections', number, at.place)
    return notice
  }),
  global_max_clients: option(whole(-(2 ** 31), 2 ** 31 - 1), (count, at) => {
    if (count < 0) return
    const { number, notice } = bounded(count, 1, MANY_SESSIONS)
    at.draft.limits.set('max_sessions', number, at.place)
    return notice
  }),
  memory_limit: option(whole(0, 2 ** 53 - 1), (bytes, at) => {
    if (bytes === 0) return
    at.draft.limits.set('memory', bounded(bytes, MIB, 1024 * GIB).number, at.place)
    return 'limits what connections make the gateway hold, from 1 MiB on: the program itself is not counted'
  }),
  queue_qos0_messages: key(flag, storeOf, 'queue_qos0'),
  persistent_client_expiration: option(expiration, (seconds, at) => {
    at.draft.limits.set('max_session_expiry', `${Math.min(seconds, MAX_EXPIRATION)}s`, at.place)
    return seconds > MAX_EXPIRATION ? 'is taken as 100 years' : undefined
  }),
  retain_available: key(flag, limitsOf, 'retain_available'),
  retain_expiry_interval: named(
    whole(1, 2 ** 31 - 1, () => 'retain_expiry_interval must be >= 1.'),
    'is not needed: a retained message whose time is over is removed within seconds',
  ),
  check_retain_source: onlyAs(
    flag,
    true,
    'is not honoured: who may read a topic is asked when a retained message is sent, who wrote it is not',
  ),
  upgrade_outgoing_qos: onlyAs(flag, false, 'is not honoured: the standard forbids it [MQTT-3.8.4-6]'),
  set_tcp_nodelay: onlyAs(flag, true, 'is always true here: packets of one turn are written at once'),
  allow_duplicate_messages: named(flag, 'is not needed: overlapping subscriptions give one message, as MQTT allows'),
  packet_buffer_size: ignored('is not needed: buffers grow as packets need them'),
  packet_max_auth: ignored('is not honoured: before it is let in, a client may send 256 KiB'),
  packet_max_connect: ignored('is not honoured: before it is let in, a client may send 256 KiB'),
  packet_max_sub: ignored('is not honoured: max_packet_size limits all packets'),
  packet_max_simple: ignored('is not honoured: max_packet_size limits all packets'),
  sys_interval: key(
    whole(0, MAX_UINT16),
    ({ draft }) => draft.metrics,
    'sys_interval',
    seconds => `${seconds}s`,
  ),
}

export const PERSISTENCE_OPTIONS: Readonly<Record<string, Option>> = {
  persistence: option(flag, setPersistence),
  retained_persistence: option(flag, setPersistence),
  persistence_location: option(text, (path, at) => {
    if (at.draft.persistenceLocation !== undefined) throw duplicate(at)
    at.draft.persistenceLocation = { path: at.path(path), place: at.place }
  }),
  persistence_file: option(text, (name, at) => {
    if (at.draft.persistenceFile !== undefined) throw duplicate(at)
    at.draft.persistenceFile = { name, place: at.place }
    if (name !== 'mosquitto.db') return 'names a folder here, beside which Mosquitto would write that file'
    return
  }),
  autosave_interval: named(atLeast(0), ALREADY_DURABLE),
  autosave_on_changes: named(flag, ALREADY_DURABLE),
}

function setPersistence(isOn: boolean, { draft, place }: At): void {
  draft.persistence = { isOn, place }
}

const FACILITY = whole(0, 7)

export const LOG_OPTIONS: Readonly<Record<string, Option>> = {
  log_dest: option(logDestination, ({ destination, file }, { draft, place, path }) => {
    const destinations = draft.log.destinations ?? []
    switch (destination) {
      case 'none':
        draft.log.destinations = []
        return
      case 'syslog':
      case 'dlt':
        draft.log.destinations = [...new Set([...destinations, 'stderr' as const])]
        return `${destination} is not honoured: the log goes to stderr, which systemd keeps in its journal`
      case 'file':
        if (draft.log.file !== undefined) throw new ConfFault(`Duplicate "${place.option} file" value.`)
        draft.log.file = path(file as string)
    }
    draft.log.destinations = [...new Set([...destinations, destination])]
    return
  }),
  log_type: option(oneOf('none', 'all', ...LOG_TYPES), (type, { draft: { log } }) => {
    if (type === 'none') log.types = []
    else log.types = type === 'all' ? LOG_TYPES : [...new Set<LogType>([...(log.types ?? []), type])]
  }),
  log_timestamp: option(flag, (isOn, { draft }) => {
    draft.log.timestamp = isOn
  }),
  log_timestamp_format: option(text, (format, at) => {
    if (at.draft.log.timestampFormat !== undefined) throw duplicate(at)
    at.draft.log.timestampFormat = format
  }),
  log_facility: named(FACILITY, 'is not honoured: the log goes to stderr, which systemd keeps in its journal'),
  connection_messages: option(flag, (isOn, { draft }) => {
    draft.log.connectionMessages = isOn
  }),
  websockets_log_level: ignored(ONLY_LWS),
  websockets_headers_size: ignored('is not needed: the head of an upgrade request may have 16 KiB'),
}

type Destination = 'none' | 'syslog' | 'dlt' | 'stdout' | 'stderr' | 'topic' | 'file'

function logDestination(rest: string, name: string): { destination: Destination; file?: string } {
  const written = word(rest, name)
  if (written === 'file') {
    const file = rest.trim().slice(written.length).trim()
    if (file === '') throw new ConfFault(`Empty "${name} file" value in configuration.`)
    return { destination: 'file', file }
  }
  const known = ['none', 'syslog', 'dlt', 'stdout', 'stderr', 'topic'] as const
  const destination = known.find(each => each === written)
  if (destination === undefined) throw invalid(name, written)
  return { destination }
}

export const PROCESS_OPTIONS: Readonly<Record<string, Option>> = {
  pid_file: option(text, (path, at) => {
    if (at.draft.pidFile !== undefined) throw duplicate(at)
    at.draft.pidFile = at.path(path)
  }),
  user: option(text, (user, { draft }) => {
    draft.user = user
  }),
  enable_control_api: onlyAs(flag, false, 'is not honoured: there is no $CONTROL'),
  retry_interval: ignored('is no longer available, as in Mosquitto: MQTT repeats a message when a client comes back'),
  store_clean_interval: ignored('is no longer available, as in Mosquitto: nothing is left over that needs it'),
}

/** The level of our own log that gives about what the types of Mosquitto's give. */
export function levelOf(types: readonly LogType[] = DEFAULT_LOG_TYPES): 'debug' | 'info' | 'warn' | 'error' {
  if (types.includes('debug')) return 'debug'
  if (types.includes('information') || types.includes('notice')) return 'info'
  return types.includes('warning') ? 'warn' : 'error'
}

export function duplicate({ place }: At): ConfFault {
  return new ConfFault(`Duplicate ${place.option} value in configuration.`)
}
