import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { configOf, load } from './loading.ts'

const ACCESS = {
  passwordFile: undefined,
  aclFile: undefined,
  allowAnonymous: true,
  clientIdPrefixes: [],
  allowEmptyClientId: true,
  grantEverySubscription: false,
  autoIdPrefix: 'larder-',
}
/** A listener about which nothing more is said. */
const AS_FOR_ALL = {
  access: ACCESS,
  maxPacketSize: 2_097_152,
  maxQos: 2,
  versions: [3, 4, 5],
  mountPoint: '',
  usernameFrom: 'connect',
  usernameAsClientId: false,
  proxyProtocol: false,
  socketMode: 0o660,
}

const DEFAULTS = {
  name: 'Larder',
  dataDir: '/home/owner/larder-data',
  listeners: [{ protocol: 'mqtt', host: '127.0.0.1', port: 1883, ...AS_FOR_ALL }],
  access: ACCESS,
  store: {
    engine: 'level',
    durability: 0,
    durabilityFor: [],
    commitDelay: 10,
    retainedInterval: 300_000,
    minFree: 67_108_864,
    queueQos0: false,
    trustClock: 'auto',
  },
  limits: {
    maxPacketSize: 2_097_152,
    maxInflight: 100,
    receiveMaximum: 2000,
    maxQueuedMessages: 100_000,
    maxQueuedBytes: 268_435_456,
    maxQueuedAge: Number.POSITIVE_INFINITY,
    maxTotalMessages: 5_000_000,
    maxTotalBytes: 2_147_483_648,
    overflow: 'drop-oldest',
    maxUnsent: 4_194_304,
    connectTimeout: 10_000,
    maxKeepalive: 0,
    maxTopicLevels: 200,
    checkPayloadFormat: false,
    maxConnections: 10_000,
    maxConnectionsPerAddress: 1_000,
    maxHalfOpen: 1_000,
    maxInflightBytes: Number.POSITIVE_INFINITY,
    maxSubscriptions: 10_000,
    maxUserProperties: 1_000,
    maxPublishRate: 0,
    publishBurst: 100,
    memory: 134_217_728,
    maxSessionExpiry: Number.POSITIVE_INFINITY,
    maxSessions: Number.POSITIVE_INFINITY,
    retainAvailable: true,
  },
  devices: [],
  schedules: [],
  bridges: [],
  homeAssistant: { enabled: false, prefix: 'homeassistant', birthTopic: 'homeassistant/status' },
  metrics: { sysInterval: 10_000 },
  dashboard: { listen: { host: '127.0.0.1', port: 8080 }, isDefault: true, names: [] },
  log: { level: 'info', format: 'auto' },
}

let folder: string | undefined
afterEach(() => {
  if (folder !== undefined) rmSync(folder, { recursive: true })
  folder = undefined
})

test.each(['', '# nothing yet\n', '---\n', '\uFEFF', 'devices:\nlog:\nlimits:\nname:\n', '{}', '...\n'])(
  'a file that says nothing is valid: %j',
  text => {
    expect(configOf(text)).toStrictEqual(DEFAULTS)
  },
)

test('without a file the gateway shows its own readings', () => {
  const system = {
    kind: 'system',
    name: 'Gateway',
    room: 'Larder',
    topic: '/Home/Larder/Gateway',
    qos: 0,
    retain: true,
    publish: 'fields',
    shape: { scale: 1, offset: 0, round: undefined },
    settings: { every: 10_000, disk: '/home/owner/larder-data' },
  }
  expect(load({})).toStrictEqual({ config: { ...DEFAULTS, devices: [system] } })
  expect(load({ env: { LARDER_NAME: 'Attic' } })).toMatchObject({
    config: { devices: [{ topic: '/Home/Attic/Gateway' }] },
  })
})

