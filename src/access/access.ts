/**
 * Who may come in: the users of the password file, by a password in CONNECT or by SCRAM-SHA-256. Without a password
 * file everybody may; the listeners' addresses are the wall then.
 *
 * A login goes through the throttle (`login-throttle.ts`), then waits for its turn (`checks.ts`), then is checked
 * against the hash of the user or, with the same effort, against a decoy.
 */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { type Clock, systemClock } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { requireArgon2 } from './argon2.ts'
import { Checks } from './checks.ts'
import { type Credentials, type PasswordFault, readPasswordFile } from './credentials.ts'
import { Decoys } from './decoys.ts'
import { matches } from './hashes.ts'
import { LoginThrottle } from './login-throttle.ts'
import type { Conversation, EnhancedAuthentication } from './ports.ts'
import { ScramAuthentication } from './scram.ts'

export interface AccessSettings {
  /** Undefined: there are no users, everybody may come in. */
  readonly passwordFile: string | undefined
  /** Whether a client without a user name may come in although there are users. */
  readonly allowAnonymous: boolean
}

export interface AccessDependencies {
  settings: AccessSettings
  log: Log
  clock?: Clock
  /** Shared by all who let in at one gateway; else they are its own. */
  throttle?: LoginThrottle
  checks?: Checks
  /** Whether a password belongs to a hash. */
  matches?: typeof matches
}

/** Bytes of a password file: some ten thousand users. */
const MAX_FILE_BYTES = 4 * 1024 * 1024

export class Access implements EnhancedAuthentication {
  readonly #settings: AccessSettings
  readonly #log: Log
  readonly #throttle: LoginThrottle
  readonly #checks: Checks
  readonly #matches: typeof matches
  readonly #decoySecret = randomBytes(32)
  #credentials: Credentials | null = null
  #scram: ScramAuthentication | null = null

  constructor(deps: AccessDependencies) {
    this.#settings = deps.settings
    this.#log = deps.log
    this.#throttle = deps.throttle ?? throttleFor({ clock: deps.clock ?? systemClock, log: deps.log })
    this.#checks = deps.checks ?? new Checks()
    this.#matches = deps.matches ?? matches
  }

  /** Reads the password file. Rejects with LarderError CONFIG_INVALID that names every fault in it. */
  async start(): Promise<void> {
    const { passwordFile } = this.#settings
    if (passwordFile === undefined) return
    const read = await loadPasswordFile(passwordFile)
    if ('faults' in read) throw new LarderError('CONFIG_INVALID', read.faults.map(faultLine).join('\n'))
    this.use(read.credentials)
    this.#log.info({ passwordFile, users: read.credentials.hashes.length }, 'clients must log in')
  }

  /** From now on these are the users. Who has come in stays in. */
  use(credentials: Credentials): void {
    this.#credentials = credentials
    this.#scram = new ScramAuthentication({ credentials, decoySecret: this.#decoySecret })
  }

  /** Turns those away who wait for their turn. */
  stop(): void {
    this.#throttle.stop()
  }

  begin(method: string, address?: string): Conversation | undefined {
    // Where nobody has the keys for it, there is no such method.
    if (this.#credentials === null || this.#credentials.scramUsers.length === 0) return undefined
    return this.#scram?.begin(method, async (userName, check) => {
      const mayEnter = await this.#throttle.attempt({ address, userName }, check)
      if (!mayEnter) this.#tellOtherHash(userName)
      return mayEnter
    })
  }

  /**
   * True when a client with this user name and password may come in. Takes as long whether the user exists or not, and
   * longer after failures from the same address. Rejects with BusyError when too many log in at once.
   */
  async mayEnter(userName: string | undefined, password: Buffer | undefined, address?: string): Promise<boolean> {
    if (this.#credentials === null) return true
    if (userName === undefined) return this.#settings.allowAnonymous
    // As Mosquitto: an empty password is none, whatever the file says.
    if (password === undefined || password.length === 0) return false
    return this.#throttle.attempt({ address, userName }, () =>
      this.#checks.run(() => this.#isRight(userName, password)),
    )
  }

  /** The users are those of now: the file may have changed while the client waited. */
  async #isRight(userName: string, password: Buffer): Promise<boolean> {
    const credentials = this.#credentials
    if (credentials === null) return true
    // Made in any case, so that it takes as long for a user as for nobody.
    const decoy = new Decoys({ secret: this.#decoySecret }).hashOf(userName, credentials.hashes)
    const hash = credentials.find(userName)
    return (await this.#matches(hash ?? decoy, password)) && hash !== undefined
  }

  /** The client must not learn that the user exists; the owner should. */
  #tellOtherHash(userName: string): void {
    const kind = this.#credentials?.find(userName)?.kind
    if (kind === undefined || kind === 'scram-sha-256') return
    this.#log.warn(
      { user: userName, hash: kind },
      'a client tried SCRAM-SHA-256, which this hash does not serve: set the password with larder passwd -H scram-sha-256',
    )
  }
}

/** A throttle that says in the log whom it slows. */
export function throttleFor({ clock, log }: { clock: Clock; log: Log }): LoginThrottle {
  return new LoginThrottle({
    clock,
    onSlowed: (address, failures) =>
      log.warn({ address, failures }, 'logins from this address fail again and again: they are slowed from now on'),
  })
}

/**
 * Reads and checks a password file, and changes nothing: for a start and for a reload. Faults come all at once.
 * Rejects with LarderError CONFIG_UNREADABLE.
 */
export async function loadPasswordFile(
  file: string,
): Promise<{ credentials: Credentials } | { faults: PasswordFault[] }> {
  const read = readPasswordFile(await readText(file), file)
  if ('faults' in read || read.credentials.argon2Line === undefined) return read
  try {
    await requireArgon2()
    return read
  } catch (error) {
    const message = error instanceof LarderError ? `${error.message} ${error.hint}`.replace(/\.$/, '') : reasonOf(error)
    return { faults: [{ file, line: read.credentials.argon2Line, message }] }
  }
}

function faultLine({ file, line, message }: PasswordFault): string {
  return `${file}:${line}: ${message}`
}

async function readText(file: string): Promise<string> {
  try {
    const bytes = await readFile(file)
    if (bytes.length > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`)
    return bytes.toString()
  } catch (error) {
    throw new LarderError('CONFIG_UNREADABLE', `the password file ${file} cannot be read: ${reasonOf(error)}.`, {
      hint: 'Correct access.password_file, or let this user read the file.',
      cause: error,
    })
  }
}
