/**
 * Who may read the numbers: whoever has the name and password of a user (HTTP Basic, RFC 7617), or the token (RFC 6750).
 * A scraper asks every few seconds, and a password costs a tenth of a second to check: who was let in is remembered
 * until the settings are read again, as a keyed hash that is of no use to anybody else.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Doorkeeper } from './ports.ts'

/** Logins that are remembered: a Prometheus or two, a supervisor, a person. */
const MAX_REMEMBERED = 16

export class Guard {
  readonly #doorkeeper: Doorkeeper | undefined
  readonly #key = randomBytes(32)
  readonly #token: Buffer | undefined
  readonly #remembered = new Set<string>()

  /** Without either everybody is let in. */
  constructor(deps: { doorkeeper?: Doorkeeper | undefined; bearerToken?: string | undefined }) {
    this.#doorkeeper = deps.doorkeeper
    this.#token = deps.bearerToken === undefined ? undefined : this.#hash(deps.bearerToken)
  }

  /** How a client has to show who it is: values of WWW-Authenticate. Empty: it has not. */
  get challenges(): string[] {
    return [
      ...(this.#doorkeeper === undefined ? [] : ['Basic realm="larder", charset="UTF-8"']),
      ...(this.#token === undefined ? [] : ['Bearer realm="larder"']),
    ]
  }

  /** `header` is that of Authorization. Rejects when too many log in at once. */
  async admits(header: string | undefined, address: string | undefined): Promise<boolean> {
    if (this.challenges.length === 0) return true
    const [, scheme = '', given = ''] = /^(\w+) +(\S+) *$/.exec(header ?? '') ?? []
    switch (scheme.toLowerCase()) {
      case 'bearer':
        return this.#token !== undefined && timingSafeEqual(this.#hash(given), this.#token)
      case 'basic':
        return this.#admitsUser(given, address)
      default:
        return false
    }
  }

  async #admitsUser(given: string, address: string | undefined): Promise<boolean> {
    if (this.#doorkeeper === undefined) return false
    const seal = this.#hash(given).toString('base64')
    if (this.#remembered.has(seal)) return true
    const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(given, 'base64').toString()) ?? []
    if (user === undefined || password === undefined) return false
    const isRight = await this.#doorkeeper.mayEnter(user, Buffer.from(password), address)
    if (isRight && this.#remembered.size < MAX_REMEMBERED) this.#remembered.add(seal)
    return isRight
  }

  #hash(text: string): Buffer {
    return createHmac('sha256', this.#key).update(text).digest()
  }
}
