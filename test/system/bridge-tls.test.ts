/**
 * A bridge over TLS, pre-shared keys and WebSockets with Debian's mosquitto as its upstream, and what happens when
 * certificates of both sides are renewed while messages flow.
 */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import type { ConnectionSettings } from '../../src/bridge/connection.ts'
import { Authority, type Pair } from '../support/certificates.ts'
import { startGateway } from '../support/gateway.ts'
import { Ledger } from '../support/ledger.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'
import { startBridge } from '../unit/bridge/support.ts'

const PSK = '00112233445566778899aabbccddeeff'

let folder: string
let first: Authority
let second: Authority

async function startUpstream(config: readonly string[]): Promise<Mosquitto> {
  const upstream = await startMosquitto({ config })
  onTestFinished(() => upstream.remove())
  return upstream
}

/** What a bridge's settings say of its connection. */
const connection = (settings: Partial<ConnectionSettings>): object => settings

const carried = async ({ queue, lines }: Awaited<ReturnType<typeof startBridge>>, upstream: Mosquitto) => {
  queue.push({ topic: 'home/t', payload: Buffer.from('21') })
  await until(() => queue.count === 0, {
    what: () => `an empty queue\n${JSON.stringify(lines)}\n${upstream.logs().slice(-2_000)}`,
  })
}

