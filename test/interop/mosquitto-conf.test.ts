/**
 * `larder mosquitto` beside Debian's mosquitto: the same command lines and files, the same outcome. Debian's shipped files
 * are read from where its package put them, with paths and ports of the test's own.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, test } from 'vitest'
import { OPTIONS } from '../../src/config/mosquitto/options.ts'
import { Authority } from '../support/certificates.ts'
import { freePort } from '../support/free-port.ts'
import { larder, ROOT } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { findBinary, needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { errorsOf, outcome, sideBySide, skipped, withoutStamp } from './side-by-side.ts'

/** Milliseconds that test harnesses made for Mosquitto allow. */
const READY_GOAL = 2_000
const FAULT_GOAL = 1_000
/** A machine that does something else for a moment is not slow. */
const ATTEMPTS = 5

const hasMosquitto = needs('mosquitto')
const hasClients = needs('mosquitto_pub')
const EXAMPLES = '/usr/share/doc/mosquitto/examples'
const MANUAL = '/usr/share/man/man5/mosquitto.conf.5.gz'

const { conf, ours, theirs, folder } = sideBySide()
let dir: string
beforeAll(() => {
  dir = folder()
})

async function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, host)
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

const publish = (port: number, ...args: string[]) =>
  run('mosquitto_pub', ['-h', '127.0.0.1', '-p', `${port}`, '-t', 'a', '-m', 'b', ...args])

describe('the habits of a test harness', () => {
  test(`ready within ${READY_GOAL} ms, and gone with status 0 after SIGTERM`, async () => {
    const times: number[] = []
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const port = await freePort()
      const begun = performance.now()
      await using broker = ours('-p', `${port}`)
      await broker.line(line => line.startsWith('larder: ready'))
      times.push(performance.now() - begun)
      expect(await accepts(port)).toBe(true)
      expect(await broker.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    }
    console.log(`start to ready: ${times.map(ms => ms.toFixed(0)).join(', ')} ms; goal ${READY_GOAL} ms`)
    expect(Math.min(...times)).toBeLessThan(READY_GOAL)
  })

  test(`status 3 within ${FAULT_GOAL} ms for a bad configuration`, async () => {
    const file = conf('listener 0')
    const times: number[] = []
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const begun = performance.now()
      await using broker = ours('-c', file)
      expect(await broker.exit).toEqual({ code: 3, signal: null })
      times.push(performance.now() - begun)
      expect(errorsOf(broker)).toEqual([
        'Error: A listener with port 0 must provide a Unix socket path.',
        `Error found at ${file}:1.`,
      ])
    }
    console.log(`start to exit 3: ${times.map(ms => ms.toFixed(0)).join(', ')} ms; goal ${FAULT_GOAL} ms`)
    expect(Math.min(...times)).toBeLessThan(FAULT_GOAL)
  })

  test('two in one folder, and nothing is left of either', async () => {
    const [one, two] = [await freePort(), await freePort()]
    await using first = ours('-p', `${one}`)
    await using second = ours('-p', `${two}`)
    expect(await outcome(first)).toBeUndefined()
    expect(await outcome(second)).toBeUndefined()
    expect(readdirSync(join(dir, 'tmp'))).toHaveLength(2)
    await Promise.all([first.kill('SIGTERM'), second.kill('SIGTERM')])
    expect([existsSync(join(dir, 'larder-data')), readdirSync(join(dir, 'tmp'))]).toEqual([false, []])
  })

  test('-d leaves it in the background, with a pid file that says where', async () => {
    const [port, pidFile] = [await freePort(), join(dir, 'pid')]
    const args = ['-d', '-c', conf(`listener ${port} 127.0.0.1\npid_file ${pidFile}`)]
    await using parent = ours(...args)
    expect(await parent.exit).toEqual({ code: 0, signal: null })
    await until(() => accepts(port), { what: 'the broker in the background' })
    const pid = Number(readFileSync(pidFile, 'utf8'))
    process.kill(pid, 'SIGTERM')
    await until(() => !existsSync(`/proc/${pid}`) && !existsSync(pidFile), { what: 'its end' })
  })

  test.skipIf(!hasClients)('persistence true keeps what persistence false does not', async () => {
    for (const isOn of [true, false]) {
      const port = await freePort()
      const lines = [`listener ${port} 127.0.0.1`, 'allow_anonymous true', `persistence_location ${join(dir, 'kept')}`]
      const file = conf([...lines, `persistence ${isOn}`].join('\n'))
      for (const start of ['first', 'second']) {
        await using broker = ours('-c', file)
        expect(await outcome(broker)).toBeUndefined()
        if (start === 'first') expect((await publish(port, '-r', '-q', '1')).code).toBe(0)
        else {
          const got = await run('mosquitto_sub', ['-p', `${port}`, '-t', 'a', '-C', '1', '-W', '1'])
          expect(got.lines).toEqual(isOn ? ['b'] : [])
        }
        await broker.kill('SIGTERM')
      }
    }
  })
})

