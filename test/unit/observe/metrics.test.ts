/** The table of metrics, and what is made of it: Prometheus' text, `$SYS`, loads, the status, and its documentation. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { exposition } from '../../../src/observe/exposition.ts'
import { LOADS, LoadAverages } from '../../../src/observe/loads.ts'
import { METRICS, type Metric } from '../../../src/observe/metrics.ts'
import { statusDocument, statusLines } from '../../../src/observe/status.ts'
import { SysTopics, sysTopicNames, TOPICS } from '../../../src/observe/sys-topics.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { pythonWith } from '../../support/needs.ts'
import { configOf, faultsOf } from '../config/loading.ts'
import { figures } from './figures.ts'

const ROWS = Object.entries<Metric>(METRICS)

describe('the table', () => {
  test.each(ROWS)('%s has a name that Prometheus likes', (name, { type, label }) => {
    expect(name).toMatch(/^larder_[a-z0-9_]+$/)
    expect(name.endsWith('_total')).toBe(type === 'counter')
    expect(label ?? 'label').toMatch(/^[a-z]+$/)
    expect(['topic', 'client', 'user', 'address']).not.toContain(label)
  })
})

describe('the text for Prometheus', () => {
  const text = exposition(figures())

  test('says every number', () => {
    expect(text).toContain('larder_mqtt_bytes_total{direction="received"} 20001\n')
    expect(text).toContain('larder_mqtt_publishes_dropped_total{reason="queue_full"} 70\n')
    expect(text).toContain('larder_mqtt_publishes_dropped_total{reason="expired"} 84\n')
    expect(text).toContain('larder_queue_messages{queue="clients"} 42\nlarder_queue_messages{queue="bridge:cloud"} 8\n')
    expect(text).toContain('larder_queue_oldest_age_seconds{queue="bridge:cloud"} 3\n')
    expect(text).toContain('larder_devices{state="stale"} 1\n')
    expect(text).toContain('larder_disk_written_bytes_per_publish 2000\n')
    expect(text).toContain('larder_start_time_seconds 1700000000\n')
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

  test('leaves out what is not known, and writes what is without an end', () => {
    const unknown = exposition(figures({ store: undefined }))
    expect(unknown).toContain('# TYPE larder_store_commits_total counter\n# HELP')
    const { store } = figures()
    const endless = { ...store, lossWindow: Number.POSITIVE_INFINITY } as NonNullable<typeof store>
    expect(exposition(figures({ store: endless }))).toContain('larder_store_loss_window_seconds +Inf\n')
  })

  test('keeps what is in a label within it', () => {
    const bridges = [{ name: 'a"} 1\nb\\', connected: false, waiting: 0, oldest: undefined, sent: 0 }]
    expect(exposition(figures({ bridges }))).toContain('larder_bridge_connected{bridge="a\\"} 1\\nb\\\\"} 0\n')
  })

  const python = pythonWith('prometheus_client', { package: 'python3-prometheus-client' })

  test.skipIf(python === undefined)("is read by Prometheus' own client as it was meant", () => {
    const read =
      'import json, sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n' +
      'print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, str(s.value)] for s in f.samples]] for f in parse(sys.stdin.read())]))'
    const bridges = [{ name: 'a"} 1\nb\\', connected: true, waiting: 0, oldest: undefined, sent: 0 }]
    const { stdout, stderr } = spawnSync(`${python}`, ['-c', read], {
      input: exposition(figures({ bridges })),
      encoding: 'utf8',
    })
    expect(stderr).toBe('')
    const families = JSON.parse(stdout) as [string, string, string, [string, Record<string, string>, string][]][]
    // It counts `_total` to the sample, not to the family.
    const expected = ROWS.map(([name, { type, help }]) => [name.replace(/_total$/, ''), type, help])
    expect(families.map(([name, type, help]) => [name, type, help])).toEqual(expected)
    const bridge = families.find(([name]) => name === 'larder_bridge_connected')?.[3]
    expect(bridge).toEqual([['larder_bridge_connected', { bridge: 'a"} 1\nb\\' }, '1.0']])
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
    expect(broker('heap/maximum')).toBe('40000000')
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
      'loss window    0 s',
      'card           1.9 MiB written, 2.0 KiB a message',
      'memory         76.3 MiB; event loop late by 4.0 ms (99 %)',
      'bridge cloud   connected, 8 wait (the oldest for 3 s), 900 sent',
      'devices        1 of 2 online',
      '               Cellar/Pump: stale',
    ])
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

describe('docs/metrics.md', () => {
  const tables = readFileSync(join(import.meta.dirname, '../../../docs/metrics.md'), 'utf8')
    .split('\n')
    .filter(line => line.startsWith('| `'))
    .map(line => line.split(/(?<!\\)\|/).map(cell => cell.trim().replace(/^`(.*)`$/, '$1')))

  test('has every metric as the table has it', () => {
    const rows = tables.filter(([, name]) => name?.startsWith('larder_')).map(cells => cells.slice(1, -1))
    expect(rows).toEqual(ROWS.map(([name, { type, label = '', help }]) => [name, type, label, help]))
  })

  test('has every topic', () => {
    const topics = tables.filter(cells => cells.length === 4).map(([, topic]) => topic)
    expect(topics).toEqual([...Object.keys(TOPICS), ...Object.keys(LOADS).map(load => `load/${load}`)])
  })

  test('has every key, with its default and bounds', () => {
    const keys = tables.filter(cells => cells.length === 6 && !cells[1]?.startsWith('larder_'))
    expect(keys.map(([, key]) => key)).toEqual(['sys_interval', 'listen', 'allow_anonymous'])
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
    expect(configOf('metrics: { listen: "http://0.0.0.0:9090", allow_anonymous: true }').metrics.listen?.host).toBe(
      '0.0.0.0',
    )
  })

  test.each([
    [
      'metrics: { listen: "http://0.0.0.0:9090" }',
      'whoever reaches http://0.0.0.0:9090 could read them: add allow_anonymous: true if that is meant',
    ],
    ['metrics: { listen: "https://localhost:9090" }', 'must be an address, such as http://127.0.0.1:9090'],
    ['metrics: { listen: "http://localhost" }', 'must be an address, such as http://127.0.0.1:9090'],
    ['metrics: { listen: "http://localhost:70000" }', 'the port must be between 0 and 65535'],
    ['metrics: { listen: "http://[::g]:1" }', 'must be an address'],
  ])('refuses %s', (text, message) => {
    expect(faultsOf(text).join('\n')).toContain(message)
  })
})
