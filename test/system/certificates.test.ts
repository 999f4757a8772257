/**
 * What an owner has to do for a renewed certificate: nothing. A real ACME authority and the real certbot renew the
 * certificate of a gateway that 50 clients are connected to.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import mqtt, { type MqttClient } from 'mqtt'
import { describe, expect, onTestFinished, test } from 'vitest'
import { serialOf } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway.ts'
import { needs } from '../support/needs.ts'
import { Pebble } from '../support/pebble.ts'
import { until } from '../support/wait.ts'

const NAME = 'gateway.home.example'
const CLIENTS = 50
/** Milliseconds from the renewal to the first connection that sees it. */
const TAKEN_UP_WITHIN = 5_000

const isReady = ['pebble', 'pebble-challtestsrv', 'certbot', 'openssl'].map(binary => needs(binary)).every(Boolean)

describe.skipIf(!isReady)("a certificate of Let's Encrypt's kind", () => {
  test('is renewed under 50 clients: new connections see it within 5 s, nobody is dropped, nobody sends a signal', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-acme-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await using pebble = await Pebble.start(folder)
    const live = await pebble.issue(NAME)
    const cert = join(live, 'fullchain.pem')
    const port = await freePort()
    const config = [
      'name: Test',
      `listeners: [{ url: 'mqtts://127.0.0.1:${port}', tls: { cert: ${cert}, key: ${live}/privkey.pem } }]`,
    ].join('\n')
    await using gateway = await startGateway({ config })
    const { pid } = gateway
    const ca = await pebble.root()
    const tls = { ca, servername: NAME, host: '127.0.0.1', port }

    const drops: string[] = []
    const heard = new Map<string, string>()
    const clients: MqttClient[] = []
    onTestFinished(() => clients.forEach(client => void client.end(true)))
    for (let i = 0; i < CLIENTS; i++) {
      const clientId = `client-${i}`
      const client = await mqtt.connectAsync({ ...tls, protocol: 'mqtts', clientId, reconnectPeriod: 0, keepalive: 5 })
      for (const event of ['close', 'offline', 'error'] as const) {
        client.on(event, () => {
          if (clients.includes(client)) drops.push(`${clientId}: ${event}`)
        })
      }
      client.on('message', (_topic, payload) => heard.set(clientId, payload.toString()))
      await client.subscribeAsync('home/tick', { qos: 1 })
      clients.push(client)
    }
    const allHear = async (tick: string) => {
      await clients[0]?.publishAsync('home/tick', tick, { qos: 1 })
      await until(() => heard.size === CLIENTS && [...heard.values()].every(payload => payload === tick), {
        what: () => `${tick} everywhere; dropped: ${drops.join(', ')}`,
      })
    }
    /** Verified against the authority's root, by name. */
    const serialSeen = () =>
      new Promise<string | undefined>((resolve, reject) => {
        const socket = connect(tls, () => {
          resolve(socket.getPeerX509Certificate()?.serialNumber)
          socket.destroy()
        }).on('error', reject)
      })

    const first = await serialOf(cert)
    expect(await serialSeen()).toBe(first)
    await allHear('before')
    let previous = first
    for (const renewal of ['first', 'second']) {
      await pebble.renew()
      const serial = await serialOf(cert)
      expect(serial).not.toBe(previous)
      await until(async () => (await serialSeen()) === serial, {
        what: () => `the certificate of the ${renewal} renewal\n${gateway.log}`,
        timeout: TAKEN_UP_WITHIN,
      })
      await allHear(`after the ${renewal} renewal`)
      previous = serial
    }
    expect(drops).toEqual([])
    expect(clients.every(client => client.connected)).toBe(true)
    expect(gateway.pid).toBe(pid)
    expect(gateway.stderr.split('\n').filter(line => line.includes('"level":50'))).toEqual([])
    clients.splice(0).forEach(client => void client.end(true))
  })
})
