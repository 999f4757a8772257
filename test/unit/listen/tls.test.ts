/** TLS on a listener: who a client is, who stays out, what happens to what is broken. */
import { once } from 'node:events'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from 'node:tls'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { WebSocket } from 'ws'
import type { TlsSettings } from '../../../src/listen/ports.ts'
import { Authority, type Pair } from '../../support/certificates.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { needs } from '../../support/needs.ts'
import { until, within } from '../../support/wait.ts'
import {
  ANY_PORT,
  client,
  echo,
  folderOfFile,
  gone,
  PROXY_LINE,
  PROXY_SOURCE,
  startListener,
  type TestListener,
  temporaryFolder,
  tlsSettings,
} from './support.ts'

describe.skipIf(!needs('openssl'))('TLS', () => {
  const { folder, remove } = folderOfFile()
  let authority: Authority
  let stranger: Authority
  let server: Pair
  let lamp: Pair
  beforeAll(async () => {
    authority = await Authority.make(folder, 'ca')
    stranger = await Authority.make(folder, 'stranger')
    server = await authority.server()
    lamp = await authority.issue({ subject: '/O=Home/CN=lamp' })
  })
  afterAll(remove)

  const start = (tls: Partial<TlsSettings> = {}, options: Parameters<typeof startListener>[1] = {}) =>
    startListener({ protocol: 'mqtts', ...ANY_PORT, tls: tlsSettings({ ...server, ...tls }) }, options)

  const asking = (clientCertificates: TlsSettings['clientCertificates']) => ({ ca: authority.cert, clientCertificates })

  async function dial(port: number, options: ConnectionOptions & { pair?: Pair } = {}): Promise<TLSSocket> {
    const { pair, ...rest } = options
    const identity = pair === undefined ? {} : { cert: await readFile(pair.cert), key: await readFile(pair.key) }
    const ca = await readFile(authority.cert)
    const socket = connectTls({ port, host: '127.0.0.1', ca, ...identity, ...rest })
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    return socket
  }

  test('carries bytes both ways, and says nothing of a client that has proved nothing', async () => {
    const { listener, port, connection } = await start({}, { onStream: echo })
    expect(listener.address()).toBe(`mqtts://127.0.0.1:${port}`)
    const socket = await dial(port)
    socket.write('kitchen')
    expect(String((await once(socket, 'data'))[0])).toBe('kitchen')
    expect((await connection()).details).toEqual({
      protocol: 'mqtts',
      listener: listener.address(),
      remoteAddress: '127.0.0.1',
      remotePort: socket.localPort,
    })
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'knows a client by its certificate, also when it takes its session up again: %s',
    async version => {
      const { port, connection } = await start(asking('required'), { onStream: echo })
      const first = await dial(port, { pair: lamp, maxVersion: version })
      const session = once(first, 'session')
      first.write('x')
      await once(first, 'data')
      const [ticket] = await session
      const second = await dial(port, { pair: lamp, maxVersion: version, session: ticket })
      second.write('x')
      await once(second, 'data')
      expect(second.isSessionReused()).toBe(true)
      for (const index of [0, 1]) {
        expect((await connection(index)).details.identity).toEqual({ commonName: 'lamp', subject: 'CN=lamp,O=Home' })
      }
    },
  )

  describe.each(['required', 'optional'] as const)('with client certificates %s', clientCertificates => {
    test.each<[string, (() => Promise<Pair>) | undefined, string]>([
      ['of another authority', () => stranger.issue(), 'UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT'],
      ['expired', () => authority.issue({ expired: true }), 'CERT_HAS_EXPIRED'],
    ])('one that is %s is refused', async (_what, issue, reason) => {
      const { port, accepted, lines } = await start(asking(clientCertificates))
      const pair = await issue?.()
      const socket = await dial(port, pair === undefined ? {} : { pair })
      await gone(socket)
      expect(accepted).toEqual([])
      await until(() => lines.length > 0, { what: 'a line about it' })
      expect(lines).toMatchObject([{ level: 'debug', fields: { from: '127.0.0.1' } }])
      expect(lines[0]?.fields.reason).toMatch(new RegExp(reason))
    })
  })

  test('with client certificates required, none is refused', async () => {
    const { port, accepted, lines } = await start(asking('required'))
    await gone(await dial(port))
    expect(accepted).toEqual([])
    expect(lines[0]?.fields.reason).toMatch(/peer did not return a certificate/)
  })

  test('with client certificates optional, none is nobody', async () => {
    const { port, connection } = await start(asking('optional'))
    await dial(port)
    expect((await connection()).details.identity).toBeUndefined()
  })

  test('who comes back on a ticket after it was revoked is refused', async () => {
    const home = await temporaryFolder()
    const crl = join(home, 'crl.pem')
    const own = await Authority.make(home, 'own')
    const [tls, guest] = [await own.server(), await own.issue()]
    await copyFile(own.crl, crl)
    const { listener, port, connection, accepted } = await start(
      { ...tls, ca: own.cert, crl, clientCertificates: 'required' },
      { onStream: echo },
    )
    const ca = await readFile(own.cert)
    const first = await dial(port, { pair: guest, ca })
    const session = once(first, 'session')
    first.write('x')
    await once(first, 'data')
    await connection()
    await own.revoke(guest.cert)
    await copyFile(own.crl, crl)
    ;(await listener.tls?.prepare())?.()
    const [ticket] = await session
    await gone(await dial(port, { pair: guest, ca, session: ticket }))
    await gone(await dial(port, { pair: guest, ca }))
    expect(accepted).toHaveLength(1)
    // Who is connected stays.
    first.write('still here')
    expect(String((await once(first, 'data'))[0])).toBe('still here')
  })

  describe('with pre-shared keys', () => {
    const psk = (identity: string, key: string): ConnectionOptions => ({
      pskCallback: () => ({ identity, psk: Buffer.from(key, 'hex') }),
      ciphers: 'PSK',
      maxVersion: 'TLSv1.2',
      checkServerIdentity: () => undefined,
    })

    async function startPsk(text: string, tls: Partial<TlsSettings> = {}): Promise<TestListener & { pskFile: string }> {
      const pskFile = join(await temporaryFolder(), 'psk')
      await writeFile(pskFile, text)
      return { ...(await start({ pskFile, ...tls }, { onStream: echo })), pskFile }
    }

    test('who knows one is its identity, also where certificates are required', async () => {
      const { port, connection } = await startPsk('küche:c0ffee\n', asking('required'))
      const socket = await dial(port, psk('küche', 'c0ffee'))
      socket.write('x')
      await once(socket, 'data')
      expect((await connection()).details.identity).toEqual({ pskIdentity: 'küche' })
      await dial(port, { pair: lamp })
      expect((await connection(1)).details.identity).toEqual({ commonName: 'lamp', subject: 'CN=lamp,O=Home' })
      await gone(await dial(port))
    })

    test('who does not know it, and who is unknown, is refused', async () => {
      const { port, accepted } = await startPsk('lamp:c0ffee\n')
      await gone(await dial(port, psk('lamp', 'c0ffef')))
      await gone(await dial(port, psk('lamq', 'c0ffee')))
      expect(accepted).toEqual([])
    })

    test('there are no sessions to take up, for who came on one would be nobody', async () => {
      const { port, connection } = await startPsk('lamp:c0ffee\n')
      const first = await dial(port, psk('lamp', 'c0ffee'))
      await connection()
      const session = first.getSession()
      const second = await dial(port, { ...psk('lamp', 'c0ffee'), ...(session === undefined ? {} : { session }) })
      expect((await connection(1)).details.identity).toEqual({ pskIdentity: 'lamp' })
      expect(second.isSessionReused()).toBe(false)
    })

    test('a changed file counts for the next', async () => {
      const { listener, port, connection, accepted, pskFile } = await startPsk('lamp:c0ffee\n')
      const first = await dial(port, psk('lamp', 'c0ffee'))
      await connection()
      await writeFile(pskFile, 'lamp:decade\n')
      ;(await listener.tls?.prepare())?.()
      await gone(await dial(port, psk('lamp', 'c0ffee')))
      await dial(port, psk('lamp', 'decade'))
      await connection(1)
      expect(accepted).toHaveLength(2)
      first.write('still here')
      expect(String((await once(first, 'data'))[0])).toBe('still here')
    })
  })

  test('half a ClientHello, and garbage, hold nobody up and end', async () => {
    const clock = new ManualClock(Date.now())
    const { port, limit, connection, lines } = await start({}, { clock })
    const half = await client(port)
    half.write(Buffer.from('1603010200010001fc0303', 'hex'))
    const garbage = await client(port)
    garbage.write('\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00')
    await gone(garbage)
    await dial(port)
    await connection(0)
    expect(lines).toMatchObject([{ level: 'debug', fields: { from: '127.0.0.1', count: 1 } }])
    expect(lines[0]?.fields.reason).toMatch(/wrong version number/)
    await clock.advance(10_000)
    await gone(half)
    await until(() => limit.open === 1, { what: 'only the good one to be left' })
  })

  test('faults are said once a second', async () => {
    const clock = new ManualClock(Date.now())
    const { port, lines } = await start({}, { clock })
    for (let i = 0; i < 20; i++) {
      const socket = await client(port)
      socket.write('GET / HTTP/1.1\r\n\r\n')
      await gone(socket)
    }
    expect(lines.map(({ fields }) => fields.count)).toEqual([1])
    await clock.advance(1_000)
    const late = await client(port)
    late.write('GET / HTTP/1.1\r\n\r\n')
    await gone(late)
    expect(lines.map(({ fields }) => fields.count)).toEqual([1, 20])
  })

  test('comes after the PROXY header', async () => {
    const settings = {
      protocol: 'mqtts',
      ...ANY_PORT,
      proxyProtocol: true,
      tls: tlsSettings({ ...server, ...asking('required') }),
    }
    const { port, connection } = await startListener(settings as never, { onStream: echo })
    const raw = await client(port)
    raw.write(PROXY_LINE)
    const socket = await dial(port, { pair: lamp, socket: raw })
    socket.write('kitchen')
    expect(String((await once(socket, 'data'))[0])).toBe('kitchen')
    expect((await connection()).details).toMatchObject({ ...PROXY_SOURCE, identity: { commonName: 'lamp' } })
    // Straight into TLS, without the header.
    await gone(await dial(port, { pair: lamp }))
  })

  test('carries a WebSocket, with who the client is', async () => {
    const tls = tlsSettings({ ...server, ...asking('required') })
    const { listener, port, connection } = await startListener({ protocol: 'wss', ...ANY_PORT, path: '/mqtt', tls })
    expect(listener.address()).toBe(`wss://127.0.0.1:${port}/mqtt`)
    const ca = await readFile(authority.cert)
    const identity = { cert: await readFile(lamp.cert), key: await readFile(lamp.key) }
    const ws = new WebSocket(`wss://127.0.0.1:${port}/mqtt`, ['mqtt'], { ca, ...identity })
    onTestFinished(() => ws.terminate())
    await once(ws, 'open')
    const { stream, details } = await connection()
    expect(details).toMatchObject({ protocol: 'wss', remoteAddress: '127.0.0.1', identity: { commonName: 'lamp' } })
    ws.send('kitchen', { binary: true })
    expect(String((await once(stream, 'data'))[0])).toBe('kitchen')
  })

  test('a client that resets its connection shows as close', async () => {
    const { port, connection, limit } = await start()
    const raw = await client(port)
    await dial(port, { socket: raw })
    const { stream } = await connection()
    stream.resume()
    raw.resetAndDestroy()
    await until(() => stream.destroyed && limit.open === 0, { what: 'close' })
  })

  test('stop lets streams flush, and ends within its bound when a client stays', async () => {
    const clock = new ManualClock(Date.now())
    const { listener, port, connection, limit } = await start({}, { clock })
    const socket = await dial(port)
    const idle = await client(port)
    const { stream } = await connection()
    await until(() => limit.open === 2, { what: 'both sockets' })
    const heard = once(socket, 'data')
    stream.write('goodbye')
    const stopped = listener.stop()
    expect(String((await heard)[0])).toBe('goodbye')
    await clock.advance(1_000)
    await within(stopped, { what: 'stop' })
    await gone(idle)
    expect([limit.open, stream.destroyed, clock.pending]).toEqual([0, true, 0])
  })
})
