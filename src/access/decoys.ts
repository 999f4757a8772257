/**
 * Keys for users that do not exist, so that a stranger cannot find out who does. A name gets the same salt
 * each time it is tried, as a user's would be, and the cost of one of the users of the file, as likely as
 * they have it. The secret should outlive a reload: with another one, salts change that no user's would.
 */
import { createHmac } from 'node:crypto'
import { KEY_BYTES, MIN_ITERATIONS, type ScramKeys } from './scram-keys.ts'

/** Bytes of a salt when there is no user to take after. */
const USUAL_SALT = 16

export class Decoys {
  readonly #secret: Buffer

  constructor(options: { secret: Buffer }) {
    this.#secret = options.secret
  }

  /** Keys for `userName`, to be taken for those of one of `users`. No password belongs to them. */
  keysOf(userName: string, users: readonly ScramKeys[]): ScramKeys {
    const like = users[this.#derive('cost', userName).readUInt32BE() % Math.max(users.length, 1)]
    const keys = this.#derive('keys', userName)
    return {
      iterations: like?.iterations ?? MIN_ITERATIONS,
      salt: this.#derive('salt', userName).subarray(0, like?.salt.length ?? USUAL_SALT),
      storedKey: keys.subarray(0, KEY_BYTES),
      serverKey: keys.subarray(KEY_BYTES),
    }
  }

  /** 64 bytes, enough for two keys or the longest salt. */
  #derive(purpose: 'cost' | 'salt' | 'keys', userName: string): Buffer {
    return createHmac('sha512', this.#secret).update(`${purpose}:${userName}`).digest()
  }
}
