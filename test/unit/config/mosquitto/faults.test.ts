/** Faults of mosquitto.conf: in Mosquitto's own words, with file and line, all at once. */
import { describe, expect, test } from 'vitest'
import { OPTIONS } from '../../../../src/config/mosquitto/options.ts'
import { faultsOf, loadConf, noticesOf } from './loading.ts'

/** The words of the first two columns are what Debian's mosquitto 2.0.11 prints; see test/interop/mosquitto-conf.test.ts. */
test.each<[string, string]>([
  ['foo bar', 'Unknown configuration variable "foo".'],
  ['listner 1883', 'Unknown configuration variable "listner". Did you mean listener?'],
  ['hasOwnProperty 1', 'Unknown configuration variable "hasOwnProperty".'],
  ['constructor 1', 'Unknown configuration variable "constructor".'],
  ['listener', 'Empty listener value in configuration.'],
  ['listener 70000', 'Invalid port value (70000).'],
  ['listener 0', 'A listener with port 0 must provide a Unix socket path.'],
  ['port 0', 'Invalid port value (0).'],
  ['allow_anonymous maybe', 'Invalid allow_anonymous value (maybe).'],
  ['allow_anonymous', 'Empty allow_anonymous value in configuration.'],
  ['max_qos 5', 'max_qos must be between 0 and 2 inclusive.'],
  ['max_inflight_messages 70000', 'max_inflight_messages must be <= 65535.'],
  ['max_inflight_messages lots', 'max_inflight_messages must be <= 65535.'],
  ['max_queued_messages lots', 'Invalid max_queued_messages value (lots).'],
  ['max_packet_size 5', 'Invalid max_packet_size value (5).'],
  ['max_keepalive 70000', 'Invalid max_keepalive value (70000).'],
  ['memory_limit -1', 'Invalid memory_limit value (-1).'],
  ['sys_interval -3', 'Invalid sys_interval value (-3).'],
  ['persistent_client_expiration 5x', 'Invalid persistent_client_expiration duration in configuration.'],
  ['log_dest bla', 'Invalid log_dest value (bla).'],
  ['log_dest file', 'Empty "log_dest file" value in configuration.'],
  ['log_type bla', 'Invalid log_type value (bla).'],
  ['socket_domain ipv9', 'Invalid socket_domain value "ipv9" in configuration.'],
  ['user', 'Empty user value in configuration.'],
  ['address x', 'Invalid bridge configuration.'],
  ['topic x', 'Invalid bridge configuration.'],
  ['mount_point a/', 'You must use create a listener before using the mount_point option in the configuration file.'],
  ['accept_protocol_versions 3', 'You must define a listener before using the accept_protocol_versions option.'],
  ['auth_opt_x y', 'A plugin_opt_ option exists in the config file without a plugin.'],
  ['include_dir /nowhere', "Unable to open include_dir '/nowhere'."],
  ['include_dir', 'Empty include_dir value in configuration.'],
])('%j', (text, message) => {
  expect(faultsOf(`# first\n${text}`)).toEqual([`Error: ${message}`, 'Error found at mosquitto.conf:2.'])
})

