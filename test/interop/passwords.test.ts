/**
 * Password files in both directions: what Debian's `mosquitto_passwd` writes lets the right clients into the gateway
 * and keeps the wrong ones out, and Debian's `mosquitto` does the same with what `larder passwd` writes. The clients
 * are Debian's `mosquitto_pub`. Each attempt comes from a loopback address of its own, so that none is slowed by another.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generate } from 'mqtt-packet'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { build, type Gateway, larder, ROOT, startGateway } from '../support/gateway.ts'
import { type Mosquitto, startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { until } from '../support/wait.ts'
import { hasArgon2 } from '../unit/access/accounts.ts'

interface User {
  name: string
  password: string
}

/** Names and passwords that a shell, a file format or an encoding may trip over. */
const USERS: readonly User[] = [
  { name: 'anna', password: 'pencil' },
  { name: 'be rt 100%', password: 'salt' },
  { name: 'colon', password: 'a:b:$7$c' },
  { name: 'Ren\u00e9 \u{1f511}', password: 'Gr\u00fc\u00dfe \u{1f511}' },
  { name: 'long', password: 'x'.repeat(65_535) },
]

let folder: string
beforeAll(async () => {
  await build()
  folder = await mkdtemp(join(tmpdir(), 'larder-passwords-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

let attempts = 0

/** An address of this machine that nobody has failed from yet. */
function freshAddress(): string {
  attempts++
  return `127.1.${attempts >> 8}.${attempts & 255}`
}

/** True when mosquitto_pub is let in and its message is acknowledged; throws for anything but a refusal. */
async function mayEnter(port: number, { name, password }: User): Promise<boolean> {
  const where = ['-h', '127.0.0.1', '-p', String(port), '-A', freshAddress()]
  const result = await run('mosquitto_pub', [...where, '-t', 'a', '-m', 'b', '-q', '1', '-u', name, '-P', password])
  if (result.code === 0) return true
  // What mosquitto_pub ends with: the return code of CONNACK.
  if (result.code === 5) return false
  throw new Error(`mosquitto_pub ended with ${result.code}: ${result.errors.join('\n')}`)
}

async function expectOnlyRight(port: number, users: readonly User[]): Promise<void> {
  for (const { name, password } of users) {
    const wrong = password.length > 1_000 ? password.slice(1) : `${password}.`
    expect([name, await mayEnter(port, { name, password })]).toEqual([name, true])
    expect([name, await mayEnter(port, { name, password: wrong })]).toEqual([name, false])
  }
  expect(await mayEnter(port, { name: 'nobody', password: 'pencil' })).toBe(false)
  expect(await mayEnter(port, { name: 'Anna', password: 'pencil' })).toBe(false)
}

async function mosquittoPasswd(...args: string[]): Promise<void> {
  const { code, errors } = await run('mosquitto_passwd', args)
  if (code !== 0) throw new Error(`mosquitto_passwd failed: ${errors.join('\n')}`)
}

async function larderPasswd(...args: string[]): Promise<void> {
  const { code, errors } = await larder(['passwd', ...args])
  if (code !== 0) throw new Error(`larder passwd failed: ${errors.join('\n')}`)
}

const guarded = (file: string) => startGateway({ config: `access: { password_file: '${file}' }` })

const hasMosquitto = needs('mosquitto_passwd') && needs('mosquitto_pub') && needs('mosquitto')

describe.skipIf(!hasMosquitto)('files of mosquitto_passwd', () => {
  test.each([[], ['-H', 'sha512-pbkdf2'], ['-H', 'sha512']])('made with %s %s', async (...flags) => {
    const file = join(folder, `theirs-${flags[1] ?? 'default'}`)
    await writeFile(file, '')
    for (const { name, password } of USERS) await mosquittoPasswd(...flags, '-b', file, name, password)
    await mosquittoPasswd(...flags, '-b', file, 'gone', 'pencil')
    await mosquittoPasswd('-D', file, 'gone')
    await mosquittoPasswd(...flags, '-b', file, 'empty', '')
    await using gateway = await guarded(file)
    await expectOnlyRight(gateway.port, USERS)
    expect(await mayEnter(gateway.port, { name: 'gone', password: 'pencil' })).toBe(false)
    // Their broker lets nobody in with an empty password either, though their program writes such a line.
    expect(await mayEnter(gateway.port, { name: 'empty', password: '' })).toBe(false)
  })

  test('with both kinds in it, changed by both programs', async () => {
    const file = join(folder, 'both')
    await mosquittoPasswd('-c', '-b', file, 'anna', 'old')
    await mosquittoPasswd('-H', 'sha512', '-b', file, 'bert', 'salt')
    await larderPasswd('-b', file, 'anna', 'new')
    await larderPasswd('-b', file, 'carl', 'old')
    await mosquittoPasswd('-b', file, 'carl', 'new')
    await using gateway = await guarded(file)
    await expectOnlyRight(gateway.port, [
      { name: 'anna', password: 'new' },
      { name: 'bert', password: 'salt' },
      { name: 'carl', password: 'new' },
    ])
    expect(await mayEnter(gateway.port, { name: 'anna', password: 'old' })).toBe(false)
  })

  test('plain passwords, upgraded by -U of theirs', async () => {
    const file = join(folder, 'upgraded')
    await writeFile(file, 'anna:pencil\nbert:salt\n')
    await mosquittoPasswd('-U', file)
    await using gateway = await guarded(file)
    await expectOnlyRight(gateway.port, [{ name: 'anna', password: 'pencil' }])
  })
})

describe.skipIf(!hasMosquitto)('files of larder passwd', () => {
  const startTheirs = (file: string): Promise<Mosquitto> =>
    startMosquitto({ config: ['allow_anonymous false', `password_file ${file}`] })

  test.each([[], ['-I', '1'], ['-H', 'sha512']])('Debian’s mosquitto, made with %s %s', async (...flags) => {
    const file = join(folder, `ours-${flags.join('')}`)
    const [first, ...others] = USERS
    if (first === undefined) throw new Error('no users')
    await larderPasswd(...flags, '-c', '-b', file, first.name, first.password)
    for (const { name, password } of others) await larderPasswd(...flags, '-b', file, name, password)
    await larderPasswd('-b', file, 'gone', 'pencil')
    await larderPasswd('-D', file, 'gone')
    const mosquitto = await startTheirs(file)
    try {
      await expectOnlyRight(mosquitto.port, USERS)
      expect(await mayEnter(mosquitto.port, { name: 'gone', password: 'pencil' })).toBe(false)
    } finally {
      await mosquitto.remove()
    }
  })

  test('Debian’s mosquitto: plain passwords, upgraded by -U, comments and all', async () => {
    const file = join(folder, 'plain')
    await writeFile(file, '# the house\n\nanna:pen:cil\n')
    await larderPasswd('-U', file)
    expect(await readFile(file, 'utf8')).toMatch(/^# the house\n\nanna:\$7\$[^\n]*\n$/)
    const mosquitto = await startTheirs(file)
    try {
      await expectOnlyRight(mosquitto.port, [{ name: 'anna', password: 'pen:cil' }])
    } finally {
      await mosquitto.remove()
    }
  })

  test('the gateway: every kind in one file', async () => {
    const kinds = ['sha512', 'sha512-pbkdf2', 'scram-sha-256', ...((await hasArgon2()) ? ['argon2id'] : [])]
    const file = join(folder, 'every-kind')
    await writeFile(file, '')
    const users = kinds.map(kind => ({ name: kind, password: `of ${kind}` }))
    for (const { name, password } of users) await larderPasswd('-H', name, '-b', file, name, password)
    await using gateway = await guarded(file)
    await expectOnlyRight(gateway.port, users)
  })
})

/** CONNACK's return code for a CONNECT with this name and password, and the milliseconds until it came. */
function login(port: number, { name, password }: User, localAddress: string): Promise<{ code: number; ms: number }> {
  const connect = generate({
    cmd: 'connect',
    protocolId: 'MQTT',
    protocolVersion: 4,
    clientId: '',
    clean: true,
    keepalive: 0,
    username: name,
    password: Buffer.from(password),
  })
  return new Promise((resolve, reject) => {
    const socket = createConnection({ port, host: '127.0.0.1', localAddress, noDelay: true }, () => {
      const from = performance.now()
      socket.write(connect)
      socket.once('data', data => {
        socket.destroy()
        resolve({ code: data[3] as number, ms: performance.now() - from })
      })
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed without an answer')))
  })
}

describe('over the wire', () => {
  let gateway: Gateway
  beforeAll(async () => {
    const file = join(folder, 'wire')
    await larderPasswd('-c', '-b', file, 'anna', 'pencil')
    gateway = await guarded(file)
  })
  afterAll(() => gateway?.[Symbol.asyncDispose]())

  test('a failed login takes as long whether the user exists or not', async () => {
    // In pairs, in turns, so that whatever else the machine does hits both. If they take the same time, the known one is
    // the slower of a pair as often as not: of 200 pairs outside 70 to 130 once in 40,000 runs. Without a decoy it is 200.
    const pairs = 200
    let slower = 0
    for (let pair = 0; pair < pairs; pair++) {
      const measure = (name: string) => login(gateway.port, { name, password: 'wrong' }, freshAddress())
      const first = await measure(pair % 2 === 0 ? 'anna' : 'otto')
      const second = await measure(pair % 2 === 0 ? 'otto' : 'anna')
      expect([first.code, second.code]).toEqual([5, 5])
      if (first.ms > second.ms === (pair % 2 === 0)) slower++
    }
    expect(slower).toBeGreaterThanOrEqual(70)
    expect(slower).toBeLessThanOrEqual(130)
  })

  test('failures from one address are slowed; another address is not', async () => {
    const address = freshAddress()
    const times: number[] = []
    for (let i = 0; i < 13; i++) times.push((await login(gateway.port, { name: 'anna', password: 'x' }, address)).ms)
    // The 11th waits half a second, the next ones twice as long as the one before.
    expect(Math.min(...times.slice(0, 10))).toBeLessThan(400)
    expect(times[10]).toBeGreaterThan(400)
    expect(times[11]).toBeGreaterThan(900)
    expect(times[12]).toBeGreaterThan(1_900)
    const waiting = login(gateway.port, { name: 'anna', password: 'pencil' }, address)
    const elsewhere = await login(gateway.port, { name: 'anna', password: 'pencil' }, freshAddress())
    expect([elsewhere.code, elsewhere.ms < 1_900]).toEqual([0, true])
    expect((await waiting).code).toBe(0)
    expect(gateway.stderr).toContain(address)
  })
})

describe.skipIf(!needs('script'))('the prompt on a terminal', () => {
  /** `larder passwd` on a pseudo-terminal of its own; what the screen shows is on stdout. */
  function onTerminal(...args: string[]): { child: ChildProcessWithoutNullStreams; screen: () => string } {
    const words = [process.execPath, join(ROOT, 'dist/larder.js'), 'passwd', ...args]
    const command = words.map(word => `'${word}'`).join(' ')
    const child = spawn('script', ['--quiet', '--return', '--command', command, '/dev/null'])
    let screen = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      screen += text
    })
    return { child, screen: () => screen }
  }

  const ended = (child: ChildProcessWithoutNullStreams): Promise<number | null> =>
    new Promise(resolve => child.on('close', resolve))

  test('shows nothing of the password, and takes corrections', async () => {
    const file = join(folder, 'prompted')
    const { child, screen } = onTerminal('-c', file, 'anna')
    const end = ended(child)
    await until(() => screen().includes('Password: '), { what: screen })
    child.stdin.write('penzz\u007f\u007fcil \u00fc\r')
    await until(() => screen().includes('Reenter password: '), { what: screen })
    child.stdin.write('pencil \u00fc\r')
    expect([await end, screen().replaceAll('\r', '')]).toEqual([
      0,
      'Password: \nReenter password: \nAdding password for user anna\n',
    ])
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    await using gateway = await guarded(file)
    const enter = (password: string) => login(gateway.port, { name: 'anna', password }, freshAddress())
    expect((await enter('pencil \u00fc')).code).toBe(0)
    expect((await enter('penzzcil \u00fc')).code).toBe(5)
  })

  test('Ctrl-C changes nothing', async () => {
    const file = join(folder, 'broken-off')
    await writeFile(file, 'anna:old\n', { mode: 0o600 })
    const { child, screen } = onTerminal(file, 'anna')
    const end = ended(child)
    await until(() => screen().includes('Password: '), { what: screen })
    child.stdin.write('pen\u0003')
    expect([await end, await readFile(file, 'utf8')]).toEqual([1, 'anna:old\n'])
    expect(screen()).not.toContain('pen')
  })
})

test('from a pipe the passwords are two lines, and nothing is asked', async () => {
  const file = join(folder, 'piped')
  const result = await larder(['passwd', '-c', file, 'anna'], { input: 'pencil\npencil\n' })
  expect([result.code, result.lines, result.errors]).toEqual([0, ['Adding password for user anna'], []])
  const once = await larder(['passwd', file, 'bert'], { input: 'pencil\n' })
  expect([once.code, once.errors]).toEqual([1, ['larder: the password must be given twice; nothing was changed']])
})
