import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { matches, readHash } from '../../../src/access/hashes.ts'
import * as passwordFiles from '../../../src/access/password-file.ts'
import { passwdCommand } from '../../../src/cli/passwd.ts'
import { hasArgon2 } from '../access/accounts.ts'
import { Terminal } from './terminal.ts'

let cwd: string
beforeEach(() => {
  cwd = mkdtempSync(join(tmpdir(), 'larder-passwd-'))
})
afterEach(() => rmSync(cwd, { recursive: true }))

/** `answers` are given when it asks for passwords. */
function terminal(answers?: string[]): Terminal & { asked: string[] } {
  const asked: string[] = []
  const command = passwdCommand({
    load: async () => passwordFiles,
    askSecretly: async prompts => {
      asked.push(...prompts)
      return answers
    },
  })
  return Object.assign(new Terminal({ commands: { passwd: command }, cwd }), { asked })
}

const text = (file = 'p') => readFileSync(join(cwd, file), 'utf8')
const write = (content: string) => writeFileSync(join(cwd, 'p'), content, { mode: 0o600 })

/** The user of line `line`, and whether the password is right. */
async function isRight(line: string | undefined, userName: string, password: string): Promise<boolean> {
  expect(line?.startsWith(`${userName}:`)).toBe(true)
  const hash = readHash(line?.slice(userName.length + 1) ?? '')
  if (typeof hash === 'string') throw new Error(hash)
  return matches(hash, Buffer.from(password))
}

test('a new file with a user, and a second user', async () => {
  const here = terminal()
  expect(await here.run('passwd', '-c', '-b', 'p', 'anna', 'pencil')).toBe(0)
  expect(await here.run('passwd', '-b', 'p', 'be rt%', '-c: salt')).toBe(0)
  expect([here.out, here.err]).toEqual([['Adding password for user anna', 'Adding password for user be rt%'], []])
  const [anna, bert, ...rest] = text().split('\n')
  expect(rest).toEqual([''])
  expect(anna).toMatch(/^anna:\$7\$20000\$/)
  expect(await isRight(anna, 'anna', 'pencil')).toBe(true)
  expect(await isRight(anna, 'anna', 'Pencil')).toBe(false)
  expect(await isRight(bert, 'be rt%', '-c: salt')).toBe(true)
  expect(statSync(join(cwd, 'p')).mode & 0o777).toBe(0o600)
})

test('a password that is asked for, twice', async () => {
  write('# c\nanna:old\n')
  const here = terminal(['pencil', 'pencil'])
  expect(await here.run('passwd', 'p', 'anna')).toBe(0)
  expect(here.asked).toEqual(['Password: ', 'Reenter password: '])
  expect(here.out).toEqual(['Updating password for user anna'])
  const [comment, anna] = text().split('\n')
  expect(comment).toBe('# c')
  expect(await isRight(anna, 'anna', 'pencil')).toBe(true)
})

test.each<[why: string, answers: string[] | undefined, message: string]>([
  ['do not match', ['a', 'b'], 'do not match'],
  ['are empty', ['', ''], 'is empty'],
  ['do not come', undefined, 'given twice'],
])('passwords that %s change nothing', async (_, answers, message) => {
  write('anna:old\n')
  const here = terminal(answers)
  expect(await here.run('passwd', 'p', 'anna')).toBe(1)
  expect(here.err).toEqual([expect.stringContaining(message)])
  expect(text()).toBe('anna:old\n')
})

test.each([
  ['sha512', [], /^anna:\$6\$[^$]{16}\$[^$]{88}\n$/],
  ['sha512-pbkdf2', ['-I', '101'], /^anna:\$7\$101\$[^$]{16}\$[^$]{88}\n$/],
  ['scram-sha-256', [], /^anna:\$scram-sha-256\$4096\$[^$]{24}\$[^$]{44}\$[^$]{44}\n$/],
  ['scram-sha-256', ['--iterations=10000'], /^anna:\$scram-sha-256\$10000\$/],
])('-H %s %j', async (kind, args, form) => {
  expect(await terminal().run('passwd', '-H', kind, ...args, '-cb', 'p', 'anna', 'pencil')).toBe(0)
  expect(text()).toMatch(form)
  expect(await isRight(text().trim(), 'anna', 'pencil')).toBe(true)
})

test('-H argon2id', async () => {
  const here = terminal()
  const status = await here.run('passwd', '-H', 'argon2id', '-c', '-b', 'p', 'anna', 'pencil')
  if (await hasArgon2()) {
    expect(status).toBe(0)
    expect(text()).toMatch(/^anna:\$argon2id\$v=19\$m=47104,t=1,p=1\$/)
    return
  }
  expect(status).toBe(1)
  expect(here.err).toEqual([expect.stringMatching(/DRIVER_MISSING: .*npm install @node-rs\/argon2/)])
  expect(() => text()).toThrow('ENOENT')
})

