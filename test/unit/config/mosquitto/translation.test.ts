/** What the options of mosquitto.conf come to in our configuration. */
import { describe, expect, test } from 'vitest'
import type { Config } from '../../../../src/config/schema.ts'
import { confOf, loadConf, noticesOf } from './loading.ts'

const urlsOf = ({ listeners }: Config): string[] =>
  listeners.map(
    ({ protocol, host, port, path }) => `${protocol} ${host} ${port}${path === undefined ? '' : ` ${path}`}`,
  )

describe('listeners', () => {
  test('without one, this machine alone is let in, without a password', () => {
    const { config, habits } = confOf('')
    expect(urlsOf(config)).toEqual(['mqtt 127.0.0.1 1883', 'mqtt ::1 1883'])
    expect(config.listeners.every(({ access }) => access.allowAnonymous)).toBe(true)
    expect(habits.isLocalOnly).toBe(true)
    expect(urlsOf(confOf('', { machine: { hasIPv6: false } }).config)).toEqual(['mqtt 127.0.0.1 1883'])
  })

  test('with one, all are let in that have a password', () => {
    const { config, habits } = confOf('listener 1884')
    expect(urlsOf(config)).toEqual(['mqtt :: 1884'])
    expect(config.listeners[0]?.access.allowAnonymous).toBe(false)
    expect(habits.isLocalOnly).toBe(false)
  })

  test.each<[string, string[]]>([
    ['listener 1 localhost', ['mqtt 127.0.0.1 1', 'mqtt ::1 1']],
    ['listener 1 localhost\nsocket_domain ipv4', ['mqtt 127.0.0.1 1']],
    ['listener 1 192.168.1.7 # mine', ['mqtt 192.168.1.7 1']],
    ['listener 1 fe80::1', ['mqtt fe80::1 1']],
    ['listener 1\nsocket_domain ipv4', ['mqtt 0.0.0.0 1']],
    ['listener 1\nsocket_domain ipv6', ['mqtt :: 1']],
    ['listener 1\nbind_interface eth0', ['mqtt 192.168.1.7 1', 'mqtt fe80::7%eth0 1']],
    ['listener 1 10.0.0.1\nbind_interface lo\nsocket_domain ipv6', ['mqtt ::1 1']],
    ['listener 0 /run/my socket', ['unix  0 /run/my socket']],
    ['listener 0 here.sock', ['unix  0 /home/owner/here.sock']],
    ['listener 1\nprotocol websockets', ['ws :: 1']],
    ['listener 1\nlistener 2\nprotocol websockets\nlistener 3', ['mqtt :: 1', 'ws :: 2', 'mqtt :: 3']],
    ['listener 1\nprotocol http_api\nlistener 2', ['mqtt :: 2']],
    ['port 5', ['mqtt :: 5']],
    ['port 5\nport 6', ['mqtt :: 6']],
    ['bind_address 127.0.0.1', ['mqtt 127.0.0.1 1883']],
    ['port 5\nbind_address 10.0.0.1\nlistener 7', ['mqtt 10.0.0.1 5', 'mqtt :: 7']],
    // Options before any listener are the default listener's.
    ['max_connections 5', ['mqtt :: 1883']],
    ['max_connections -1\nallow_anonymous true', ['mqtt 127.0.0.1 1883', 'mqtt ::1 1883']],
  ])('%j', (text, urls) => {
    expect(urlsOf(confOf(text).config)).toEqual(urls)
  })

  test('a machine without IPv6 listens on all it has', () => {
    expect(urlsOf(confOf('listener 1', { machine: { hasIPv6: false } }).config)).toEqual(['mqtt 0.0.0.0 1'])
  })

  test('ports of the command line', () => {
    const ports = { numbers: [7, 8] }
    const local = ['mqtt 127.0.0.1 7', 'mqtt ::1 7', 'mqtt 127.0.0.1 8', 'mqtt ::1 8']
    expect(urlsOf(confOf('', { ports }).config)).toEqual(local)
    expect(urlsOf(confOf('listener 9', { ports }).config)).toEqual(['mqtt :: 9'])
    const added = { ...ports, beside: 'added' } as const
    expect(urlsOf(confOf('listener 8', { ports: added }).config)).toEqual(['mqtt :: 8', ...local.slice(0, 2)])
    expect(urlsOf(confOf('max_qos 1', { ports: { numbers: [7] } }).config)).toEqual(['mqtt :: 7'])
  })

  test('what one asks of its clients', () => {
    const text = [
      'listener 1',
      'max_connections 5',
      'max_qos 1',
      'max_topic_alias 7',
      'mount_point a b/',
      'use_username_as_clientid true',
      'accept_protocol_versions 3, 5',
      'enable_proxy_protocol 2',
      'listener 2',
    ]
    const [first, second] = confOf(text.join('\n')).config.listeners
    expect(first).toMatchObject({
      maxConnections: 5,
      maxQos: 1,
      maxTopicAlias: 7,
      mountPoint: 'a b/',
      usernameAsClientId: true,
      versions: [3, 5],
      proxyProtocol: true,
    })
    expect(second).toMatchObject({ maxQos: 2, mountPoint: '', usernameAsClientId: false, versions: [3, 4, 5] })
    expect(second).not.toHaveProperty('maxConnections')
  })

  test('origins belong to WebSocket listeners', () => {
    const text = 'listener 1\nprotocol websockets\nwebsockets_origin https://a.org\nwebsockets_origin https://b.org'
    expect(confOf(text).config.listeners[0]?.origins).toEqual(['https://a.org', 'https://b.org'])
    expect(noticesOf('listener 1\nwebsockets_origin https://a.org')).toEqual([
      '2: websockets_origin is not used: this is no WebSocket listener',
    ])
  })
})

