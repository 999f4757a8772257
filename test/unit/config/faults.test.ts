/** Every kind of fault as its owner reads it: a text with » before what is wrong, and what is said of it. */
import { expect, test } from 'vitest'
import { faultsOf } from './loading.ts'

const device = (rest: string) => `devices:\n  - { name: A, room: R, ${rest} }`
const schedule = (rest: string, mark = '') =>
  `${device('gpio: { pin: 1, direction: out }')}\nschedules:\n  - ${mark}{ ${rest} }`
const bridge = (rest: string, mark = '') => `bridges:\n  - ${mark}{ name: b, ${rest} }`
const OUT = 'out: [{ filter: "#" }]'

test.each<[what: string, text: string, fault: string]>([
  // Keys
  ['an unknown key', '»nmae: x', "nmae: unknown key; did you mean 'name'?"],
  [
    'an unknown key like no other',
    'log: { »colour: red }',
    'log.colour: unknown key; known here: level, format, topics',
  ],
  ['an unknown key with nothing behind it', '»lisners:', "lisners: unknown key; did you mean 'listeners'?"],
  [
    'a key in camel case',
    'limits:\n  »maxInflight: 5',
    "limits.maxInflight: unknown key; did you mean 'max_inflight'?",
  ],
  [
    'a key that cannot be printed',
    'log: { »"a\\eb": 1 }',
    'log["a b"]: unknown key; known here: level, format, topics',
  ],
  ['a key of JavaScript', 'log: { »__proto__: 1 }', 'log.__proto__: unknown key'],
  ['a key written twice', 'name: a\nlog:\n»name: b', 'name: is written twice in this map: keep one of the two'],
  ['a missing key', device('gpio: »{ pin: 1 }'), 'devices[0].gpio.direction: is required, such as direction: in'],
  [
    'a required key with nothing behind it',
    device('gpio: { »pin: , direction: in }'),
    'devices[0].gpio.pin: is required, such as pin: 17',
  ],
  [
    'a misspelt key that is missing',
    device('gpio: { »pni: 1, direction: in }'),
    "devices[0].gpio.pni: unknown key; did you mean 'pin'?",
  ],
  // Types
  ['text at the top', '»Larder', "must be a map of keys, such as name: Larder; found the text 'Larder'"],
  ['a list at the top', '»- name: x', 'must be a map of keys, such as name: Larder; found a list'],
  [
    'a map for a list',
    'schedules: »{ name: x }',
    'schedules: must be a list, each entry behind a dash, such as - cron: "*/5 * * * *"; found a map',
  ],
  ['text for a map', 'log: »debug', "log: must be a map of keys, such as level: info; found the text 'debug'"],
  [
    'nothing for an entry',
    'devices:\n  -»',
    'devices[0]: must be a map of keys, such as name: Thermometer; found nothing',
  ],
  ['a list for text', 'name: »[a]', 'name: must be text, such as Larder; found a list'],
  [
    'a number for text',
    'name: »5',
    "name: must be text; found the number 5: if that is the text, put it in quotes: '5'",
  ],
  ['no text', 'name: »""', 'name: must not be empty; write text such as Larder'],
  [
    'text for a number',
    'limits: { max_inflight: »many }',
    "limits.max_inflight: must be a whole number, such as 100; found the text 'many'",
  ],
  [
    'a fraction',
    'limits: { max_inflight: »1.5 }',
    'limits.max_inflight: must be a whole number, such as 100; found the number 1.5',
  ],
  [
    'no number at all',
    device('scale: ».nan, system: '),
    'devices[0].scale: must be a number, such as 0.001; found the number NaN',
  ],
  [
    'text for a switch',
    device('retain: »maybe, system: '),
    "devices[0].retain: must be true or false, such as true; found the text 'maybe'",
  ],
  [
    'a word that is not one of few',
    'log: { level: »wran }',
    "log.level: must be debug, info, warn or error; found the text 'wran'; did you mean 'warn'?",
  ],
  [
    'a number that is not one of few',
    device('qos: »2, system: '),
    'devices[0].qos: must be 0 or 1; found the number 2',
  ],
  [
    'a very long value',
    `log: { level: »${'x'.repeat(200)} }`,
    `log.level: must be debug, info, warn or error; found the text '${'x'.repeat(59)}…'`,
  ],
  // Numbers with units
  [
    'a number out of range',
    'limits: { max_inflight: »70000 }',
    'limits.max_inflight: must be between 1 and 65535; found 70000',
  ],
  [
    'a duration without a unit',
    'store: { commit_delay: »5 }',
    'store.commit_delay: a duration needs its unit: write 5s or 5ms, for example; found the number 5',
  ],
  [
    'an unknown unit of time',
    'store: { commit_delay: »5 parsecs }',
    "store.commit_delay: must be a duration (a number with ms, s, m, h or d), such as 5ms; found the text '5 parsecs'",
  ],
  [
    'a duration out of range',
    'store: { commit_delay: »1s }',
    'store.commit_delay: must be between 0ms and 100ms; found 1s',
  ],
  [
    'a durability that is none',
    'store: { durability: »sometimes }',
    "store.durability: must be ack, none or a duration such as 5s; found the text 'sometimes'",
  ],
  [
    'an interval that is too short',
    'store: { durability_for: [{ filter: a, durability: »1ms }] }',
    'store.durability_for[0].durability: must be between 100ms and 1h; found 1ms',
  ],
  [
    'Redis without its address',
    'store: »{ engine: redis }',
    'store.url: is required with engine: redis, such as url: redis://127.0.0.1:6379',
  ],
  ['an address without Redis', 'store: { url: »"redis://10.0.0.1" }', 'store.url: is only for engine: redis'],
  [
    'another policy',
    'limits: { overflow: »drop-eldest }',
    "limits.overflow: must be drop-oldest, drop-newest or reject; found the text 'drop-eldest'; did you mean 'drop-oldest'?",
  ],
  [
    'half a second of keepalive',
    'limits: { max_keepalive: »1.5s }',
    'limits.max_keepalive: must be whole seconds, such as 10m; found 1.5s',
  ],
  [
    'an unknown unit of size',
    'limits: { max_unsent: »5 elephants }',
    "limits.max_unsent: must be a size (a number of bytes, or one with B, kB, KiB, MB, MiB, GB or GiB), such as 4MiB; found the text '5 elephants'",
  ],
  [
    'half a unit of size',
    'limits: { max_unsent: »64M }',
    "limits.max_unsent: must be a size (a number of bytes, or one with B, kB, KiB, MB, MiB, GB or GiB), such as 4MiB; found the text '64M'; did you mean '64MiB'?",
  ],
  [
    'a size out of range',
    'limits: { max_packet_size: »1GiB }',
    'limits.max_packet_size: must be between 1KiB and 256MiB; found 1GiB',
  ],
  // Addresses
  [
    'no address',
    'listeners: [»1883]',
    'listeners[0]: must be an address, such as mqtt://127.0.0.1:1883; found the number 1883',
  ],
  [
    'an address without a protocol',
    'listeners: [»"127.0.0.1:1883"]',
    "listeners[0]: must be an address, such as mqtt://127.0.0.1:1883; found the text '127.0.0.1:1883'",
  ],
  [
    'TLS without a certificate',
    'listeners: [»mqtts://127.0.0.1]',
    'listeners[0]: needs a certificate: write it as - { url: mqtts://…, tls: { cert: fullchain.pem, key: privkey.pem } }',
  ],
  [
    'TLS without a certificate, in a map',
    'listeners:\n  - »url: wss://127.0.0.1',
    'listeners[0].tls: is required for wss://, such as tls: { cert: fullchain.pem, key: privkey.pem }',
  ],
  [
    'a certificate without its key',
    'listeners:\n  - { url: "mqtts://127.0.0.1", tls: { cert: »a.pem } }',
    'listeners[0].tls.cert: cert and key belong together',
  ],
  [
    'a certificate for plain TCP',
    'listeners:\n  - { url: "mqtt://127.0.0.1", tls: »{ cert: a.pem, key: b.pem } }',
    'listeners[0].tls: is only for mqtts:// and wss://, and this is mqtt://',
  ],
  [
    'certificates of clients without those who sign them',
    'listeners:\n  - { url: "mqtts://127.0.0.1", tls: { cert: a, key: b, client_certificates: »required } }',
    'listeners[0].tls.client_certificates: needs ca or ca_folder: those who sign the certificates of clients',
  ],
  [
    'user names from certificates that nobody has',
    'listeners:\n  - { url: "mqtt://127.0.0.1", username_from: »common_name }',
    'listeners[0].username_from: needs client certificates, which only mqtts:// and wss:// have',
  ],
  [
    'a listener for everybody',
    'listeners: [»"mqtt://0.0.0.0:1883"]',
    'listeners[0]: whoever reaches mqtt://0.0.0.0:1883 could connect: add access: { password_file: passwords } (larder passwd makes it), or access: { allow_anonymous: true } if that is meant',
  ],
  [
    'a listener for everybody beside one with rules',
    'listeners:\n  - { url: "mqtt://10.0.0.1", access: { allow_anonymous: true } }\n  - { url: »"mqtt://10.0.0.2" }',
    'listeners[1].url: whoever reaches mqtt://10.0.0.2:1883 could connect: add access: { password_file: passwords } (larder passwd makes it), or access: { allow_anonymous: true } if that is meant',
  ],
  [
    'a socket without a path',
    'listeners: [»"unix://"]',
    'listeners[0]: needs the path of a socket, such as unix:///run/larder/mqtt.sock',
  ],
  [
    'an unknown protocol',
    'listeners: [»amqp://127.0.0.1]',
    'listeners[0]: amqp:// is not known; use mqtt://, mqtts://, ws://, wss:// or unix://',
  ],
  [
    'a port out of range',
    'listeners: [»"mqtt://127.0.0.1:65536"]',
    'listeners[0]: the port must be between 0 and 65535; found 65536',
  ],
  [
    'a host that is none',
    'listeners: [»"mqtt://*:1883"]',
    "listeners[0]: '*:1883' is not a host and a port; write it as in mqtt://127.0.0.1:1883",
  ],
  [
    'an IPv6 address that is none',
    'listeners: [»"mqtt://[::zz]:1883"]',
    "listeners[0]: '[::zz]:1883' is not a host and a port; write it as in mqtt://127.0.0.1:1883",
  ],
  [
    'a path where none is',
    'listeners: [»"mqtt://127.0.0.1/mqtt"]',
    "listeners[0]: an mqtt:// address has no path; leave out '/mqtt'",
  ],
  [
    'a listener map without an address',
    'listeners:\n  - »{}',
    'listeners[0].url: is required, such as url: mqtt://127.0.0.1:1883',
  ],
  [
    'one address twice',
    'access: {allow_anonymous: true}\nlisteners: ["mqtt://0.0.0.0:1883", {url: »"ws://0.0.0.0:1883"}]',
    'listeners[1].url: the address 0.0.0.0:1883 is taken already, by listeners[0]: give one of them another port',
  ],
  // Devices
  ['no kind', 'devices:\n  - »name: A\n    room: R', 'devices[0]: a device needs one of serial, gpio, file or system'],
  ['a misspelt kind', device('»seriel: { path: /x }'), "devices[0].seriel: unknown key; did you mean 'serial'?"],
  [
    'two kinds',
    device('»system: , file: { path: /x }'),
    'devices[0].system: a device can only be one thing, and it is file already',
  ],
  [
    'no room',
    'devices:\n  - »{ name: A, gpio: { pin: 1, direction: in } }',
    'devices[0].room: is required, such as room: Kitchen',
  ],
  [
    'a slash in a name',
    'devices: [{ name: »a/b, system: }]',
    "devices[0].name: must not contain '/', which separates the levels of a topic",
  ],
  [
    'a wildcard in a name',
    'devices: [{ name: »a+b, system: }]',
    "devices[0].name: must not contain '+' or '#', which are wildcards",
  ],
  [
    'an empty level',
    'devices: [{ name: a, room: »/x, system: }]',
    "devices[0].room: must not begin or end with '/' or contain '//'",
  ],
  ['NUL', 'devices: [{ name: »"a\\0b", system: }]', 'devices[0].name: must not contain the character U+0000'],
  ['a wildcard in a topic', device('topic: »a/+, system: '), 'devices[0].topic: must not contain wildcards'],
  ['a name that is too long', `name: »${'x'.repeat(65_536)}`, 'name: must not be longer than 65535 bytes'],
  [
    'csv without columns',
    device('serial: »{ path: /x, codec: csv }'),
    'devices[0].serial.columns: csv needs the names of its columns, such as columns: [temperature, humidity]',
  ],
  [
    'columns without csv',
    device('serial: { path: /x, »columns: [a] }'),
    'devices[0].serial.columns: belongs to codec: csv',
  ],
  [
    'no columns',
    device('serial: { path: /x, codec: csv, columns: »[] }'),
    'devices[0].serial.columns: needs at least one entry, such as - temperature',
  ],
  [
    'a column twice',
    device('serial: { path: /x, codec: csv, columns: [a, b, »a] }'),
    'devices[0].serial.columns[2]: is the name of a column before it as well',
  ],
  [
    'a line ending in single quotes',
    device("serial: { path: /x, write_line_ending: »'\\r\\n' }"),
    `devices[0].serial.write_line_ending: must be "\\n", "\\r\\n", "\\r" or ""; found the text '\\r\\n'`,
  ],
  [
    'a level for an input',
    device('gpio: { pin: 1, direction: in, »initial: on }'),
    'devices[0].gpio.initial: belongs to direction: out',
  ],
  [
    'a pattern that is none',
    device("file: { path: /x, pattern: »'(' }"),
    'devices[0].file.pattern: is not a regular expression: Unterminated group',
  ],
  [
    'a pattern without a group',
    device("file: { path: /x, pattern: »'a' }"),
    "devices[0].file.pattern: must have one group in ( ) around the number, such as 't=(-?\\d+)'; found 0",
  ],
  [
    'one topic twice',
    `${device('system: ')}\n  - { name: »A, room: R, system: }`,
    'devices[1].name: the topic /Home/R/A is taken already, by devices[0]: give one of them another name, room or topic',
  ],
  [
    'one topic twice, once by hand',
    `${device('system: ')}\n  - { name: B, topic: »/Home/R/A, system: }`,
    'devices[1].topic: the topic /Home/R/A is taken already, by devices[0]: give one of them another name, room or topic',
  ],
  [
    'one port twice',
    `${device('serial: { path: /x }')}\n  - { name: B, room: R, serial: { path: »/x } }`,
    'devices[1].serial.path: the port /x is taken already, by devices[0]: a port has one reader',
  ],
  [
    'one pin twice',
    `${device('gpio: { pin: 1, direction: in }')}\n  - { name: B, room: R, gpio: { pin: »"1", direction: in } }`,
    'devices[1].gpio.pin: the pin 1 is taken already, by devices[0]: a pin has one use',
  ],
  // Schedules
  ['no times', schedule('poll: A', '»'), 'schedules[0].cron: is required, such as cron: "*/5 * * * *"'],
  ['nothing to do', schedule('cron: "* * * * *"', '»'), 'schedules[0]: a schedule needs one of poll, publish or set'],
  [
    'two things to do',
    schedule('cron: "* * * * *", poll: A, »set: { device: A, value: on }'),
    'schedules[0].set: a schedule can only be one thing, and it is poll already',
  ],
  [
    'an unknown time zone',
    schedule('cron: "* * * * *", timezone: »Europe/Berln, poll: A'),
    "schedules[0].timezone: is not the name of a time zone; did you mean 'Europe/Berlin'?",
  ],
  [
    'an unknown device',
    schedule('cron: "* * * * *", poll: »B'),
    "schedules[0].poll: no device is called 'B'; did you mean 'A'?",
  ],
  [
    'an unknown device like no other',
    schedule('cron: "* * * * *", set: { device: »Other, value: 1 }'),
    "schedules[0].set.device: no device is called 'Other'; there is A",
  ],
  [
    'a device where there are none',
    'schedules: [{ cron: "* * * * *", poll: »A }]',
    "schedules[0].poll: no device is called 'A'; there are no devices",
  ],
  [
    'a name that two devices have',
    `${device('system: ')}\n  - { name: A, room: S, system: }\nschedules: [{ cron: "* * * * *", poll: »A }]`,
    "schedules[0].poll: 'A' is the name of devices[0] and devices[1]: give them different names",
  ],
  [
    'a device that takes no commands',
    `${device('system: ')}\nschedules: [{ cron: "* * * * *", set: { device: »A, value: 1 } }]`,
    "schedules[0].set.device: 'A' takes no commands: only a serial device, or a pin with direction: out or count, can be set",
  ],
  [
    'a map as payload',
    schedule('cron: "* * * * *", publish: { topic: a, payload: »{ a: 1 } }'),
    'schedules[0].publish.payload: must be one value (a list or a map goes into quotes), such as ring; found a map',
  ],
  // Bridges
  [
    'a name with spaces',
    `bridges: [{ name: »a b, url: "mqtt://x", ${OUT} }]`,
    "bridges[0].name: may have letters without accents, digits, '-' and '_' only",
  ],
  [
    'one name twice',
    `bridges:\n  - &a { name: »a, url: "mqtt://x", ${OUT} }\n  - { <<: *a, url: "mqtt://y" }\n  - { <<: *a, name: b }`,
    'bridges[1].name: the name a is taken already, by bridges[0]: give one of them another',
  ],
  [
    'no address of a bridge',
    bridge(OUT, '»'),
    'bridges[0].url: is required, such as url: mqtt://broker.example.org:1883',
  ],
  ['port 0', bridge(`url: »"mqtt://x:0", ${OUT}`), 'bridges[0].url: the port must be between 1 and 65535; found 0'],
  [
    'a bridge over WebSocket',
    bridge(`url: »"redis://x", ${OUT}`),
    'bridges[0].url: redis:// is not known; use mqtt://, mqtts://, ws:// or wss://',
  ],
  [
    'a password in the address',
    bridge(`url: »"mqtt://u:secret@x", ${OUT}`),
    'bridges[0].url: must not hold a user name and password: they have keys of their own, username and password',
  ],
  [
    'a password without a user',
    bridge(`url: "mqtt://x", password: p, ${OUT}`, '»'),
    'bridges[0].username: is required with a password, such as username: larder',
  ],
  [
    'no rules',
    bridge('url: "mqtt://x", out: »[]'),
    'bridges[0].out: needs at least one entry, such as - filter: "/Home/#"',
  ],
  [
    'a filter that is none',
    bridge('url: "mqtt://x", out: [{ filter: »a# }]'),
    "bridges[0].out[0].filter: '#' in a topic filter must be its whole last level",
  ],
  [
    'a filter and a prefix that do not fit',
    bridge('url: "mqtt://x", out: [{ filter: »"#", local_prefix: a }]'),
    "bridges[0].out[0].filter: together with local_prefix it is 'a#', but '#' in a topic filter must be its whole last level",
  ],
  [
    'a wildcard in a prefix',
    bridge('url: "mqtt://x", out: [{ filter: "#", remote_prefix: »+/ }]'),
    "bridges[0].out[0].remote_prefix: must not contain '+' or '#', which are wildcards",
  ],
  [
    'pauses the wrong way round',
    bridge(`url: "mqtt://x", retry: { min: 1m, max: »1s }, ${OUT}`),
    'bridges[0].retry.max: must not be shorter than min',
  ],
])('%s', (_, marked, fault) => {
  const before = marked.slice(0, marked.indexOf('»')).split('\n')
  const place = `${before.length}:${before.at(-1)!.length + 1}`
  expect(faultsOf(marked.replace('»', ''))).toEqual([`${place}: ${fault}`])
})

