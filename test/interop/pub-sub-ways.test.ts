/**
 * Beside Debian's programs, what the script of `pub-sub.test.ts` does not reach: files of options, requests with their answers, and
 * the ways to a server (TLS, pre-shared keys, proxies, Unix sockets). WebSocket is of Mosquitto 2.1, so `larder pub` and
 * `larder sub` have only each other for that.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { build, type Gateway, ROOT, startGateway } from '../support/gateway.ts'
import { findBinary, needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { startSocksProxy } from '../support/socks-proxy.ts'

const PROGRAMS = ['pub', 'sub', 'rr'] as const
type Program = (typeof PROGRAMS)[number]
const PSK = '0123456789abcdef0123456789abcdef'

const hasAll = PROGRAMS.map(program => needs(`mosquitto_${program}`)).every(Boolean)

let folder: string
let gateway: Gateway
let authority: Authority
let stranger: Authority
const ports = { tls: 0, mutual: 0, psk: 0, ws: 0, wss: 0 }
let socket: string
let plain = 0

beforeAll(async () => {
  await build()
  folder = await mkdtemp(join(tmpdir(), 'larder-ways-'))
  socket = join(folder, 'mqtt.sock')
  authority = await Authority.make(folder, 'ca')
  stranger = await Authority.make(folder, 'stranger')
  const { cert, key } = await authority.server()
  await writeFile(join(folder, 'psk'), `lamp:${PSK}\n`, { mode: 0o600 })
  for (const name of Object.keys(ports)) ports[name as keyof typeof ports] = await freePort()
  const own = `cert: ${cert}, key: ${key}`
  const tcp = await freePort()
  gateway = await startGateway({
    config: `listeners:
  - mqtt://127.0.0.1:${tcp}
  - { url: 'mqtts://127.0.0.1:${ports.tls}', tls: { ${own} } }
  - { url: 'mqtts://127.0.0.1:${ports.mutual}', tls: { ${own}, ca: ${authority.cert}, client_certificates: required } }
  - { url: 'mqtts://127.0.0.1:${ports.psk}', tls: { psk_file: ${folder}/psk } }
  - ws://127.0.0.1:${ports.ws}/mqtt
  - { url: 'wss://127.0.0.1:${ports.wss}/mqtt', tls: { ${own} } }
  - unix://${socket}`,
  })
  plain = tcp
})
afterAll(async () => {
  await gateway?.[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

interface Outcome {
  status: number | null
  stdout: string[]
  /** The first line. */
  stderr: string
}

type Env = Record<string, string | undefined>

async function outcome(command: string, args: readonly string[], env: Env): Promise<Outcome> {
  const { code, lines, errors } = await run(command, args, { cwd: folder, env, timeout: 30_000 })
  // Identifiers that the server makes up differ.
  const stdout = lines.map(line => line.replace(/Client \S{8,} /, 'Client MADE-UP '))
  return { status: code, stdout, stderr: errors[0] ?? '' }
}

const ours = (program: Program, args: readonly string[], env: Env = {}) =>
  outcome(process.execPath, [join(ROOT, 'dist/larder.js'), program, ...args], {
    XDG_CONFIG_HOME: join(folder, 'none'),
    ...env,
  })
const theirs = (program: Program, args: readonly string[], env: Env = {}) =>
  outcome(findBinary(`mosquitto_${program}`) ?? '', args, { XDG_CONFIG_HOME: join(folder, 'none'), ...env })

/** Runs both; they must do the same. Gives what they did. */
async function alike(program: Program, args: readonly string[], env: Env = {}): Promise<Outcome> {
  const reference = await theirs(program, args, env)
  expect({ program, args, ...(await ours(program, args, env)) }).toEqual({ program, args, ...reference })
  return reference
}