describe('TLS', () => {
  const CERTIFICATE = 'listener 8883\ncertfile c.pem\nkeyfile /k.pem'

  test('a certificate', () => {
    const text = `${CERTIFICATE}\ncafile ca.pem\ncapath cas\ncrlfile crl\nciphers A:B\nciphers_tls1.3 C\ntls_version tlsv1.3`
    const [listener] = confOf(`${text}\nrequire_certificate true\nuse_subject_as_username true`).config.listeners
    expect(listener).toMatchObject({
      protocol: 'mqtts',
      usernameFrom: 'subject',
      tls: {
        cert: '/home/owner/c.pem',
        key: '/k.pem',
        ca: '/home/owner/ca.pem',
        caFolder: '/home/owner/cas',
        crl: '/home/owner/crl',
        ciphers: 'A:B',
        ciphersTls13: 'C',
        minVersion: 'TLSv1.3',
        clientCertificates: 'required',
      },
    })
    expect(confOf(`${CERTIFICATE}\nprotocol websockets`).config.listeners[0]?.protocol).toBe('wss')
  })

  test('the identity is more than the subject', () => {
    const text = `${CERTIFICATE}\nuse_subject_as_username true\nuse_identity_as_username true`
    expect(confOf(text).config.listeners[0]?.usernameFrom).toBe('common_name')
  })

  test('a pre-shared key', () => {
    const [listener] = confOf('psk_file psk\nlistener 8883\npsk_hint home').config.listeners
    expect(listener).toMatchObject({ protocol: 'mqtts', tls: { pskFile: '/home/owner/psk', pskHint: 'home' } })
    const own = 'per_listener_settings true\nlistener 1\npsk_hint a\npsk_file one\nlistener 2\npsk_hint b\npsk_file two'
    expect(confOf(own).config.listeners.map(({ tls }) => tls?.pskFile)).toEqual(['/home/owner/one', '/home/owner/two'])
  })

  test('what is given without a certificate is told, as Mosquitto does not', () => {
    expect(noticesOf('listener 1\ncafile ca.pem\nuse_identity_as_username true')).toEqual([
      '2: cafile is not used: TLS needs certfile and keyfile, or psk_hint, so this listener is not encrypted',
      '3: use_identity_as_username is not used: without TLS a client has no certificate',
    ])
    expect(noticesOf(`${CERTIFICATE}\ncrlfile crl`)).toHaveLength(1)
  })
})

