/**
 * Options of a `connection`. What our bridges know is honoured; the rest is named. A row that our bridges learn to
 * honour changes from `ignored` to `option`, and nothing else does.
 */
import { isIP } from 'node:net'
import { type BridgeDraft, createBridge } from './draft.ts'
import { bounded, bridgeOf, key, named, type Option, onlyAs, option } from './option.ts'
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
/** Seconds. */
const DAY = 86_400
const MAX_TCP_KEEPALIVE = 32_767
const MAX_THRESHOLD = 1_000_000
/** Bytes: least and most that larder.yaml takes. */
const PACKET_SIZES = [128, 268_435_460] as const
/** A Session Expiry Interval that has no end [MQTT-3.1.2-23]. */
const FOREVER = 2 ** 32 - 1

/** Rows for which it matters that they stand below a `connection`. */
function ofBridge(row: Option): Option {
  return (rest, at) => {
    bridgeOf(at)
    return row(rest, at)
  }
}

/** A row that is a key of its bridge. */
function bridgeKey<T>(read: Read<T>, name: string, shape: (value: T) => Value = value => value as Value): Option {
  return key(read, at => bridgeOf(at).keys, name, shape)
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
  cleansession: option(flag, (isOn, at) => {
    if (!isOn) return
    bridgeOf(at).keys.set('clean_session', true, at.place)
    return 'is honoured for the other broker: what waits here for a bridge is kept while it is away'
  }),
  local_cleansession: onlyAs(flag, false, 'is not honoured: what waits for a bridge is kept while it is away'),
  local_clientid: named(text, 'is not needed: a bridge is no client here'),
  local_username: named(text, 'is not needed: a bridge is no client here, and carries what its topics say'),
  local_password: named(text, 'is not needed: a bridge is no client here'),
  idle_timeout: bridgeKey(atLeast(1), 'idle_timeout', seconds => `${Math.min(seconds, DAY)}s`),
  threshold: bridgeKey(atLeast(1), 'threshold', count => Math.min(count, MAX_THRESHOLD)),
  start_type: option(oneOf('automatic', 'lazy', 'once', 'manual'), (type, at) => {
    if (type === 'manual') throw new ConfFault('Manual start_type not supported.')
    if (type !== 'automatic') bridgeOf(at).keys.set('start_type', type, at.place)
  }),
  round_robin: option(flag, (isOn, at) => {
    if (isOn) bridgeOf(at).keys.set('round_robin', true, at.place)
  }),
  notifications: option(flag, (isOn, at) => {
    bridgeOf(at).notifications = { isOn, place: at.place }
    return isOn ? undefined : 'is honoured for the other broker: here, the state of a bridge is always told'
  }),
  notifications_local_only: option(flag, (isOn, at) => {
    bridgeOf(at).isLocalOnly = isOn
  }),
  notification_topic: bridgeKey(text, 'notification_topic'),
  try_private: bridgeKey(flag, 'try_private'),
  bridge_attempt_unsubscribe: bridgeKey(flag, 'unsubscribe'),
  bridge_bind_address: option(word, (address, at) => {
    if (isIP(address) === 0) return 'is not honoured: it is no address'
    bridgeOf(at).keys.set('bind_address', address, at.place)
    return
  }),
  bridge_max_packet_size: option(atLeast(0), (bytes, at) => {
    if (bytes === 0) return
    const { number, notice } = bounded(bytes, ...PACKET_SIZES)
    bridgeOf(at).keys.set('max_packet_size', number, at.place)
    return notice
  }),
  bridge_max_topic_alias: bridgeKey(
    whole(0, MAX_UINT16, () => 'bridge_max_topic_alias must be > 0 and <= 65535.'),
    'max_topic_alias',
  ),
  bridge_outgoing_retain: bridgeKey(flag, 'outgoing_retain'),
  bridge_protocol_version: option(oneOf('mqttv311', 'mqttv31', 'mqttv50'), (version, at) => {
    bridgeOf(at).keys.set('version', version === 'mqttv50' ? '5' : '3.1.1', at.place)
    return version === 'mqttv31' ? 'is taken as mqttv311: bridges speak nothing older' : undefined
  }),
  bridge_receive_maximum: bridgeKey(
    whole(1, MAX_UINT16, () => 'bridge_receive_maximum must be greater than 0.'),
    'receive_maximum',
  ),
  bridge_session_expiry_interval: option(
    whole(0, FOREVER, () => 'bridge_session_expiry_interval must not be negative.'),
    (seconds, at) => {
      if (seconds !== FOREVER) bridgeOf(at).keys.set('session_expiry', `${seconds}s`, at.place)
    },
  ),
  bridge_tcp_keepalive: option(anything, setTcpKeepalive),
  bridge_tcp_user_timeout: named(
    atLeast(0),
    'is not honoured: Node.js cannot set it; keepalive_interval finds a link that is gone',
  ),
  bridge_reload_type: onlyAs(
    oneOf('lazy', 'immediate'),
    'immediate',
    'is not honoured: a bridge whose lines have changed connects again at once, and what waits for it is kept',
  ),
  bridge_alpn: tls(text, 'alpn', name => [name]),
  bridge_cafile: tls(text, 'ca', (file, at) => at.path(file)),
  bridge_capath: tls(text, 'ca_folder', (folder, at) => at.path(folder)),
  bridge_certfile: tls(text, 'cert', (file, at) => at.path(file)),
  bridge_keyfile: tls(text, 'key', (file, at) => at.path(file)),
  bridge_ciphers: tls(text, 'ciphers', withOtherCiphers),
  'bridge_ciphers_tls1.3': tls(text, 'ciphers', withOtherCiphers),
  bridge_identity: tls(text, 'psk_identity'),
  bridge_psk: tls(text, 'psk_key'),
  bridge_insecure: option(flag, (isOn, at) => {
    if (isOn) tlsOf(at).set('check_name', false, at.place)
  }),
  bridge_require_ocsp: onlyAs(
    flag,
    false,
    'is not honoured: Node.js cannot check it for a client, so a certificate that was revoked is not noticed',
  ),
  bridge_tls_version: option(text, (version, at) => {
    if (version === 'tlsv1.3') tlsOf(at).set('min_version', 'TLSv1.3', at.place)
    else if (version !== 'tlsv1.2') return 'is taken as tlsv1.2: bridges speak nothing older'
    return undefined
  }),
  bridge_tls_use_os_certs: option(flag, (isOn, at) => {
    if (isOn) tlsOf(at).set('system_authorities', true, at.place)
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

/** The two lists of OpenSSL are one here. */
function withOtherCiphers(ciphers: string, at: At): string {
  const others = tlsOf(at).get('ciphers')
  return others === undefined ? ciphers : `${others}:${ciphers}`
}

/** Seconds of silence, seconds between two questions, questions. */
function setTcpKeepalive(rest: string, at: At): string | undefined {
  const written = words(rest)
  if (written.length !== 3 || !written.every(each => /^\d+$/.test(each))) {
    throw new ConfFault('Invalid bridge_tcp_keepalive parameters.')
  }
  const { number: idle } = bounded(Number(written[0]), 1, MAX_TCP_KEEPALIVE)
  bridgeOf(at).keys.set('tcp_keepalive', `${idle}s`, at.place)
  return 'is honoured in its first number: Node.js asks up to ten times then, once a second'
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
  const [first, second = first, stable] = words(rest)
  if (first === undefined || second === undefined) throw empty('restart_timeout')
  const [base, cap] = [first, second].map(each => {
    if (!/^-?\d+$/.test(each)) throw invalid('restart_timeout', each)
    return Math.max(1, Number(each))
  }) as [number, number]
  if (cap < base) throw new ConfFault('backoff cap is lower than the base in restart_timeout.')
  const kept = { base: Math.min(base, MAX_RESTART), cap: Math.min(cap, MAX_RESTART_CAP) }
  bridgeOf(at).restart = { ...kept, place: at.place }
  const isSame = kept.base === base && kept.cap === cap
  const notices = [
    ...(isSame ? [] : [`is taken as ${kept.base} ${kept.cap}`]),
    ...(stable === undefined ? [] : ['is not honoured in its third number: a connection is stable after a minute']),
  ]
  return notices.join('; ') || undefined
}

/** `topic PATTERN [out|in|both [QOS [LOCAL-PREFIX [REMOTE-PREFIX]]]]`; `""` stands for nothing. */
function addTopic(rest: string, at: At): void {
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
  const section = new Section()
  section.set('filter', pattern, at.place)
  section.set('qos', Number(qos), at.place)
  if (local !== '') section.set('local_prefix', local, at.place)
  if (remote !== '') section.set('remote_prefix', remote, at.place)
  bridge.rules[way].push(section)
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
