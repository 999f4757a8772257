/**
 * Options of a `connection`. What our bridges know is honoured; the rest is named. A row that our bridges learn to
 * honour changes from `ignored` to `option`, and nothing else does.
 */
import { type BridgeDraft, createBridge } from './draft.ts'
import { bridgeOf, named, type Option, onlyAs, option } from './option.ts'
import { Section, type Value } from './section.ts'
import {
  anything,
  atLeast,
  ConfFault,
  empty,
  flag,
  invalid,
  oneOf,
  type Read,
  text,
  whole,
  word,
  words,
} from './values.ts'

const MAX_UINT16 = 65_535
/** Seconds: longer ones are what larder.yaml calls a mistake. */
const MAX_RESTART = 3_600
const MAX_RESTART_CAP = 86_400

const CIPHERS = 'its ciphers cannot be chosen yet'

/** A row that keeps its bridge from being started: in clear text it must not go where TLS is asked for. */
function obstacle<T>(read: Read<T>, why: string): Option {
  return option(read, (_, at) => {
    bridgeOf(at).obstacle ??= why
    return `is not honoured: ${why}`
  })
}

/** Rows for which it matters that they stand below a `connection`. */
function ofBridge(row: Option): Option {
  return (rest, at) => {
    bridgeOf(at)
    return row(rest, at)
  }
}

const rows: Readonly<Record<string, Option>> = {
  address: option(anything, setAddress),
  addresses: option(anything, setAddress),
  topic: option(anything, addTopic),
  clientid: option(text, setClientId),
  remote_clientid: option(text, setClientId),
  username: option(text, setUsername),
  remote_username: option(text, setUsername),
  password: option(text, setPassword),
  remote_password: option(text, setPassword),
  keepalive_interval: option(
    whole(-(2 ** 31), MAX_UINT16, () => 'Bridge keepalive value too high.'),
    (seconds, at) => {
      bridgeOf(at).keys.set('keepalive', `${Math.max(5, seconds)}s`, at.place)
      return seconds < 5 ? 'is too low, using 5 seconds' : undefined
    },
  ),
  restart_timeout: option(anything, setRestart),
  cleansession: onlyAs(flag, false, 'is not honoured: what waits for a bridge is kept while it is away'),
  local_cleansession: onlyAs(flag, false, 'is not honoured: what waits for a bridge is kept while it is away'),
  local_clientid: named(text, 'is not needed: a bridge is no client here'),
  local_username: named(text, 'is not needed: a bridge is no client here, and carries what its topics say'),
  local_password: named(text, 'is not needed: a bridge is no client here'),
  idle_timeout: named(atLeast(1), 'is not honoured: a bridge stays connected'),
  threshold: named(atLeast(1), 'is not honoured: a bridge stays connected'),
  start_type: option(oneOf('automatic', 'lazy', 'once', 'manual'), type => {
    if (type === 'manual') throw new ConfFault('Manual start_type not supported.')
    return type === 'automatic' ? undefined : `${type} is not honoured: a bridge is connected at the start, and again`
  }),
  round_robin: option(flag, (isOn, at) => {
    if (isOn) bridgeOf(at).keys.set('round_robin', true, at.place)
  }),
  notifications: onlyAs(flag, false, 'is not honoured yet: the state of a bridge is in the log'),
  notifications_local_only: named(flag, 'is not honoured yet: the state of a bridge is in the log'),
  notification_topic: named(text, 'is not honoured yet: the state of a bridge is in the log'),
  try_private: onlyAs(flag, false, 'is not honoured yet: a bridge connects as a client'),
  bridge_attempt_unsubscribe: onlyAs(flag, false, 'is not honoured: a bridge only publishes'),
  bridge_bind_address: named(word, 'is not honoured yet: the system chooses the address'),
  bridge_max_packet_size: onlyAs(atLeast(0), 0, 'is not honoured yet: what the other broker does not take, it refuses'),
  bridge_max_topic_alias: named(
    whole(0, MAX_UINT16, () => 'bridge_max_topic_alias must be > 0 and <= 65535.'),
    'is not honoured yet: topics are sent in full',
  ),
  bridge_outgoing_retain: onlyAs(flag, true, 'is not honoured yet: retained messages leave as such'),
  bridge_protocol_version: option(oneOf('mqttv311', 'mqttv31', 'mqttv50'), (version, at) => {
    bridgeOf(at).keys.set('version', version === 'mqttv50' ? '5' : '3.1.1', at.place)
    return version === 'mqttv31' ? 'is taken as mqttv311: bridges speak nothing older' : undefined
  }),
  bridge_receive_maximum: named(
    whole(1, MAX_UINT16, () => 'bridge_receive_maximum must be greater than 0.'),
    'is not honoured yet: bridges speak MQTT 3.1.1',
  ),
  bridge_session_expiry_interval: named(
    whole(0, 2 ** 32 - 1, () => 'bridge_session_expiry_interval must not be negative.'),
    'is not honoured yet: bridges speak MQTT 3.1.1',
  ),
  bridge_tcp_keepalive: named(anything, 'is not honoured yet: keepalive_interval finds a link that is gone'),
  bridge_tcp_user_timeout: named(atLeast(0), 'is not honoured yet: keepalive_interval finds a link that is gone'),
  bridge_reload_type: onlyAs(oneOf('lazy', 'immediate'), 'lazy', 'is not honoured yet'),
  bridge_alpn: tls(text, 'alpn', name => [name]),
  bridge_cafile: tls(text, 'ca', (file, at) => at.path(file)),
  bridge_capath: obstacle(text, 'bridge_capath is not honoured yet: put the authorities into one file'),
  bridge_certfile: tls(text, 'cert', (file, at) => at.path(file)),
  bridge_keyfile: tls(text, 'key', (file, at) => at.path(file)),
  bridge_ciphers: obstacle(text, CIPHERS),
  'bridge_ciphers_tls1.3': obstacle(text, CIPHERS),
  bridge_identity: tls(text, 'psk_identity'),
  bridge_psk: tls(text, 'psk_key'),
  bridge_insecure: option(flag, (isOn, at) => {
    if (isOn) tlsOf(at).set('check_name', false, at.place)
  }),
  bridge_require_ocsp: onlyAs(flag, false, 'is not honoured: a certificate that was revoked is not noticed'),
  bridge_tls_version: option(text, (version, at) => {
    if (version === 'tlsv1.3') tlsOf(at).set('min_version', 'TLSv1.3', at.place)
    else if (version !== 'tlsv1.2') return 'is taken as tlsv1.2: bridges speak nothing older'
    return undefined
  }),
  bridge_tls_use_os_certs: option(flag, (isOn, at) => {
    if (!isOn) return
    tlsOf(at)
    return "takes the authorities that Node brings, not the system's"
  }),
}

