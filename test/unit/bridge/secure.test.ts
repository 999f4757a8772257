/** TLS towards an upstream, proxies and WebSockets: what is offered, what is verified, and what is said when it fails. */
import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttp, type IncomingMessage } from 'node:http'
import { connect, createServer as createTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import type { TlsOptions } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createWebSocketStream, WebSocketServer } from 'ws'
import type { ConnectionSettings } from '../../../src/bridge/connection.ts'
import { Authority, type Pair } from '../../support/certificates.ts'
import { startLink } from './link.ts'
import { answerWell, type ScriptedUpstream, startUpstream } from './scripted-upstream.ts'
import { tlsBefore as frontOf, join2, listening, portOf } from './tls-front.ts'

let folder: string
let authority: Authority
let other: Authority
let server: Pair
let client: Pair

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-bridge-tls-'))
  authority = await Authority.make(folder, 'home')
  other = await Authority.make(folder, 'elsewhere')
  server = await authority.server()
  client = await authority.issue({ subject: '/CN=larder' })
})
afterAll(() => rm(folder, { recursive: true }))

/** TLS before `peer`, with this server's certificate unless it is given another. */
const tlsBefore = (peer: ScriptedUpstream, options: TlsOptions = {}, pair = server) => frontOf(peer, options, pair)

