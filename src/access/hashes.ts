/**
 * The kinds of password hashes, as they stand in a password file: Mosquitto's `$6$` (SHA-512, once), `$7$`
 * (PBKDF2 with SHA-512) and `$argon2id$` (2.1), and `$scram-sha-256$`, which serves AUTH as well. Mosquitto hashes the
 * bytes of a password as they come; SCRAM prepares them with SASLprep. Every digest is computed off the event loop.
 */
import { pbkdf2, randomBytes, timingSafeEqual, webcrypto } from 'node:crypto'
import { promisify } from 'node:util'
import { type Argon2Cost, argon2Fault, argon2id } from './argon2.ts'
import { decodeBase64, decodeUnpadded, encodeUnpadded } from './base64.ts'
import { saslprep } from './saslprep.ts'
import { costFault, deriveScramKeys, KEY_BYTES, MIN_ITERATIONS, type ScramKeys } from './scram-keys.ts'

export type HashKind = 'sha512' | 'sha512-pbkdf2' | 'argon2id' | 'scram-sha-256'

export type PasswordHash =
  | { kind: 'sha512'; salt: Buffer; digest: Buffer }
  | { kind: 'sha512-pbkdf2'; iterations: number; salt: Buffer; digest: Buffer }
  | ({ kind: 'argon2id'; digest: Buffer } & Argon2Cost)
  | ({ kind: 'scram-sha-256' } & ScramKeys)

/** By the name between the first two `$`: the kind and its form. */
const FORMS: ReadonlyMap<string, { kind: HashKind; form: string }> = new Map([
  ['6', { kind: 'sha512', form: '$6$<salt>$<hash>' }],
  ['7', { kind: 'sha512-pbkdf2', form: '$7$<iterations>$<salt>$<hash>' }],
  ['argon2id', { kind: 'argon2id', form: '$argon2id$v=19$m=<memory>,t=<passes>,p=<lanes>$<salt>$<hash>' }],
  ['scram-sha-256', { kind: 'scram-sha-256', form: '$scram-sha-256$<iterations>$<salt>$<stored key>$<server key>' }],
])

/** Bytes of a SHA-512. */
const SHA512_BYTES = 64
/** Bytes of a salt of Mosquitto's: it writes 12 or 64. */
const MAX_SALT = 64
/** Rounds of PBKDF2: a slip of the pen must not hold up everybody's logins for more than seconds. */
const MAX_ITERATIONS = 1_000_000
/** Bytes of a digest of argon2id: fewer than 16 can be guessed, more than 64 bring nothing. */
const MIN_DIGEST = 16
const MAX_DIGEST = 64

/** Bytes of a new salt. Mosquitto 2.0 reads no other; for SCRAM and argon2id more are usual. */
const MOSQUITTO_SALT = 12
const USUAL_SALT = 16
/** Rounds of a new hash: some 0.1 s on a Pi 4, so that a hundred clients are back within seconds of a restart. */
export const USUAL_ITERATIONS = 20_000
/** Mosquitto 2.1's own cost, which is OWASP's first choice: 46 MiB, once. */
const USUAL_ARGON2 = { memory: 47_104, passes: 1, lanes: 1 }

/** True when `text` claims to be a hash, well formed or not: it begins as one of the kinds does. */
export function claimsToBeHash(text: string): boolean {
  return text.startsWith('$') && FORMS.has(text.split('$', 2)[1]!)
}

/** Reads a hash. A string says what is wrong with it, repeating nothing of it. */
export function readHash(text: string): PasswordHash | string {
  const known = FORMS.get(text.split('$', 2)[1] ?? '')
  if (!text.startsWith('$') || known === undefined) {
    return `the password hash is of an unknown kind: it must begin with ${[...FORMS.keys()].map(k => `$${k}$`).join(', ')}`
  }
  const parts = shapeOf(known.form).exec(text)
  if (parts === null) return `the password hash is not of the form ${known.form}`
  const fields = parts.slice(1)
  switch (known.kind) {
    case 'sha512':
      return readSha512(fields)
    case 'sha512-pbkdf2':
      return readPbkdf2(fields)
    case 'argon2id':
      return readArgon2(fields)
    case 'scram-sha-256':
      return readScram(fields)
  }
}

/** As it stands in a password file. */
export function writeHash(hash: PasswordHash): string {
  const base64 = (bytes: Buffer) => bytes.toString('base64')
  const { salt } = hash
  switch (hash.kind) {
    case 'sha512':
      return `$6$${base64(salt)}$${base64(hash.digest)}`
    case 'sha512-pbkdf2':
      return `$7$${hash.iterations}$${base64(salt)}$${base64(hash.digest)}`
    case 'argon2id': {
      const { memory, passes, lanes, digest } = hash
      return `$argon2id$v=19$m=${memory},t=${passes},p=${lanes}$${encodeUnpadded(salt)}$${encodeUnpadded(digest)}`
    }
    case 'scram-sha-256':
      return `$scram-sha-256$${hash.iterations}$${[salt, hash.storedKey, hash.serverKey].map(base64).join('$')}`
  }
}

/** True when `hash` was made of `password`. Takes as long when it was not. Rejects when argon2id is not installed. */
export async function matches(hash: PasswordHash, password: Buffer): Promise<boolean> {
  switch (hash.kind) {
    case 'sha512':
      return timingSafeEqual(await sha512(password, hash.salt), hash.digest)
    case 'sha512-pbkdf2':
      return timingSafeEqual(await stretch(password, hash.salt, hash.iterations), hash.digest)
    case 'argon2id':
      return timingSafeEqual(await argon2id(password, hash, hash.digest.length), hash.digest)
    case 'scram-sha-256': {
      const prepared = saslprep(password.toString())
      const { storedKey } = await deriveScramKeys(prepared ?? '', hash)
      return timingSafeEqual(storedKey, hash.storedKey) && prepared !== undefined
    }
  }
}

