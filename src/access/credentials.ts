/**
 * The password file: a line per user, `name:hash`, as `mosquitto_passwd` writes it. A line that cannot be read is a
 * fault, never passed over: it may be the one that keeps somebody out (CVE-2018-12551). Faults come all at once; with
 * one of them there are no credentials, so that the gateway does not start, or keeps what it has.
 */
import { newScramKeys, type PasswordHash, readHash, writeHash } from './hashes.ts'
import { saslprep } from './saslprep.ts'
import type { ScramCost, ScramKeys } from './scram-keys.ts'

export interface Credentials {
  /** The hash of the user that calls itself so in a CONNECT; the names of SCRAM users are compared as SASLprep prepares them. */
  find(userName: string): PasswordHash | undefined
  /** Of all users. */
  readonly names: ReadonlySet<string>
  /** Those of all users. */
  readonly hashes: readonly PasswordHash[]
  /** The keys of a user, whose name SASLprep has prepared; undefined when there is no such user or no keys of them. */
  scramOf(userName: string): ScramKeys | undefined
  /** Those of all users that have any. */
  readonly scramUsers: readonly ScramKeys[]
  /** The first line, from 1, whose hash is argon2id: a package must be there to check it. */
  readonly argon2Line: number | undefined
}

/** A line that is wrong. `message` repeats nothing of it, so that no hash gets into a log. */
export interface PasswordFault {
  file: string
  /** From 1. */
  line: number
  /** A sentence without a full stop. */
  message: string
}

interface User {
  userName: string
  hash: PasswordHash
}

/** Reads the text of a password file. */
export function readPasswordFile(
  text: string,
  fileName: string,
): { credentials: Credentials } | { faults: PasswordFault[] } {
  const users = new Map<string, User & { line: number }>()
  const faults: PasswordFault[] = []
  for (const [index, content] of text.split('\n').entries()) {
    if (content.startsWith('#') || content.trim() === '') continue
    const line = index + 1
    const user = readUser(content)
    const fault = (message: string) => faults.push({ file: fileName, line, message })
    if (typeof user === 'string') {
      fault(user)
      continue
    }
    const earlier = users.get(user.userName)
    if (earlier === undefined) users.set(user.userName, { ...user, line })
    else fault(`the user stands in line ${earlier.line} already: keep one of the two`)
  }
  if (faults.length > 0) return { faults }
  return { credentials: credentialsOf(users) }
}

/**
 * The line, without its end, that lets `userName` in by SCRAM. Computed off the event loop. Rejects with a
 * RangeError when the name or the password cannot be used, or the cost is out of bounds.
 */
export async function scramEntry(userName: string, password: string, cost: ScramCost): Promise<string> {
  const name = saslprep(userName)
  if (name === undefined) throw new RangeError('the user name is empty or has characters that SASLprep prohibits')
  // Checked as prepared: that may bring ':' and '#' in, from their full-width forms.
  if (/^#|:|^\s|\s$/.test(name)) {
    throw new RangeError("the user name must not contain ':', begin with '#', or begin or end with a space")
  }
  return `${name}:${writeHash({ kind: 'scram-sha-256', ...(await newScramKeys(password, cost)) })}`
}

function credentialsOf(users: ReadonlyMap<string, User & { line: number }>): Credentials {
  const hashes = [...users.values()].map(({ hash }) => hash)
  const scramOf = (userName: string) => scramKeysOf(users.get(userName)?.hash)
  return {
    names: new Set(users.keys()),
    hashes,
    find: userName => users.get(userName)?.hash ?? scramHashOf(users.get(saslprep(userName) ?? '')?.hash),
    scramUsers: hashes.flatMap(hash => scramKeysOf(hash) ?? []),
    scramOf,
    argon2Line: [...users.values()].find(({ hash }) => hash.kind === 'argon2id')?.line,
  }
}

function scramHashOf(hash: PasswordHash | undefined): (PasswordHash & { kind: 'scram-sha-256' }) | undefined {
  return hash?.kind === 'scram-sha-256' ? hash : undefined
}

function scramKeysOf(hash: PasswordHash | undefined): ScramKeys | undefined {
  return scramHashOf(hash)
}

/** Reads a line; as Mosquitto does, without the spaces around name and hash. A string says what is wrong. */
function readUser(line: string): User | string {
  const colon = line.indexOf(':')
  if (colon < 0) return "there is no ':' between user name and password hash"
  const userName = line.slice(0, colon).trim()
  if (userName === '') return "there is no user name before the ':'"
  const text = line.slice(colon + 1).trim()
  if (text === '') return "there is no password hash after the ':'"
  if (!text.startsWith('$')) return 'the password is not hashed: larder passwd -U FILE hashes every plain one'
  const hash = readHash(text)
  if (typeof hash === 'string') return hash
  if (hash.kind === 'scram-sha-256' && saslprep(userName) !== userName) {
    return 'SASLprep changes the user name, so nobody could log in with it by SCRAM'
  }
  return { userName, hash }
}
