/** `listeners`: where clients connect, each address by itself or as a map with rules of its own. */
import * as v from 'valibot'
import { type AccessEntry, access } from './access.ts'
import { type Address, address, LISTENER_PROTOCOLS } from './addresses.ts'
import type { TlsConfig } from './schema.ts'
import { isMap, list, map, type Report } from './structure.ts'
import { prefix } from './topics.ts'
import { choice, flag, type Schema, size, text, whole } from './values.ts'

export const LISTENER_EXAMPLE = 'mqtt://127.0.0.1:1883'

/** As it is written; paths may be relative, and what is absent is as for all. */
export interface ListenerEntry {
  address: Address
  tls?: TlsEntry
  access?: AccessEntry
  maxConnections?: number
  maxPacketSize?: number
  maxQos: 0 | 1 | 2
  maxTopicAlias?: number
  versions: ('3.1' | '3.1.1' | '5')[]
  mountPoint?: string
  usernameFrom: 'connect' | 'common_name' | 'subject'
  usernameAsClientId: boolean
  proxyProtocol: boolean
  origins?: string[]
  socketMode: '600' | '660' | '666'
}

export type TlsEntry = TlsConfig

const KIB = 2 ** 10
const MIB = 2 ** 20

const ALL_VERSIONS = ['3.1', '3.1.1', '5'] as const

export function listenerList(): Schema<ListenerEntry[]> {
  return list(listener(), { example: LISTENER_EXAMPLE })
}

function listener(): Schema<ListenerEntry> {
  const url = address({ protocols: LISTENER_PROTOCOLS, minPort: 0, example: LISTENER_EXAMPLE })
  const inMap = v.pipe(
    map(
      {
        url,
        tls: v.exactOptional(tls()),
        access: v.exactOptional(access()),
        max_connections: v.exactOptional(whole({ min: 1, max: 1_000_000, example: 100 })),
        max_packet_size: v.exactOptional(size({ min: KIB, max: 256 * MIB, example: '64KiB' })),
        max_qos: v.optional(choice([0, 1, 2]), 2),
        max_topic_alias: v.exactOptional(whole({ min: 0, max: 65_535, example: 10 })),
        versions: v.optional(list(choice(ALL_VERSIONS), { example: '5', min: 1 }), [...ALL_VERSIONS]),
        mount_point: v.exactOptional(prefix('guests/')),
        username_from: v.optional(choice(['connect', 'common_name', 'subject']), 'connect'),
        username_as_client_id: v.optional(flag(), false),
        proxy_protocol: v.optional(flag(), false),
        origins: v.exactOptional(list(text({ example: 'https://home.example.org' }), { example: 'https://a.org' })),
        socket_mode: v.optional(choice(['600', '660', '666']), '660'),
      },
      { example: `url: ${LISTENER_EXAMPLE}`, check: checkListener },
    ),
    v.transform(({ url: address, ...rest }) => ({ address, ...rest })),
  ) as Schema<ListenerEntry>
  const alone = v.pipe(
    url,
    v.rawTransform<Address, ListenerEntry>(({ dataset, addIssue, NEVER }) => {
      const address = dataset.value
      if (isSecure(address.protocol)) {
        const example = `{ url: ${address.protocol}://…, tls: { cert: fullchain.pem, key: privkey.pem } }`
        addIssue({ message: `needs a certificate: write it as - ${example}` })
        return NEVER
      }
      return v.parse(inMap, { url: writtenAs(address) })
    }),
  ) as Schema<ListenerEntry>
  return v.lazy(input => (isMap(input) ? inMap : alone)) as Schema<ListenerEntry>
}

function isSecure(protocol: unknown): boolean {
  return protocol === 'mqtts' || protocol === 'wss'
}

function writtenAs({ protocol, host, port, path = '' }: Address): string {
  if (protocol === 'unix') return `unix://${path}`
  return `${protocol}://${host.includes(':') ? `[${host}]` : host}:${port}${path}`
}

function checkListener(written: Record<string, unknown>, report: Report): void {
  const protocol = isMap(written.url) ? written.url.protocol : undefined
  if (protocol === undefined) return
  const secure = isSecure(protocol)
  if (secure && !('tls' in written)) {
    report(`is required for ${protocol}://, such as tls: { cert: fullchain.pem, key: privkey.pem }`, ['tls'], 'missing')
  }
  if (!secure && 'tls' in written) report(`is only for mqtts:// and wss://, and this is ${protocol}://`, ['tls'])
  const isWeb = protocol === 'ws' || protocol === 'wss'
  if (!isWeb && 'origins' in written) report('is only for ws:// and wss://', ['origins'])
  const asks = written.username_from
  if ((asks === 'common_name' || asks === 'subject') && !secure && written.proxy_protocol !== true) {
    report('needs client certificates, which only mqtts:// and wss:// have', ['username_from'])
  }
}

function tls(): Schema<TlsEntry> {
  return map(
    {
      cert: v.exactOptional(text({ example: 'fullchain.pem' })),
      key: v.exactOptional(text({ example: 'privkey.pem' })),
      ca: v.exactOptional(text({ example: 'ca.pem' })),
      ca_folder: v.exactOptional(text({ example: '/etc/ssl/certs' })),
      crl: v.exactOptional(text({ example: 'crl.pem' })),
      client_certificates: v.optional(choice(['none', 'optional', 'required']), 'none'),
      min_version: v.optional(choice(['TLSv1.2', 'TLSv1.3']), 'TLSv1.2'),
      ciphers: v.exactOptional(text({ example: 'ECDHE-RSA-AES128-GCM-SHA256' })),
      ciphers_tls13: v.exactOptional(text({ example: 'TLS_AES_128_GCM_SHA256' })),
      alpn: v.optional(list(text({ example: 'mqtt', max: 255 }), { example: 'mqtt' }), []),
      psk_file: v.exactOptional(text({ example: 'psk' })),
      psk_hint: v.optional(text({ example: 'larder', max: 128 }), 'larder'),
    },
    { example: 'cert: fullchain.pem', check: checkTls },
  ) as Schema<TlsEntry>
}

function checkTls(written: Record<string, unknown>, report: Report): void {
  const has = (key: string) => key in written
  if (has('cert') !== has('key')) {
    report('cert and key belong together', [has('cert') ? 'cert' : 'key'])
  } else if (!has('cert') && !has('psk_file')) {
    report('needs cert and key, or psk_file', [], 'missing')
  }
  const asks = written.client_certificates === 'optional' || written.client_certificates === 'required'
  if (asks && !has('ca') && !has('ca_folder')) {
    report('needs ca or ca_folder: those who sign the certificates of clients', ['client_certificates'])
  }
  if (has('psk_file') && written.min_version === 'TLSv1.3') {
    report('cannot be TLSv1.3 with psk_file: only TLS 1.2 says which key a client used', ['min_version'])
  }
  if (has('crl') && !has('ca') && !has('ca_folder')) report('needs ca or ca_folder', ['crl'])
}
