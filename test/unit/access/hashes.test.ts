import { describe, expect, test } from 'vitest'
import {
  type HashKind,
  hashPassword,
  matches,
  type PasswordHash,
  readHash,
  USUAL_ITERATIONS,
  writeHash,
} from '../../../src/access/hashes.ts'
import { deriveScramKeys } from '../../../src/access/scram-keys.ts'
import { hasArgon2 } from './accounts.ts'

/** What Debian's mosquitto_passwd 2.0 made of these passwords. */
const MOSQUITTO: [password: string, hash: string][] = [
  [
    'pa:ss',
    '$7$101$BgAS6yZouu8tSPQO$Beh+rSfn91I0f99EOf6Lccw9FCMKPrGWGucSptgxiLTx23cFKiQece06HoAOTvT3nx9jIZGdGOTV7ZaYnYRDdQ==',
  ],
  [
    '',
    '$7$101$otUKmgypOuBKM18o$/6c71RhdX4nI3re49rhk5WjB4b18uYU3Yp6OX3AmoWNqyV4Sa2DQ7aj70LiRy7xAjFEjwUYLZwM3HaBNX4kh7A==',
  ],
  [
    'Grüße 🔑',
    '$6$waodJwTeLgygehF2$AmC9UfwI9P20Gmcj/u5KIxDT0f7iBoSddyUBYUASYgErL777GovcJ893f9CBdUqyRZtWFJpnllr3zI0G+NdmLg==',
  ],
]

/** By Debian's argon2, a program of the algorithm's authors; the first with the cost and the lengths of Mosquitto 2.1. */
const ARGON2: [password: string, hash: string][] = [
  [
    'correct horse',
    '$argon2id$v=19$m=47104,t=1,p=1$eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eA$TrTxYR6yOnhJhKWaz4Zbea1Rjnyyeg9owK71ta2C0L5Papt16sqPmjl36GieMRP6o9F8OmpWkEUzAyIVRuaxxQ',
  ],
  ['Grüße 🔑', '$argon2id$v=19$m=4096,t=3,p=4$c29tZXNhbHQxNmJ5dGVzIQ$0ZGDlwkTLIlcLI8r19rPc2TCAPFcq3wRSRIdVC9zTmw'],
]

/** Of the algorithm's reference implementation, for the password `password` and the salt `somesalt`. */
const REFERENCE: [cost: string, digest: string][] = [
  ['m=65536,t=2,p=1', '09316115d5cf24ed5a15a31a3ba326e5cf32edc24702987c02b6566f61913cf7'],
  ['m=256,t=2,p=1', '9dfeb910e80bad0311fee20f9c0e2b12c17987b4cac90c2ef54d5b3021c68bfe'],
  ['m=256,t=2,p=2', '6d093c501fd5999645e0ea3bf620d7b8be7fd2db59c20d9fff9539da2bf57037'],
]

function hashOf(text: string): PasswordHash {
  const hash = readHash(text)
  if (typeof hash === 'string') throw new Error(hash)
  return hash
}

const check = (text: string, password: string | Buffer) => matches(hashOf(text), Buffer.from(password))

test.each(MOSQUITTO)('the hash that Mosquitto made of %j', async (password, text) => {
  expect(await check(text, password)).toBe(true)
  expect(await check(text, `${password} `)).toBe(false)
  expect(await check(text, 'pencil')).toBe(false)
  expect(writeHash(hashOf(text))).toBe(text)
})

test('a password is bytes for Mosquitto, and text for SCRAM', async () => {
  const bytes = Buffer.from('ff00fe', 'hex')
  for (const kind of ['sha512', 'sha512-pbkdf2'] as const) {
    const hash = await hashPassword(kind, bytes)
    expect(await matches(hash, bytes)).toBe(true)
    expect(await matches(hash, Buffer.from(bytes.toString()))).toBe(false)
  }
  const scram = await hashPassword('scram-sha-256', Buffer.from('Rene\u0301'))
  expect(await matches(scram, Buffer.from('Ren\u00e9'))).toBe(true)
  expect(await matches(scram, bytes)).toBe(false)
  // What SASLprep leaves nothing of is nobody's password, not even where the keys are those of nothing.
  const ofNothing = await deriveScramKeys('', { iterations: 4_096, salt: Buffer.alloc(16) })
  expect(await matches({ kind: 'scram-sha-256', ...ofNothing }, bytes)).toBe(false)
})

test.each<HashKind>(['sha512', 'sha512-pbkdf2', 'scram-sha-256'])(
  'a new %s: another salt each time, 65,535 bytes if need be, and read again as it was written',
  async kind => {
    const long = Buffer.alloc(65_535, 'x')
    const [one, two] = [await hashPassword(kind, long), await hashPassword(kind, long)]
    expect(one.salt).not.toEqual(two.salt)
    expect(hashOf(writeHash(one))).toEqual(one)
    expect(await matches(hashOf(writeHash(one)), long)).toBe(true)
    expect(await matches(one, long.subarray(1))).toBe(false)
  },
)

test('iterations are as asked for', async () => {
  const password = Buffer.from('x')
  expect(await hashPassword('sha512-pbkdf2', password)).toMatchObject({ iterations: USUAL_ITERATIONS })
  expect(await hashPassword('sha512-pbkdf2', password, { iterations: 7 })).toMatchObject({ iterations: 7 })
  expect(await hashPassword('scram-sha-256', password, { iterations: 5_000 })).toMatchObject({ iterations: 5_000 })
  await expect(hashPassword('sha512-pbkdf2', password, { iterations: 1_000_001 })).rejects.toThrow(RangeError)
  await expect(hashPassword('scram-sha-256', password, { iterations: 4_095 })).rejects.toThrow(RangeError)
  await expect(hashPassword('scram-sha-256', Buffer.alloc(0))).rejects.toThrow(RangeError)
})

