/**
 * Argon2id (RFC 9106, version 0x13), which Node 20 does not have: a package with a ready-made binary for each kind of
 * machine brings it. It is an optional dependency, loaded when a password file needs it.
 */
/// <reference path="./packages.d.ts" />
import { LarderError, reasonOf } from '../kernel/errors.ts'

/** What a digest costs and what makes it another one. */
export interface Argon2Cost {
  /** KiB. */
  memory: number
  passes: number
  lanes: number
  salt: Buffer
}

/** KiB that one check may take: more than RFC 9106's second choice of 64 MiB, and two at once still fit a Pi with 1 GB. */
const MAX_MEMORY = 256 * 1024
/** A slip of the pen must not hold up everybody's logins. */
const MAX_PASSES = 16
/** More than any machine of ours has cores. */
const MAX_LANES = 16
/** KiB times passes: memory that one check goes over, some seconds on a Pi. */
const MAX_WORK = 1024 * 1024
/** KiB that each lane needs (RFC 9106 §3.1). */
const MEMORY_PER_LANE = 8
/** Bytes of a salt: RFC 9106 §3.1 asks for 8; Mosquitto takes 64. */
const MIN_SALT = 8
const MAX_SALT = 64

/** What is wrong with `cost`, or undefined. */
export function argon2Fault({ memory, passes, lanes, salt }: Argon2Cost): string | undefined {
  if (lanes > MAX_LANES) return `p must be between 1 and ${MAX_LANES}`
  if (passes > MAX_PASSES) return `t must be between 1 and ${MAX_PASSES}`
  if (memory < MEMORY_PER_LANE * lanes || memory > MAX_MEMORY) {
    return `m must be between ${MEMORY_PER_LANE} times p and ${MAX_MEMORY} KiB`
  }
  if (memory * passes > MAX_WORK) return `m times t must be at most ${MAX_WORK} KiB`
  if (salt.length < MIN_SALT || salt.length > MAX_SALT) return `the salt must have ${MIN_SALT} to ${MAX_SALT} bytes`
  return undefined
}

/** The digest of `password`, in so many bytes. Computed off the event loop. Rejects as `requireArgon2` does. */
export async function argon2id(password: Buffer, cost: Argon2Cost, length: number): Promise<Buffer> {
  const { hashRaw } = await requireArgon2()
  const { memory, passes, lanes, salt } = cost
  return hashRaw(password, { memoryCost: memory, timeCost: passes, parallelism: lanes, outputLen: length, salt })
}

/** Loads the package. Rejects with LarderError DRIVER_MISSING when it is not installed, or has nothing for this machine. */
export async function requireArgon2(): Promise<typeof import('@node-rs/argon2')> {
  try {
    return await import('@node-rs/argon2')
  } catch (error) {
    throw new LarderError('DRIVER_MISSING', `argon2id needs the package @node-rs/argon2: ${firstLine(error)}.`, {
      hint: 'Install it with npm install @node-rs/argon2, or set the password with larder passwd -H sha512-pbkdf2.',
      cause: error,
    })
  }
}

function firstLine(error: unknown): string {
  return reasonOf(error).split('\n', 1)[0] ?? ''
}