describe.skipIf(!hasMosquitto)('the same outcome as Debian', () => {
  /** Files that both refuse, in the same words. `PORT` is a free one. */
  test.each([
    'foo bar',
    'listener PORT\nfrobnicate',
    'listener 70000',
    'listener 0',
    'listener',
    'port 0',
    'allow_anonymous maybe',
    'allow_anonymous',
    'listener PORT\nmax_qos 5',
    'max_inflight_messages 70000',
    'max_packet_size 5',
    'max_keepalive 70000',
    'memory_limit -1',
    'sys_interval -3',
    'persistent_client_expiration 5x',
    'persistence maybe',
    'log_dest bla',
    'log_dest file',
    'log_type bla',
    'socket_domain ipv9',
    'user',
    'pid_file a\npid_file b',
    'address x',
    'mount_point a/',
    'listener PORT\nmount_point a/#',
    'connection a\naddress b\ntopic c d',
    'connection a\naddress b\ntopic c out 3',
    'connection a\naddress b\ntopic "" out 1',
    'connection a\naddress b\ntopic c\nstart_type manual',
    'connection a\naddress 127.0.0.1:1\ntopic c\nconnection a',
    'listener PORT\nallow_anonymous true\nper_listener_settings true',
    'include_dir /nowhere',
  ])('refused: %j', async text => {
    const file = conf(text.replaceAll('PORT', `${await freePort()}`))
    await using their = theirs('-c', file)
    await using our = ours('-c', file)
    expect(await their.exit).toEqual({ code: 3, signal: null })
    expect(await our.exit).toEqual({ code: 3, signal: null })
    expect(errorsOf(our)).toEqual(errorsOf(their))
  })

  test.each([
    '',
    'listener PORT 127.0.0.1 # here\nallow_anonymous true # yes',
    'port PORT\nbind_address 127.0.0.1',
    'listener PORT\nmax_connections 0\nmax_connections -1',
    'listener PORT\ncafile /nowhere',
    'listener PORT\nlog_dest file /nowhere/log',
    'per_listener_settings true\nallow_anonymous true\nlistener PORT',
    'listener PORT\nauto_id_prefix x\nallow_duplicate_messages true\nretry_interval 1',
    'log_type all\nlog_type none',
    'max_inflight_messages 0\nmax_queued_messages 0\nmax_queued_bytes 0\nmessage_size_limit 0',
  ])('taken: %j', async text => {
    const [one, two] = [await freePort(), await freePort()]
    const file = (port: number) => conf(`user root\n${text.replaceAll('PORT', `${port}`)}`)
    await using their = theirs('-c', file(one), '-p', `${one}`, '-v')
    await using our = ours('-c', file(two), '-p', `${two}`, '-v')
    if (!text.includes('log_dest')) {
      expect(await outcome(their)).toBeUndefined()
      expect(await outcome(our)).toBeUndefined()
    }
    for (const port of [one, two]) await until(() => accepts(port), { what: `port ${port}\n${our.transcript()}` })
  })

  test('a port that is taken is no fault of the configuration', async () => {
    const port = await freePort()
    await using first = theirs('-p', `${port}`)
    expect(await outcome(first)).toBeUndefined()
    await using their = theirs('-p', `${port}`)
    await using our = ours('-p', `${port}`)
    expect(await their.exit).toEqual({ code: 1, signal: null })
    expect(await our.exit).toEqual({ code: 1, signal: null })
    expect(errorsOf(our)).toContain('Error: Address already in use')
  })
})

