/** The table of metrics, and what is made of it: Prometheus' text, `$SYS`, loads, the status, and its documentation. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Exposition } from '../../../src/observe/exposition.ts'
import { LOADS, LoadAverages } from '../../../src/observe/loads.ts'
import { METRICS } from '../../../src/observe/metrics.ts'
import type { BridgeFigures, DeviceFigures, Figures } from '../../../src/observe/ports.ts'
import { type Sample, samplesOf } from '../../../src/observe/rows.ts'
import { MAX_SENSOR_SERIES, QUANTITIES, SENSOR_METRICS } from '../../../src/observe/sensors.ts'
import { statusDocument, statusLines } from '../../../src/observe/status.ts'
import { OWN_TOPICS, SysTopics, sysTopicNames, TOPICS } from '../../../src/observe/sys-topics.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { findBinary, needs, pythonWith } from '../../support/needs.ts'
import { configOf, faultsOf } from '../config/loading.ts'
import { bridge, figures } from './figures.ts'

const ROWS = Object.entries(METRICS)

const exposition = (now: Figures) => new Exposition().text(now)

describe('the table', () => {
  test.each(ROWS)('%s has a name that Prometheus likes', (name, { type, labels = [] }) => {
    expect(name).toMatch(/^(larder|process|nodejs)_[a-z0-9_]+$/)
    expect(name.endsWith('_total')).toBe(type === 'counter')
    for (const label of labels) {
      expect(label).toMatch(/^[a-z]+$/)
      expect(['topic', 'client', 'user', 'address']).not.toContain(label)
    }
  })
})

describe('the text for Prometheus', async () => {
  const text = await exposition(figures())

  test('says every number', () => {
    expect(text).toContain('larder_mqtt_bytes_total{direction="received"} 20001\n')
    expect(text).toContain('larder_mqtt_publishes_dropped_total{reason="queue_full"} 70\n')
    expect(text).toContain('larder_mqtt_publishes_dropped_total{reason="expired"} 84\n')
    expect(text).toContain('larder_queue_messages{queue="clients"} 42\nlarder_queue_messages{queue="bridge:cloud"} 8\n')
    expect(text).toContain('larder_queue_oldest_age_seconds{queue="bridge:cloud"} 3\n')
    expect(text).toContain('larder_devices{state="stale"} 1\n')
    expect(text).toContain('larder_disk_written_bytes_per_publish 2000\n')
    expect(text).toContain('larder_bridge_not_sent_total{bridge="cloud",reason="thinned"} 15\n')
    expect(text).toContain('larder_start_time_seconds 1700000000\n')
    expect(text).toContain(
      'larder_certificate_not_after_timestamp_seconds{of="listener",name="mqtts://127.0.0.1:8883"} 1800000000\n' +
        'larder_certificate_not_after_timestamp_seconds{of="bridge",name="cloud"} 1900000000\n',
    )
    expect(text).toContain('larder_sensor_temperature_celsius{room="Kitchen",sensor="Probe"} 21.5\n')
    expect(text).toContain('larder_queue_bytes{queue="clients"} 4192\nlarder_queue_bytes{queue="bridge:cloud"} 808\n')
    expect(text).toContain('process_cpu_seconds_total 12.5\n')
    expect(text).toContain('process_open_fds 55\n')
    expect(text).toContain('process_max_fds 1024\n')
    expect(text).toContain('nodejs_eventloop_lag_p99_seconds 0.004\n')
  })

  test('has counts up to each bound in a histogram', () => {
    expect(text.split('\n').filter(line => line.startsWith('larder_store_commit_seconds'))).toEqual([
      'larder_store_commit_seconds_bucket{le="0.001"} 60',
      'larder_store_commit_seconds_bucket{le="0.01"} 90',
      'larder_store_commit_seconds_bucket{le="+Inf"} 100',
      'larder_store_commit_seconds_sum 0.7',
      'larder_store_commit_seconds_count 100',
    ])
  })

  test('leaves out what is not known, and writes what is without an end', async () => {
    const unknown = await exposition(figures({ store: undefined }))
    expect(unknown).toContain('# TYPE larder_store_commits_total counter\n\n# HELP')
    const { store } = figures()
    const endless = { ...store, lossWindow: Number.POSITIVE_INFINITY } as NonNullable<typeof store>
    expect(await exposition(figures({ store: endless }))).toContain('larder_store_loss_window_seconds +Inf\n')
  })

  test('keeps what is in a label within it', async () => {
    const bridges = [bridge({ name: 'a"} 1\nb\\', connected: false })]
    expect(await exposition(figures({ bridges }))).toContain('larder_bridge_connected{bridge="a\\"} 1\\nb\\\\"} 0\n')
  })

  test('is filled anew each time', async () => {
    const one = new Exposition()
    const { traffic, bridges } = figures()
    const first = await one.text(figures())
    const second = await one.text(figures({ traffic: { ...traffic, sockets: 32 }, bridges: [] }))
    expect(first).toContain('larder_mqtt_connections_total 31\n')
    expect(second).toContain('larder_mqtt_connections_total 32\n')
    expect(bridges).toHaveLength(1)
    expect(second).not.toContain('bridge="cloud"')
    expect(await one.text(figures())).toBe(first)
  })

  test.skipIf(!needs('promtool'))("has nothing that Prometheus' own tool objects to", () => {
    const told = spawnSync(`${findBinary('promtool')}`, ['check', 'metrics'], { input: text, encoding: 'utf8' })
    expect([told.status, told.stderr, told.stdout]).toEqual([0, '', ''])
  })

  const python = pythonWith('prometheus_client', { package: 'python3-prometheus-client' })

  test.skipIf(python === undefined)("is read by Prometheus' own client as it was meant", async () => {
    const read =
      'import json, sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n' +
      'print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, str(s.value)] for s in f.samples]] for f in parse(sys.stdin.read())]))'
    const bridges = [bridge({ name: 'a"} 1\nb\\' })]
    const { stdout, stderr } = spawnSync(`${python}`, ['-c', read], {
      input: await exposition(figures({ bridges })),
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    const families = JSON.parse(stdout) as [string, string, string, [string, Record<string, string>, string][]][]
    // It counts `_total` to the sample, not to the family.
    const expected = ROWS.map(([name, { type, help }]) => [name.replace(/_total$/, ''), type, help])
    expect(families.map(([name, type, help]) => [name, type, help])).toEqual(expected)
    const found = families.find(([name]) => name === 'larder_bridge_connected')?.[3]
    expect(found).toEqual([['larder_bridge_connected', { bridge: 'a"} 1\nb\\' }, '1.0']])
  })
})

describe('what sensors say', () => {
  const { devices } = figures()
  const sensor = (values: DeviceFigures['values'], numbers: DeviceFigures['numbers'], name = 'Probe') => ({
    ...devices[0]!,
    name,
    values,
    numbers,
  })
  const read = (row: string, sensors: readonly DeviceFigures[]) =>
    samplesOf(METRICS[row]!, METRICS[row]!.read(figures({ devices: sensors })) as readonly Sample[])

  test.each([
    ['temperature', '°F', 71.6, 'larder_sensor_temperature_celsius', 22],
    ['temperature', 'K', 300, 'larder_sensor_temperature_celsius', 26.85],
    ['humidity', '%', 55, 'larder_sensor_humidity_ratio', 0.55],
    ['atmospheric_pressure', 'hPa', 1013.2, 'larder_sensor_pressure_pascals', 101_320],
    ['energy', 'kWh', 1.5, 'larder_sensor_energy_joules', 5_400_000],
    ['wind_speed', 'km/h', 36, 'larder_sensor_wind_speed_meters_per_second', 10],
    ['temperature', 'furlong', 3, 'larder_sensor_value', 3],
    ['__proto__', '°C', 3, 'larder_sensor_value', 3],
  ])('%s in %s', (deviceClass, unit, said, row, value) => {
    const samples = read(row, [sensor({ '': { deviceClass, unit } }, { '': said })])
    expect(samples.map(sample => sample.value)).toEqual([value])
  })

  test('has a name for one of several, and no room for one that nobody has described', () => {
    const values = { in: { unit: '°C', deviceClass: 'temperature' }, count: { unit: 'pcs' }, toString: {} }
    const house = [sensor(values, { in: 20, count: 4, evil: 6, toString: 7 })]
    expect(read('larder_sensor_temperature_celsius', house)).toEqual([
      { labels: { room: 'Kitchen', sensor: 'Probe', value: 'in' }, value: 20 },
    ])
    expect(read('larder_sensor_value', house)).toEqual([
      { labels: { room: 'Kitchen', sensor: 'Probe', value: 'count', unit: 'pcs' }, value: 4 },
    ])
  })

  test('is silent about what is away, but not about when it was heard', () => {
    expect(read('larder_sensor_value', devices)).toEqual([])
    expect(read('larder_sensor_last_update_timestamp_seconds', devices)).toEqual([
      { labels: { room: 'Kitchen', sensor: 'Probe' }, value: 1_700_000_100 },
      { labels: { room: 'Cellar', sensor: 'Pump' }, value: 1_700_000_200 },
    ])
  })

  test('has a bound', () => {
    const house = Array.from({ length: 300 }, (_, i) => sensor(devices[0]!.values, { '': i }, `Probe${i}`))
    expect(read('larder_sensor_temperature_celsius', house)).toHaveLength(MAX_SENSOR_SERIES)
    expect(read('larder_sensor_last_update_timestamp_seconds', house)).toHaveLength(MAX_SENSOR_SERIES)
  })
})

describe('$SYS', () => {
  function published(look: () => ReturnType<typeof figures>, interval = 10_000) {
    const clock = new ManualClock()
    const said: [string, string][] = []
    const topics = new SysTopics({
      interval,
      clock,
      look,
      publish: (topic, payload) => void said.push([topic, payload]),
    })
    topics.start()
    return { clock, said, topics }
  }

  test('has every number in its place', () => {
    const said = new Map(published(figures).said)
    expect([...said.keys()]).toEqual(sysTopicNames().map(name => `$SYS/broker/${name}`))
    const broker = (name: string) => said.get(`$SYS/broker/${name}`)
    expect(broker('version')).toBe('larder version 1.2.3')
    expect(broker('uptime')).toBe('93784 seconds')
    expect(
      ['total', 'connected', 'active', 'disconnected', 'inactive', 'maximum', 'expired'].map(name =>
        broker(`clients/${name}`),
      ),
    ).toEqual(['24', '11', '11', '13', '13', '17', '7'])
    expect(['count', 'bytes'].map(name => broker(`store/messages/${name}`))).toEqual(['110', '11000'])
    expect([broker('messages/stored'), broker('retained messages/count')]).toEqual(['110', '60'])
    expect([broker('subscriptions/count'), broker('shared_subscriptions/count')]).toEqual(['19', '23'])
    expect(broker('publish/messages/dropped')).toBe('73')
    expect([broker('connections/socket/count'), broker('packet/out/bytes')]).toEqual(['31', '321'])
    expect([broker('heap/current'), broker('heap/maximum')]).toEqual(['35000000', '40000000'])
    expect(Object.keys(OWN_TOPICS).map(topic => [topic, broker(topic)])).toEqual([
      ['publish/messages/dropped/slow_reader', '3'],
      ['publish/messages/dropped/queue_full', '70'],
      ['publish/messages/dropped/expired', '84'],
      ['publish/messages/dropped/too_large', '5'],
      ['publish/messages/dropped/not_allowed', '6'],
      ['publish/messages/refused', '90'],
      ['queue/oldest_seconds', '90'],
      ['store/commits/count', '100'],
      ['store/commits/mean_ms', '7.0'],
      ['store/elided/count', '500'],
      ['disk/written/bytes', '2002000'],
      ['disk/written/bytes_per_message', '2000.0'],
      ['event_loop/delay_ms', '4.0'],
    ])
  })

  test('says only what has changed, once an interval, until it is stopped', async () => {
    let uptime = 1_000
    const { clock, said, topics } = published(() => figures({ uptime }))
    said.length = 0
    await clock.advance(9_999)
    expect(said).toEqual([])
    await clock.advance(1)
    expect(said).toEqual([])
    uptime = 21_000
    await clock.advance(10_000)
    expect(said).toEqual([['$SYS/broker/uptime', '21 seconds']])
    topics.stop()
    uptime = 31_000
    await clock.advance(100_000)
    expect(said).toHaveLength(1)
  })

  test('goes over to another interval, and takes back what nobody keeps true', async () => {
    const ups = Array.from({ length: 100 }, (_, i) => i * 1_000)
    const { clock, said, topics } = published(() => figures({ uptime: ups.shift() ?? 0 }))
    topics.change(2_000)
    said.length = 0
    await clock.advance(6_000)
    expect(said.map(([topic]) => topic)).toEqual(Array(3).fill('$SYS/broker/uptime'))
    said.length = 0
    topics.change(0)
    expect(said).toEqual(sysTopicNames().map(name => [`$SYS/broker/${name}`, '']))
    await clock.advance(100_000)
    expect(said).toHaveLength(sysTopicNames().length)
    topics.change(1_000)
    expect(said).toHaveLength(2 * sysTopicNames().length)
    topics.stop()
    expect(clock.pending).toBe(0)
  })

  test('is silent when the interval is 0', async () => {
    const { clock, said } = published(figures, 0)
    await clock.advance(1_000_000)
    expect(said).toEqual([])
  })
})

test('loads come near a steady rate as time passes, each at its own pace, and fade', () => {
  const loads = new LoadAverages()
  const { traffic } = figures()
  const at = (connects: number) => figures({ traffic: { ...traffic, connects } })
  loads.advance(0, at(30))
  // Twelve a minute: two every ten seconds.
  for (let step = 1; step <= 6; step++) loads.advance(step * 10_000, at(30 + 2 * step))
  const after = (minutes: number, span: number) => 12 * (1 - Math.exp(-minutes / span))
  const read = () =>
    ['1min', '5min', '15min'].map(span => loads.advance(60_000, at(42)).get(`connections/${span}`) ?? Number.NaN)
  const [one, five, fifteen] = read()
  expect(one).toBeCloseTo(after(1, 1))
  expect(five).toBeCloseTo(after(1, 5))
  expect(fifteen).toBeCloseTo(after(1, 15))
  const faded = loads.advance(120_000, at(42)).get('connections/1min')
  expect(faded).toBeCloseTo(after(1, 1) * Math.exp(-1))
})

describe('the status', () => {
  test('is a screen for a person', () => {
    expect(statusLines(figures({ troubles: ['the disk is nearly full'] }))).toEqual([
      'larder         1.2.3, up 1 d 2 h',
      'health         the disk is nearly full',
      'clients        11 connected (most 17), 13 away; 12 connections',
      'subscriptions  19, and 23 shared',
      'received       1,001 messages, 19.5 KiB',
      'sent           1,002 messages, 2.9 MiB',
      'lost           73 dropped, 84 expired, 90 refused',
      'retained       60 messages, 5.9 KiB',
      'waiting        50 messages, 4.9 KiB (the oldest for 1 min)',
      'store          100 commits, 7.0 ms each; 500 messages never had to be written; 1 failures',
      'loss window    none: what was acknowledged is on the disk',
      'card           1.9 MiB written, 2.0 KiB a message',
      'memory         76.3 MiB; event loop late by 4.0 ms (99 %)',
      'bridge cloud   connected, 8 wait (the oldest for 3 s), 900 sent',
      'devices        1 of 2 online',
      '               Cellar/Pump: stale',
    ])
  })

  test('tells how a bridge gets on with its backlog', () => {
    const { startedAt, uptime } = figures()
    const drain = { done: 250, of: 1_000, endsAt: startedAt + uptime + 180_400 }
    const tell = (changes: Partial<BridgeFigures>) => statusLines(figures({ bridges: [bridge(changes)] })).at(-3)
    expect(tell({ drain, rateOut: 12.34, dead: 3 })).toBe(
      'bridge cloud   connected, 8 wait (the oldest for 3 s), 900 sent (12.3/s), 3 set aside; backlog 25 % done, some 3 min left',
    )
    expect(tell({ connected: false, oldest: undefined })).toBe('bridge cloud   not connected, 8 wait, 900 sent')
    expect(tell({ paused: true, waiting: 0, oldest: 0 })).toBe('bridge cloud   paused, 0 wait, 900 sent')
  })

  test('stays a screen, and sends a terminal no orders', () => {
    const { devices } = figures()
    const many = Array.from({ length: 30 }, (_, i) => ({ ...devices[1]!, name: `Pump${i}\u001b[2J` }))
    const lines = statusLines(figures({ devices: many }))
    expect(lines.length).toBeLessThan(40)
    expect(lines.at(-1)?.trim()).toBe('and 18 more')
    expect(lines.join('')).not.toContain('\u001b')
  })

  test('is every metric for a program', () => {
    const document = JSON.parse(JSON.stringify(statusDocument(figures())))
    expect(document).toMatchObject({ version: '1.2.3', ok: true, troubles: [], uptime: 93_784 })
    expect(Object.keys(document.metrics)).toEqual(ROWS.map(([name]) => name))
    expect(document.metrics.larder_mqtt_clients).toEqual({ connected: 11, disconnected: 13 })
  })
})

/** Of issue and design: a number, its row, and where it stands below `$SYS/broker/`. */
const NOBODY_ELSE_TELLS = [
  ['bytes written to the card per message', 'larder_disk_written_bytes_per_publish', 'disk/written/bytes_per_message'],
  ['commits', 'larder_store_commits_total', 'store/commits/count'],
  ['their latency', 'larder_store_commit_seconds', 'store/commits/mean_ms'],
  ['messages elided', 'larder_store_elided_total', 'store/elided/count'],
  ['queue age', 'larder_queue_oldest_age_seconds', 'queue/oldest_seconds'],
  ['dropped by reason', 'larder_mqtt_publishes_dropped_total', 'publish/messages/dropped/expired'],
  ['event-loop delay', 'nodejs_eventloop_lag_p99_seconds', 'event_loop/delay_ms'],
  // Told when they change, by those whom they concern.
  ['loss window in force', 'larder_store_loss_window_seconds', undefined],
  ['backlog of a bridge', 'larder_queue_bytes', undefined],
  ['what a bridge has brought', 'larder_bridge_sent_total', undefined],
] as const

