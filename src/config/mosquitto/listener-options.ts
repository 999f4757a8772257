/** Options of mosquitto.conf that belong to a listener: where it listens, its limits, its TLS, who may come in. */
import { createListener, type ListenerDraft } from './draft.ts'
import { duplicate } from './general-options.ts'
import {
  type At,
  accessOf,
  bounded,
  ignored,
  key,
  listenerOf,
  named,
  type Option,
  onlyAs,
  option,
  ownListenerOf,
} from './option.ts'
import { anything, ConfFault, flag, oneOf, text, whole, word, words } from './values.ts'

const MAX_UINT16 = 65_535
const MAX_CONNECTIONS = 1_000_000
/** Characters of an automatic client identifier's prefix, as in Mosquitto 2.1. */
const MAX_AUTO_ID_PREFIX = 50

const port = whole(1, MAX_UINT16, written => `Invalid port value (${written}).`)
const keysOf = (at: At) => listenerOf(at).keys
const tlsOf = (at: At) => listenerOf(at).tls
const absolute = (written: string, at: At) => at.path(written)

const NO_ENGINE = 'is not honoured: keys are read from PEM files'

export const LISTENER_OPTIONS: Readonly<Record<string, Option>> = {
  listener: option(anything, (rest, at) => {
    at.cursor.listener = openListener(rest, at)
  }),
  port: option(port, (number, at) => {
    const { draft, place } = at
    const again = draft.defaultListener.keys.has('port')
    draft.defaultListenerPlace = place
    draft.defaultListener.port = number
    draft.defaultListener.keys.set('port', number, place)
    at.cursor.listener = draft.defaultListener
    return again ? 'is given more than once: only the latest will be used' : undefined
  }),
  bind_address: option(word, (host, at) => {
    const { draft, place } = at
    if (draft.defaultListener.host !== undefined) {
      throw new ConfFault('Duplicate default listener bind_address value in configuration.')
    }
    draft.defaultListenerPlace = place
    draft.defaultListener.host = host
  }),
  bind_interface: option(text, (name, at) => {
    listenerOf(at).networkInterface = { name, place: at.place }
  }),
  socket_domain: option(
    (rest, name) => {
      const written = word(rest, name)
      if (written === 'ipv4' || written === 'ipv6') return written
      throw new ConfFault(`Invalid socket_domain value "${written}" in configuration.`)
    },
    (domain, at) => {
      listenerOf(at).domain = domain
    },
  ),
  protocol: option(oneOf('mqtt', 'websockets', 'http_api'), (protocol, at) => {
    listenerOf(at).protocol = protocol
    return protocol === 'http_api' ? 'http_api is not honoured: this listener is not opened' : undefined
  }),
  http_dir: ignored('is not honoured: files are not served'),
  mount_point: option(text, (prefix, at) => {
    const { draft, cursor, place } = at
    if (cursor.listener === draft.defaultListener) {
      throw new ConfFault(
        'You must use create a listener before using the mount_point option in the configuration file.',
      )
    }
    if (/[+#]/.test(prefix)) {
      throw new ConfFault(`Invalid mount_point '${prefix}'. Does it contain a wildcard character?`)
    }
    cursor.listener.keys.set('mount_point', prefix, place)
  }),
  max_connections: option(whole(-(2 ** 31), 2 ** 31 - 1), (count, at) => {
    if (count < 0) return
    if (count === 0) return '0 is no limit, as in Mosquitto; close a listener by removing it'
    const { number, notice } = bounded(count, 1, MAX_CONNECTIONS)
    listenerOf(at).keys.set('max_connections', number, at.place)
    return notice
  }),
  max_qos: maxQos(),
  maximum_qos: maxQos(),
  max_topic_alias: key(
    whole(0, MAX_UINT16, () => 'Invalid max_topic_alias value in configuration.'),
    keysOf,
    'max_topic_alias',
  ),
  max_topic_alias_broker: named(
    whole(0, MAX_UINT16, () => 'Invalid max_topic_alias_broker value in configuration.'),
    'is not honoured: the gateway uses as many aliases as a client offers, up to a bound of its own',
  ),
  use_username_as_clientid: key(flag, keysOf, 'username_as_client_id'),
  accept_protocol_versions: option(anything, (rest, at) => {
    const listener = ownListenerOf(at)
    const listed = rest.split(/[, \t]+/).filter(each => each !== '')
    if (listed.length === 0) throw new ConfFault('Empty accept_protocol_versions value in configuration.')
    const unknown = listed.find(each => !(each in VERSIONS))
    if (unknown !== undefined) throw new ConfFault(`Invalid accept_protocol_versions value (${unknown}).`)
    listener.keys.set(
      'versions',
      [...new Set(listed)].map(each => VERSIONS[each] as string),
      at.place,
    )
  }),
  websockets_origin: option(text, (origin, at) => {
    const { keys } = listenerOf(at)
    keys.set('origins', [...((keys.get('origins') as string[] | undefined) ?? []), origin], at.place)
  }),
  enable_proxy_protocol: option(
    whole(1, 2, () => 'enable_proxy_protocol must be 1 or 2.'),
    (_, at) => {
      ownListenerOf(at).keys.set('proxy_protocol', true, at.place)
      return 'takes both versions of the PROXY protocol'
    },
  ),
  proxy_protocol_v2_require_tls: option(flag, isRequired => {
    if (isRequired)
      throw new ConfFault(
        'proxy_protocol_v2_require_tls cannot be honoured: the PROXY header is not asked for TLS. Set it to false, or require TLS in the proxy.',
      )
  }),
}

export const TLS_OPTIONS: Readonly<Record<string, Option>> = {
  cafile: option(text, (file, at) => {
    forbidPsk(at)
    tlsOf(at).set('ca', at.path(file), at.place)
  }),
  capath: key(text, tlsOf, 'ca_folder', absolute),
  certfile: option(text, (file, at) => {
    forbidPsk(at)
    tlsOf(at).set('cert', at.path(file), at.place)
  }),
  keyfile: key(text, tlsOf, 'key', absolute),
  crlfile: key(text, tlsOf, 'crl', absolute),
  ciphers: key(text, tlsOf, 'ciphers'),
  'ciphers_tls1.3': key(text, tlsOf, 'ciphers_tls13'),
  tls_version: option(oneOf('tlsv1.3', 'tlsv1.2', 'tlsv1.1', 'tlsv1'), (version, at) => {
    const isOld = version === 'tlsv1.1' || version === 'tlsv1'
    tlsOf(at).set('min_version', version === 'tlsv1.3' ? 'TLSv1.3' : 'TLSv1.2', at.place)
    return isOld ? `${version} is not honoured: it is broken, so TLS 1.2 is the oldest that is taken` : undefined
  }),
  require_certificate: option(flag, (isRequired, at) => {
    if (isRequired) tlsOf(at).set('client_certificates', 'required', at.place)
    else tlsOf(at).delete('client_certificates')
  }),
  use_identity_as_username: option(flag, (isOn, at) => {
    if (isOn) listenerOf(at).identityAsUsername = at.place
  }),
  use_subject_as_username: option(flag, (isOn, at) => {
    if (isOn) listenerOf(at).subjectAsUsername = at.place
  }),
  psk_hint: option(text, (hint, at) => {
    const { tls } = listenerOf(at)
    if (tls.has('cert') || tls.has('ca')) {
      throw new ConfFault('Cannot use both certificate and psk encryption in a single listener.')
    }
    tls.set('psk_hint', hint, at.place)
  }),
  dhparamfile: ignored('is not needed: the key exchange chooses its parameters by itself'),
  disable_client_cert_date_checks: onlyAs(flag, false, 'is not honoured: a certificate that has expired is refused'),
  tls_engine: named(text, NO_ENGINE),
  tls_engine_kpass_sha1: named(text, NO_ENGINE),
  tls_keyform: option(oneOf('pem', 'engine'), form => {
    if (form === 'engine') throw new ConfFault('tls_keyform engine cannot be honoured: keys are read from PEM files.')
  }),
}

export const ACCESS_OPTIONS: Readonly<Record<string, Option>> = {
  allow_anonymous: key(flag, accessOf, 'allow_anonymous'),
  listener_allow_anonymous: key(flag, at => ownListenerOf(at).access, 'allow_anonymous'),
  password_file: option(text, (file, at) => setFile(at, 'password_file', file)),
  acl_file: option(text, (file, at) => setFile(at, 'acl_file', file)),
  psk_file: option(text, (file, at) => setFile(at, 'psk_file', file)),
  allow_zero_length_clientid: key(flag, accessOf, 'allow_empty_client_id'),
  auto_id_prefix: option(text, (prefix, at) => accessOf(at).set('auto_id_prefix', autoId(prefix, at), at.place)),
  listener_auto_id_prefix: option(text, (prefix, at) =>
    ownListenerOf(at).access.set('auto_id_prefix', autoId(prefix, at), at.place),
  ),
  clientid_prefixes: key(
    text,
    ({ draft }) => draft.access,
    'client_id_prefixes',
    prefix => [prefix],
  ),
  per_listener_settings: option(flag, (isOn, { draft }) => {
    // Once it is true it stays so.
    if (draft.perListener || !isOn) return
    if (draft.hasSecurity) {
      throw new ConfFault('per_listener_settings must be set before any other security settings.')
    }
    draft.perListener = true
  }),
}

/** By Mosquitto's numbers, the protocol levels. */
const VERSIONS: Readonly<Record<string, string>> = { '3': '3.1', '4': '3.1.1', '5': '5' }

function openListener(rest: string, { draft, place, path }: At): ListenerDraft {
  const [first, host] = words(rest)
  if (first === undefined) throw new ConfFault('Empty listener value in configuration.')
  const number = /^\d+$/.test(first) ? Number(first) : Number.NaN
  if (!(number <= MAX_UINT16)) throw new ConfFault(`Invalid port value (${first}).`)
  const listener = createListener(place, number)
  if (number === 0) {
    if (host === undefined) throw new ConfFault('A listener with port 0 must provide a Unix socket path.')
    // The path may have spaces in it.
    listener.socket = path(rest.trim().slice(first.length).trim())
  } else if (host !== undefined) {
    listener.host = host
  }
  draft.listeners.push(listener)
  return listener
}

function maxQos(): Option {
  return key(
    whole(0, 2, () => 'max_qos must be between 0 and 2 inclusive.'),
    keysOf,
    'max_qos',
  )
}

function autoId(prefix: string, { place }: At): string {
  if (prefix.length > MAX_AUTO_ID_PREFIX)
    throw new ConfFault(`${place.option} length must be <= ${MAX_AUTO_ID_PREFIX}.`)
  return prefix
}

export function setFile(at: At, name: 'password_file' | 'acl_file' | 'psk_file', file: string): void {
  const access = accessOf(at)
  if (access.has(name)) throw duplicate(at)
  access.set(name, at.path(file), at.place)
}

function forbidPsk(at: At): void {
  if (listenerOf(at).tls.has('psk_hint')) {
    throw new ConfFault('Cannot use both certificate and psk encryption in a single listener.')
  }
}
