/** The examples of docs/bridges.md whose upstreams can be had here, with the address of a real one; and Larder's own WebSockets. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { ROOT, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

/** The example with this preset, its address replaced. */
async function example(preset: string, port: number): Promise<string> {
  const doc = await readFile(join(ROOT, 'docs/bridges.md'), 'utf8')
  const examples = [...doc.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(match => match[1] as string)
  const found = examples.find(each => each.includes(`preset: ${preset}\n`)) ?? ''
  expect(found).toMatch(/url: mqtt:/)
  return `name: Cottage\n${found.replace(/url: .*/, `url: mqtt://127.0.0.1:${port}`)}`
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub') || !needs('openssl'))('a bridge as documented', () => {
  test('to Mosquitto', async () => {
    const upstream = await startMosquitto()
    onTestFinished(() => upstream.remove())
    await using sub = await startSub({ port: upstream.port, topics: ['/Home/#'], qos: 1 })
    await using gateway = await startGateway({ config: await example('mosquitto', upstream.port) })
    await pub('21', { port: gateway.port, topic: '/Home/Hall/Lamp', qos: 1 })
    await sub.message(({ topic, payload }) => topic === '/Home/Hall/Lamp' && payload === '21', 'the message')
    expect(upstream.logs()).toMatch(/as larder-Cottage-mosquitto \(p5,/)
  })

  test('to another Larder', async () => {
    await using upstream = await startGateway({ config: 'name: Office' })
    await using sub = await startSub({ port: upstream.port, topics: ['cottage/#'], qos: 1 })
    await using gateway = await startGateway({ config: await example('larder', upstream.port) })
    await pub('21', { port: gateway.port, topic: '/Home/Hall/Lamp', qos: 1 })
    await sub.message(({ topic, payload }) => topic === 'cottage/Home/Hall/Lamp' && payload === '21', 'the message')
  })

  test('to another Larder over WebSockets, plain and in TLS with certificates of both sides', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-presets-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const authority = await Authority.make(folder, 'home')
    const [server, client] = [await authority.server(), await authority.issue({ subject: '/CN=cottage' })]
    const [plain, web, secure] = [await freePort(), await freePort(), await freePort()]
    const tls = `tls: { cert: ${server.cert}, key: ${server.key}, ca: ${authority.cert}, client_certificates: required }`
    await using upstream = await startGateway({
      config: `
name: Office
listeners:
  - mqtt://127.0.0.1:${plain}
  - ws://127.0.0.1:${web}/mqtt
  - { url: "wss://127.0.0.1:${secure}/mqtt", ${tls} }
`,
    })
    await using sub = await startSub({ port: plain, topics: ['#'], qos: 1 })
    await using gateway = await startGateway({
      config: `
name: Cottage
bridges:
  - { name: plain, url: "ws://127.0.0.1:${web}/mqtt", out: [{ filter: "lamp/#", remote_prefix: plain/ }] }
  - name: secure
    url: wss://127.0.0.1:${secure}/mqtt
    tls: { ca: ${authority.cert}, cert: ${client.cert}, key: ${client.key} }
    out: [{ filter: "door/#", remote_prefix: secure/ }]
`,
    })
    await pub('21', { port: gateway.port, topic: 'lamp/hall', qos: 1 })
    await pub('22', { port: gateway.port, topic: 'door/hall', qos: 1 })
    await until(
      () => ['plain/lamp/hall', 'secure/door/hall'].every(each => sub.messages.some(({ topic }) => topic === each)),
      {
        what: () => `both messages; ${JSON.stringify(sub.messages)}\n${gateway.log}\n${upstream.log}`,
      },
    )
  })
})
