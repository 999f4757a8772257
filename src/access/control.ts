/**
 * The access rules of one or several listeners: who may come in (`access.ts`) and what they may do (`acl.ts`). Files are
 * read and checked as a whole before anything changes, at the start and at a reload; a file with faults changes nothing.
 */
import { readFile } from 'node:fs/promises'
import type { AccessRules, ClientNames } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import { Access, loadPasswordFile } from './access.ts'
import type { Acl } from './acl.ts'
import { parseAcl } from './acl-file.ts'
import type { Checks } from './checks.ts'
import type { Credentials } from './credentials.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Conversation } from './ports.ts'
import { saslprep } from './saslprep.ts'

/** Bytes of an ACL file: some hundred thousand rules. */
const MAX_FILE_BYTES = 8 * 1024 * 1024

export interface AccessControlSettings {
  readonly passwordFile: string | undefined
  readonly aclFile: string | undefined
  readonly allowAnonymous: boolean
  /** The list is not asked about a SUBSCRIBE, only about each message that it would bring. */
  readonly grantEverySubscription: boolean
}

/** New rules that have been read and are without fault. */
export interface Prepared {
  /** Puts them in force. Returns the users who must come in again: they are gone, or have another password. */
  commit(): ReadonlySet<string>
}

export class AccessControl implements AccessRules {
  readonly #settings: AccessControlSettings
  readonly #log: Log
  readonly #access: Access
  #credentials: Credentials | null = null
  #acl: Acl | null = null

  constructor(deps: {
    settings: AccessControlSettings
    log: Log
    clock: Clock
    throttle: LoginThrottle
    checks: Checks
  }) {
    const { settings, log, clock, throttle, checks } = deps
    this.#settings = settings
    this.#log = log
    this.#access = new Access({ settings, log, clock, throttle, checks })
  }

  /** Reads the files. Rejects with LarderError CONFIG_INVALID that names every fault in them. */
  async start(): Promise<void> {
    const prepared = await this.prepare()
    prepared.commit()
    const { passwordFile, aclFile } = this.#settings
    if (passwordFile !== undefined) {
      this.#log.info({ passwordFile, users: this.#credentials?.hashes.length }, 'clients must log in')
    }
    if (aclFile !== undefined) this.#log.info({ aclFile }, 'an access control list says what clients may do')
  }

  /** Reads the files again, and changes nothing yet. Rejects as `start` does. */
  async prepare(): Promise<Prepared> {
    const { passwordFile, aclFile } = this.#settings
    const [credentials, acl] = await Promise.all([
      passwordFile === undefined ? null : readCredentials(passwordFile),
      aclFile === undefined ? null : this.#readAcl(aclFile),
    ])
    return {
      commit: () => {
        const before = this.#credentials
        this.#credentials = credentials
        this.#acl = acl
        if (credentials !== null) this.#access.use(credentials)
        return before === null || credentials === null ? new Set() : changedUsers(before, credentials)
      },
    }
  }

  get hasList(): boolean {
    return this.#acl !== null
  }

  begin(method: string, address?: string): Conversation | undefined {
    return this.#access.begin(method, address)
  }

  mayEnter(
    userName: string | undefined,
    password: Buffer | undefined,
    address: string | undefined,
  ): boolean | Promise<boolean> {
    if (this.#credentials === null) return this.#settings.allowAnonymous
    return this.#access.mayEnter(userName, password, address)
  }

  /** Whether there is such a user; without a name, whether anonymous clients may be here. */
  knows(userName: string | undefined): boolean {
    if (this.#credentials === null || userName === undefined) return this.#settings.allowAnonymous
    return this.#credentials.names.has(userName)
  }

  nameOf(userName: string): string {
    if (this.#credentials === null || this.#credentials.names.has(userName)) return userName
    return saslprep(userName) ?? userName
  }

  mayPublish(client: ClientNames, topic: string): boolean {
    return this.#acl === null || this.#acl.mayPublish(client, topic)
  }

  maySubscribe(client: ClientNames, filter: string): boolean {
    return this.#acl === null || this.#settings.grantEverySubscription || this.#acl.maySubscribe(client, filter)
  }

  mayReceive(client: ClientNames, topic: string): boolean {
    return this.#acl === null || this.#acl.mayReceive(client, topic)
  }

  async #readAcl(file: string): Promise<Acl> {
    const read = parseAcl(await readText(file, 'acl_file'), file)
    if ('faults' in read) throw faultsOf(read.faults)
    for (const { line, column, message } of read.warnings) this.#log.warn({ aclFile: file, line, column }, message)
    return read.acl
  }
}

async function readCredentials(file: string): Promise<Credentials> {
  const read = await loadPasswordFile(file)
  if ('faults' in read) throw faultsOf(read.faults)
  return read.credentials
}

function changedUsers(before: Credentials, after: Credentials): ReadonlySet<string> {
  const changed = new Set<string>()
  for (const name of before.names) {
    if (JSON.stringify(before.find(name)) !== JSON.stringify(after.find(name))) changed.add(name)
  }
  return changed
}

function faultsOf(faults: readonly { file: string; line: number; column?: number; message: string }[]): LarderError {
  const lines = faults.map(({ file, line, column, message }) =>
    column === undefined ? `${file}:${line}: ${message}` : `${file}:${line}:${column}: ${message}`,
  )
  return new LarderError('CONFIG_INVALID', lines.join('\n'))
}

async function readText(file: string, key: string): Promise<string> {
  try {
    const bytes = await readFile(file)
    if (bytes.length > MAX_FILE_BYTES) throw new Error(`it is larger than ${MAX_FILE_BYTES} bytes`)
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (error) {
    throw new LarderError('CONFIG_UNREADABLE', `the file ${file} cannot be read: ${reasonOf(error)}.`, {
      hint: `Correct access.${key}, or let this user read the file.`,
      cause: error,
    })
  }
}