test('each kind of device gets its defaults', () => {
  const text = `
devices:
  - { name: Meter, room: Cellar/Pantry, serial: { path: ttyUSB0 } }
  - { name: Door, room: Hall, gpio: { pin: 17, direction: in } }
  - { name: Fridge, room: Kitchen, file: { path: /sys/x } }
  - { name: Gateway, system: }
`
  const common = { qos: 0, retain: true, publish: 'json', shape: { scale: 1, offset: 0, round: undefined } }
  expect(configOf(text).devices).toStrictEqual([
    {
      ...common,
      kind: 'serial',
      name: 'Meter',
      room: 'Cellar/Pantry',
      topic: '/Home/Cellar/Pantry/Meter',
      settings: {
        path: '/home/owner/ttyUSB0',
        baud: 9600,
        dataBits: 8,
        parity: 'none',
        stopBits: 1,
        codec: 'json',
        paths: undefined,
        maxLine: 4096,
        silence: undefined,
        writeLineEnding: '\n',
        every: 10_000,
        timeout: 1000,
        retries: 2,
        gap: undefined,
        ask: undefined,
        template: undefined,
        write: [],
      },
    },
    {
      ...common,
      kind: 'gpio',
      name: 'Door',
      room: 'Hall',
      topic: '/Home/Hall/Door',
      settings: {
        chip: undefined,
        pin: 17,
        direction: 'in',
        activeLow: false,
        pull: undefined,
        debounce: 20,
        edge: 'both',
        initial: undefined,
        pulse: undefined,
        atStop: 'keep',
        perPulse: 1,
        every: 10_000,
        save: 300_000,
        driver: 'auto',
      },
    },
    {
      ...common,
      kind: 'file',
      name: 'Fridge',
      room: 'Kitchen',
      topic: '/Home/Kitchen/Fridge',
      settings: { path: '/sys/x', every: 30_000, pattern: undefined },
    },
    {
      ...common,
      kind: 'system',
      name: 'Gateway',
      room: 'Larder',
      topic: '/Home/Larder/Gateway',
      publish: 'fields',
      settings: { every: 10_000, disk: '/home/owner/larder-data' },
    },
  ])
})

test('what is written takes the place of each default', () => {
  const text = `
devices:
  - name: Meter
    room: Cellar
    topic: power/meter
    qos: 1
    retain: no
    publish: fields
    scale: 0.001
    offset: -1.5
    round: 2
    serial:
      path: /dev/ttyUSB0
      baud: 115200
      data_bits: 7
      parity: even
      stop_bits: 2
      codec: csv
      columns: [power, energy]
      separator: ";"
      max_line: 1KiB
      silence: 90s
      write_line_ending: "\\r\\n"
  - { name: Lamp, room: Hall, gpio: { pin: 0, direction: out, initial: on, active_low: true, driver: memory } }
  - { name: Fridge, room: Kitchen, file: { path: /sys/x, every: 100ms, pattern: 't=(-?\\d+)' } }
`
  const [meter, lamp, fridge] = configOf(text).devices
  expect(meter).toMatchObject({
    topic: 'power/meter',
    qos: 1,
    retain: false,
    publish: 'fields',
    shape: { scale: 0.001, offset: -1.5, round: 2 },
    settings: {
      baud: 115_200,
      dataBits: 7,
      parity: 'even',
      stopBits: 2,
      codec: 'csv',
      columns: ['power', 'energy'],
      separator: ';',
      maxLine: 1024,
      silence: 90_000,
      writeLineEnding: '\r\n',
    },
  })
  expect(lamp?.settings).toMatchObject({ initial: true, activeLow: true, driver: 'memory' })
  expect(fridge?.settings).toMatchObject({ every: 100, pattern: 't=(-?\\d+)' })
})

test('schedules and bridges', () => {
  const text = `
name: Attic
devices: [{ name: Lamp, room: Hall, gpio: { pin: 1, direction: out } }]
schedules:
  - { name: Look, cron: "*/5 * * * *", poll: Lamp }
  - { cron: "0 30 6 * * *", timezone: Europe/Berlin, set: { device: Lamp, value: on } }
  - { cron: "@daily", publish: { topic: a/b, payload: 1 } }
bridges:
  - { name: cloud, url: "mqtt://broker", out: [{ filter: "#" }] }
  - name: other
    url: mqtt://[::1]:2883
    client_id: me
    username: u
    password: p
    keepalive: 2m
    max_inflight: 5
    retry: { min: 2s }
    out: [{ filter: "+/x", qos: 0, local_prefix: a/, remote_prefix: b/ }]
`
  const config = configOf(text)
  expect(config.schedules).toStrictEqual([
    { name: 'Look', cron: '*/5 * * * *', poll: 'Lamp' },
    { cron: '0 30 6 * * *', timezone: 'Europe/Berlin', set: { device: 'Lamp', value: 'on' } },
    { cron: '@daily', publish: { topic: 'a/b', payload: '1', qos: 0, retain: false } },
  ])
  expect(config.bridges).toStrictEqual([
    {
      name: 'cloud',
      url: 'mqtt://broker:1883',
      version: 'auto',
      clientId: 'larder-Attic-cloud',
      keepalive: 60_000,
      maxInflight: 20,
      retry: { min: 1000, max: 60_000 },
      out: [{ filter: '#', qos: 1 }],
    },
    {
      name: 'other',
      url: 'mqtt://[::1]:2883',
      version: 'auto',
      clientId: 'me',
      username: 'u',
      password: 'p',
      keepalive: 120_000,
      maxInflight: 5,
      retry: { min: 2000, max: 60_000 },
      out: [{ filter: '+/x', qos: 0, localPrefix: 'a/', remotePrefix: 'b/' }],
    },
  ])
})

