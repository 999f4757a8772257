/** The way to a bridge's upstream: its addresses, TLS, proxy, and the version of MQTT. A preset fills in what is not written. */
import { isIP } from 'node:net'
import * as v from 'valibot'
import { type Address, address } from './addresses.ts'
import { applyPreset, PRESET_NAMES } from './presets.ts'
import type { UpstreamTlsConfig } from './schema.ts'
import { likelySpelling } from './spelling.ts'
import { isMap, list, map, type Report } from './structure.ts'
import { topicName } from './topics.ts'
import { choice, duration, flag, Refusal, type Schema, size, text, value, whole } from './values.ts'

const PROTOCOLS = ['mqtt', 'mqtts', 'ws', 'wss'] as const
const EXAMPLE = 'mqtt://broker.example.org:1883'
const PROXY_EXAMPLE = 'http://proxy.example.org:3128'

const DAY = 86_400_000
/** Seconds of a Session Expiry Interval that is not for ever (MQTT 5 §3.1.2.11.2). */
const MAX_SESSION_EXPIRY = 0xffff_fffe
/** Bytes of the largest packet that MQTT knows (MQTT 3.1.1 §2.2.3), with its first five. */
const MAX_PACKET = 268_435_460
/** Bytes: a short topic and a reading fit. */
const MIN_PACKET = 128
const MAX_UINT16 = 65_535
/** Seconds of TCP's keepalive on Linux. */
const MAX_TCP_KEEPALIVE = 32_767

const upstream = () => address({ protocols: PROTOCOLS, minPort: 1, example: EXAMPLE })

/** Keys of a bridge that speak of its connection; `finishConnection` says what they come to. */
export function connectionEntries() {
  return {
    preset: v.exactOptional(choice(PRESET_NAMES)),
    url: v.exactOptional(upstream()),
    urls: v.exactOptional(list(upstream(), { example: EXAMPLE, min: 1 })),
    round_robin: v.exactOptional(flag()),
    version: v.optional(choice(['auto', '5', '3.1.1']), 'auto'),
    tls: v.exactOptional(tls()),
    proxy: v.exactOptional(proxy()),
    connect_timeout: v.exactOptional(duration({ min: 1_000, max: 300_000, example: '30s' })),
    start_type: v.exactOptional(choice(['automatic', 'lazy', 'once'])),
    threshold: v.exactOptional(whole({ min: 1, max: 1_000_000, example: 10 })),
    idle_timeout: v.exactOptional(duration({ min: 1_000, max: DAY, example: '60s' })),
    max_wait: v.exactOptional(duration({ min: 1_000, max: 30 * DAY, example: '1h' })),
    bind_address: v.exactOptional(text({ example: '192.168.1.10', fault: addressFault })),
    tcp_keepalive: v.exactOptional(
      duration({ min: 1_000, max: MAX_TCP_KEEPALIVE * 1_000, example: '60s', seconds: true }),
    ),
    try_private: v.exactOptional(flag()),
    clean_session: v.exactOptional(flag()),
    session_expiry: v.exactOptional(
      duration({ min: 0, max: MAX_SESSION_EXPIRY * 1_000, example: '7d', seconds: true }),
    ),
    receive_maximum: v.exactOptional(whole({ min: 1, max: MAX_UINT16, example: 200 })),
    max_topic_alias: v.exactOptional(whole({ min: 0, max: MAX_UINT16, example: 32 })),
    max_packet_size: v.exactOptional(size({ min: MIN_PACKET, max: MAX_PACKET, example: '128KiB' })),
    max_qos: v.exactOptional(choice([0, 1, 2])),
    outgoing_retain: v.exactOptional(flag()),
    unsubscribe: v.exactOptional(flag()),
    notification_topic: v.exactOptional(topicName('gateway/cloud')),
  }
}

interface Written {
  preset?: string
  url?: Address
  urls?: Address[]
}

export function finishConnection<T extends Written>({ preset: _, url, urls, ...rest }: T) {
  const written = (urls ?? [url as Address]).map(withPath)
  return { ...rest, url: written[0] as string, ...(written.length > 1 ? { urls: written } : {}) }
}

/** Faults between the keys of `connectionEntries`. */
export function checkConnection(written: Record<string, unknown>, report: Report): void {
  const isMisspelt = Object.keys(written).some(key => likelySpelling(key, ['url', 'urls']) !== undefined)
  if (!('url' in written) && !('urls' in written)) {
    if (!isMisspelt) report(`is required, such as url: ${EXAMPLE}`, ['url'], 'missing')
    return
  }
  if ('url' in written && 'urls' in written) report('has the first address already: leave out url', ['urls'])
  const all = 'urls' in written ? written.urls : [written.url]
  const protocols = Array.isArray(all) ? all.flatMap(each => (isMap(each) ? [each.protocol] : [])) : []
  if ('tls' in written && protocols.length > 0 && !protocols.some(each => each === 'mqtts' || each === 'wss')) {
    report(`is only for mqtts:// and wss://, and this is ${protocols[0]}://`, ['tls'])
  }
  if (written.round_robin === true && protocols.length === 1)
    report('needs urls with several addresses', ['round_robin'])
  checkStart(written, report)
  checkVersion(written, report)
  checkQos(written, report)
}