describe('TLS', () => {
  test('offers ALPN, the server name and a certificate, and verifies the upstream', async () => {
    const peer = await startUpstream()
    const ca = await readFile(authority.cert)
    const { port, seen } = await tlsBefore(peer, { ALPNProtocols: ['x-amzn-mqtt-ca'], requestCert: true, ca })
    const tls = { ca: authority.cert, ...client, alpn: ['x-amzn-mqtt-ca'], serverName: 'localhost' }
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls }).up()
    expect(seen).toMatchObject([{ alpn: 'x-amzn-mqtt-ca', sni: 'localhost', client: 'larder' }])
  })

  const failing: [
    what: string,
    make: () => Promise<[ConnectionSettings['tls'], TlsOptions?, Pair?]>,
    reason: RegExp,
  ][] = [
    [
      'an unknown authority',
      async () => [{ ca: other.cert }],
      /shows a certificate of an authority that is not known here$/,
    ],
    [
      'an authority nobody gave',
      async () => [undefined],
      /shows a certificate of an authority that is not known here$/,
    ],
    [
      'another name',
      async () => [{ ca: authority.cert, serverName: 'cloud.example' }],
      /shows a certificate for another name$/,
    ],
    [
      'a certificate that is not valid yet, as all are before the clock was set',
      async () => [{ ca: authority.cert }, {}, await authority.server({ early: true })],
      /shows a certificate that is not valid yet by the clock of this machine$/,
    ],
    [
      'an expired certificate',
      async () => [{ ca: authority.cert }, {}, await authority.server({ expired: true })],
      /shows a certificate that has expired by the clock of this machine$/,
    ],
    [
      'no certificate of ours where one is wanted',
      async () => [{ ca: authority.cert }, { requestCert: true, ca: await readFile(authority.cert) }],
      /wants a certificate$/,
    ],
    [
      'a certificate of ours that is not known there',
      async () => {
        const { cert, key } = await other.issue()
        return [
          { ca: authority.cert, cert, key },
          { requestCert: true, ca: await readFile(authority.cert) },
        ]
      },
      /(does not know who has signed our certificate|does not take our certificate|cut the connection|closed the connection)$/,
    ],
    [
      'a version that is too old',
      async () => [{ ca: authority.cert, minVersion: 'TLSv1.3' }, { maxVersion: 'TLSv1.2' }],
      /has no version of TLS in common with this gateway$/,
    ],
    [
      'ALPN that is not known there',
      async () => [{ ca: authority.cert, alpn: ['a'] }, { ALPNProtocols: ['b'] }],
      /does not take what "tls: alpn" offers$/,
    ],
    ['a file that is not there', async () => [{ ca: join(folder, 'nowhere.pem') }], /nowhere\.pem is not there$/],
    [
      'a file that is no certificate',
      async () => {
        await writeFile(join(folder, 'empty.pem'), 'nothing\n')
        return [{ ca: join(folder, 'empty.pem') }]
      },
      /empty\.pem holds no certificate in PEM$/,
    ],
    [
      'a key of another certificate',
      async () => [{ ca: authority.cert, cert: client.cert, key: server.key }],
      /\.crt and .*\.key cannot be used: /,
    ],
  ]

  test.each(failing)('%s: says so', async (_, make, reason) => {
    const peer = await startUpstream()
    const [tls, options, pair] = await make()
    const { port } = await tlsBefore(peer, options, pair)
    const fault = await startLink({ url: `mqtts://127.0.0.1:${port}`, tls }).down()
    expect(fault.reason).toMatch(reason)
    expect(peer.publishes).toEqual([])
  })

  test('a name that is not checked may be another', async () => {
    const { port } = await tlsBefore(await startUpstream())
    const tls = { ca: authority.cert, serverName: 'cloud.example', checkName: false }
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls }).up()
    // The authority is verified nevertheless.
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls: { ...tls, ca: other.cert } }).down()
  })

  test('a pre-shared key in place of certificates', async () => {
    const peer = await startUpstream()
    const key = '00112233445566778899aabbccddeeff'
    const { port } = await tlsBefore(peer, {
      ciphers: 'PSK',
      maxVersion: 'TLSv1.2',
      pskCallback: (_socket, identity) => (identity === 'larder' ? Buffer.from(key, 'hex') : null),
    })
    const url = `mqtts://127.0.0.1:${port}`
    await startLink({ url, tls: { pskIdentity: 'larder', pskKey: key } }).up()
    await startLink({ url, tls: { pskIdentity: 'stranger', pskKey: key } }).down()
  })

  test('files that were replaced count from the next connection on', async () => {
    const peer = await startUpstream()
    const { port, seen } = await tlsBefore(peer, { requestCert: true, ca: await readFile(authority.cert) })
    const files = { ca: join(folder, 'live-ca.pem'), cert: join(folder, 'live.crt'), key: join(folder, 'live.key') }
    const place = async (pair: Pair, ca: string) => {
      await copyFile(pair.cert, files.cert)
      await copyFile(pair.key, files.key)
      await copyFile(ca, files.ca)
    }
    await place(client, other.cert)
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls: files }).down()
    await place(await authority.issue({ subject: '/CN=renewed' }), authority.cert)
    await startLink({ url: `mqtts://127.0.0.1:${port}`, tls: files }).up()
    expect(seen.at(-1)?.client).toBe('renewed')
  })

  test('an upstream without TLS, and one that accepts and says nothing', async () => {
    const peer = await startUpstream(() => {})
    const url = peer.url.replace('mqtt:', 'mqtts:')
    expect((await startLink({ url, connectTimeout: 200 }).down()).reason).toMatch(
      /(does not answer|(closed|cut) the connection)$/,
    )
    const talker = createTcp(socket => void socket.on('error', () => {}).end('220 hello\r\n'))
    const port = await listening(talker)
    expect((await startLink({ url: `mqtts://127.0.0.1:${port}` }).down()).reason).toMatch(/does not speak TLS there$/)
  })
})

