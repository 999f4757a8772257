import { describe, expect, test } from 'vitest'
import { readPasswordFile, scramEntry } from '../../../src/access/credentials.ts'
import { credentialsOf, lineOf, SALT } from './accounts.ts'

const COST = { iterations: 4_096, salt: SALT }
/** The user of RFC 7677 §3. */
const PENCIL =
  '$scram-sha-256$4096$W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=$wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU='
/** Both by Debian's mosquitto_passwd 2.0; the third is of the form that Mosquitto 2.1 writes. */
const SHA512 =
  '$6$QsM//Fp15jwULkuQ$HVjsRCrtkZ19zFp+65ThrhxqWV6WQ0AuQiBGV21SjyJ8XMlK9LSyzdWaezhiyDmcT8gBZjzqJRTvmhRcJWHpEw=='
const PBKDF2 =
  '$7$101$sWWOkQE9PrhLU5de$0MGhYgk9SN84SLiW71ztj8jj8t+AavnUlIU3brmdzH5WP3233KMt3M8ifS5JwIzyCq/XNkqyR1v8opo5ayZFmg=='
const ARGON2ID = '$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$9sTbSlTio3Biev89thdrlKKiCaYsjjYVJxGAL3swxpQ'

test('a password file with every kind of hash, comments, blank lines and line ends of Windows', () => {
  const { scramOf, scramUsers } = credentialsOf(
    '# who may come in',
    `user:${PENCIL}\r`,
    '',
    ` anna : ${PBKDF2} `,
    `bert:${SHA512}`,
    `carl:${ARGON2ID}`,
    '   ',
    '',
  )
  expect(scramOf('user')).toMatchObject({ iterations: 4_096, salt: SALT })
  expect(scramUsers).toEqual([scramOf('user')])
  for (const name of ['anna', 'bert', 'carl', 'dora', '__proto__', 'constructor', '']) {
    expect(scramOf(name)).toBeUndefined()
  }
})

test('an empty file lets nobody in', () => {
  expect(credentialsOf('').scramUsers).toEqual([])
})

test('a line that may keep somebody out is never passed over: faults come all at once, with their lines', () => {
  const text = [`user:${PENCIL}`, 'nonsense', '# fine', 'plain:text', `user:${SHA512}`].join('\n')
  expect(readPasswordFile(text, '/etc/larder/passwords')).toEqual({
    faults: [
      { file: '/etc/larder/passwords', line: 2, message: expect.stringContaining("no ':'") },
      { file: '/etc/larder/passwords', line: 4, message: expect.stringContaining('not hashed') },
      { file: '/etc/larder/passwords', line: 5, message: expect.stringContaining('in line 1 already') },
    ],
  })
})

test.each([
  ['no user name', `:${SHA512}`, 'no user name'],
  ['a name of spaces', `  :${SHA512}`, 'no user name'],
  ['no hash', 'user:', 'no password hash'],
  ['a comment that does not begin the line', ' # not a comment', "no ':'"],
  ['an unknown kind', 'user:$5$abc$def', '$6$, $7$, $argon2id$, $scram-sha-256$'],
  ['a kind from the prototype of objects', 'user:$__proto__$abc', 'unknown kind'],
  ['half a $6$', 'user:$6$QsM//Fp15jwULkuQ', 'not of the form $6$<salt>$<hash>'],
  ['a $6$ with something behind', `user:${SHA512}:x`, 'not of the form $6$'],
  ['a $7$ without iterations', 'user:$7$abcd$abcd', 'not of the form $7$'],
  ['an argon2id that is cut', `user:${ARGON2ID.slice(0, 40)}`, 'not of the form $argon2id$'],
  ['half a SCRAM entry', `user:${PENCIL.slice(0, 60)}`, 'not of the form $scram-sha-256$'],
  ['iterations that are no number', `user:${PENCIL.replace('4096', '0x1000')}`, 'not of the form'],
  ['too few iterations', `user:${PENCIL.replace('4096', '4095')}`, 'between 4096 and 1000000'],
  ['too many iterations', `user:${PENCIL.replace('4096', '1000001')}`, 'between 4096 and 1000000'],
  ['iterations without end', `user:${PENCIL.replace('4096', '9'.repeat(400))}`, 'between 4096 and 1000000'],
  ['a short salt', `user:${PENCIL.replace('W22ZaJ0SNY7soEsUEjb6gQ==', 'W22Z')}`, '8 to 64 bytes'],
  ['a long salt', `user:${PENCIL.replace('W22ZaJ0SNY7soEsUEjb6gQ==', 'W22Z'.repeat(22))}`, '8 to 64 bytes'],
  ['a salt that is not base64', `user:${PENCIL.replace('gQ==', 'gR==')}`, 'salt is not base64'],
  ['a short key', `user:${PENCIL.slice(0, -4)}`, '32 bytes each'],
  ['a name that nobody can send', `\ufb01n:${PENCIL}`, 'SASLprep'],
])('%s is a fault', (_, line, message) => {
  const result = readPasswordFile(line, 'passwords')
  expect(result).toEqual({ faults: [{ file: 'passwords', line: 1, message: expect.stringContaining(message) }] })
  expect(JSON.stringify(result)).not.toContain('QsM//')
})

describe('scramEntry', () => {
  test('makes the keys of RFC 7677 §3', async () => {
    expect(await scramEntry('user', 'pencil', COST)).toBe(`user:${PENCIL}`)
  })

  test('writes what can be read again, with the name as SASLprep prepares it', async () => {
    const { scramOf } = credentialsOf(await lineOf('Rene\u0301, #1 = \u{1f511}', 'ä', { iterations: 5_000 }))
    expect(scramOf('Ren\u00e9, #1 = \u{1f511}')).toMatchObject({ iterations: 5_000, salt: SALT })
  })

  test('does not block the event loop', async () => {
    const order: string[] = []
    const entry = scramEntry('user', 'pencil', { ...COST, iterations: 100_000 }).then(() => order.push('entry'))
    await new Promise<void>(resolve => setImmediate(resolve))
    order.push('a turn of the loop')
    await entry
    expect(order).toEqual(['a turn of the loop', 'entry'])
  })

  test.each([
    ['an empty name', '', 'x', COST, 'user name'],
    ['a name with a control', 'a\u0007', 'x', COST, 'user name'],
    ['a name with a colon', 'a:b', 'x', COST, "':'"],
    ['a name with a wide colon', 'a\uff1ab', 'x', COST, "':'"],
    ['a name that would be a comment', '#a', 'x', COST, "'#'"],
    ['a name that begins with a space', ' a', 'x', COST, 'space'],
    ['a name that ends with a space', 'a\u00a0', 'x', COST, 'space'],
    ['an empty password', 'a', '', COST, 'password'],
    ['a password with a control', 'a', 'x\u0007', COST, 'password'],
    ['too few iterations', 'a', 'x', { ...COST, iterations: 4_095 }, 'iterations'],
    ['too many iterations', 'a', 'x', { ...COST, iterations: 1_000_001 }, 'iterations'],
    ['half an iteration', 'a', 'x', { ...COST, iterations: 4_096.5 }, 'iterations'],
    ['a short salt', 'a', 'x', { ...COST, salt: Buffer.alloc(7) }, 'salt'],
    ['a long salt', 'a', 'x', { ...COST, salt: Buffer.alloc(65) }, 'salt'],
  ])('refuses %s', async (_, name, password, cost, message) => {
    const entry = scramEntry(name, password, cost)
    await expect(entry).rejects.toThrow(RangeError)
    await expect(entry).rejects.toThrow(message)
  })
})
