/** `larder import`: the printed larder.yaml means what the mosquitto.conf meant, whatever stands in it. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { faultLine, loadConfig } from '../../../../src/config/load.ts'
import { noticeLine } from '../../../../src/config/mosquitto/load.ts'
import { printYaml } from '../../../../src/config/mosquitto/yaml.ts'
import type { Config } from '../../../../src/config/schema.ts'
import { checks, confOf, loadConf } from './loading.ts'

/** Loads a printed larder.yaml from another folder, in an environment that a `${X}` in it would be taken from. */
function reload(text: string): Config {
  const result = loadConfig({ text, env: { X: 'oops' }, cwd: '/elsewhere', checks })
  if ('faults' in result) throw new Error(`${result.faults.map(faultLine).join('\n')}\n${text}`)
  return result.config
}

function printed(text: string): string {
  const { root, notices } = confOf(text)
  return printYaml(root, { what: ['made'], notices: notices.map(noticeLine) })
}

test('says where each line comes from', () => {
  const text = 'listener 8883\ncertfile c.pem\nkeyfile k.pem\n\nautosave_interval 60\npassword_file no'
  expect(printed(text).replace(/\/\S*\/mosquitto\.conf/g, 'mosquitto.conf')).toBe(`# made

data_dir: /home/owner/larder-data

listeners:
  - url: "mqtts://[::]:8883"  # mosquitto.conf:1
    tls:
      cert: /home/owner/c.pem  # mosquitto.conf:2
      key: /home/owner/k.pem  # mosquitto.conf:3

access:
  password_file: /home/owner/no  # mosquitto.conf:6
  allow_anonymous: false
  auto_id_prefix: auto-

limits:
  max_inflight: 20
  max_queued_messages: 1000

log:
  level: info

# Not taken over, or not as it was:
#   mosquitto.conf:5: autosave_interval is not needed: what is acknowledged is on disk at once
`)
})

/** Text that YAML, or our own loader, may take for something else. */
const words = fc.oneof(
  fc.constantFrom(
    'true',
    'no',
    '~',
    'null',
    '12',
    '1e3',
    '- a',
    'a: b',
    '#x',
    '*a',
    '&a',
    '!x',
    '%',
    '@',
    '`',
    '"',
    "'",
    '\\',
  ),
  // biome-ignore lint/suspicious/noTemplateCurlyInString: this is what must not be replaced
  fc.constantFrom('${X}', '$${X}', '$$', '{a', '[', 'é ü', '\u0085', '\u2028', '\ufeff', '\t', 'a\tb', '0x1F', '.inf'),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 8 }).filter(text => !/[\n\r\0]/.test(text)),
)
const number = fc.oneof(fc.integer({ min: 0, max: 70_000 }), fc.integer({ min: 0, max: 2 ** 31 - 1 }))
const flag = fc.constantFrom('true', 'false')
const qos = fc.integer({ min: 0, max: 2 })

const lineOf = (option: string, value: fc.Arbitrary<unknown>) => value.map(each => `${option} ${each}`)
const lines = (options: readonly string[], value: fc.Arbitrary<unknown>) => options.map(each => lineOf(each, value))