test.each<[string, string, number]>([
  ['pid_file a\npid_file b', 'Duplicate pid_file value in configuration.', 2],
  ['listener 1\npassword_file a\npassword_file b', 'Duplicate password_file value in configuration.', 3],
  ['log_dest file a\nlog_dest file b', 'Duplicate "log_dest file" value.', 2],
  ['listener 1\nmount_point a/#', "Invalid mount_point 'a/#'. Does it contain a wildcard character?", 2],
  [
    'listener 1\nallow_anonymous true\nper_listener_settings true',
    'per_listener_settings must be set before any other security settings.',
    3,
  ],
  ['connection a\naddress b\ntopic c d', "Invalid bridge topic direction 'd'.", 3],
  ['connection a\naddress b\ntopic c out 3', "Invalid bridge QoS level '3'.", 3],
  ['connection a\naddress b\ntopic "" out 1', 'Invalid bridge remapping.', 3],
  ['connection a\naddress b:0\ntopic c', 'Invalid port value (0).', 2],
  ['connection a\naddress b\ntopic c\nstart_type manual', 'Manual start_type not supported.', 4],
  ['connection a\naddress b\ntopic c\nconnection a', 'Duplicate bridge name "a".', 4],
  ['connection a\ntopic c', 'Invalid bridge configuration: no remote addresses defined.', 1],
  ['connection a\naddress b', 'Invalid bridge configuration: no topics defined.', 1],
  ['listener 1\npsk_hint a\ncertfile b', 'Cannot use both certificate and psk encryption in a single listener.', 3],
  ['listener 1\npsk_hint a', 'psk_hint needs a psk_file.', 2],
  ['listener 1\nbind_interface nope0', 'Interface nope0 has no address to listen on.', 2],
  [
    'listener 1\nlistener 1',
    'Invalid listener value: it the address [::]:1 is taken already, by listeners[0]: give one of them another port.',
    2,
  ],
])('%j', (text, message, line) => {
  const [first, where] = faultsOf(text)
  expect([first, where]).toEqual([`Error: ${message}`, `Error found at mosquitto.conf:${line}.`])
})

test('all at once, and none twice', () => {
  const text = 'listener x\nmax_qos 9\nconnection\naddress a b\ntopic q\nfoo 1\nlistener 5'
  expect(faultsOf(text)).toEqual([
    'Error: Invalid port value (x).',
    'Error found at mosquitto.conf:1.',
    'Error: max_qos must be between 0 and 2 inclusive.',
    'Error found at mosquitto.conf:2.',
    'Error: Empty connection value in configuration.',
    'Error found at mosquitto.conf:3.',
    'Error: Unknown configuration variable "foo".',
    'Error found at mosquitto.conf:6.',
  ])
})

test('in an included file', () => {
  const files = { 'conf.d/a.conf': '\nfoo 1', 'conf.d/b.conf': 'include_dir /x' }
  const faults = faultsOf('include_dir {dir}/conf.d', { files })
  expect(faults).toEqual([
    'Error: Unknown configuration variable "foo".',
    'Error found at conf.d/a.conf:2.',
    'Error: The include_dir option is only valid in the main configuration file.',
    'Error found at conf.d/b.conf:1.',
  ])
})

test('files that are none', () => {
  expect(faultsOf(Buffer.from([0x75, 0x73, 0x65, 0x72, 0x20, 0xe9]))).toEqual([
    'Error: Malformed UTF-8 in configuration.',
    'Error found at mosquitto.conf:1.',
  ])
  expect(faultsOf('#'.repeat(2 ** 20 + 1))).toEqual(['Error: Config file mosquitto.conf is larger than 1 MiB.'])
})

test('a library for Mosquitto may be what keeps strangers out', () => {
  const [fault] = faultsOf('listener 1\nallow_anonymous true\nplugin /usr/lib/mosquitto_dynamic_security.so')
  expect(fault).toContain('Larder cannot load libraries for Mosquitto')
})

describe('every option', () => {
  test.each(Object.keys(OPTIONS))('%s without a value is a fault, a notice or nothing', option => {
    const result = loadConf(`listener 1\nconnection c\naddress a\ntopic t\nplugin mosquitto_acl_file.so\n${option}`)
    // What matters: it is known, and nothing is thrown.
    expect('faults' in result ? result.faults.map(({ message }) => message).join() : '').not.toMatch(/Unknown/)
  })

  test('is named with its line where it is not honoured', () => {
    expect(noticesOf('autosave_interval 60\n\nretry_interval\nstore_clean_interval 10\nset_tcp_nodelay true')).toEqual([
      '1: autosave_interval is not needed: what is acknowledged is on disk at once',
      '3: retry_interval is no longer available, as in Mosquitto: MQTT repeats a message when a client comes back',
      '4: store_clean_interval is no longer available, as in Mosquitto: nothing is left over that needs it',
    ])
  })

  test('that is honoured is not', () => {
    const text = 'max_queued_messages 5\nlistener 1\nmax_qos 1\npersistence true\nretain_available true\nlog_type all'
    expect(noticesOf(text)).toEqual([])
  })
})