test('-c takes the place of an old file; with - it writes to stdout', async () => {
  write('bert:old\n')
  const here = terminal()
  expect(await here.run('passwd', '-c', '-b', 'p', 'anna', 'x')).toBe(0)
  expect(text()).toMatch(/^anna:[^\n]*\n$/)
  here.out.length = 0
  expect(await here.run('passwd', '-c', '-b', '-', 'anna', 'x')).toBe(0)
  expect(here.out).toEqual([expect.stringMatching(/^anna:\$7\$/)])
})

test('-D deletes a user', async () => {
  write('# c\nanna:x\nbert:y\n')
  const here = terminal()
  expect(await here.run('passwd', '-D', 'p', 'anna')).toBe(0)
  expect([here.out, text()]).toEqual([['Deleted user anna'], '# c\nbert:y\n'])
  expect(await here.run('passwd', '-D', 'p', 'anna')).toBe(1)
  expect(here.err).toEqual(['larder: there is no user anna in p'])
})

test('-U hashes plain passwords and leaves the rest, or changes nothing', async () => {
  write('# c\nanna:pa:ss\n')
  const here = terminal()
  expect(await here.run('passwd', '-U', 'p')).toBe(0)
  const once = text()
  expect(await isRight(once.split('\n')[1], 'anna', 'pa:ss')).toBe(true)
  expect(await here.run('passwd', '-U', 'p')).toBe(0)
  expect([here.out, text()]).toEqual([['Hashed passwords: 1', 'Hashed passwords: 0'], once])
  write('anna:x\nnonsense\n')
  expect(await here.run('passwd', '-U', 'p')).toBe(1)
  expect([here.err, text()]).toEqual([
    ['larder: p: line 2 is not of the form user:password; nothing was changed'],
    'anna:x\nnonsense\n',
  ])
})

test('a file that others could read is told of', async () => {
  writeFileSync(join(cwd, 'p'), '', { mode: 0o644 })
  const here = terminal()
  expect(await here.run('passwd', '-b', 'p', 'anna', 'x')).toBe(0)
  expect(here.err).toEqual(['larder: others could read p; now only its owner can'])
})

describe('refused', () => {
  test.each<[argv: string[], message: string]>([
    [['-b', 'p', 'a:b', 'x'], "must not contain ':'"],
    [['-b', 'p', '', 'x'], 'user name is empty'],
    [['-b', 'p', 'x'.repeat(65_536), 'x'], 'at most 65535 bytes'],
    [['-b', 'p', 'anna', 'x'.repeat(65_536)], 'at most 65535 bytes'],
    [['-b', 'p', 'anna', ''], 'password is empty'],
    [['-b', '-H', 'scram-sha-256', 'p', '\ufb01n', 'x'], 'SASLprep'],
    [['-b', '-H', 'scram-sha-256', '-I', '10', 'p', 'anna', 'x'], 'between 4096'],
    [['-b', '-I', '2000000', 'p', 'anna', 'x'], 'between 1 and 1000000'],
    [['-b', 'none', 'anna', 'x'], 'there is no file none: -c makes a new one'],
    [['-D', 'none', 'anna'], 'there is no file none'],
    [['-b', '-c', 'no/folder', 'anna', 'x'], 'no/folder'],
    [['-b', '.', 'anna', 'x'], '. cannot be changed'],
  ])('%.70j', async (argv, message) => {
    write('anna:old\n')
    const here = terminal()
    expect(await here.run('passwd', ...argv)).toBe(1)
    expect(here.err).toEqual([expect.stringContaining(message)])
    expect([here.out, text()]).toEqual([[], 'anna:old\n'])
  })

  test.each<[argv: string[], message: string]>([
    [[], 'FILE USER must follow'],
    [['p'], 'FILE USER must follow'],
    [['p', 'anna', 'x'], 'FILE USER must follow'],
    [['-b', 'p', 'anna'], 'FILE USER PASSWORD must follow'],
    [['-U', 'p', 'anna'], 'FILE must follow'],
    [['p', 'anna', '-b'], 'FILE USER must follow'],
    [['-c', '-D', 'p', 'anna'], '-c and -D cannot be used together'],
    [['-c', '-U', 'p'], '-c and -U cannot be used together'],
    [['-b', '-D', 'p', 'anna'], '-b and -D cannot be used together'],
    [['-H', 'md5', 'p', 'anna'], "there is no hash 'md5'"],
    [['-H', 'sha512', '-I', '9', 'p', 'anna'], '-I is for sha512-pbkdf2 and scram-sha-256'],
    [['-I', '0', 'p', 'anna'], '-I must be a number'],
    [['-x', 'p', 'anna'], 'passwd has no flag -x'],
  ])('as not understood: %j', async (argv, message) => {
    write('anna:old\n')
    const here = terminal(['x', 'x'])
    expect(await here.run('passwd', ...argv)).toBe(2)
    expect(here.err).toEqual([expect.stringContaining(message)])
    expect([here.out, here.asked, text()]).toEqual([[], [], 'anna:old\n'])
  })
})

test('help', async () => {
  const here = terminal()
  expect(await here.run('passwd', '-h')).toBe(0)
  expect(here.out[0]).toBe('larder passwd [FLAGS] FILE [USER [PASSWORD]]')
  expect(here.out.join('\n')).toContain('-H, --hash KIND')
})
