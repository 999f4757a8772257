/**
 * Who has logged in: a random token in a cookie that scripts cannot read and other sites cannot send. Kept in memory, by
 * its hash: after a restart everybody logs in again.
 */
import { createHash, randomBytes } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'

/** Browsers that are logged in at once; whoever was seen longest ago goes first. */
export const MAX_LOGINS = 64
/** Milliseconds without a request after which a login ends. */
export const MAX_IDLE_MS = 7 * 86_400_000
/** Milliseconds after which it ends in any case. */
export const MAX_AGE_MS = 30 * 86_400_000
/** Bytes of a token: none is guessed. */
const TOKEN_BYTES = 32

const COOKIE = 'larder_session'

export interface LoggedIn {
  readonly user: string
  /** Monotonic. */
  readonly since: number
  seenAt: number
  /** Called when it has ended. */
  readonly onEnd: Set<() => void>
}

export class Logins {
  readonly #clock: Clock
  /** By the hash of their token, the one that was seen last at the end. */
  readonly #logins = new Map<string, LoggedIn>()

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** Begins a login. Gives the value of `Set-Cookie`. */
  begin(user: string, isSecure: boolean): string {
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    const now = this.#clock.monotonic()
    this.#logins.set(hashOf(token), { user, since: now, seenAt: now, onEnd: new Set() })
    const oldest = this.#logins.keys().next().value
    if (this.#logins.size > MAX_LOGINS && oldest !== undefined) this.#end(oldest)
    return `${COOKIE}=${token}; Path=/; HttpOnly; SameSite=Strict; Max-Age=${MAX_AGE_MS / 1000}${isSecure ? '; Secure' : ''}`
  }

  /** The login of a request with this `Cookie` header. Seeing it prolongs it. */
  find(cookies: string | undefined): LoggedIn | undefined {
    const token = tokenIn(cookies)
    if (token === undefined) return undefined
    const key = hashOf(token)
    const login = this.#logins.get(key)
    if (login === undefined) return undefined
    const now = this.#clock.monotonic()
    if (!isGood(login, now)) {
      this.#end(key)
      return undefined
    }
    login.seenAt = now
    this.#logins.delete(key)
    this.#logins.set(key, login)
    return login
  }

  /** Ends the login of a request. Gives the value of `Set-Cookie`. */
  end(cookies: string | undefined): string {
    const token = tokenIn(cookies)
    if (token !== undefined) this.#end(hashOf(token))
    return `${COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0`
  }

  /** Ends those of all users that `isMeant` says. */
  endWhere(isMeant: (user: string) => boolean): void {
    for (const [key, login] of this.#logins) if (isMeant(login.user)) this.#end(key)
  }

  /** Ends those whose time is over. A page that is open is in use. To be called now and then. */
  sweep(): void {
    const now = this.#clock.monotonic()
    for (const [key, login] of this.#logins) {
      if (login.onEnd.size > 0) login.seenAt = now
      if (!isGood(login, now)) this.#end(key)
    }
  }

  #end(key: string): void {
    const login = this.#logins.get(key)
    this.#logins.delete(key)
    for (const tell of login?.onEnd ?? []) tell()
  }
}

function isGood({ since, seenAt }: LoggedIn, now: number): boolean {
  return now - seenAt < MAX_IDLE_MS && now - since < MAX_AGE_MS
}

function tokenIn(cookies = ''): string | undefined {
  for (const cookie of cookies.split(';')) {
    const [name, value] = cookie.trim().split('=')
    if (name === COOKIE && value) return value
  }
  return undefined
}

/** Found by its hash, a token takes as long whether half of it is right or nothing. */
function hashOf(token: string): string {
  return createHash('sha256').update(token).digest('base64')
}