describe.skipIf(!needs('mosquitto') || !needs('openssl'))('a bridge to mosquitto', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-bridge-tls-'))
    first = await Authority.make(folder, 'first')
    second = await Authority.make(folder, 'second')
  })
  afterAll(() => rm(folder, { recursive: true }))

  test('with a pre-shared key', async () => {
    await writeFile(join(folder, 'psk'), `larder:${PSK}\n`)
    const upstream = await startUpstream([`psk_file ${join(folder, 'psk')}`, 'psk_hint larder'])
    const tls = { pskIdentity: 'larder', pskKey: PSK }
    await carried(await startBridge(`mqtts://127.0.0.1:${upstream.port}`, connection({ tls })), upstream)
  })

  test('in MQTT 5', async () => {
    const upstream = await startUpstream([])
    await carried(await startBridge(`mqtt://127.0.0.1:${upstream.port}`, connection({ version: 'auto' })), upstream)
    expect(upstream.logs()).toMatch(/as larder-test \(p5,/)
  })

  test('loses nothing and repeats in order while certificates and authorities of both sides are renewed', {
    timeout: 60_000,
  }, async () => {
    const count = 2_000
    const file = (name: string) => join(folder, `live-${name}`)
    const place = async (name: string, { cert, key }: Pair) => {
      await copyFile(cert, file(`${name}.crt`))
      await copyFile(key, file(`${name}.key`))
    }
    const give = async (authority: Authority, subject: string) => {
      await place('server', await authority.server())
      await place('client', await authority.issue({ subject }))
      await copyFile(authority.cert, file('ca.pem'))
    }
    await give(first, '/CN=larder-1')
    const upstream = await startUpstream([
      `cafile ${file('ca.pem')}`,
      `certfile ${file('server.crt')}`,
      `keyfile ${file('server.key')}`,
      'require_certificate true',
      'use_identity_as_username true',
      'max_queued_messages 0',
    ])
    const { queue, lines } = await startBridge(
      `mqtts://127.0.0.1:${upstream.port}`,
      connection({ tls: { ca: file('ca.pem'), cert: file('client.crt'), key: file('client.key') } }),
    )
    const feed = (async () => {
      for (let i = 0; i < count; i++) {
        queue.push({ topic: `home/${i}` })
        if (i % 10 === 9) await new Promise(resolve => setImmediate(resolve))
      }
    })()
    for (let renewal = 1; renewal <= 3; renewal++) {
      await until(() => queue.removed.length >= renewal * 300, { what: () => `${renewal * 300} acknowledged` })
      await give(renewal % 2 === 1 ? second : first, `/CN=larder-${renewal + 1}`)
      await upstream.restart()
    }
    await feed
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left ${JSON.stringify(lines)}` })
    const received = [...upstream.logs().matchAll(/Received PUBLISH from larder-test \(d(\d).*?'home\/(\d+)'/g)]
    expect([...new Set(received.map(match => Number(match[2])))]).toEqual(Array.from({ length: count }, (_, i) => i))
    // The name of each certificate was the user name of a connection; the last may come when all was carried.
    const names = () => [...new Set([...upstream.logs().matchAll(/u'(larder-\d)'/g)].map(match => match[1]))]
    await until(() => names().length === 4, { what: () => `four connections ${names()}` })
    expect(names()).toEqual(['larder-1', 'larder-2', 'larder-3', 'larder-4'])
  })

  test('of the whole gateway takes up what was renewed when it is told to reload, and keeps its connection when that cannot be used', {
    timeout: 60_000,
  }, async () => {
    const count = 1_000
    const live = await mkdtemp(join(tmpdir(), 'larder-bridge-live-'))
    onTestFinished(() => rm(live, { recursive: true }))
    const [ca, cert, key] = ['ca.pem', 'client.crt', 'client.key'].map(name => join(live, name)) as [
      string,
      string,
      string,
    ]
    const give = async (subject: string) => {
      const pair = await first.issue({ subject })
      await copyFile(pair.cert, cert)
      await copyFile(pair.key, key)
    }
    await copyFile(first.cert, ca)
    await give('/CN=larder-1')
    const server = await first.server()
    const upstream = await startUpstream([
      `cafile ${first.cert}`,
      `certfile ${server.cert}`,
      `keyfile ${server.key}`,
      'require_certificate true',
      'use_identity_as_username true',
    ])
    await using gateway = await startGateway({
      config: `
name: Cottage
bridges:
  - name: cloud
    url: mqtts://127.0.0.1:${upstream.port}
    client_id: cottage
    tls: { ca: ${ca}, cert: ${cert}, key: ${key} }
    out: [{ filter: up/# }]
`,
    })
    const names = () => [...upstream.logs().matchAll(/as cottage \(.*u'(larder-\d)'/g)].map(match => match[1])
    const reload = async () => {
      const before = gateway.process.errors.length
      process.kill(gateway.pid, 'SIGHUP')
      const answered = () => gateway.process.errors.slice(before).some(line => /^larder: reloaded/.test(line))
      await until(answered, { what: () => `an answer\n${gateway.log}` })
    }
    await until(() => names().length === 1, { what: () => `a connection\n${gateway.log}` })
    const published = new Ledger({ clientId: 'sensor', count, window: 20, topicOf: number => `up/${number}` })
    const running = published.run(gateway.port)

    await reload()
    expect(names()).toEqual(['larder-1'])
    await give('/CN=larder-2')
    await reload()
    await until(() => names().length === 2, { what: () => `a connection with the new one\n${gateway.log}` })
    await writeFile(cert, 'half a certif')
    await reload()
    await until(() => /keeps its connection: its new TLS files cannot be used/.test(gateway.log), {
      what: () => gateway.log,
    })
    // Those of a certificate that was renewed are another authority's too.
    await give('/CN=larder-3')
    await writeFile(ca, `${await readFile(first.cert, 'utf8')}${await readFile(second.cert, 'utf8')}`)
    await reload()
    await until(() => names().length === 3, { what: () => `a connection with the third\n${gateway.log}` })
    expect(await running).toBe(true)
    const received = () => [...upstream.logs().matchAll(/Received PUBLISH from cottage \(d\d.*?'up\/(\d+)'/g)]
    const numbers = () => [...new Set(received().map(match => Number(match[1])))]
    await until(() => numbers().length === count, { what: () => `all of them, ${numbers().length} came` })
    expect(numbers()).toEqual(Array.from({ length: count }, (_, i) => i))
    expect(names()).toEqual(['larder-1', 'larder-2', 'larder-3'])
    expect(gateway.log).not.toMatch(/bridge (disconnected|cannot connect)/)
  })
})