export const BRIDGE_OPTIONS: Readonly<Record<string, Option>> = {
  connection: option(word, (name, { draft, cursor, place }) => {
    if (draft.bridges.some(bridge => bridge.name === name)) throw new ConfFault(`Duplicate bridge name "${name}".`)
    const bridge = createBridge(name, place)
    draft.bridges.push(bridge)
    cursor.bridge = bridge
    const plain = name.replace(/[^A-Za-z0-9_-]/g, '-')
    bridge.keys.set('name', plain, place)
    bridge.keys.setDefault('version', '3.1.1')
    return plain === name ? undefined : `${name} is called ${plain} here`
  }),
  ...Object.fromEntries(Object.entries(rows).map(([name, row]) => [name, ofBridge(row)])),
}

type Take = Parameters<typeof option<string>>[1]
type At = Parameters<Take>[1]

function setAddress(rest: string, at: At): void {
  const bridge = bridgeOf(at)
  if (bridge.hasAddress) throw new ConfFault('Invalid bridge configuration.')
  bridge.hasAddress = true
  const all = words(rest)
  if (all.length === 0) throw empty('address')
  for (const each of all) {
    const [, host = each, port = '1883'] = /^(.*):([^:]*)$/.exec(each) ?? []
    if (!(Number(port) >= 1 && Number(port) <= MAX_UINT16)) throw new ConfFault(`Invalid port value (${port}).`)
    const plain = host.replace(/^\[(.*)\]$/, '$1')
    bridge.addresses.push(`${plain.includes(':') ? `[${plain}]` : plain}:${Number(port)}`)
  }
  setUrls(bridge, at)
}

/** The scheme of an address follows from options that may come before or after it. */
function setUrls({ addresses, keys, tls }: BridgeDraft, at: At): void {
  const urls = addresses.map(address => `${tls === undefined ? 'mqtt' : 'mqtts'}://${address}`)
  const key = urls.length > 1 ? 'urls' : 'url'
  if (urls[0] !== undefined) keys.set(key, urls.length > 1 ? urls : urls[0], keys.placeAt(key) ?? at.place)
}

/** The bridge's `tls`; from now on it is spoken. */
function tlsOf(at: At): Section {
  const bridge = bridgeOf(at)
  if (bridge.tls === undefined) {
    bridge.tls = new Section()
    bridge.keys.set('tls', bridge.tls, at.place)
    setUrls(bridge, at)
  }
  return bridge.tls
}

