/**
 * Who may come in: the users of the password file, by a password in CONNECT or by SCRAM-SHA-256. Without a password
 * file everybody may; the listeners' addresses are the wall then.
 */
import { randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { type Credentials, readPasswordFile } from './credentials.ts'
import { Decoys } from './decoys.ts'
import type { Conversation, EnhancedAuthentication } from './ports.ts'
import { saslprep } from './saslprep.ts'
import { ScramAuthentication } from './scram.ts'
import { deriveScramKeys } from './scram-keys.ts'

export interface AccessSettings {
  /** Undefined: there are no users, everybody may come in. */
  readonly passwordFile: string | undefined
  /** Whether a client without a user name may come in although there are users. */
  readonly allowAnonymous: boolean
}

/** Bytes of a password file: some ten thousand users. */
const MAX_FILE_BYTES = 4 * 1024 * 1024
/** Passwords being checked at once; each takes a thread that the store writes with, too. Who comes in excess waits. */
const CHECKS_AT_ONCE = 2
/** Checks that may wait. Beyond, a client is refused at once: it will come again. */
const MAX_WAITING_CHECKS = 200

export class Access implements EnhancedAuthentication {
  readonly #settings: AccessSettings
  readonly #log: Log
  readonly #decoySecret = randomBytes(32)
  #credentials: Credentials | null = null
  #scram: ScramAuthentication | null = null
  #running = 0
  readonly #waiting: (() => void)[] = []

  constructor(deps: { settings: AccessSettings; log: Log }) {
    this.#settings = deps.settings
    this.#log = deps.log
  }

  /** Reads the password file. Rejects with LarderError CONFIG_INVALID that names every fault in it. */
  async start(): Promise<void> {
    const { passwordFile } = this.#settings
    if (passwordFile === undefined) return
    const read = readPasswordFile(await readText(passwordFile), passwordFile)
    if ('faults' in read) {
      const lines = read.faults.map(({ file, line, message }) => `${file}:${line}: ${message}`)
      throw new LarderError('CONFIG_INVALID', lines.join('\n'))
    }
    this.#credentials = read.credentials
    this.#scram = new ScramAuthentication({ credentials: read.credentials, decoySecret: this.#decoySecret })
    const users = read.credentials.scramUsers.length
    this.#log.info({ passwordFile, users }, 'clients must log in')
  }

  begin(method: string): Conversation | undefined {
    return this.#scram?.begin(method)
  }

  /** True when a client with this user name and password may come in. Takes as long whether the user exists or not. */
  async mayEnter(userName: string | undefined, password: Buffer | undefined): Promise<boolean> {
    const credentials = this.#credentials
    if (credentials === null) return true
    if (userName === undefined) return this.#settings.allowAnonymous
    if (password === undefined || this.#waiting.length >= MAX_WAITING_CHECKS) return false
    const name = saslprep(userName) ?? ''
    const prepared = saslprep(password.toString()) ?? ''
    const decoy = new Decoys({ secret: this.#decoySecret }).keysOf(name, credentials.scramUsers)
    const keys = credentials.scramOf(name)
    const { storedKey } = await this.#inTurn(() => deriveScramKeys(prepared, keys ?? decoy))
    return timingSafeEqual(storedKey, (keys ?? decoy).storedKey) && keys !== undefined
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < CHECKS_AT_ONCE) this.#running++
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
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