const general = fc.oneof(
  ...lines(['max_inflight_messages', 'max_queued_messages', 'max_queued_bytes', 'max_packet_size'], number),
  ...lines(['message_size_limit', 'max_keepalive', 'global_max_connections', 'autosave_interval'], number),
  ...lines(['max_inflight_bytes', 'memory_limit', 'global_max_clients'], number),
  ...lines(['persistent_client_expiration'], fc.constantFrom('1s', '12h', '3w', '2m', '400y')),
  ...lines(
    ['queue_qos0_messages', 'retain_available', 'persistence', 'allow_anonymous', 'allow_zero_length_clientid'],
    flag,
  ),
  ...lines(['persistence_location', 'persistence_file', 'password_file', 'acl_file', 'psk_file'], words),
  ...lines(['auto_id_prefix', 'clientid_prefixes', 'log_timestamp_format', 'user'], words),
  ...lines(['log_type'], fc.constantFrom('all', 'none', 'debug', 'error', 'warning', 'notice')),
)
const listener = fc
  .tuple(
    fc.oneof(
      lineOf('listener', fc.integer({ min: 1, max: 65_535 })),
      lineOf('listener', fc.constantFrom('1 localhost', '2 ::1', '3 fe80::1%eth0', '4 host.example.org')),
      lineOf('listener 0', words),
    ),
    fc.array(
      fc.oneof(
        ...lines(
          ['cafile', 'certfile', 'keyfile', 'capath', 'crlfile', 'ciphers', 'ciphers_tls1.3', 'psk_hint'],
          words,
        ),
        ...lines(['require_certificate', 'use_identity_as_username', 'use_subject_as_username'], flag),
        ...lines(['use_username_as_clientid', 'listener_allow_anonymous', 'allow_anonymous'], flag),
        ...lines(['mount_point', 'websockets_origin', 'listener_auto_id_prefix', 'password_file', 'psk_file'], words),
        ...lines(['max_qos'], qos),
        ...lines(['max_connections', 'max_topic_alias'], number),
        ...lines(['accept_protocol_versions'], fc.constantFrom('3', '4,5', '5, 3')),
        ...lines(['protocol'], fc.constantFrom('mqtt', 'websockets')),
        ...lines(['socket_domain'], fc.constantFrom('ipv4', 'ipv6')),
        ...lines(['tls_version'], fc.constantFrom('tlsv1.1', 'tlsv1.2', 'tlsv1.3')),
        ...lines(['enable_proxy_protocol'], fc.constantFrom(1, 2)),
      ),
      { maxLength: 6 },
    ),
  )
  .map(([first, rest]) => [first, ...rest])
const bridge = fc
  .tuple(
    fc.string({ minLength: 1, maxLength: 6 }).filter(name => /^[^\s#]+$/.test(name)),
    fc.array(
      fc.oneof(
        fc
          .tuple(words, fc.constantFrom('out', 'in', 'both'), qos, words, words)
          .map(([a, way, b, c, d]) => `topic ${a} ${way} ${b} ${c} ${d}`),
        ...lines(['remote_clientid', 'remote_username', 'remote_password', 'notification_topic'], words),
        ...lines(['keepalive_interval', 'restart_timeout', 'idle_timeout', 'threshold'], number),
        ...lines(['bridge_max_packet_size', 'bridge_max_topic_alias', 'bridge_receive_maximum'], number),
        ...lines(['bridge_session_expiry_interval'], number),
        ...lines(['bridge_cafile', 'bridge_capath', 'bridge_ciphers', 'bridge_ciphers_tls1.3', 'bridge_alpn'], words),
        ...lines(['cleansession', 'notifications', 'notifications_local_only', 'try_private', 'round_robin'], flag),
        ...lines(['bridge_attempt_unsubscribe', 'bridge_outgoing_retain', 'bridge_tls_use_os_certs'], flag),
        ...lines(['start_type'], fc.constantFrom('automatic', 'lazy', 'once')),
        ...lines(['bridge_protocol_version'], fc.constantFrom('mqttv31', 'mqttv311', 'mqttv50')),
        ...lines(['bridge_tcp_keepalive'], fc.constantFrom('1 1 1', '70000 5 3')),
      ),
      { maxLength: 5 },
    ),
  )
  .map(([name, rest]) => [`connection ${name}`, 'address 10.0.0.1:1884', 'topic # out 1', ...rest])
const conf = fc
  .tuple(
    fc.constantFrom([], ['per_listener_settings true']),
    fc.array(general, { maxLength: 6 }),
    fc.array(listener, { maxLength: 3 }),
    fc.array(bridge, { maxLength: 2 }),
  )
  .map(([first, some, listeners, bridges]) => [...first, ...some, ...listeners.flat(), ...bridges.flat()].join('\n'))

const RUNS = 250

test('any configuration comes back as it was', { timeout: 60_000 }, () => {
  let same = 0
  fc.assert(
    fc.property(conf, text => {
      const loaded = loadConf(text)
      if ('faults' in loaded) return
      same++
      expect(reload(printYaml(loaded.root, { what: [], notices: loaded.notices.map(noticeLine) }))).toEqual(
        loaded.config,
      )
    }),
    { numRuns: RUNS },
  )
  // Much of what was made is no configuration; enough is.
  expect(same).toBeGreaterThan(RUNS / 10)
})
