/**
 * What the server keeps of a password for SCRAM-SHA-256 (RFC 5802 §3, RFC 7677): keys that check a client's
 * proof, but that nobody can log in with. Another hash of the password, such as Mosquitto's, does not do
 * instead: the keys cannot be computed from it.
 */
import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

/** What it costs to try a password, and what makes the same password differ between users. */
export interface ScramCost {
  /** Rounds of PBKDF2, which the client computes at each login. */
  iterations: number
  salt: Buffer
}

export interface ScramKeys extends ScramCost {
  /** Checks the proof of the client. */
  storedKey: Buffer
  /** Proves to the client that the server knows it. */
  serverKey: Buffer
}

/** Bytes of a key: one SHA-256. */
export const KEY_BYTES = 32
/** The least that RFC 7677 §4 advises. */
export const MIN_ITERATIONS = 4_096
/** The client pays for them: a slip of the pen must not lock a microcontroller out for minutes. */
const MAX_ITERATIONS = 1_000_000
/** Bytes of a salt: fewer than 8 repeat among users, more than 64 bring nothing. */
const MIN_SALT = 8
export const MAX_SALT = 64

/** What is wrong with `cost`, or undefined. */
export function costFault({ iterations, salt }: ScramCost): string | undefined {
  if (!Number.isInteger(iterations) || iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
    return `the number of iterations must be between ${MIN_ITERATIONS} and ${MAX_ITERATIONS}`
  }
  if (salt.length < MIN_SALT || salt.length > MAX_SALT) return `the salt must have ${MIN_SALT} to ${MAX_SALT} bytes`
  return undefined
}

/** The keys for a password, which SASLprep has prepared. Computed off the event loop. */
export async function deriveScramKeys(password: string, cost: ScramCost): Promise<ScramKeys> {
  const salted = await promisify(pbkdf2)(password, cost.salt, cost.iterations, KEY_BYTES, 'sha256')
  return { ...cost, storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') }
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}
