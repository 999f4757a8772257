/** The tables and examples of docs/bridges.md and what the configuration takes. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { connectionEntries } from '../../../src/config/connections.ts'
import { PRESET_NAMES } from '../../../src/config/presets.ts'
import { parseSize } from '../../../src/config/units.ts'
import { configOf, faultsOf, load } from './loading.ts'

const DOC = readFileSync(new URL('../../../docs/bridges.md', import.meta.url), 'utf8')

/** First cells of the rows of the first table under a heading. */
function keys(heading: string): string[] {
  const section = DOC.split(/^##+ /m).find(text => text.startsWith(`${heading}\n`)) ?? ''
  return [...section.matchAll(/^\| `([\w-]+)` \|/gm)].map(match => match[1] as string)
}

const bridge = (entry: string): string => `bridges: [{ name: b, out: [{ filter: "#" }], ${entry} }]`

describe('the tables', () => {
  test('of the connection have the keys that are known', () => {
    expect(keys('Connection').sort()).toEqual(Object.keys(connectionEntries()).sort())
  })

  test('together have every key of a bridge', () => {
    const [fault] = faultsOf(bridge('url: "mqtt://x", qqqqqqqq: 1'))
    const known = /known here: (.*)$/.exec(fault ?? '')?.[1]?.split(', ') ?? []
    const rows = [...DOC.matchAll(/^\| `([\w-]+)` \|/gm)].map(match => match[1])
    const lists = ['out', 'in', 'both']
    expect(known.length).toBeGreaterThan(30)
    expect(known.filter(key => !rows.includes(key) && !lists.includes(key))).toEqual([])
  })

  test('of TLS have the keys that are known', () => {
    const [fault] = faultsOf(bridge('url: "mqtts://x", tls: { qqqqqqqq: 1 }'))
    const known = /known here: (.*)$/.exec(fault ?? '')?.[1]?.split(', ') ?? []
    expect(known.length).toBeGreaterThan(5)
    expect(keys('TLS').sort()).toEqual(known.sort())
  })

  test('of presets say what each fills in', () => {
    const rows = [...DOC.matchAll(/^\| `([\w-]+)` \| `([\w.]+)` \| `(\d+)s` \| (\d+) \|(?: `(\w+)`)? \| ?(\d?) ?\|/gm)]
    expect(rows.map(row => row[1])).toEqual(PRESET_NAMES)
    for (const [, preset, version, keepalive, maxInflight, size, maxQos] of rows) {
      const [filled] = configOf(bridge(`url: "mqtts://x", preset: ${preset}`)).bridges
      expect(filled).toMatchObject({ version, keepalive: Number(keepalive) * 1_000, maxInflight: Number(maxInflight) })
      const { maxPacketSize, maxQos: most } = filled ?? {}
      expect([maxPacketSize, most]).toEqual([
        size === undefined ? undefined : parseSize(size),
        maxQos === '' ? undefined : Number(maxQos),
      ])
    }
  })
})

describe('the examples', () => {
  const examples = [...DOC.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(match => match[1] as string)

  test('are one for each preset', () => {
    const presets = examples.flatMap(each => /preset: ([\w-]+)/.exec(each)?.[1] ?? [])
    expect(presets.sort()).toEqual([...PRESET_NAMES].sort())
  })

  test.each(examples)('can be used: %s', text => {
    expect(load({ text, env: { CLOUD_PASSWORD: 'open sesame' } })).toHaveProperty('config')
  })
})

describe('a preset', () => {
  const [written] = configOf(
    bridge('url: "mqtts://x:443", preset: aws-iot-core, keepalive: 5m, tls: { ca: /ca.pem }'),
  ).bridges

  test('gives way to what is written, key by key, also in tls', () => {
    expect(written).toMatchObject({
      keepalive: 300_000,
      maxInflight: 100,
      tls: { ca: '/ca.pem', alpn: ['x-amzn-mqtt-ca'] },
    })
  })

  test('of AWS offers ALPN on port 443 only', () => {
    expect(configOf(bridge('url: "mqtts://x:8883", preset: aws-iot-core')).bridges[0]?.tls).toBeUndefined()
    expect(configOf(bridge('urls: ["mqtts://x:443"], preset: aws-iot-core')).bridges[0]?.tls?.alpn).toEqual([
      'x-amzn-mqtt-ca',
    ])
  })

  test('that is not known is a fault', () => {
    expect(faultsOf(bridge('url: "mqtts://x", preset: aws'))[0]).toContain('must be hivemq-cloud, emqx-cloud,')
  })
})

describe('faults of a connection', () => {
  test.each([
    ['url: "mqtt://a", urls: ["mqtt://b"]', 'has the first address already: leave out url'],
    ['url: "mqtt://a", tls: { ca: x }', 'is only for mqtts:// and wss://, and this is mqtt://'],
    ['url: "mqtt://a", round_robin: true', 'needs urls with several addresses'],
    ['url: "mqtts://a", tls: { cert: x }', 'cert and key belong together'],
    ['url: "mqtts://a", tls: { psk_key: "00" }', 'psk_identity and psk_key belong together'],
    ['url: "mqtts://a", tls: { psk_identity: a, psk_key: "0" }', 'must be an even number of hexadecimal digits'],
    ['url: "mqtts://a", tls: { psk_identity: a, psk_key: "00", min_version: TLSv1.3 }', 'cannot be TLSv1.3'],
    ['url: "mqtt://a", threshold: 5', 'is only for start_type: lazy'],
    ['url: "mqtt://a", start_type: once, max_wait: 5s', 'is only for start_type: lazy'],
    ['url: "mqtt://a", version: "3.1.1", receive_maximum: 5', 'is of MQTT 5, and version is 3.1.1'],
    ['url: "mqtt://a", clean_session: true, session_expiry: 5s', 'is not used with clean_session: true'],
    ['url: "mqtt://a", bind_address: home', 'must be an address of this machine'],
    ['url: "mqtt://a", notification_topic: "a/#"', 'must not contain'],
    [
      'url: "mqtt://a", max_qos: 1, in: [{ filter: a, qos: 2 }]',
      'in[0].qos: must be at most 1: max_qos allows no more',
    ],
    [
      'url: "mqtts://a", preset: aws-iot-core, both: [{ filter: a, qos: 2 }]',
      'both[0].qos: must be at most 1: aws-iot-core takes no more',
    ],
    ['url: "mqtt://a", proxy: "socks://b"', 'must be the address of a proxy'],
    ['url: "mqtt://a", proxy: "http://u:secret@b/path"', 'must be the address of a proxy'],
  ])('%s', (entry, fault) => {
    const faults = faultsOf(bridge(entry))
    expect(faults).toHaveLength(1)
    expect(faults[0]).toContain(fault)
    expect(faults[0]).not.toContain('secret')
  })
})

test('a lazy bridge needs something that may wait for it', () => {
  const lazy = (rules: string) => `bridges: [{ name: b, url: "mqtt://x", start_type: lazy, ${rules} }]`
  expect(faultsOf(lazy('in: [{ filter: a }]'))).toEqual([expect.stringContaining('start_type: cannot be lazy')])
  for (const way of ['out', 'both']) expect(faultsOf(lazy(`${way}: [{ filter: a }]`))).toEqual([])
})
