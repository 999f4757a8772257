/**
 * The password file: a line per user, `name:hash`, as `mosquitto_passwd` writes it, and one more kind of
 * hash, that holds the keys of SCRAM-SHA-256. A user with another kind exists but has no SCRAM keys. A line
 * that cannot be read is a fault, never passed over: it may be the one that keeps somebody out (CVE-2018-12551).
 */
import { decodeBase64 } from './base64.ts'
import { saslprep } from './saslprep.ts'
import { costFault, deriveScramKeys, KEY_BYTES, type ScramCost, type ScramKeys } from './scram-keys.ts'

export interface Credentials {
  /** The keys of a user, whose name SASLprep has prepared; undefined when there is no such user or no keys of them. */
  scramOf(userName: string): ScramKeys | undefined
  /** Those of all users that have any. */
  readonly scramUsers: readonly ScramKeys[]
}

/** A line that is wrong. `message` repeats nothing of it, so that no hash gets into a log. */
export interface PasswordFault {
  file: string
  /** From 1. */
  line: number
  /** A sentence without a full stop. */
  message: string
}

/** A user of the file. */
interface User {
  userName: string
  /** Undefined for the other kinds of hashes. */
  scram: ScramKeys | undefined
}

const SCRAM = 'scram-sha-256'

/** The kinds of hashes, by the name between the first two `$`, and their forms. */
const FORMS = new Map([
  ['6', '$6$<salt>$<hash>'],
  ['7', '$7$<iterations>$<salt>$<hash>'],
  ['argon2id', '$argon2id$v=<version>$m=<memory>,t=<iterations>,p=<lanes>$<salt>$<hash>'],
  [SCRAM, `$${SCRAM}$<iterations>$<salt>$<stored key>$<server key>`],
])

/** Reads the text of a password file. Faults come all at once, in order; with one of them there are no credentials. */
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
  const scramUsers = [...users.values()].flatMap(({ scram }) => scram ?? [])
  return { credentials: { scramUsers, scramOf: userName => users.get(userName)?.scram } }
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
  const prepared = saslprep(password)
  if (prepared === undefined) throw new RangeError('the password is empty or has characters that SASLprep prohibits')
  const fault = costFault(cost)
  if (fault !== undefined) throw new RangeError(fault)
  const { iterations, salt, storedKey, serverKey } = await deriveScramKeys(prepared, cost)
  const encoded = [salt, storedKey, serverKey].map(bytes => bytes.toString('base64'))
  return `${name}:$${[SCRAM, iterations, ...encoded].join('$')}`
}

/** Reads a line; as Mosquitto does, without the spaces around name and hash. A string says what is wrong. */
function readUser(line: string): User | string {
  const colon = line.indexOf(':')
  if (colon < 0) return "there is no ':' between user name and password hash"
  const userName = line.slice(0, colon).trim()
  if (userName === '') return "there is no user name before the ':'"
  const hash = line.slice(colon + 1).trim()
  if (hash === '') return "there is no password hash after the ':'"
  if (!hash.startsWith('$')) return 'the password is not hashed: set it with mosquitto_passwd FILE USER'

  const kind = hash.split('$', 2)[1]!
  const form = FORMS.get(kind)
  if (form === undefined) {
    return `the password hash is of an unknown kind: it must begin with ${[...FORMS.keys()].map(k => `$${k}$`).join(', ')}`
  }
  const parts = shapeOf(form).exec(hash)
  if (parts === null) return `the password hash is not of the form ${form}`
  if (kind !== SCRAM) return { userName, scram: undefined }
  const scram = readScramKeys(parts)
  if (typeof scram === 'string') return scram
  if (saslprep(userName) !== userName) return 'SASLprep changes the user name, so nobody could log in with it by SCRAM'
  return { userName, scram }
}

function readScramKeys([, iterations, ...encoded]: readonly string[]): ScramKeys | string {
  const [salt, storedKey, serverKey] = encoded.map(decodeBase64)
  if (salt === undefined) return 'the salt is not base64'
  if (storedKey?.length !== KEY_BYTES || serverKey?.length !== KEY_BYTES) {
    return `the stored key and the server key must be ${KEY_BYTES} bytes each, in base64`
  }
  const keys = { iterations: Number(iterations), salt, storedKey, serverKey }
  return costFault(keys) ?? keys
}

/** Numbers are caught as such, everything else as base64. */
function shapeOf(form: string): RegExp {
  const parts = form
    .replaceAll('$', '\\$')
    .replace(/<(?:version|memory|iterations|lanes)>/g, '([1-9][0-9]*)')
    .replace(/<[^>]+>/g, '([A-Za-z0-9+/]+={0,2})')
  return new RegExp(`^${parts}$`)
}