describe.skipIf(!hasAll)('files of options', () => {
  test.each<[what: string, program: Program, lines: string[], args: string[], status: number]>([
    ['all from the file', 'pub', ['# a comment', '', '-t a/b', '-m a payload with blanks', '-d', '-i Z'], [], 0],
    ['the command line comes later', 'pub', ['-t a/b', '-q 1', '-i Z', '-d'], ['-m', 'x', '-q', '2'], 0],
    ['blanks before a flag', 'pub', [' -t a/b', '-m  two before, two behind  ', '-d', '-i Z'], [], 0],
    ['lines that end as on Windows', 'pub', ['-t a/b\r', '-m x\r', '-d\r', '-i Z'], [], 0],
    ['no such flag', 'pub', ['-t a/b', '--nonsense x'], ['-m', 'x'], 1],
    ['a value where none belongs', 'pub', ['-t a/b', '-r really'], ['-m', 'x'], 1],
    ['a value that is missing', 'sub', ['-t a/b', '-q'], ['-E'], 1],
    ['twice a message', 'pub', ['-t a/b', '-m x'], ['-m', 'y'], 1],
    ['sub', 'sub', ['-t a/b', '-E', '-d', '-i Z'], ['-t', 'c'], 0],
    ['rr', 'rr', ['-t a/b', '-e a/c', '-m x', '-W 1', '-d', '-i Z'], [], 27],
  ])('%s', async (_, program, lines, args, status) => {
    const config = join(folder, 'config')
    await mkdir(join(config, '.config'), { recursive: true })
    for (const file of [join(config, `mosquitto_${program}`), join(config, '.config', `mosquitto_${program}`)])
      await writeFile(file, `${lines.join('\n')}\n`)
    const words = ['-p', `${plain}`, ...args]
    const found = await alike(program, words, { XDG_CONFIG_HOME: config })
    expect(found.status).toBe(status)
    expect(await ours(program, words, { XDG_CONFIG_HOME: undefined, HOME: config })).toEqual(found)
    // In Mosquitto since 2.1.
    expect(await ours(program, ['-o', join(config, `mosquitto_${program}`), ...words])).toEqual(found)
    await rm(config, { recursive: true })
  })

  test('-o: once, and with a file that is there', async () => {
    const words = ['-p', `${plain}`, '-t', 'a', '-m', 'x']
    expect(await ours('pub', ['-o', 'one', '-o', 'two', ...words])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('Duplicate'),
    })
    expect(await ours('pub', ['-o', 'nowhere', ...words])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('nowhere'),
    })
    expect(await ours('pub', [...words, '-o'])).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('no options file'),
    })
  })
})

describe.skipIf(!hasAll)('a request and its answer', () => {
  test('the same lines, in MQTT 5, 3.1.1 and 3.1', async () => {
    const server = mqtt.connect(`mqtt://127.0.0.1:${plain}`, { protocolVersion: 5 })
    const asked: string[] = []
    try {
      await server.subscribeAsync('house/ask')
      server.on('message', (_topic, payload, { properties }) => {
        asked.push(`${payload} -> ${properties?.responseTopic ?? 'nowhere'}`)
        const topic = properties?.responseTopic ?? 'house/answer'
        server.publish(topic, `${payload}!`, { properties: { correlationData: Buffer.from('7') } })
      })
      const base = ['-p', `${plain}`, '-t', 'house/ask', '-e', 'house/answer', '-m', 'how warm', '-W', '20']
      const flags: string[][] = [
        ['-d', '-i', 'X'],
        ['-v', '-q', '1'],
        ['-F', '%t|%p|%D|%q', '-q', '2'],
        ['-V', '311', '-d', '-i', 'X'],
        ['-V', '31', '-N'],
        ['-D', 'publish', 'user-property', 'k', 'v', '-F', '%J'],
        ['-R'],
      ]
      for (const each of flags) expect((await alike('rr', [...base, ...each])).status).toBe(0)
      const answers = asked.filter(line => line === 'how warm -> house/answer')
      expect([answers.length, asked.length - answers.length]).toEqual([2 * 5, 2 * 2])
    } finally {
      await server.endAsync(true)
    }
  })

  test.each<[args: string[], status: number]>([
    [['-t', 'a', '-e', 'b'], 1],
    [['-t', 'a', '-m', 'x'], 1],
    [['-e', 'b', '-m', 'x'], 1],
    [['-t', 'a', '-e', 'b/#', '-m', 'x'], 1],
    [['-t', 'a/+', '-e', 'b', '-m', 'x'], 1],
    [['-t', 'a', '-e', 'b', '-m', 'x', '-n'], 1],
    [['-t', 'a', '-e', 'b', '-m', 'x', '-C', '1'], 1],
    [['-t', 'a', '-e', 'b', '-m', 'x', '-r'], 1],
    [['-t', 'a', '-e', 'b', '-l'], 1],
    [['-t', 'a', '-e', 'b', '-e', 'c', '-m', 'x', '-W', '1', '-d', '-i', 'X'], 27],
    [['-t', 'a', '-e'], 1],
  ])('%j', async (args, status) => {
    const words = ['-p', `${plain}`, ...args]
    expect((await alike('rr', words)).status).toBe(status)
  })
})