test('the words of the cron reader are told at the expression', () => {
  expect(faultsOf(schedule('cron: "61 * * * *", poll: A'))).toEqual([
    expect.stringMatching(/^4:13: schedules\[0\]\.cron: .*minute/i),
  ])
})

test('all faults come at once, in the order of the text', () => {
  const text = `
listeners:
  - mqtt://127.0.0.1:99999
devices:
  - name: Thermometer
    room: Kitchen
    serial: { path: /dev/ttyUSB0, baud: fast }
  - name: Door
    room: Kitchen
    gpio: { pin: 99, direction: inn }
schedules:
  - cron: "* * * * *"
    poll: Thermomter
lgo:
  level: info
`
  expect(faultsOf(text)).toEqual([
    '3:5: listeners[0]: the port must be between 0 and 65535; found 99999',
    "7:41: devices[0].serial.baud: must be a whole number, such as 9600; found the text 'fast'",
    '10:18: devices[1].gpio.pin: must be between 0 and 53; found 99',
    "10:33: devices[1].gpio.direction: must be in, out or count; found the text 'inn'; did you mean 'in'?",
    "13:11: schedules[0].poll: no device is called 'Thermomter'; did you mean 'Thermometer'?",
    "14:1: lgo: unknown key; did you mean 'log'?",
  ])
})

test('a value that is shared is wrong once', () => {
  const text = `
devices:
  - { name: A, room: R, gpio: &pin { pin: 1, direction: in, debounce: 5 } }
  - { name: B, room: R, gpio: { <<: *pin, pin: 2 } }
`
  expect(faultsOf(text)).toEqual([
    '3:71: devices[0].gpio.debounce: a duration needs its unit: write 5s or 5ms, for example; found the number 5',
  ])
})

test('lines end with CR LF as well, and a byte order mark is no column', () => {
  expect(faultsOf('\uFEFFnmae: x\r\nlog:\r\n  levle: info\r\n')).toEqual([
    "1:1: nmae: unknown key; did you mean 'name'?",
    "3:3: log.levle: unknown key; did you mean 'level'?",
  ])
})
