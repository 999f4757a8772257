import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Access, type AccessDependencies, loadPasswordFile } from '../../../src/access/access.ts'
import { hashPassword, matches, type PasswordHash, writeHash } from '../../../src/access/hashes.ts'
import { FREE_FAILURES } from '../../../src/access/login-throttle.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { recordLog } from '../../support/record-log.ts'
import { ScramClient } from '../../support/scram-client.ts'
import { converse, credentialsOf, hasArgon2, lineOf } from './accounts.ts'

const METHOD = 'SCRAM-SHA-256'
const HERE = '192.0.2.1'

let folder: string
let file: string
let clock: ManualClock
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'larder-access-'))
  file = join(folder, 'passwords')
  clock = new ManualClock()
})
afterEach(() => rmSync(folder, { recursive: true }))

const hashed = async (kind: 'sha512' | 'sha512-pbkdf2', password: string, iterations?: number) =>
  writeHash(await hashPassword(kind, Buffer.from(password), { iterations }))

/** Users of three kinds and costs. */
async function lines(): Promise<string[]> {
  return [
    `anna:${await hashed('sha512-pbkdf2', 'a', 101)}`,
    `bert:${await hashed('sha512', 'b')}`,
    `carl:${await hashed('sha512-pbkdf2', 'c', 2_000)}`,
    await lineOf('Ren\u00e9', 'd'),
    `empty:${await hashed('sha512', '')}`,
  ]
}

async function open(options: Partial<AccessDependencies> & { allowAnonymous?: boolean } = {}): Promise<Access> {
  const { allowAnonymous = false, ...deps } = options
  writeFileSync(file, `${(await lines()).join('\n')}\n`)
  const access = new Access({ settings: { passwordFile: file, allowAnonymous }, log: silentLog, clock, ...deps })
  await access.start()
  return access
}

const enter = (access: Access, userName: string, password: string, address?: string) =>
  access.mayEnter(userName, Buffer.from(password), address)

test('every kind of hash lets in the right password and no other', async () => {
  const access = await open()
  for (const [userName, password] of [
    ['anna', 'a'],
    ['bert', 'b'],
    ['carl', 'c'],
    ['Ren\u00e9', 'd'],
    ['Rene\u0301', 'd'],
  ] as const) {
    expect(await enter(access, userName, password)).toBe(true)
    expect(await enter(access, userName, `${password}${password}`)).toBe(false)
    expect(await enter(access, userName, '')).toBe(false)
    expect(await access.mayEnter(userName, undefined)).toBe(false)
  }
  // Mosquitto lets nobody in with an empty password, nor without one.
  expect(await enter(access, 'empty', '')).toBe(false)
  for (const userName of ['dora', 'Anna', 'anna ', '__proto__', '']) {
    expect(await enter(access, userName, 'a')).toBe(false)
  }
})

test('who has no name', async () => {
  expect(await (await open()).mayEnter(undefined, undefined)).toBe(false)
  expect(await (await open({ allowAnonymous: true })).mayEnter(undefined, Buffer.from('x'))).toBe(true)
  const everybody = new Access({ settings: { passwordFile: undefined, allowAnonymous: false }, log: silentLog, clock })
  await everybody.start()
  expect(await enter(everybody, 'anna', 'wrong')).toBe(true)
})

test('a login costs the same whether the user exists or not: one check of a kind and a cost that users have', async () => {
  const asked: string[] = []
  const access = await open({
    matches: (hash, password) => {
      asked.push(costOf(hash))
      return matches(hash, password)
    },
  })
  for (const name of ['anna', 'bert', 'carl', 'Ren\u00e9']) await enter(access, name, 'wrong')
  const costs = asked.splice(0)
  expect(new Set(costs).size).toBe(4)
  const strangers = Array.from({ length: 200 }, (_, i) => `nobody-${i}`)
  for (const name of strangers) expect(await enter(access, name, 'wrong')).toBe(false)
  const first = asked.splice(0)
  expect(first).toHaveLength(strangers.length)
  // As likely as a user has it: a fifth or two of them each, give or take.
  for (const cost of costs) expect(first.filter(each => each === cost).length).toBeGreaterThan(20)
  for (const name of strangers) await enter(access, name, 'wrong')
  expect(asked).toEqual(first) // the same name costs the same again
})

function costOf(hash: PasswordHash): string {
  const { iterations = 1 } = hash as { iterations?: number }
  return `${hash.kind} ${iterations} ${hash.salt.length}`
}

test('no decoy has a password', async () => {
  const asked: PasswordHash[] = []
  const access = await open({
    matches: async hash => {
      asked.push(hash)
      return true
    },
  })
  expect(await enter(access, 'nobody', 'x')).toBe(false)
  expect(asked).toHaveLength(1)
})