/** A row that is a key of `tls`. */
function tls<T>(read: Read<T>, name: string, shape: (value: T, at: At) => Value = value => value as Value): Option {
  return option(read, (value, at) => void tlsOf(at).set(name, shape(value, at), at.place))
}

function setClientId(clientId: string, at: At): void {
  const { keys } = bridgeOf(at)
  if (keys.has('client_id')) throw new ConfFault('Duplicate bridge remote clientid value in configuration.')
  keys.set('client_id', clientId, at.place)
}

function setUsername(username: string, at: At): void {
  const { keys } = bridgeOf(at)
  if (keys.has('username')) throw new ConfFault('Duplicate bridge remote_username value in configuration.')
  keys.set('username', username, at.place)
}

function setPassword(password: string, at: At): void {
  const bridge = bridgeOf(at)
  if (bridge.password !== undefined) throw new ConfFault('Duplicate bridge remote_password value in configuration.')
  bridge.password = { password, place: at.place }
}

/** Seconds: `base cap`, or one for both. */
function setRestart(rest: string, at: At): string | undefined {
  const [first, second = first] = words(rest)
  if (first === undefined || second === undefined) throw empty('restart_timeout')
  const [base, cap] = [first, second].map(each => {
    if (!/^-?\d+$/.test(each)) throw invalid('restart_timeout', each)
    return Math.max(1, Number(each))
  }) as [number, number]
  if (cap < base) throw new ConfFault('backoff cap is lower than the base in restart_timeout.')
  const kept = { base: Math.min(base, MAX_RESTART), cap: Math.min(cap, MAX_RESTART_CAP) }
  bridgeOf(at).restart = { ...kept, place: at.place }
  return kept.base === base && kept.cap === cap ? undefined : `is taken as ${kept.base} ${kept.cap}`
}

/** `topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]`; `""` stands for nothing. */
function addTopic(rest: string, at: At): string | undefined {
  const bridge = bridgeOf(at)
  bridge.hasTopics = true
  const { pattern, others } = splitPattern(rest)
  const [direction = 'out', qos = '0', local = '', remote = ''] = others.map(each => (each === '""' ? '' : each))
  const way = direction.toLowerCase()
  if (way !== 'out' && way !== 'in' && way !== 'both') {
    throw new ConfFault(`Invalid bridge topic direction '${direction}'.`)
  }
  if (!/^[012]$/.test(qos)) throw new ConfFault(`Invalid bridge QoS level '${qos}'.`)
  if (pattern === '' && (local === '' || remote === '')) throw new ConfFault('Invalid bridge remapping.')
  if (way === 'in') return 'is not honoured yet: a bridge carries messages to the other broker, not from it'
  const rule = ruleOf(pattern, local, remote)
  if (rule === undefined) return 'is not honoured yet: a single topic cannot be given quite another name'
  const section = new Section()
  section.set('filter', rule.filter, at.place)
  section.set('qos', qos === '0' ? 0 : 1, at.place)
  if (rule.local !== '') section.set('local_prefix', rule.local, at.place)
  if (rule.remote !== '') section.set('remote_prefix', rule.remote, at.place)
  bridge.rules.push(section)
  const half = way === 'both' ? 'is honoured for out only: a bridge carries no messages from the other broker yet' : ''
  const lower = qos === '2' ? 'is carried at QoS 1: bridges have no QoS 2 yet' : ''
  return [half, lower].filter(Boolean).join('; it ') || undefined
}

/** A pattern in quotes may have spaces in it, as in Mosquitto 2.1. */
function splitPattern(rest: string): { pattern: string; others: string[] } {
  const trimmed = rest.trim()
  const [quoted, pattern] = /^"([^"]+)"/.exec(trimmed) ?? []
  if (quoted !== undefined && pattern !== undefined) {
    return { pattern, others: words(`${quoted.replaceAll(/[ #]/g, '_')}${trimmed.slice(quoted.length)}`).slice(1) }
  }
  const [first, ...others] = words(trimmed)
  if (first === undefined) throw empty('topic')
  return { pattern: first === '""' ? '' : first, others }
}

/** One topic that is renamed is a rule when both names end alike; undefined when they do not. */
function ruleOf(filter: string, local: string, remote: string) {
  if (filter !== '') return { filter, local, remote }
  const ours = local.split('/')
  const theirs = remote.split('/')
  let same = 0
  while (same < Math.min(ours.length, theirs.length) && ours.at(-1 - same) === theirs.at(-1 - same)) same++
  const end = ours.slice(ours.length - same).join('/')
  if (end === '') return undefined
  return {
    filter: end,
    local: local.slice(0, local.length - end.length),
    remote: remote.slice(0, remote.length - end.length),
  }
}