test('a check does not block the event loop', async () => {
  const hash = await hashPassword('sha512-pbkdf2', Buffer.from('x'), { iterations: 200_000 })
  const order: string[] = []
  const done = matches(hash, Buffer.from('x')).then(() => order.push('checked'))
  await new Promise<void>(resolve => setImmediate(resolve))
  order.push('a turn of the loop')
  await done
  expect(order).toEqual(['a turn of the loop', 'checked'])
})

const SALT = Buffer.alloc(12, 1).toString('base64')
const DIGEST = Buffer.alloc(64, 2).toString('base64')
const PHC_SALT = Buffer.alloc(16, 1).toString('base64').replaceAll('=', '')
const PHC_DIGEST = Buffer.alloc(32, 2).toString('base64').replaceAll('=', '')
const phc = (cost: string, salt = PHC_SALT, digest = PHC_DIGEST) => `$argon2id$v=19$${cost}$${salt}$${digest}`

test.each([
  ['what is least', `$7$1$AA==$${DIGEST}`],
  ['the most iterations', `$7$1000000$${SALT}$${DIGEST}`],
  ['a salt of 64 bytes, as Mosquitto 2.1 makes them', `$6$${DIGEST}$${DIGEST}`],
  ['argon2id at its least', phc('m=8,t=1,p=1')],
  ['argon2id of RFC 9106 §4, second choice', phc('m=65536,t=3,p=4')],
  ['argon2id with the most memory', phc('m=262144,t=4,p=16')],
])('%s can be read', (_, text) => {
  expect(writeHash(hashOf(text))).toBe(text)
})

test.each([
  ['no hash', 'pencil', 'unknown kind'],
  ['iterations beyond bounds', `$7$1000001$${SALT}$${DIGEST}`, 'between 1 and 1000000'],
  ['no iterations', `$7$0$${SALT}$${DIGEST}`, 'not of the form'],
  ['a salt without padding', `$7$1$AA$${DIGEST}`, 'salt is not base64'],
  ['a salt of 65 bytes', `$6$${Buffer.alloc(65).toString('base64')}$${DIGEST}`, '1 to 64 bytes'],
  ['half a digest', `$6$${SALT}$${DIGEST.slice(0, 44)}`, '64 bytes'],
  ['another version of argon2', phc('m=8,t=1,p=1').replace('v=19', 'v=16'), 'not of the form'],
  ['another argon2', phc('m=8,t=1,p=1').replace('argon2id', 'argon2i'), 'unknown kind'],
  ['too little memory for the lanes', phc('m=31,t=1,p=4'), '8 times p'],
  ['too much memory', phc('m=262145,t=1,p=1'), '262144 KiB'],
  ['memory without end', phc(`m=${'9'.repeat(400)},t=1,p=1`), '262144 KiB'],
  ['too many passes', phc('m=8,t=17,p=1'), 't must be'],
  ['too many lanes', phc('m=256,t=1,p=17'), 'p must be'],
  ['too much of both', phc('m=262144,t=5,p=1'), 'm times t'],
  ['argon2id with a short salt', phc('m=8,t=1,p=1', 'AAAA'), '8 to 64 bytes'],
  ['argon2id with a padded salt', phc('m=8,t=1,p=1', `${PHC_SALT}==`), 'without padding'],
  ['argon2id with a short digest', phc('m=8,t=1,p=1', PHC_SALT, 'AAAA'), '16 to 64 bytes'],
])('%s cannot be read', (_, text, fault) => {
  expect(readHash(text)).toEqual(expect.stringContaining(fault))
})

describe.skipIf(!(await hasArgon2()))('argon2id', () => {
  test.each(ARGON2)('the hash that the authors’ program made of %j', async (password, text) => {
    expect(await check(text, password)).toBe(true)
    expect(await check(text, `${password} `)).toBe(false)
    expect(await check(text, '')).toBe(false)
    expect(writeHash(hashOf(text))).toBe(text)
  })

  test.each(REFERENCE)('the digest of the reference implementation, %s', async (cost, digest) => {
    const encoded = Buffer.from(digest, 'hex').toString('base64').replaceAll('=', '')
    expect(await check(phc(cost, 'c29tZXNhbHQ', encoded), 'password')).toBe(true)
    expect(await check(phc(cost, 'c29tZXNhbHQ', encoded), 'Password')).toBe(false)
  })

  test('a new one costs what Mosquitto’s do, and is read again', async () => {
    const hash = await hashPassword('argon2id', Buffer.from('pencil'))
    expect(hash).toMatchObject({ memory: 47_104, passes: 1, lanes: 1 })
    expect(await matches(hashOf(writeHash(hash)), Buffer.from('pencil'))).toBe(true)
  })

  test('does not block the event loop', async () => {
    const order: string[] = []
    const done = check(ARGON2[0]![1], 'x').then(() => order.push('checked'))
    // Loading the package and the way to the pool take a turn or two, the digest takes hundreds.
    for (let turn = 0; turn < 5; turn++) await new Promise<void>(resolve => setImmediate(resolve))
    order.push('turns of the loop')
    await done
    expect(order).toEqual(['turns of the loop', 'checked'])
  })
})