const OF_LAZY = ['threshold', 'idle_timeout', 'max_wait'] as const

function checkStart(written: Record<string, unknown>, report: Report): void {
  if (written.start_type !== 'lazy') {
    for (const key of OF_LAZY) if (key in written) report('is only for start_type: lazy', [key])
    return
  }
  // Nothing would ever wait for it.
  if ([...rulesOf(written, ['out', 'both'])].length === 0) {
    report('cannot be lazy: that connects when something waits to go out, and there is no rule in out or both', [
      'start_type',
    ])
  }
}

const OF_MQTT_5 = ['session_expiry', 'receive_maximum', 'max_topic_alias'] as const

function checkVersion(written: Record<string, unknown>, report: Report): void {
  for (const key of OF_MQTT_5) {
    if (written.version === '3.1.1' && key in written) report('is of MQTT 5, and version is 3.1.1', [key])
  }
  if (written.clean_session === true && 'session_expiry' in written) {
    report('is not used with clean_session: true', ['session_expiry'])
  }
}

/** Lowered without a word, a rule would promise what it does not keep. */
function checkQos({ max_qos: max, preset, ...written }: Record<string, unknown>, report: Report): void {
  if (typeof max !== 'number') return
  const why = typeof preset === 'string' ? `${preset} takes no more` : 'max_qos allows no more'
  for (const { qos, keys } of rulesOf(written, ['out', 'in', 'both'])) {
    if (typeof qos === 'number' && qos > max) report(`must be at most ${max}: ${why}`, keys)
  }
}

function* rulesOf(written: Record<string, unknown>, ways: readonly string[]) {
  for (const way of ways) {
    const rules = written[way]
    for (const [index, rule] of Array.isArray(rules) ? rules.entries() : []) {
      yield { qos: isMap(rule) ? rule.qos : undefined, keys: [way, index, 'qos'] }
    }
  }
}

function addressFault(address: string): string | undefined {
  return isIP(address) === 0 ? 'must be an address of this machine, such as 192.168.1.10' : undefined
}

/** Fills in what the preset of a bridge says, before its keys are read. */
export function withPreset<T>(schema: Schema<T>): Schema<T> {
  return v.pipe(v.unknown(), v.transform(applyPreset), schema) as Schema<T>
}

function tls(): Schema<UpstreamTlsConfig> {
  const check = (written: Record<string, unknown>, report: Report) => {
    const has = (key: string) => key in written
    if (has('cert') !== has('key')) report('cert and key belong together', [has('cert') ? 'cert' : 'key'])
    if (has('psk_identity') !== has('psk_key')) {
      report('psk_identity and psk_key belong together', [has('psk_identity') ? 'psk_identity' : 'psk_key'])
    }
    if (has('psk_key') && written.min_version === 'TLSv1.3') {
      report('cannot be TLSv1.3 with a pre-shared key: that needs TLS 1.2 here', ['min_version'])
    }
  }
  return map(
    {
      ca: v.exactOptional(text({ example: 'ca.pem' })),
      ca_folder: v.exactOptional(text({ example: 'authorities/' })),
      system_authorities: v.exactOptional(flag()),
      cert: v.exactOptional(text({ example: 'gateway.pem' })),
      key: v.exactOptional(text({ example: 'gateway.key' })),
      alpn: v.exactOptional(list(text({ example: 'mqtt', max: 255 }), { example: 'mqtt' })),
      server_name: v.exactOptional(text({ example: 'broker.example.org', max: 253 })),
      check_name: v.exactOptional(flag()),
      min_version: v.exactOptional(choice(['TLSv1.2', 'TLSv1.3'])),
      ciphers: v.exactOptional(text({ example: 'ECDHE-ECDSA-AES128-GCM-SHA256' })),
      psk_identity: v.exactOptional(text({ example: 'larder', max: 128 })),
      psk_key: v.exactOptional(text({ example: '"0123456789abcdef"', secret: true, fault: keyFault })),
    },
    { example: 'ca: ca.pem', check },
  ) as Schema<UpstreamTlsConfig>
}

/** Bytes of the longest key that OpenSSL takes. */
const MAX_PSK = 256

function keyFault(key: string): string | undefined {
  const isHex = /^(?:[0-9A-Fa-f]{2})+$/.test(key) && key.length <= 2 * MAX_PSK
  return isHex ? undefined : `must be an even number of hexadecimal digits, at most ${2 * MAX_PSK}`
}

function proxy(): Schema<string> {
  return value(PROXY_EXAMPLE, input => {
    // It may hold a password: what was found is not repeated.
    const wrong = new Refusal(
      `must be the address of a proxy, such as ${PROXY_EXAMPLE} or http://user:password@host:3128`,
    )
    if (typeof input !== 'string' || !URL.canParse(input)) return wrong
    const { protocol, hostname, pathname, search } = new URL(input)
    return protocol === 'http:' && hostname !== '' && pathname === '/' && search === '' ? input : wrong
  })
}

function withPath({ protocol, host, port, path = '' }: Address): string {
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}