describe.skipIf(!hasMosquitto)("Debian's own files", () => {
  test('the example that explains every option', async () => {
    const port = await freePort()
    await using broker = ours('-c', join(EXAMPLES, 'mosquitto.conf'), '-p', `${port}`)
    expect(await outcome(broker)).toBeUndefined()
    expect(broker.errors.map(withoutStamp)).toContain(`Config loaded from ${EXAMPLES}/mosquitto.conf.`)
    expect(await accepts(port)).toBe(true)
  })

  test('the installed one, with its folder of more', async () => {
    const home = join(dir, 'debian')
    for (const folder of ['run', 'lib', 'log', 'conf.d']) mkdirSync(join(home, folder), { recursive: true })
    const port = await freePort()
    writeFileSync(join(home, 'conf.d/local.conf'), `listener ${port} 127.0.0.1\nallow_anonymous true\n`)
    const text = readFileSync('/etc/mosquitto/mosquitto.conf', 'utf8')
      .replaceAll('/run/mosquitto', join(home, 'run'))
      .replaceAll('/var/lib/mosquitto', join(home, 'lib'))
      .replaceAll('/var/log/mosquitto', join(home, 'log'))
      .replaceAll('/etc/mosquitto', home)
    await using broker = ours('-c', conf(text))
    await broker.line(line => line.startsWith('larder: ready'))
    const log = readFileSync(join(home, 'log/mosquitto.log'), 'utf8')
    expect(log).toContain(`Loading config file ${home}/conf.d/local.conf`)
    expect([existsSync(join(home, 'run/mosquitto.pid')), existsSync(join(home, 'lib/store'))]).toEqual([true, true])
    if (hasClients) expect((await publish(port, '-q', '1')).code).toBe(0)
    expect(await broker.kill('SIGTERM')).toEqual({ code: 0, signal: null })
    expect(existsSync(join(home, 'run/mosquitto.pid'))).toBe(false)
  })

  test.skipIf(!hasClients)('the password and ACL files that go with the example', async () => {
    const port = await freePort()
    const lines = [`password_file ${EXAMPLES}/pwfile.example`, `acl_file ${EXAMPLES}/aclfile.example`]
    await using broker = ours('-c', conf([`listener ${port} 127.0.0.1`, ...lines].join('\n')))
    expect(await outcome(broker)).toBeUndefined()
    const stranger = await publish(port)
    expect(stranger.errors.join()).toMatch(/not authorised/i)
    expect((await publish(port, '-u', 'roger', '-P', 'wrong')).code).not.toBe(0)
  })

  test('a SUBSCRIBE is always granted; the list is asked about each message', async () => {
    const acl = join(dir, 'acl-subscribe')
    writeFileSync(acl, 'topic readwrite open/#\n')
    for (const start of [theirs, ours]) {
      const port = await freePort()
      const text = `user root\nlistener ${port} 127.0.0.1\nallow_anonymous true\nacl_file ${acl}`
      await using broker = start('-c', conf(text))
      expect(await outcome(broker)).toBeUndefined()
      await using client = await RawClient.connect({ port })
      const granted = await client.subscribe({ topic: 'closed/#', qos: 1 }, { topic: 'open/#', qos: 1 })
      expect(granted).toEqual([1, 1])
      for (const topic of ['closed/door', 'open/door']) await client.publish(topic, 'hello', { qos: 1 })
      await until(() => client.publishes.some(({ topic }) => topic === 'open/door'), { what: 'what may be read' })
      expect(client.publishes.map(({ topic }) => topic)).toEqual(['open/door'])
    }
  })

  test('the manual names no option that is not known here', () => {
    const text = gunzipSync(readFileSync(MANUAL)).toString('latin1').replaceAll('\\&', '').replaceAll('\\-', '-')
    const named = [...text.matchAll(/^\.PP\n((?:\\fB[a-z0-9_.]+\\fR[^\n]*\n?)+)\.RS 4/gm)].flatMap(([, heads = '']) =>
      [...heads.matchAll(/\\fB([a-z][a-z0-9_.]+)\\fR/g)].map(match => match[1] as string),
    )
    // The words that values are written with are bold as well.
    const values = new Set([
      'true',
      'false',
      'in',
      'out',
      'both',
      'lazy',
      'once',
      'automatic',
      'pem',
      'engine',
      'ipv4',
      'ipv6',
    ])
    const options = [...new Set(named)].filter(name => !values.has(name) && name !== 'include_dir')
    expect(options.length).toBeGreaterThan(80)
    expect(options.filter(name => !Object.hasOwn(OPTIONS, name) && !/^(auth|plugin)_opt_/.test(name))).toEqual([])
  })
})

