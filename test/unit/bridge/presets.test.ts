/**
 * The examples of docs/bridges.md for clouds that cannot be had here, each against a stand-in behind TLS that insists on what
 * that cloud's documentation says it insists on.
 */
import { readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { IConnackPacket, IConnectPacket, IPublishPacket } from 'mqtt-packet'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { Authority, type Pair } from '../../support/certificates.ts'
import { until } from '../../support/wait.ts'
import { configOf } from '../config/loading.ts'
import { startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'
import { tlsBefore } from './tls-front.ts'

const DOC = readFileSync(new URL('../../../docs/bridges.md', import.meta.url), 'utf8')

let folder: string
let authority: Authority
let server: Pair
let client: Pair

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-presets-'))
  authority = await Authority.make(folder, 'cloud')
  server = await authority.server()
  client = await authority.issue({ subject: '/CN=larder-kitchen' })
})
afterAll(() => rm(folder, { recursive: true }))

interface Cloud {
  readonly preset: string
  /** CONNACK's. */
  readonly properties: IConnackPacket['properties']
  readonly alpn?: string
  readonly wantsCertificate?: boolean
  /** What it has against a CONNECT. */
  readonly connectFault: (connect: IConnectPacket) => string | undefined
  /** What makes it close the connection. */
  readonly publishFault?: (publish: IPublishPacket) => string | undefined
}

const login = ({ username, password }: IConnectPacket) =>
  username === 'larder' && String(password) === 'open sesame' ? undefined : 'wrong login'
const onlyQos1 = ({ qos }: IPublishPacket) => (qos > 1 ? 'QoS 2' : undefined)

const CLOUDS: Cloud[] = [
  { preset: 'hivemq-cloud', properties: { receiveMaximum: 10 }, connectFault: login },
  {
    preset: 'emqx-cloud',
    properties: { maximumPacketSize: 1_048_576, topicAliasMaximum: 65_535 },
    connectFault: login,
  },
  {
    preset: 'aws-iot-core',
    properties: { receiveMaximum: 100, maximumQoS: 1, topicAliasMaximum: 8, maximumPacketSize: 149_504 },
    alpn: 'x-amzn-mqtt-ca',
    wantsCertificate: true,
    connectFault: ({ keepalive = 0 }) => (keepalive > 1_200 || keepalive < 30 ? `keepalive ${keepalive}` : undefined),
    publishFault: packet =>
      onlyQos1(packet) ?? (packet.payload.length > 128 * 1024 ? `${packet.payload.length} bytes` : undefined),
  },
  {
    preset: 'azure-event-grid',
    properties: { maximumQoS: 1, maximumPacketSize: 512 * 1024, topicAliasMaximum: 10, serverKeepAlive: 1_160 },
    wantsCertificate: true,
    connectFault: ({ properties, will, username, clientId }) => {
      if (properties?.userProperties !== undefined) return 'user properties'
      return will !== undefined || username !== 'larder-kitchen' || clientId !== 'larder-kitchen' ? 'who?' : undefined
    },
    publishFault: onlyQos1,
  },
]

test.each(CLOUDS)('the example of $preset', async ({ preset, properties, alpn, wantsCertificate, ...faults }) => {
  const refused: string[] = []
  const peer = await startUpstream((packet, connection) => {
    const refuse = (fault: string) => {
      refused.push(fault)
      connection.cut()
    }
    if (packet.cmd === 'connect') {
      const fault = packet.protocolVersion === 5 ? faults.connectFault(packet) : `version ${packet.protocolVersion}`
      if (fault !== undefined) refuse(fault)
      else connection.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false, properties } as IConnackPacket, 5)
    } else if (packet.cmd === 'publish') {
      const fault = faults.publishFault?.(packet)
      if (fault !== undefined) refuse(fault)
      else connection.send({ cmd: 'puback', messageId: packet.messageId as number }, 5)
    }
  })
  const { port, seen } = await tlsBefore(
    peer,
    {
      ...(alpn === undefined ? {} : { ALPNProtocols: [alpn] }),
      ...(wantsCertificate === true ? { requestCert: true, ca: await readFile(authority.cert) } : {}),
    },
    server,
  )
  const text = [...DOC.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].find(([, each]) => each?.includes(`preset: ${preset}\n`))
  const [settings] = configOf(`name: Kitchen\n${text?.[1]}`, { CLOUD_PASSWORD: 'open sesame' }).bridges
  if (settings === undefined) throw new Error(`docs/bridges.md has no example of ${preset}`)
  const files = wantsCertificate === true ? client : {}
  const { urls: _, ...rest } = settings
  const tls = { ...settings.tls, ca: authority.cert, ...files }
  const { queue, bridge, lines } = await startBridge('', { ...rest, url: `mqtts://127.0.0.1:${port}`, tls })
  for (let number = 0; number < 50; number++) queue.push({ topic: '/Home/Hall/Lamp', retain: number === 0, qos: 2 })
  queue.push({ topic: '/Home/Hall/Camera', payload: Buffer.alloc(2 ** 20) })
  await until(() => queue.count === 0, { what: () => `all to be gone ${refused}\n${JSON.stringify(lines)}` })
  expect(refused).toEqual([])
  expect(peer.connections).toHaveLength(1)
  // What is too large for it was not sent.
  const isLimited = settings.maxPacketSize !== undefined
  expect(bridge.state).toMatchObject({ sent: isLimited ? 50 : 51, dead: isLimited ? 1 : 0 })
  if (alpn !== undefined) expect(seen[0]?.alpn).toBe(alpn)
})