describe('access', () => {
  test('for all listeners, wherever it stands', () => {
    const text = 'listener 1\npassword_file pw\nlistener 2\nacl_file my acl\nallow_anonymous true\nclientid_prefixes k-'
    const { config } = confOf(`${text}\nauto_id_prefix a-\nallow_zero_length_clientid false`)
    const access = {
      passwordFile: '/home/owner/pw',
      aclFile: '/home/owner/my acl',
      allowAnonymous: true,
      clientIdPrefixes: ['k-'],
      allowEmptyClientId: false,
      grantEverySubscription: true,
      autoIdPrefix: 'a-',
    }
    expect([config.access, ...config.listeners.map(listener => listener.access)]).toEqual([access, access, access])
  })

  test('for each listener', () => {
    const text =
      'per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\npassword_file pw\nlistener 3'
    expect(confOf(text).config.listeners.map(({ access }) => access)).toMatchObject([
      { passwordFile: undefined, allowAnonymous: true },
      { passwordFile: '/home/owner/pw', allowAnonymous: false },
      { passwordFile: undefined, allowAnonymous: false },
    ])
  })

  test('before any listener, in the mode of one listener each', () => {
    const early = 'per_listener_settings true\nallow_anonymous true\npassword_file pw'
    expect(confOf(early).config.listeners[0]?.access).toMatchObject({ passwordFile: '/home/owner/pw' })
    expect(confOf(`${early}\nport 1`).config.listeners[0]?.access).toMatchObject({ passwordFile: '/home/owner/pw' })
    expect(confOf(`${early}\nlistener 1`).config.listeners).toMatchObject([
      { port: 1, access: { passwordFile: undefined, allowAnonymous: false } },
    ])
    expect(noticesOf(`${early}\nlistener 1`)).toEqual([
      '2: allow_anonymous is not used: with per_listener_settings true it belongs behind a listener',
      '3: password_file is not used: with per_listener_settings true it belongs behind a listener',
    ])
  })

  test('for all, and one that differs', () => {
    const text = 'password_file pw\nlistener 1\nlistener 2\nlistener_allow_anonymous true\nlistener_auto_id_prefix x-'
    expect(confOf(text).config.listeners.map(({ access }) => access)).toMatchObject([
      { passwordFile: '/home/owner/pw', allowAnonymous: false, autoIdPrefix: 'auto-' },
      { passwordFile: '/home/owner/pw', allowAnonymous: true, autoIdPrefix: 'x-' },
    ])
  })

  test("the plugins that are Mosquitto's own access files", () => {
    const text =
      'listener 1\nplugin /usr/lib/mosquitto_password_file.so\nplugin_opt_password_file pw\n' +
      'global_plugin mosquitto_acl_file.so\nplugin_opt_acl_file acl'
    expect(confOf(text).config.access).toMatchObject({ passwordFile: '/home/owner/pw', aclFile: '/home/owner/acl' })
  })
})

describe('limits and the store', () => {
  test('are those of Mosquitto when nothing is said', () => {
    const { config } = confOf('')
    expect(config.limits).toMatchObject({ maxInflight: 20, maxQueuedMessages: 1000, maxKeepalive: 0 })
    expect(config.store).toMatchObject({ engine: 'level', durability: 0, queueQos0: false })
  })

  test.each<[string, Partial<Config['limits']>]>([
    ['max_inflight_messages 0', { maxInflight: 65_535 }],
    ['max_inflight_messages 7', { maxInflight: 7 }],
    ['max_queued_messages 0', { maxQueuedMessages: 100_000_000 }],
    ['max_queued_messages 5', { maxQueuedMessages: 5 }],
    ['max_queued_bytes 5000', { maxQueuedBytes: 5000 }],
    ['max_packet_size 100000', { maxPacketSize: 100_000 }],
    ['max_packet_size 20', { maxPacketSize: 1024 }],
    ['message_size_limit 1000', { maxPacketSize: 1000 + 128 * 1024 }],
    ['message_size_limit 1000\nmax_packet_size 2000', { maxPacketSize: 2000 }],
    ['max_keepalive 65535', { maxKeepalive: 0 }],
    ['max_keepalive 90', { maxKeepalive: 90_000 }],
    ['global_max_connections 9', { maxConnections: 9 }],
    ['global_max_connections -1', { maxConnections: 10_000 }],
    ['global_max_clients -1', { maxSessions: Number.POSITIVE_INFINITY }],
    ['global_max_clients 0', { maxSessions: 1 }],
    ['global_max_clients 30', { maxSessions: 30 }],
    ['memory_limit 0', { memory: 128 * 2 ** 20 }],
    ['memory_limit 1', { memory: 2 ** 20 }],
    ['memory_limit 50000000', { memory: 50_000_000 }],
    ['max_inflight_bytes 0', { maxInflightBytes: Number.POSITIVE_INFINITY }],
    ['max_inflight_bytes -1', { maxInflightBytes: Number.POSITIVE_INFINITY }],
    ['max_inflight_bytes 5000', { maxInflightBytes: 5_000 }],
    ['max_inflight_bytes 9999999999', { maxInflightBytes: 2 ** 30 }],
    ['persistent_client_expiration 2w', { maxSessionExpiry: 14 * 86_400_000 }],
    ['persistent_client_expiration 1h', { maxSessionExpiry: 3_600_000 }],
    ['persistent_client_expiration 900y', { maxSessionExpiry: 36_500 * 86_400_000 }],
    ['', { maxSessionExpiry: Number.POSITIVE_INFINITY, retainAvailable: true }],
    ['retain_available false', { retainAvailable: false }],
  ])('%j', (text, limits) => {
    expect(confOf(text).config.limits).toMatchObject(limits)
  })

  test.each<[string, string[]]>([
    [
      'memory_limit 0\nglobal_max_clients 5\nretain_available false\nmax_inflight_bytes 9\npersistent_client_expiration 1d',
      [],
    ],
    [
      'memory_limit 50000000',
      [
        '1: memory_limit limits what connections make the gateway hold, from 1 MiB on: the program itself is not counted',
      ],
    ],
    ['max_inflight_bytes 9999999999', ['1: max_inflight_bytes is taken as 1073741824: Larder has 0 to 1073741824']],
    ['persistent_client_expiration 900y', ['1: persistent_client_expiration is taken as 100 years']],
    [
      'retain_expiry_interval 60',
      ['1: retain_expiry_interval is not needed: a retained message whose time is over is removed within seconds'],
    ],
  ])('what is to be said of %j', (text, notices) => {
    expect(noticesOf(text)).toEqual(notices)
  })

  test.each<[string, string, boolean]>([
    ['', '/home/owner/larder-data', true],
    ['persistence false\npersistence_location /var/lib/mosquitto/', '/var/lib/mosquitto', true],
    ['persistence true\npersistence_location /var/lib/mosquitto/', '/var/lib/mosquitto', false],
    ['persistence true\npersistence_location data', '/home/owner/data', false],
    ['persistence 1\npersistence_file a.db', '/home/owner/a.db.larder', false],
    ['persistence 1\npersistence_file mosquitto.db', '/home/owner/larder-data', false],
    ['persistence 1\npersistence_file a.db\npersistence_location /x', '/x/a.db.larder', false],
    ['plugin mosquitto_persist_sqlite.so', '/home/owner/larder-data', false],
  ])('%j', (text, dataDir, isVolatile) => {
    const { config, habits } = confOf(text)
    expect([config.dataDir, habits.isVolatile]).toEqual([dataDir, isVolatile])
  })
})