/**
 * A new hash of `password`, with a random salt. `iterations` are for the two kinds that have them. Rejects with a
 * RangeError when the password cannot be used or the cost is out of bounds; as `requireArgon2` does without argon2id.
 */
export async function hashPassword(
  kind: HashKind,
  password: Buffer,
  options: { iterations?: number | undefined } = {},
): Promise<PasswordHash> {
  const salt = randomBytes(kind.startsWith('sha512') ? MOSQUITTO_SALT : USUAL_SALT)
  switch (kind) {
    case 'sha512':
      return { kind, salt, digest: await sha512(password, salt) }
    case 'sha512-pbkdf2': {
      const iterations = options.iterations ?? USUAL_ITERATIONS
      const fault = iterationsFault(iterations)
      if (fault !== undefined) throw new RangeError(fault)
      return { kind, iterations, salt, digest: await stretch(password, salt, iterations) }
    }
    case 'argon2id': {
      const cost = { ...USUAL_ARGON2, salt }
      return { kind, ...cost, digest: await argon2id(password, cost, MAX_DIGEST) }
    }
    case 'scram-sha-256':
      return { kind, ...(await newScramKeys(password.toString(), { iterations: options.iterations, salt })) }
  }
}

/** Keys of a password that SASLprep has not seen yet. Rejects with a RangeError as `hashPassword` does. */
export async function newScramKeys(
  password: string,
  { iterations = MIN_ITERATIONS, salt }: { iterations?: number | undefined; salt: Buffer },
): Promise<ScramKeys> {
  const prepared = saslprep(password)
  if (prepared === undefined) throw new RangeError('the password is empty or has characters that SASLprep prohibits')
  const fault = costFault({ iterations, salt })
  if (fault !== undefined) throw new RangeError(fault)
  return deriveScramKeys(prepared, { iterations, salt })
}

/** Bytes come in the order of Mosquitto: password, salt. */
async function sha512(password: Buffer, salt: Buffer): Promise<Buffer> {
  return Buffer.from(await webcrypto.subtle.digest('SHA-512', Buffer.concat([password, salt])))
}

function stretch(password: Buffer, salt: Buffer, iterations: number): Promise<Buffer> {
  return promisify(pbkdf2)(password, salt, iterations, SHA512_BYTES, 'sha512')
}

function readSha512([saltText = '', digestText = '']: readonly string[]): PasswordHash | string {
  const read = readSaltAndDigest(saltText, digestText)
  return typeof read === 'string' ? read : { kind: 'sha512', ...read }
}

function readPbkdf2([rounds, saltText = '', digestText = '']: readonly string[]): PasswordHash | string {
  const read = readSaltAndDigest(saltText, digestText)
  if (typeof read === 'string') return read
  const iterations = Number(rounds)
  return iterationsFault(iterations) ?? { kind: 'sha512-pbkdf2', iterations, ...read }
}

function readSaltAndDigest(saltText: string, digestText: string): { salt: Buffer; digest: Buffer } | string {
  const salt = decodeBase64(saltText)
  if (salt === undefined) return 'the salt is not base64'
  if (salt.length > MAX_SALT) return `the salt must have 1 to ${MAX_SALT} bytes`
  const digest = decodeBase64(digestText)
  if (digest?.length !== SHA512_BYTES) return `the hash must be ${SHA512_BYTES} bytes, in base64`
  return { salt, digest }
}

function readArgon2([memory, passes, lanes, saltText = '', digestText = '']: readonly string[]): PasswordHash | string {
  const salt = decodeUnpadded(saltText)
  if (salt === undefined) return 'the salt is not base64 without padding'
  const digest = decodeUnpadded(digestText)
  if (digest === undefined || digest.length < MIN_DIGEST || digest.length > MAX_DIGEST) {
    return `the hash must be ${MIN_DIGEST} to ${MAX_DIGEST} bytes, in base64 without padding`
  }
  const cost = { memory: Number(memory), passes: Number(passes), lanes: Number(lanes), salt }
  return argon2Fault(cost) ?? { kind: 'argon2id', ...cost, digest }
}

function readScram([iterations, ...encoded]: readonly string[]): PasswordHash | string {
  const [salt, storedKey, serverKey] = encoded.map(decodeBase64)
  if (salt === undefined) return 'the salt is not base64'
  if (storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) {
    return `the stored key and the server key must be ${KEY_BYTES} bytes each, in base64`
  }
  const keys = { iterations: Number(iterations), salt, storedKey, serverKey }
  return costFault(keys) ?? { kind: 'scram-sha-256', ...keys }
}

function iterationsFault(iterations: number): string | undefined {
  if (Number.isInteger(iterations) && iterations >= 1 && iterations <= MAX_ITERATIONS) return undefined
  return `the number of iterations must be between 1 and ${MAX_ITERATIONS}`
}

/** Numbers are caught as such, everything else as base64. */
function shapeOf(form: string): RegExp {
  const parts = form
    .replaceAll('$', '\\$')
    .replace(/<(?:memory|passes|iterations|lanes)>/g, '([1-9][0-9]*)')
    .replace(/<[^>]+>/g, '([A-Za-z0-9+/]+={0,2})')
  return new RegExp(`^${parts}$`)
}