describe('a WebSocket', () => {
  async function webBefore(peer: ScriptedUpstream, pair?: Pair) {
    const asked: { path: string | undefined; protocol: string | undefined; host: string | undefined }[] = []
    const web = pair === undefined ? createHttp() : undefined
    const front =
      web ??
      (await import('node:https')).createServer({ cert: await readFile(pair!.cert), key: await readFile(pair!.key) })
    const sockets = new WebSocketServer({
      server: front,
      path: '/mqtt',
      handleProtocols: offered => (offered.has('mqtt') ? 'mqtt' : false),
    })
    sockets.on('connection', (socket, request: IncomingMessage) => {
      const { url, headers } = request
      asked.push({ path: url, protocol: headers['sec-websocket-protocol'], host: headers.host })
      join2(createWebSocketStream(socket), connect(portOf(peer), '127.0.0.1'))
    })
    return { port: await listening(front), asked }
  }

  test('carries MQTT on its path', async () => {
    const { port, asked } = await webBefore(await startUpstream())
    await startLink({ url: `ws://127.0.0.1:${port}/mqtt` }).up()
    expect(asked).toEqual([{ path: '/mqtt', protocol: 'mqtt', host: `127.0.0.1:${port}` }])
  })

  test('carries MQTT inside TLS', async () => {
    const { port } = await webBefore(await startUpstream(), server)
    await startLink({ url: `wss://127.0.0.1:${port}/mqtt`, tls: { ca: authority.cert } }).up()
  })

  test('that is refused says so', async () => {
    const { port } = await webBefore(await startUpstream())
    expect((await startLink({ url: `ws://127.0.0.1:${port}/other` }).down()).reason).toContain('400')
  })
})

describe('a proxy', () => {
  async function proxy(answer: (request: IncomingMessage) => number) {
    const asked: string[] = []
    const front = createHttp((_request, response) => void response.writeHead(400).end())
    front.on('connect', (request: IncomingMessage, socket: Duplex) => {
      asked.push(`${request.url} ${request.headers['proxy-authorization'] ?? 'anonymous'}`)
      const status = answer(request)
      socket.on('error', () => {}).write(`HTTP/1.1 ${status} Well\r\n\r\n`)
      const [host, port] = String(request.url).split(':')
      if (status === 200) join2(socket, connect(Number(port), host))
      else socket.end()
    })
    return { port: await listening(front), asked }
  }

  test('is asked for the upstream, with its user name and password', async () => {
    const peer = await startUpstream()
    const { port, asked } = await proxy(() => 200)
    await startLink({ url: peer.url, proxy: `http://larder:open%20sesame@127.0.0.1:${port}` }).up()
    expect(asked).toEqual([`${peer.place} Basic ${Buffer.from('larder:open sesame').toString('base64')}`])
  })

  test('TLS goes through it', async () => {
    const { port: behind } = await tlsBefore(await startUpstream())
    const { port } = await proxy(() => 200)
    await startLink({
      url: `mqtts://127.0.0.1:${behind}`,
      tls: { ca: authority.cert },
      proxy: `http://127.0.0.1:${port}`,
    }).up()
  })

  test('that refuses, and one that is away, say so', async () => {
    const peer = await startUpstream()
    const { port } = await proxy(request => (request.headers['proxy-authorization'] === undefined ? 407 : 403))
    const reason = async (at: string) => (await startLink({ url: peer.url, proxy: at }).down()).reason
    expect(await reason(`http://127.0.0.1:${port}`)).toBe(
      `the proxy 127.0.0.1:${port} wants another user name and password`,
    )
    expect(await reason(`http://a:b@127.0.0.1:${port}`)).toBe(
      `the proxy 127.0.0.1:${port} answers 403 for ${peer.place}`,
    )
    expect(await reason('http://127.0.0.1:1')).toMatch(/^the proxy 127\.0\.0\.1:1 cannot be used: /)
    expect(peer.connections).toEqual([])
  })

  test('that accepts and says nothing is given up in time', async () => {
    const mute = createTcp(socket => void socket.on('error', () => {}))
    const port = await listening(mute)
    const peer = await startUpstream(answerWell)
    const fault = await startLink({ url: peer.url, proxy: `http://127.0.0.1:${port}`, connectTimeout: 100 }).down()
    expect(fault.reason).toBe(`${peer.place} does not answer`)
  })
})