describe.skipIf(!hasAll)('ways to a server', () => {
  /** A retained message goes there and back by the same way. */
  async function there(args: readonly string[], program: typeof ours = ours): Promise<void> {
    const topic = `way/${Math.random()}`
    expect(await program('pub', [...args, '-t', topic, '-m', 'on', '-r', '-q', '1'])).toMatchObject({
      status: 0,
      stderr: '',
    })
    expect(await program('sub', [...args, '-t', topic, '-C', '1', '-W', '20'])).toEqual({
      status: 0,
      stdout: ['on'],
      stderr: '',
    })
    await program('pub', [...args, '-t', topic, '-n', '-r'])
  }

  const pub = ['-t', 'way/x', '-m', 'on', '-q', '1']
  const at = (port: number, ...flags: string[]) => ['-p', `${port}`, ...flags]

  test('TLS: to whom it may be trusted, and to nobody else', async () => {
    const trusting = ['--cafile', authority.cert]
    for (const program of [ours, theirs]) await there(at(ports.tls, ...trusting), program)
    const url = ['-L', `mqtts://localhost:${ports.tls}/way/url`, ...trusting]
    expect((await alike('pub', [...url, '-m', 'by url', '-r', '-q', '1'])).status).toBe(0)
    expect((await alike('sub', [...url, '-C', '1', '-W', '20'])).stdout).toEqual(['by url'])
    for (const version of ['tlsv1.2', 'tlsv1.3']) await there(at(ports.tls, ...trusting, '--tls-version', version))
    await there(at(ports.tls, '-h', '127.0.0.1', ...trusting))
    const refused: string[][] = [
      at(ports.tls, '--cafile', join(folder, 'nothing.pem')),
      at(ports.tls, ...trusting, '--cert', authority.cert),
    ]
    for (const args of refused) expect((await alike('pub', [...args, ...pub])).status).not.toBe(0)
    // Of a handshake that fails, Debian's program says now one thing (1), now another (8), as it finds out soon or late.
    for (const args of [at(ports.tls, '--cafile', stranger.cert), at(plain, ...trusting)]) {
      expect((await ours('pub', [...args, ...pub])).status).toBe(8)
      expect([1, 8]).toContain((await theirs('pub', [...args, ...pub])).status)
    }
  })

  test('TLS with a certificate of the client', async () => {
    const { cert, key } = await authority.issue({ subject: '/CN=lamp' })
    const trusting = ['--cafile', authority.cert]
    for (const program of [ours, theirs])
      await there(at(ports.mutual, ...trusting, '--cert', cert, '--key', key), program)
    expect((await ours('pub', [...at(ports.mutual, ...trusting), ...pub])).status).not.toBe(0)
    const other = await stranger.issue({ subject: '/CN=lamp' })
    const wrong = at(ports.mutual, ...trusting, '--cert', other.cert, '--key', other.key)
    expect((await ours('pub', [...wrong, ...pub])).status).not.toBe(0)
  })

  test('a pre-shared key', async () => {
    const key = (identity: string, value: string) => at(ports.psk, '--psk', value, '--psk-identity', identity)
    for (const program of [ours, theirs]) await there(key('lamp', PSK), program)
    for (const [identity, value] of [
      ['lamp', PSK.replace('0', '1')],
      ['nobody', PSK],
    ] as const)
      expect((await ours('pub', [...key(identity, value), ...pub])).status).not.toBe(0)
    expect((await alike('pub', [...at(ports.psk, '--psk', PSK), ...pub])).status).toBe(1)
  })

  test('a Unix socket, and an address of this machine', async () => {
    for (const program of [ours, theirs]) await there(['--unix', socket], program)
    for (const program of [ours, theirs]) await there(at(plain, '-A', '127.0.0.1'), program)
    expect((await ours('pub', [...at(plain, '-A', '192.0.2.1'), ...pub])).status).toBe(1)
  })

  test('WebSocket, also with TLS, and as a URL', async () => {
    await there(at(ports.ws, '--ws'))
    await there(at(ports.wss, '--ws', '--cafile', authority.cert))
    const url = (scheme: string, port: number) => ['-L', `${scheme}://127.0.0.1:${port}/way/url`]
    const trusting = ['--cafile', authority.cert]
    expect(await ours('pub', [...url('ws', ports.ws), '-m', 'by ws', '-r', '-q', '1'])).toMatchObject({ status: 0 })
    const by = await ours('sub', [...url('wss', ports.wss), ...trusting, '-C', '1', '-W', '20'])
    expect(by).toEqual({ status: 0, stdout: ['by ws'], stderr: '' })
    // A large message has a frame with a long length, and comes in pieces.
    const large = 'x'.repeat(90_000)
    await writeFile(join(folder, 'large'), large)
    expect(
      await ours('pub', [...at(ports.ws, '--ws'), '-t', 'way/large', '-f', 'large', '-r', '-q', '2']),
    ).toMatchObject({ status: 0 })
    const back = await ours('sub', [...at(ports.ws, '--ws'), '-t', 'way/large', '-C', '1', '-W', '20'])
    expect(back.stdout).toEqual([large])
    expect(await ours('pub', [...at(plain, '--ws'), ...pub])).toMatchObject({ status: 1 })
  })

  test('a SOCKS5 proxy, with and without a login, which looks names up', async () => {
    await using open = await startSocksProxy()
    await using guarded = await startSocksProxy({ username: 'anna', password: 'p@ss' })
    const by = (proxy: string, host: string, port = plain) => at(port, '--proxy', proxy, '-h', host)
    for (const program of [ours, theirs])
      await there(by(`socks5h://127.0.0.1:${open.port}`, 'only.the.proxy.knows'), program)
    expect(new Set(open.asked)).toEqual(new Set([`only.the.proxy.knows:${plain}`]))
    await there(by(`socks5h://anna:p%40ss@127.0.0.1:${guarded.port}`, 'localhost'))
    await there([...by(`socks5h://127.0.0.1:${open.port}`, 'localhost', ports.tls), '--cafile', authority.cert])
    const refused = [
      by(`socks5h://anna:wrong@127.0.0.1:${guarded.port}`, 'localhost'),
      by(`socks5h://127.0.0.1:${guarded.port}`, 'localhost'),
      by(`socks5h://127.0.0.1:${await freePort()}`, 'localhost'),
      by(`socks5h://127.0.0.1:${open.port}`, 'localhost', await freePort()),
    ]
    for (const args of refused) expect((await ours('pub', [...args, ...pub])).status).toBe(1)
    expect((await alike('pub', [...at(plain, '--proxy', 'http://127.0.0.1:1'), ...pub])).status).toBe(1)
  })
})
