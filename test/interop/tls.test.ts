/**
 * The built gateway's listeners as real clients meet them: mosquitto_pub and mosquitto_sub, MQTT.js and openssl over TLS,
 * a Unix socket, a proxy's header. What is refused is asked for as well as what is let in.
 */
import { X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import mqtt, { type IClientOptions, type MqttClient } from 'mqtt'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { identityOf } from '../../src/listen/identity.ts'
import { Authority, openssl, type Pair } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until, within } from '../support/wait.ts'

const PSK = 'c0ffee00c0ffee00c0ffee00c0ffee00'
/** A key is bytes, not a number. */
const ZERO_PSK = '0000c0ffee00c0ffee00c0ffee00c0ff'
const PROXY_LINE = 'PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n'
/** The connection, MQTT 3.1.1, clean, keep alive 60 s, no client identifier; and the answer. */
const CONNECT = Buffer.from('100c00044d5154540402003c0000', 'hex')
const CONNACK = '20020000'

const hasClients = needs('mosquitto_pub') && needs('mosquitto_sub')

describe.skipIf(!needs('openssl'))('listeners', () => {
  let folder: string
  let authority: Authority
  let stranger: Authority
  let server: Pair
  let lamp: Pair
  let revoked: Pair
  let gateway: Gateway
  const ports = {
    plain: 0,
    mutual: 0,
    optional: 0,
    psk: 0,
    strict: 0,
    old: 0,
    proxied: 0,
    proxiedTls: 0,
    web: 0,
    elsewhere: 0,
    both: 0,
  }
  let socketPath: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'larder-tls-'))
    socketPath = join(folder, 'mqtt.sock')
    authority = await Authority.make(folder, 'ca')
    stranger = await Authority.make(folder, 'stranger')
    server = await authority.server()
    lamp = await authority.issue({ subject: '/O=Home/CN=lamp' })
    revoked = await authority.issue({ subject: '/O=Home/CN=lost' })
    await authority.revoke(revoked.cert)
    await writeFile(join(folder, 'psk'), `lamp:${PSK}\nzeros:${ZERO_PSK}\n`, { mode: 0o600 })
    for (const name of Object.keys(ports)) ports[name as keyof typeof ports] = await freePort()
    const elsewhere = await authority.server({ names: ['DNS:elsewhere.example'], subject: '/CN=elsewhere.example' })
    const own = `cert: ${server.cert}, key: ${server.key}`
    const asking = `ca: ${authority.cert}, crl: ${authority.crl}`
    gateway = await startGateway({
      config: [
        'name: Test',
        'log: { level: debug }',
        'listeners:',
        `  - { url: 'mqtts://127.0.0.1:${ports.plain}', tls: { ${own} } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.mutual}', tls: { ${own}, ${asking}, client_certificates: required } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.optional}', tls: { ${own}, ${asking}, client_certificates: optional } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.psk}', tls: { psk_file: ${folder}/psk } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.strict}', tls: { ${own}, min_version: TLSv1.3, ciphers_tls13: TLS_CHACHA20_POLY1305_SHA256, alpn: [mqtt] } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.old}', tls: { ${own}, ciphers: ECDHE-ECDSA-AES256-GCM-SHA384 } }`,
        `  - { url: 'mqtt://127.0.0.1:${ports.proxied}', proxy_protocol: true }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.proxiedTls}', proxy_protocol: true, tls: { ${own} } }`,
        `  - { url: 'wss://127.0.0.1:${ports.web}/mqtt', tls: { ${own} }, origins: ['https://home.example.org'] }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.elsewhere}', tls: { cert: ${elsewhere.cert}, key: ${elsewhere.key} } }`,
        `  - { url: 'mqtts://127.0.0.1:${ports.both}', tls: { ${own}, psk_file: ${folder}/psk } }`,
        `  - { url: 'unix://${socketPath}', socket_mode: '600' }`,
      ].join('\n'),
    })
  })
  afterAll(async () => {
    await gateway?.[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  describe.skipIf(!hasClients)('mosquitto_pub and mosquitto_sub', () => {
    const asLamp = () => ['--cafile', authority.cert, '--cert', lamp.cert, '--key', lamp.key]

    async function roundTrip(port: number, args: readonly string[]): Promise<void> {
      const topic = `home/${port}/${Math.random()}`
      await using sub = await startSub({ port, topics: [topic], qos: 1, args })
      await pub('on', { port, topic, qos: 1, args })
      await sub.received(1)
      expect(sub.payloads).toEqual(['on'])
    }

    const refused = (port: number, args: readonly string[]) =>
      expect(pub('on', { port, topic: 'home', qos: 1, args })).rejects.toThrow(/mosquitto_pub ended with [1-9]/)

    test.each(['mqttv31', 'mqttv311', 'mqttv5'])('with --cafile and -V %s', async version => {
      await roundTrip(ports.plain, ['--cafile', authority.cert, '-V', version])
    })

    test('with --capath', async () => {
      const capath = join(folder, 'capath')
      await mkdir(capath)
      await copyFile(authority.cert, join(capath, 'ca.pem'))
      await openssl('rehash', capath)
      await roundTrip(ports.plain, ['--capath', capath])
    })

    test('with --insecure under another name, and not without it', async () => {
      await refused(ports.elsewhere, ['--cafile', authority.cert])
      await roundTrip(ports.elsewhere, ['--cafile', authority.cert, '--insecure'])
    })

    test('with an authority that has not signed it, the client refuses the gateway', async () => {
      await refused(ports.plain, ['--cafile', stranger.cert])
    })

    test('with --cert and --key where they are required', async () => {
      await roundTrip(ports.mutual, asLamp())
    })

    test('with or without where they are optional', async () => {
      await roundTrip(ports.optional, asLamp())
      await roundTrip(ports.optional, ['--cafile', authority.cert])
    })

    test.each<[string, () => Promise<Pair | undefined> | Pair]>([
      ['without a certificate', async () => undefined],
      ['with one of another authority', () => stranger.issue()],
      ['with one that has expired', () => authority.issue({ expired: true })],
      ['with one that was revoked', () => revoked],
    ])('%s they stay out where one is required', async (_what, make) => {
      const pair = await make()
      const args = pair === undefined ? [] : ['--cert', pair.cert, '--key', pair.key]
      await refused(ports.mutual, ['--cafile', authority.cert, ...args])
    })

    test.each<[string, () => Promise<Pair> | Pair]>([
      ['another authority', () => stranger.issue()],
      ['the past', () => authority.issue({ expired: true })],
      ['a list', () => revoked],
    ])('with a certificate of %s they stay out where it is optional', async (_what, make) => {
      const pair = await make()
      await refused(ports.optional, ['--cafile', authority.cert, '--cert', pair.cert, '--key', pair.key])
    })

    test('with --psk', async () => {
      await roundTrip(ports.psk, ['--psk', PSK, '--psk-identity', 'lamp'])
      await roundTrip(ports.psk, ['--psk', ZERO_PSK, '--psk-identity', 'zeros'])
      await refused(ports.psk, ['--psk', `${PSK}01`, '--psk-identity', 'lamp'])
      await refused(ports.psk, ['--psk', PSK, '--psk-identity', 'nobody'])
    })

    test('with --psk or --cafile where there are both', async () => {
      await roundTrip(ports.both, ['--psk', PSK, '--psk-identity', 'lamp'])
      await roundTrip(ports.both, ['--cafile', authority.cert])
      await refused(ports.both, ['--psk', `${PSK}01`, '--psk-identity', 'lamp'])
      await refused(ports.both, ['--cafile', stranger.cert])
    })

    test('with --tls-version and --tls-alpn', async () => {
      const args = ['--cafile', authority.cert]
      await roundTrip(ports.strict, [...args, '--tls-version', 'tlsv1.3', '--tls-alpn', 'mqtt'])
      await refused(ports.strict, [...args, '--tls-alpn', 'h2'])
      await roundTrip(ports.plain, [...args, '--tls-version', 'tlsv1.2'])
    })

    test('with --unix', async () => {
      const to = ['--unix', socketPath, '-t', 'home/unix']
      expect(await run('mosquitto_pub', [...to, '-m', 'on', '-q', '1', '-r'])).toMatchObject({ code: 0 })
      expect(await run('mosquitto_sub', [...to, '-C', '1', '-W', '5'])).toMatchObject({ code: 0, lines: ['on'] })
    })
  })

  describe('MQTT.js', () => {
    async function client(url: string, options: IClientOptions = {}): Promise<MqttClient> {
      const ca = await readFile(authority.cert)
      const made = mqtt.connect(url, { ca, reconnectPeriod: 0, ...options })
      onTestFinished(() => void made.end(true))
      const connected = new Promise<void>((resolve, reject) => {
        made.once('connect', () => resolve())
        made.once('error', reject)
        made.once('close', () => reject(new Error('the gateway closed the connection')))
      })
      await within(connected, { what: () => `a connection to ${url}\n${gateway.log}` })
      return made
    }

    test.each([
      ['mqtts', 4],
      ['mqtts', 5],
      ['wss', 4],
      ['wss', 5],
    ] as const)('over %s, MQTT %i', async (protocol, protocolVersion) => {
      const url = protocol === 'mqtts' ? `mqtts://127.0.0.1:${ports.plain}` : `wss://127.0.0.1:${ports.web}/mqtt`
      const made = await client(url, { protocolVersion })
      await made.subscribeAsync('home/#', { qos: 1 })
      const heard = new Promise<Buffer>(resolve => made.once('message', (_topic, payload) => resolve(payload)))
      // Larger than a record of TLS, so that it comes in pieces.
      const payload = Buffer.alloc(100_000, 7)
      await made.publishAsync(`home/${protocol}/${protocolVersion}`, payload, { qos: 1 })
      expect((await within(heard, { what: 'the message' })).equals(payload)).toBe(true)
    })

    test('over wss, from a page that is let in and from one that is not', async () => {
      const url = `wss://127.0.0.1:${ports.web}/mqtt`
      await client(url, { wsOptions: { origin: 'https://home.example.org' } })
      await expect(client(url, { wsOptions: { origin: 'https://evil.example.org' } })).rejects.toThrow(
        'the gateway closed the connection',
      )
    })

    test('over a Unix socket', async () => {
      const made = new mqtt.MqttClient(() => connectTcp(socketPath), { reconnectPeriod: 0 })
      onTestFinished(() => void made.end(true))
      await within(new Promise<void>(resolve => made.once('connect', () => resolve())), { what: 'CONNACK' })
    })
  })

  describe('openssl s_client', () => {
    async function handshake(port: number, ...args: string[]): Promise<string> {
      const { lines, errors } = await run('openssl', [
        ...['s_client', '-connect', `127.0.0.1:${port}`, '-CAfile', authority.cert, ...args],
      ])
      return [...lines, ...errors].join('\n')
    }

    test.each<[string, () => number, string[], RegExp]>([
      [
        'TLS 1.3',
        () => ports.plain,
        ['-tls1_3'],
        /New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384[\s\S]*Verify return code: 0/,
      ],
      ['TLS 1.2', () => ports.plain, ['-tls1_2'], /New, TLSv1.2, Cipher is ECDHE-ECDSA-/],
      ['only what the list of TLS 1.2 holds', () => ports.old, ['-tls1_2'], /Cipher is ECDHE-ECDSA-AES256-GCM-SHA384/],
      ['TLS 1.3 beside a list for TLS 1.2', () => ports.old, ['-tls1_3'], /New, TLSv1.3/],
      ['only what the list of TLS 1.3 holds', () => ports.strict, [], /Cipher is TLS_CHACHA20_POLY1305_SHA256/],
      ['ALPN', () => ports.strict, ['-alpn', 'h2,mqtt'], /ALPN protocol: mqtt/],
      ['HTTP for a WebSocket', () => ports.web, ['-alpn', 'h2,http/1.1'], /ALPN protocol: http\/1.1/],
    ])('%s', async (_what, port, args, expected) => {
      expect(await handshake(port(), ...args)).toMatch(expected)
    })

    test.each<[string, () => number, string[]]>([
      ['TLS 1.1', () => ports.plain, ['-tls1_1', '-cipher', 'ALL:@SECLEVEL=0']],
      ['TLS 1.0', () => ports.plain, ['-tls1', '-cipher', 'ALL:@SECLEVEL=0']],
      ['TLS 1.2 where 1.3 is the least', () => ports.strict, ['-tls1_2']],
      ['a cipher that is not in the list', () => ports.old, ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256']],
      ['a cipher without encryption', () => ports.plain, ['-tls1_2', '-cipher', 'eNULL:@SECLEVEL=0']],
      ['TLS 1.3 with pre-shared keys', () => ports.psk, ['-tls1_3']],
      ['another protocol of ALPN', () => ports.strict, ['-alpn', 'h2']],
    ])('is refused: %s', async (_what, port, args) => {
      expect(await handshake(port(), ...args)).toMatch(/alert|no ciphers available|Cipher is \(NONE\)/)
    })

    test('a second handshake on a connection is refused', async () => {
      const { lines, errors } = await run(
        'openssl',
        ['s_client', '-connect', `127.0.0.1:${ports.plain}`, '-CAfile', authority.cert, '-tls1_2'],
        { input: 'R\n' },
      )
      expect([...lines, ...errors].join('\n')).toMatch(/RENEGOTIATING[\s\S]*no renegotiation/)
    })
  })

  describe('bytes by hand', () => {
    async function dial(port: number): Promise<Socket & { heard(): string }> {
      const socket = connectTcp(port, '127.0.0.1')
      let heard = ''
      socket
        .on('error', () => {})
        .on('data', chunk => {
          heard += chunk.toString('hex')
        })
      onTestFinished(() => void socket.destroy())
      await once(socket, 'connect')
      return Object.assign(socket, { heard: () => heard })
    }

    const closed = (socket: Socket) =>
      within(new Promise<void>(resolve => (socket.closed ? resolve() : socket.once('close', () => resolve()))), {
        what: 'the end of the connection',
        timeout: 20_000,
      })

    test.each<[string, string | Buffer]>([
      ['MQTT', CONNECT],
      ['HTTP', 'GET / HTTP/1.1\r\n\r\n'],
      ['zeros', Buffer.alloc(10_000)],
    ])('%s to a TLS listener closes that connection alone', async (_what, bytes) => {
      const socket = await dial(ports.plain)
      socket.write(bytes)
      await closed(socket)
      expect(socket.heard()).not.toContain(CONNACK)
      expect((await run('openssl', ['s_client', '-connect', `127.0.0.1:${ports.plain}`])).code).toBe(0)
    })

    test('half a ClientHello, silence, and a byte now and then are closed within their time', async () => {
      const begun = performance.now()
      const [half, silent, slow] = [await dial(ports.plain), await dial(ports.plain), await dial(ports.plain)]
      const hello = Buffer.from('1603010200010001fc0303', 'hex')
      half.write(hello)
      for (let at = 0; !slow.closed; at++) {
        slow.write(hello.subarray(at % hello.length, (at % hello.length) + 1))
        await pause(500)
        expect(performance.now() - begun).toBeLessThan(20_000)
      }
      for (const socket of [half, silent, slow]) await closed(socket)
      expect(performance.now() - begun).toBeGreaterThan(9_000)
    })

    test.each<[string, Buffer, string]>([
      ['version 1', Buffer.from(PROXY_LINE), '192.0.2.1'],
      ['version 2', Buffer.from('0d0a0d0a000d0a515549540a2111000cc0000202c6336402dc0401bb', 'hex'), '192.0.2.2'],
      [
        'version 2, IPv6',
        Buffer.from(`0d0a0d0a000d0a515549540a21210024${'20010db8000000000000000000000001'.repeat(2)}dc0401bb`, 'hex'),
        '2001:db8::1',
      ],
    ])('a PROXY header, %s: who connects is who it says', async (_what, header, address) => {
      const socket = await dial(ports.proxied)
      socket.write(Buffer.concat([header, CONNECT]))
      await until(() => socket.heard() === CONNACK, { what: () => `CONNACK, got ${socket.heard()}\n${gateway.log}` })
      // A packet that is none: the gateway says from where.
      socket.write('\xff\xff\xff\xff\xff')
      await closed(socket)
      await until(() => gateway.stderr.includes(`"from":"${address}"`), { what: () => `${address} in\n${gateway.log}` })
    })

    test.each<[string, Buffer]>([
      ['MQTT without it', CONNECT],
      ['garbage', Buffer.from('PROXY TCP4 nowhere\r\n')],
    ])('no PROXY header but %s closes the connection', async (_what, bytes) => {
      const socket = await dial(ports.proxied)
      socket.write(bytes)
      await closed(socket)
      expect(socket.heard()).toBe('')
    })

    test('a PROXY header comes before TLS', async () => {
      const raw = await dial(ports.proxiedTls)
      raw.removeAllListeners('data')
      raw.write(PROXY_LINE)
      const socket = connectTls({ socket: raw, ca: await readFile(authority.cert), host: '127.0.0.1' })
      onTestFinished(() => void socket.destroy())
      await once(socket, 'secureConnect')
      socket.write(CONNECT)
      expect((await once(socket, 'data'))[0].toString('hex')).toBe(CONNACK)
    })
  })

  test.skipIf(!needs('mosquitto') || !hasClients)(
    "a certificate's subject is the user name that Mosquitto gives",
    async () => {
      const strange = await authority.issue({ subject: '/C=DE/O=Küche\\, 灯/OU=a+CN=#b "c"\\+d ' })
      const port = await freePort()
      const broker = await startMosquitto({
        config: [
          `listener ${port} 127.0.0.1`,
          `cafile ${authority.cert}`,
          `certfile ${server.cert}`,
          `keyfile ${server.key}`,
          'require_certificate true',
          'use_subject_as_username true',
        ],
      })
      onTestFinished(() => broker.remove())
      const args = ['--cafile', authority.cert, '--cert', strange.cert, '--key', strange.key]
      await pub('on', { port, topic: 'home', qos: 1, args })
      const { subject } = identityOf(new X509Certificate(await readFile(strange.cert)))
      expect(broker.logs()).toContain(`u'${subject}'`)
    },
  )
})
