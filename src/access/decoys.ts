/**
 * Hashes and keys for users that do not exist, so that a stranger cannot find out who does. A name gets the same one
 * each time it is tried, as a user's would be: of the kind and the cost of one of the users of the file, as likely as
 * they have it (the most common kind for all would give away those who have another). The secret should outlive a
 * reload: with another one, salts change that no user's would.
 */
import { createHmac } from 'node:crypto'
import { type PasswordHash, USUAL_ITERATIONS } from './hashes.ts'
import { KEY_BYTES, MIN_ITERATIONS, type ScramKeys } from './scram-keys.ts'

/** What they are like when there is no user to take after. */
const USUAL_SCRAM = { iterations: MIN_ITERATIONS, salt: Buffer.alloc(16) }
const USUAL_HASH: PasswordHash = {
  kind: 'sha512-pbkdf2',
  iterations: USUAL_ITERATIONS,
  salt: Buffer.alloc(12),
  digest: Buffer.alloc(64),
}

export class Decoys {
  readonly #secret: Buffer

  constructor(options: { secret: Buffer }) {
    this.#secret = options.secret
  }

  /** A hash for `userName`, to be taken for that of one of the users, who have `hashes`. No password belongs to it. */
  hashOf(userName: string, hashes: readonly PasswordHash[]): PasswordHash {
    const like = this.#choose(userName, hashes) ?? USUAL_HASH
    if (like.kind === 'scram-sha-256') return { ...like, ...this.#keysLike(userName, like) }
    return { ...like, digest: this.#derive('keys', userName).subarray(0, like.digest.length) }
  }

  /** Keys for `userName`, to be taken for those of one of `users`. No password belongs to them. */
  keysOf(userName: string, users: readonly ScramKeys[]): ScramKeys {
    return this.#keysLike(userName, this.#choose(userName, users) ?? USUAL_SCRAM)
  }

  #choose<T>(userName: string, all: readonly T[]): T | undefined {
    return all[this.#derive('cost', userName).readUInt32BE() % Math.max(all.length, 1)]
  }

  #keysLike(userName: string, { iterations, salt }: Pick<ScramKeys, 'iterations' | 'salt'>): ScramKeys {
    const keys = this.#derive('keys', userName)
    return {
      iterations,
      salt: this.#derive('salt', userName).subarray(0, salt.length),
      storedKey: keys.subarray(0, KEY_BYTES),
      serverKey: keys.subarray(KEY_BYTES),
    }
  }

  /** 64 bytes, enough for two keys, the longest salt or the longest digest. */
  #derive(purpose: 'cost' | 'salt' | 'keys', userName: string): Buffer {
    return createHmac('sha512', this.#secret).update(`${purpose}:${userName}`).digest()
  }
}