test('failures from one address are slowed, also by SCRAM, and said once in the log', async () => {
  const { log, lines: said } = recordLog()
  const access = await open({ log })
  for (let i = 0; i < FREE_FAILURES; i++) expect(await enter(access, `u${i}`, 'x', HERE)).toBe(false)
  const warnings = said.filter(({ level }) => level === 'warn')
  expect(warnings).toMatchObject([{ fields: { address: HERE, failures: FREE_FAILURES } }])

  const byPassword = track(enter(access, 'anna', 'a', HERE))
  const byScram = track(converse(new ScramClient({ userName: 'Ren\u00e9', password: 'd' }), access.begin(METHOD, HERE)))
  expect(await enter(access, 'anna', 'a', '192.0.2.2')).toBe(true)
  expect([byPassword.result, byScram.result]).toEqual([undefined, undefined])
  await clock.advance(500)
  expect(await byPassword.done).toBe(true)
  expect(await byScram.done).toMatchObject({ kind: 'success' })
})

test('failures by SCRAM count, and what is no attempt at a password does not', async () => {
  const access = await open()
  for (let i = 0; i < 3 * FREE_FAILURES; i++) {
    await access.begin(METHOD, HERE)?.step(Buffer.from('nonsense'))
    await access.mayEnter('anna', undefined, HERE)
    await access.mayEnter(undefined, undefined, HERE)
  }
  const wrong = () => converse(new ScramClient({ userName: 'Ren\u00e9', password: 'x' }), access.begin(METHOD, HERE))
  for (let i = 0; i < FREE_FAILURES; i++) expect(await wrong()).toMatchObject({ kind: 'refuse' })
  const next = track(enter(access, 'anna', 'a', HERE))
  await clock.advance(499)
  expect(next.result).toBeUndefined()
  await clock.advance(1)
  expect(await next.done).toBe(true)
})

test('the users are those of the moment of the check', async () => {
  const access = await open()
  for (let i = 0; i < FREE_FAILURES; i++) await enter(access, `u${i}`, 'x', HERE)
  const waiting = track(enter(access, 'anna', 'a', HERE))
  access.use(credentialsOf(`anna:${await hashed('sha512', 'new')}`))
  await clock.advance(500)
  expect(await waiting.done).toBe(false)
  expect(await enter(access, 'anna', 'new')).toBe(true)
  access.stop()
})

test('SCRAM is no method where nobody has the keys; else the owner is told whose hash does not serve it', async () => {
  const { log, lines: said } = recordLog()
  const access = await open({ log })
  expect(access.begin('PLAIN')).toBeUndefined()
  const refused = await converse(new ScramClient({ userName: 'anna', password: 'a' }), access.begin(METHOD))
  const stranger = await converse(new ScramClient({ userName: 'nobody', password: 'a' }), access.begin(METHOD))
  expect(refused).toEqual(stranger)
  const warnings = said.filter(({ level }) => level === 'warn')
  expect(warnings).toMatchObject([{ fields: { user: 'anna', hash: 'sha512-pbkdf2' } }])
  expect(warnings[0]?.message).toContain('larder passwd -H scram-sha-256')
  access.use(credentialsOf(`anna:${await hashed('sha512', 'a')}`))
  expect(access.begin(METHOD)).toBeUndefined()
})

test('a file with faults lets nobody change anything, and the start fails with every line', async () => {
  writeFileSync(file, `${(await lines()).join('\n')}\nplain:text\nnonsense\n`)
  const loaded = await loadPasswordFile(file)
  expect(loaded).toMatchObject({
    faults: [
      { file, line: 6, message: expect.stringContaining('larder passwd -U') },
      { file, line: 7 },
    ],
  })
  const access = new Access({ settings: { passwordFile: file, allowAnonymous: false }, log: silentLog, clock })
  await expect(access.start()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/passwords:6: [\s\S]*passwords:7: /),
  })
})

test('a file that cannot be read', async () => {
  await expect(loadPasswordFile(join(folder, 'none'))).rejects.toMatchObject({ code: 'CONFIG_UNREADABLE' })
  writeFileSync(file, '#'.repeat(4 * 1024 * 1024 + 1))
  await expect(loadPasswordFile(file)).rejects.toThrow('larger than')
})

const ARGON2 = '$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4'

test('argon2id: checked where its package is, else the line is a fault that says what to do', async () => {
  writeFileSync(file, `# argon2id\nanna:${ARGON2}\n`)
  const loaded = await loadPasswordFile(file)
  if (!(await hasArgon2())) {
    expect(loaded).toEqual({
      faults: [{ file, line: 2, message: expect.stringMatching(/@node-rs\/argon2.*npm install/) }],
    })
    return
  }
  const access = new Access({ settings: { passwordFile: file, allowAnonymous: false }, log: silentLog, clock })
  await access.start()
  expect(await enter(access, 'anna', 'password')).toBe(true)
  expect(await enter(access, 'anna', 'Password')).toBe(false)
  expect(await enter(access, 'nobody', 'password')).toBe(false)
})

function track<T>(done: Promise<T>): { done: Promise<T>; result: T | undefined } {
  const tracked: { done: Promise<T>; result: T | undefined } = { done, result: undefined }
  done.then(
    result => {
      tracked.result = result
    },
    () => {},
  )
  return tracked
}