describe('a file with every option', () => {
  const FIXTURE = readFileSync(join(ROOT, 'test/fixtures/mosquitto/every-option.conf'), 'utf8')
  const written = (text: string): string[] =>
    text
      .split('\n')
      .filter(line => line !== '' && !line.startsWith('#'))
      .map(line => line.split(' ')[0] as string)

  test('has every option', () => {
    const missing = Object.keys(OPTIONS).filter(option => !written(FIXTURE).includes(option))
    expect(missing).toEqual([])
  })

  test.skipIf(!needs('openssl'))('starts, and names each that it does not honour', async context => {
    const home = join(dir, 'every')
    mkdirSync(join(home, 'conf.d'), { recursive: true })
    const authority = await Authority.make(home, 'authority')
    const { cert, key } = await authority.server()
    const copy = (from: string, to: string) => writeFileSync(join(home, to), readFileSync(from))
    copy(cert, 'server.crt')
    copy(key, 'server.key')
    copy(authority.cert, 'ca.crt')
    await authority.publish()
    copy(authority.crl, 'ca.crl')
    mkdirSync(join(home, 'certificates'))
    copy(authority.cert, 'certificates/ca.pem')
    const hash = findBinary('mosquitto_passwd')
    writeFileSync(join(home, 'passwords'), '')
    if (hash !== undefined) await run(hash, ['-b', join(home, 'passwords'), 'user', 'secret'])
    writeFileSync(join(home, 'acl'), 'user user\ntopic #\n')
    writeFileSync(join(home, 'psk'), 'home:00ff\n')
    let text = FIXTURE.replaceAll('{dir}', home)
    const ports: number[] = []
    for (let i = 0; i < 6; i++) {
      const port = await freePort()
      ports.push(port)
      text = text.replaceAll(`{port${i}}`, `${port}`)
    }
    const file = conf(text)
    const checked = await larder(['mosquitto', '-c', file, '--test-config'], { cwd: dir })
    expect([checked.code, checked.errors.at(-1)]).toEqual([0, expect.stringContaining('Configuration file is OK.')])

    await using broker = ours('-c', file)
    const exit = await outcome(broker)
    const said = broker.errors.join('\n')
    if (exit !== undefined && /LISTEN_|CERTIFICATE_|not (yet )?(supported|wired)/.test(said)) {
      skipped(context, `listeners of the file cannot be opened yet: ${broker.errors.at(-1)}`)
    }
    expect(exit, said).toBeUndefined()
    for (const port of ports.slice(0, 2)) expect(await accepts(port)).toBe(true)
    // Each line that is not honoured has its number in front of its reason.
    const lines = text.split('\n')
    for (const line of broker.errors) {
      const [, number, option] = /\d+\.conf:(\d+): (\S+) /.exec(line) ?? []
      if (number !== undefined) expect(lines[Number(number) - 1]).toMatch(new RegExp(`^${option} `))
    }
    expect(said).toContain('autosave_interval is not needed: what is acknowledged is on disk at once')
    expect(await broker.kill('SIGTERM')).toEqual({ code: 0, signal: null })
  })
})
