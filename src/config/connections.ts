/** The way to a bridge's upstream: its addresses, TLS, proxy, and the version of MQTT. A preset fills in what is not written. */
import * as v from 'valibot'
import { type Address, address } from './addresses.ts'
import { applyPreset, PRESET_NAMES } from './presets.ts'
import type { UpstreamTlsConfig } from './schema.ts'
import { likelySpelling } from './spelling.ts'
import { isMap, list, map, type Report } from './structure.ts'
import { choice, duration, flag, Refusal, type Schema, text, value } from './values.ts'

const PROTOCOLS = ['mqtt', 'mqtts', 'ws', 'wss'] as const
const EXAMPLE = 'mqtt://broker.example.org:1883'
const PROXY_EXAMPLE = 'http://proxy.example.org:3128'

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
      cert: v.exactOptional(text({ example: 'gateway.pem' })),
      key: v.exactOptional(text({ example: 'gateway.key' })),
      alpn: v.exactOptional(list(text({ example: 'mqtt', max: 255 }), { example: 'mqtt' })),
      server_name: v.exactOptional(text({ example: 'broker.example.org', max: 253 })),
      check_name: v.exactOptional(flag()),
      min_version: v.exactOptional(choice(['TLSv1.2', 'TLSv1.3'])),
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