describe('the log and the process', () => {
  test('as Mosquitto when nothing is said', () => {
    expect(confOf('').habits).toEqual({
      log: {
        destinations: ['stderr'],
        types: ['error', 'warning', 'notice', 'information'],
        timestamp: true,
        connectionMessages: true,
      },
      isLocalOnly: true,
      isVolatile: true,
    })
  })

  test('what is asked for', () => {
    const text = [
      'log_dest none',
      'log_dest stdout',
      'log_dest file logs/my log',
      'log_dest topic',
      'log_type error',
      'log_type subscribe',
      'log_timestamp false',
      'log_timestamp_format %H:%M',
      'connection_messages false',
      'pid_file run/pid',
      'user nobody',
    ]
    const { habits, config } = confOf(text.join('\n'))
    expect(habits).toMatchObject({
      log: {
        destinations: ['stdout', 'file', 'topic'],
        file: '/home/owner/logs/my log',
        types: ['error', 'subscribe'],
        timestamp: false,
        timestampFormat: '%H:%M',
        connectionMessages: false,
      },
      pidFile: '/home/owner/run/pid',
      user: 'nobody',
    })
    expect(config.log.level).toBe('error')
    expect(confOf('log_type all').config.log.level).toBe('debug')
    expect(confOf('log_type error\nlog_type none\nlog_type warning').habits.log.types).toEqual(['warning'])
  })
})

test('includes, in their order, each with a listener of its own', () => {
  const files = {
    'conf.d/B.conf': 'listener 2\nmax_qos 1',
    'conf.d/a.conf': 'max_queued_messages 7\nlistener 1',
    'conf.d/README': 'nonsense',
    'more/z.conf': 'max_queued_messages 9',
  }
  const { config, included } = confOf('listener 3\ninclude_dir {dir}/conf.d\nmax_qos 0\ninclude_dir {dir}/more', {
    files,
  })
  expect(config.listeners.map(({ port, maxQos }) => [port, maxQos])).toEqual([
    [3, 0],
    [1, 2],
    [2, 1],
  ])
  expect(config.limits.maxQueuedMessages).toBe(9)
  expect(included.map(path => path.split('/').slice(-2).join('/'))).toEqual([
    'conf.d/a.conf',
    'conf.d/B.conf',
    'more/z.conf',
  ])
})

test('lines as editors leave them', () => {
  const text = '\uFEFF  listener   1884\r\n\r\n   # indented\n#\xff\n\t\nmax_qos  1  # yes\n   \nuser  a #b  \r\n'
  const { config, habits } = confOf(text)
  expect(config.listeners).toMatchObject([{ port: 1884, maxQos: 1 }])
  expect(habits.user).toBe('a #b')
  const comment = Buffer.concat([Buffer.from('# '), Buffer.from([0xe9, 10]), Buffer.from('max_qos 1')])
  expect(loadConf(comment)).not.toHaveProperty('faults')
})