test.each(NOBODY_ELSE_TELLS)('%s is told to everybody', async (_, row, topic) => {
  expect(await exposition(figures())).toMatch(new RegExp(`^${row}\\S* \\S+$`, 'm'))
  expect(JSON.parse(JSON.stringify(statusDocument(figures()))).metrics).toHaveProperty(row)
  if (topic !== undefined) expect(sysTopicNames()).toContain(topic)
})

describe('docs/metrics.md', () => {
  const tables = readFileSync(join(import.meta.dirname, '../../../docs/metrics.md'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .map(line => line.split(/(?<!\\)\|/).map(cell => cell.trim().replace(/^`(.*)`$/, '$1')))

  const isMetric = (cell?: string) => ROWS.some(([name]) => name === cell)

  test('has every metric as the table has it', () => {
    const rows = tables.filter(cells => cells.length === 6 && isMetric(cells[1])).map(cells => cells.slice(1, -1))
    const own = ROWS.filter(([name]) => !Object.hasOwn(SENSOR_METRICS, name))
    expect(rows).toEqual(own.map(([name, { type, labels = [], help }]) => [name, type, labels.join('`, `'), help]))
  })

  test('has every row of sensors, and the units that it is made from', () => {
    const rows = tables.filter(cells => cells.length === 5 && cells[2]?.startsWith('larder_sensor_'))
    const expected = Object.entries(QUANTITIES).map(([name, [what, unit, units]]) => [
      name,
      `larder_sensor_${what}_${unit}`,
      Object.keys(units).join('`, `'),
    ])
    expect(rows.map(cells => cells.slice(1, -1))).toEqual(expected)
    const others = tables.filter(cells => cells.length === 5 && isMetric(cells[1])).map(([, name]) => name)
    expect([...rows.map(([, , name]) => name), ...others].sort()).toEqual(
      [...Object.keys(SENSOR_METRICS), 'larder_sensor_pressure_pascals'].sort(),
    )
  })

  test('has every topic', () => {
    const topics = tables.filter(cells => cells.length === 4).map(([, topic]) => topic)
    expect(topics).toEqual([
      ...Object.keys(TOPICS),
      ...Object.keys(LOADS).map(load => `load/${load}`),
      ...Object.keys(OWN_TOPICS),
    ])
  })

  test('has every key, with its default and bounds', () => {
    const keys = tables.filter(cells => cells.length === 6 && !isMetric(cells[1]))
    expect(keys.map(([, key]) => key)).toEqual([
      'sys_interval',
      'listen',
      'password_file',
      'bearer_token',
      'allow_anonymous',
    ])
    const [, , written, bounds] = keys[0] ?? []
    expect(configOf(`metrics: { sys_interval: ${written} }`)).toEqual(configOf(''))
    expect(faultsOf('metrics: { sys_interval: 999999s }').join()).toContain(
      `between ${bounds?.replace(' … ', ' and ')};`,
    )
  })
})

describe('the configuration', () => {
  test('says where Prometheus may ask', () => {
    expect(configOf('').metrics).toEqual({ sysInterval: 10_000 })
    expect(configOf('metrics: { sys_interval: 0, listen: "http://[::1]:9090/" }').metrics).toEqual({
      sysInterval: 0,
      listen: { host: '::1', port: 9090 },
    })
    const open = (how: string) => configOf(`metrics: { listen: "http://0.0.0.0:9090", ${how} }`).metrics
    expect(open('allow_anonymous: true').listen?.host).toBe('0.0.0.0')
    expect(open('password_file: who')).toMatchObject({ passwordFile: '/home/owner/who' })
    expect(open('bearer_token: 0123456789abcdef-secret')).toMatchObject({ bearerToken: '0123456789abcdef-secret' })
  })

  test.each([
    [
      'metrics: { listen: "http://0.0.0.0:9090" }',
      'whoever reaches http://0.0.0.0:9090 could read them: add password_file: passwords (larder passwd makes it), bearer_token, or allow_anonymous: true if that is meant',
    ],
    ['metrics: { listen: "https://localhost:9090" }', 'must be an address, such as http://127.0.0.1:9090'],
    ['metrics: { bearer_token: "short" }', 'metrics.bearer_token: must have at least 16 characters'],
    ['metrics: { bearer_token: "with a space in the middle" }', 'must be letters, digits and - . _ ~ + /'],
    ['metrics: { listen: "http://localhost" }', 'must be an address, such as http://127.0.0.1:9090'],
    ['metrics: { listen: "http://localhost:70000" }', 'the port must be between 0 and 65535'],
    ['metrics: { listen: "http://[::g]:1" }', 'must be an address'],
  ])('refuses %s', (text, message) => {
    expect(faultsOf(text).join('\n')).toContain(message)
  })
})