test('listeners are written as an address or a map', () => {
  const text = `
access: { allow_anonymous: true }
listeners: [mqtt://localhost, "ws://0.0.0.0", {url: "ws://[::]:0/mqtt"}, MQTT://host-1.lan:1, unix://run/mqtt.sock]`
  expect(configOf(text).listeners).toStrictEqual([
    { protocol: 'mqtt', host: 'localhost', port: 1883, ...AS_FOR_ALL },
    { protocol: 'ws', host: '0.0.0.0', port: 8083, ...AS_FOR_ALL },
    { protocol: 'ws', host: '::', port: 0, path: '/mqtt', ...AS_FOR_ALL },
    { protocol: 'mqtt', host: 'host-1.lan', port: 1, ...AS_FOR_ALL },
    { protocol: 'unix', host: '', port: 0, path: '/home/owner/run/mqtt.sock', ...AS_FOR_ALL },
  ])
})

test('a listener has rules of its own, or those for all', () => {
  const text = `
access: { password_file: passwords }
listeners:
  - mqtt://127.0.0.1
  - url: mqtts://0.0.0.0
    tls: { cert: tls/cert.pem, key: /etc/key.pem, ca: ca.pem, client_certificates: required }
    username_from: common_name
    versions: [3.1.1, "5"]
    max_packet_size: 64KiB
    access: { allow_anonymous: true, acl_file: acl }`
  const [inside, outside] = configOf(text).listeners
  expect(inside).toMatchObject({ access: { passwordFile: '/home/owner/passwords', allowAnonymous: false } })
  expect(outside).toStrictEqual({
    ...AS_FOR_ALL,
    protocol: 'mqtts',
    host: '0.0.0.0',
    port: 8883,
    tls: {
      cert: '/home/owner/tls/cert.pem',
      key: '/etc/key.pem',
      ca: '/home/owner/ca.pem',
      clientCertificates: 'required',
      minVersion: 'TLSv1.2',
      alpn: [],
      pskHint: 'larder',
    },
    usernameFrom: 'common_name',
    versions: [4, 5],
    maxPacketSize: 65_536,
    access: { ...ACCESS, aclFile: '/home/owner/acl' },
  })
})

test('anchors and merge keys: what stands in the map itself wins', () => {
  const text = `
devices:
  - &pin
    room: Hall
    qos: 1
    name: A
    gpio: &settings { pin: 1, direction: in, debounce: 1s }
  - name: B
    gpio: { pin: 2, <<: *settings }
    <<: *pin
  - <<: [{ name: C }, *pin]
    gpio:
      <<: *settings
      pin: 3
`
  const devices = configOf(text).devices
  expect(devices.map(({ name, room, qos }) => [name, room, qos])).toEqual([
    ['A', 'Hall', 1],
    ['B', 'Hall', 1],
    ['C', 'Hall', 1],
  ])
  expect(devices.map(({ settings }) => settings)).toMatchObject([1, 2, 3].map(pin => ({ pin, debounce: 1000 })))
})

test('relative paths begin at the folder of the file', () => {
  folder = mkdtempSync(join(tmpdir(), 'larder-config-'))
  const text =
    'data_dir: store\ndevices:\n - { name: F, room: R, file: { path: temp } }\n - { name: S, system: { disk: . } }\n'
  writeFileSync(join(folder, 'house.yaml'), text)
  const expected = {
    config: {
      dataDir: join(folder, 'store'),
      devices: [{ settings: { path: join(folder, 'temp') } }, { settings: { disk: folder } }],
    },
  }
  expect(load({ file: join(folder, 'house.yaml') })).toMatchObject(expected)
  expect(load({ file: 'house.yaml', cwd: folder })).toMatchObject(expected)
  // The environment is not in the file's folder.
  expect(load({ file: join(folder, 'house.yaml'), env: { LARDER_DATA_DIR: 'other' } })).toMatchObject({
    config: { dataDir: '/home/owner/other' },
  })
})
