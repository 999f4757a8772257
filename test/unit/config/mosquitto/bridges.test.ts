/**
 * What a `connection` of mosquitto.conf comes to: every option that the manual page has for bridges is a key of larder.yaml,
 * or has a line that says why not.
 */
import { existsSync, readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { OPTIONS } from '../../../../src/config/mosquitto/options.ts'
import { confOf, noticesOf } from './loading.ts'

const LINK = 'connection cloud\naddress broker.example.org:1884\n'

/** The one bridge of a configuration with these lines behind its address and a topic. */
const bridgeOf = (lines: string) => confOf(`${LINK}topic #\n${lines}`).config.bridges[0]
/** What the owner is told of `lines`, without numbers of lines. */
const toldOf = (lines: string) => noticesOf(`${LINK}topic #\n${lines}`).map(line => line.replace(/^\d+: /, ''))

const V5 = 'bridge_protocol_version mqttv50\n'

/** Option, lines that have it, what they come to, and what the owner is told. */
const CASES: [option: string, lines: string, bridge: object, told?: string[]][] = [
  ['address', '', { url: 'mqtt://broker.example.org:1884' }],
  ['addresses', '', { url: 'mqtt://broker.example.org:1884' }],
  ['topic', 'topic a in 1', { out: [{ filter: '#', qos: 0 }], in: [{ filter: 'a', qos: 1 }] }],
  ['connection', '', { name: 'cloud', clientId: 'pi.cloud' }],
  ['clientid', 'clientid me', { clientId: 'me' }],
  ['remote_clientid', 'remote_clientid me', { clientId: 'me' }],
  ['username', 'username u', { username: 'u' }],
  ['remote_username', 'remote_username u', { username: 'u' }],
  ['password', 'username u\npassword p w', { password: 'p w' }],
  ['remote_password', 'remote_username u\nremote_password p w', { password: 'p w' }],
  ['remote_password', 'remote_password p', {}, ['remote_password is not used: it needs a remote_username']],
  ['keepalive_interval', 'keepalive_interval 20', { keepalive: 20_000 }],
  [
    'keepalive_interval',
    'keepalive_interval 1',
    { keepalive: 5_000 },
    ['keepalive_interval is too low, using 5 seconds'],
  ],
  ['restart_timeout', '', { retry: { min: 5_000, max: 30_000 } }],
  ['restart_timeout', 'restart_timeout 20', { retry: { min: 20_000, max: 20_000 } }],
  ['restart_timeout', 'restart_timeout 10 60', { retry: { min: 10_000, max: 60_000 } }],
  [
    'restart_timeout',
    'restart_timeout 10 60 30',
    { retry: { min: 10_000, max: 60_000 } },
    ['restart_timeout is not honoured in its third number: a connection is stable after a minute'],
  ],
  ['cleansession', 'cleansession false', {}],
  [
    'cleansession',
    'cleansession true',
    { cleanSession: true },
    ['cleansession is honoured for the other broker: what waits here for a bridge is kept while it is away'],
  ],
  ['local_cleansession', 'local_cleansession false', {}],
  [
    'local_cleansession',
    'local_cleansession true',
    {},
    ['local_cleansession is not honoured: what waits for a bridge is kept while it is away'],
  ],
  ['local_clientid', 'local_clientid x', {}, ['local_clientid is not needed: a bridge is no client here']],
  [
    'local_username',
    'local_username x',
    {},
    ['local_username is not needed: a bridge is no client here, and carries what its topics say'],
  ],
  ['local_password', 'local_password x', {}, ['local_password is not needed: a bridge is no client here']],
  ['start_type', 'start_type automatic', {}],
  ['start_type', 'start_type once', { startType: 'once' }],
  [
    'idle_timeout',
    'start_type lazy\nidle_timeout 20\nthreshold 3',
    { startType: 'lazy', idleTimeout: 20_000, threshold: 3 },
  ],
  ['idle_timeout', 'idle_timeout 20', {}, ['idle_timeout is not used: it needs start_type lazy']],
  ['threshold', 'threshold 20', {}, ['threshold is not used: it needs start_type lazy']],
  ['round_robin', 'round_robin false', {}],
  ['round_robin', 'round_robin true', {}, ['round_robin is not used: there is one address']],
  ['notifications', '', { notifyUpstream: true }],
  ['notifications', 'notifications true', { notifyUpstream: true }],
  [
    'notifications',
    'notifications false',
    {},
    ['notifications is honoured for the other broker: here, the state of a bridge is always told'],
  ],
  ['notifications_local_only', 'notifications_local_only true', {}],
  ['notification_topic', 'notification_topic state/of bridge', { notificationTopic: 'state/of bridge' }],
  ['try_private', 'try_private false', { tryPrivate: false }],
  ['bridge_attempt_unsubscribe', 'bridge_attempt_unsubscribe false', { unsubscribe: false }],
  ['bridge_bind_address', 'bridge_bind_address 192.168.1.7', { bindAddress: '192.168.1.7' }],
  [
    'bridge_bind_address',
    'bridge_bind_address home.lan',
    {},
    ['bridge_bind_address is not honoured: it is no address'],
  ],
  ['bridge_max_packet_size', 'bridge_max_packet_size 0', {}],
  ['bridge_max_packet_size', 'bridge_max_packet_size 5000', { maxPacketSize: 5_000 }],
  [
    'bridge_max_packet_size',
    'bridge_max_packet_size 5',
    { maxPacketSize: 128 },
    ['bridge_max_packet_size is taken as 128: Larder has 128 to 268435460'],
  ],
  ['bridge_max_topic_alias', `${V5}bridge_max_topic_alias 7`, { maxTopicAlias: 7 }],
  [
    'bridge_max_topic_alias',
    'bridge_max_topic_alias 7',
    {},
    ['bridge_max_topic_alias is not used: it needs bridge_protocol_version mqttv50'],
  ],
  ['bridge_receive_maximum', `${V5}bridge_receive_maximum 7`, { receiveMaximum: 7 }],
  [
    'bridge_receive_maximum',
    'bridge_receive_maximum 7',
    {},
    ['bridge_receive_maximum is not used: it needs bridge_protocol_version mqttv50'],
  ],
  ['bridge_session_expiry_interval', `${V5}bridge_session_expiry_interval 60`, { sessionExpiry: 60_000 }],
  ['bridge_session_expiry_interval', `${V5}bridge_session_expiry_interval 4294967295`, {}],
  [
    'bridge_session_expiry_interval',
    `${V5}bridge_session_expiry_interval 60\ncleansession true`,
    { cleanSession: true },
    [
      'cleansession is honoured for the other broker: what waits here for a bridge is kept while it is away',
      'bridge_session_expiry_interval is not used: cleansession true says more',
    ],
  ],
  ['bridge_outgoing_retain', 'bridge_outgoing_retain false', { outgoingRetain: false }],
  ['bridge_protocol_version', '', { version: '3.1.1' }],
  ['bridge_protocol_version', 'bridge_protocol_version mqttv311', { version: '3.1.1' }],
  ['bridge_protocol_version', 'bridge_protocol_version mqttv50', { version: '5' }],
  [
    'bridge_protocol_version',
    'bridge_protocol_version mqttv31',
    { version: '3.1.1' },
    ['bridge_protocol_version is taken as mqttv311: bridges speak nothing older'],
  ],
  [
    'bridge_tcp_keepalive',
    'bridge_tcp_keepalive 30 5 3',
    { tcpKeepalive: 30_000 },
    ['bridge_tcp_keepalive is honoured in its first number: Node.js asks up to ten times then, once a second'],
  ],
  [
    'bridge_tcp_user_timeout',
    'bridge_tcp_user_timeout 60000',
    {},
    ['bridge_tcp_user_timeout is not honoured: Node.js cannot set it; keepalive_interval finds a link that is gone'],
  ],
  ['bridge_reload_type', 'bridge_reload_type immediate', {}],
  [
    'bridge_reload_type',
    'bridge_reload_type lazy',
    {},
    [
      'bridge_reload_type is not honoured: a bridge whose lines have changed connects again at once, and what waits for it is kept',
    ],
  ],
  ['bridge_alpn', 'bridge_alpn mqtt', { url: 'mqtts://broker.example.org:1884', tls: { alpn: ['mqtt'] } }],
  ['bridge_cafile', 'bridge_cafile ca.pem', { tls: { ca: '/home/owner/ca.pem' } }],
  ['bridge_capath', 'bridge_capath cas', { tls: { caFolder: '/home/owner/cas' } }],
  ['bridge_certfile', 'bridge_certfile c.pem\nbridge_keyfile k.pem', { tls: { cert: '/home/owner/c.pem' } }],
  ['bridge_keyfile', 'bridge_certfile c.pem\nbridge_keyfile /k.pem', { tls: { key: '/k.pem' } }],
  ['bridge_ciphers', 'bridge_ciphers A:B', { tls: { ciphers: 'A:B' } }],
  ['bridge_ciphers_tls1.3', 'bridge_ciphers A:B\nbridge_ciphers_tls1.3 TLS_C', { tls: { ciphers: 'A:B:TLS_C' } }],
  ['bridge_identity', 'bridge_identity pi\nbridge_psk 00ff', { tls: { pskIdentity: 'pi' } }],
  ['bridge_psk', 'bridge_identity pi\nbridge_psk 00ff', { tls: { pskKey: '00ff' } }],
  ['bridge_insecure', 'bridge_cafile ca\nbridge_insecure true', { tls: { checkName: false } }],
  ['bridge_require_ocsp', 'bridge_require_ocsp false', {}],
  [
    'bridge_require_ocsp',
    'bridge_require_ocsp true',
    {},
    [
      'bridge_require_ocsp is not honoured: Node.js cannot check it for a client, so a certificate that was revoked is not noticed',
    ],
  ],
  ['bridge_tls_version', 'bridge_cafile ca\nbridge_tls_version tlsv1.3', { tls: { minVersion: 'TLSv1.3' } }],
  [
    'bridge_tls_version',
    'bridge_tls_version tlsv1.1',
    {},
    ['bridge_tls_version is taken as tlsv1.2: bridges speak nothing older'],
  ],
  ['bridge_tls_use_os_certs', 'bridge_tls_use_os_certs true', { tls: { systemAuthorities: true } }],
]

/** What a bridge has beyond what every one has. */
const EVERY = ['name', 'url', 'clientId', 'version', 'keepalive', 'maxInflight', 'retry', 'out', 'notifyUpstream']

test.each(CASES)('%s: %j', (_option, lines, wanted, told = []) => {
  const bridge = bridgeOf(lines) ?? {}
  expect(bridge).toMatchObject(wanted)
  expect(toldOf(lines)).toEqual(told)
  // Nothing else: a line that is not honoured leaves no trace.
  const own = Object.keys(bridge).filter(key => !EVERY.includes(key))
  expect(own.filter(key => !Object.keys(wanted).includes(key) && !lines.includes('\n') && key !== 'tls')).toEqual([])
})

describe('no option is forgotten', () => {
  const MANUAL = '/usr/share/man/man5/mosquitto.conf.5.gz'
  /** Of 2.1, that Debian's manual of 2.0 has not. */
  const NEWER = [
    ...['bridge_max_topic_alias', 'bridge_receive_maximum', 'bridge_session_expiry_interval', 'bridge_tcp_keepalive'],
    ...['bridge_tcp_user_timeout', 'bridge_reload_type', 'bridge_ciphers', 'bridge_ciphers_tls1.3'],
    'bridge_tls_use_os_certs',
  ]
  const shown = new Set(CASES.map(([option]) => option))

  test('of those that came with Mosquitto 2.1', () => {
    for (const option of NEWER) {
      expect(Object.keys(OPTIONS)).toContain(option)
      expect(shown).toContain(option)
    }
  })

  test.skipIf(!existsSync(MANUAL))("of those in Debian's manual page of Mosquitto", () => {
    const manual = gunzipSync(readFileSync(MANUAL)).toString()
    const section = /\.SH "CONFIGURING BRIDGES"([\s\S]*?)\.SH "FILES"/.exec(manual)?.[1] ?? ''
    // An option begins a paragraph; elsewhere its name alone is on a line.
    const options = [...section.matchAll(/^\.PP\n\\fB(\w+)\\fR .*?(?:, \\fB(\w+)\\fR)?/gm)].flatMap(
      ([, one]) => one ?? [],
    )
    expect(options.length).toBeGreaterThan(35)
    for (const option of new Set(options)) {
      expect(Object.keys(OPTIONS)).toContain(option)
      expect(shown).toContain(option)
    }
  })
})

describe('topics', () => {
  test.each<[string, object]>([
    ['topic a', { out: [{ filter: 'a', qos: 0 }] }],
    ['topic a/# out 1 home/ pi/', { out: [{ filter: 'a/#', qos: 1, localPrefix: 'home/', remotePrefix: 'pi/' }] }],
    ['topic # both 2 local/topic/ remote/topic/', { both: [{ filter: '#', qos: 2 }] }],
    ['topic "with space/#" OUT 2', { out: [{ filter: 'with space/#', qos: 2 }] }],
    ['topic a in 0 "" b/', { in: [{ filter: 'a', qos: 0, remotePrefix: 'b/' }] }],
    ['topic "" in 0 local/ remote/', { in: [{ filter: '', qos: 0, localPrefix: 'local/', remotePrefix: 'remote/' }] }],
    [
      'topic "" out 1 door/bell yard/bell',
      { out: [{ filter: '', qos: 1, localPrefix: 'door/bell', remotePrefix: 'yard/bell' }] },
    ],
    [
      'topic clients/total in 0 test/mosquitto/org/ $SYS/broker/',
      { in: [{ filter: 'clients/total', localPrefix: 'test/mosquitto/org/', remotePrefix: '$SYS/broker/' }] },
    ],
  ])('%s', (line, rules) => {
    const [bridge] = confOf(`${LINK}${line}`).config.bridges
    expect(bridge).toMatchObject(rules)
    const none = { out: [], in: undefined, both: undefined }
    for (const way of ['out', 'in', 'both'] as const) if (!(way in rules)) expect(bridge?.[way]).toEqual(none[way])
  })
})

test('several addresses, TLS before and after them', () => {
  const [two] = confOf(`connection c\nbridge_cafile ca.pem\naddresses a:1 [::1]:1885 b\nround_robin true\ntopic #`)
    .config.bridges
  expect(two).toMatchObject({
    url: 'mqtts://a:1',
    urls: ['mqtts://a:1', 'mqtts://[::1]:1885', 'mqtts://b:1883'],
    roundRobin: true,
    tls: { ca: '/home/owner/ca.pem' },
  })
  expect(confOf('connection c\naddress ::1:1883\ntopic #').config.bridges).toMatchObject([{ url: 'mqtt://[::1]:1883' }])
})

test('a lazy bridge for which nothing would ever wait is connected at the start', () => {
  const { config, notices } = confOf(`${LINK}topic # in\nstart_type lazy\nthreshold 5`)
  expect(config.bridges[0]).not.toHaveProperty('startType')
  expect(notices.map(({ message }) => message)).toEqual([
    'is taken as automatic: with topics for in alone, nothing would ever wait for the connection',
    'is not used: it needs start_type lazy',
  ])
})

test('message_size_limit is a limit of the gateway, bridges included', () => {
  expect(confOf(`message_size_limit 1000\n${LINK}topic #`).config.limits.maxPacketSize).toBe(1000 + 128 * 1024)
})
