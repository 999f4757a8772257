/** What `larder passwd` does to a password file. The name is checked and the password hashed before the file is touched. */
import { readFile } from 'node:fs/promises'
import { type HashKind, hashPassword, writeHash } from './hashes.ts'
import { userNameFault, withHashes, withoutUser, withUser } from './password-lines.ts'
import { replaceFile } from './replace-file.ts'
import { saslprep } from './saslprep.ts'

export interface HashChoice {
  kind: HashKind
  /** Of the kinds that have them; undefined takes what is usual. */
  iterations: number | undefined
}

/** The file was written. */
export interface Written {
  /** Others could read the file and cannot any more. */
  isTightened: boolean
}

/** Bytes of a password, as of any binary data in MQTT. */
const MAX_PASSWORD_BYTES = 65_535

/** The line of a password file, without its end. Rejects with a RangeError when name, password or cost cannot be used. */
export async function passwordLine(userName: string, password: string, choice: HashChoice): Promise<string> {
  return `${userName}:${await hashOf(userName, password, choice)}`
}

/**
 * Sets the password of a user, in a file of its own when `create` is set. Rejects as `passwordLine` does, and with the
 * error of the file.
 */
export async function setPassword(
  file: string,
  { userName, password, create, ...choice }: HashChoice & { userName: string; password: string; create: boolean },
): Promise<Written & { isNew: boolean }> {
  const old = create ? '' : await readFile(file, 'utf8')
  const { text, isNew } = withUser(old, userName, await hashOf(userName, password, choice))
  return { isNew, isTightened: await replaceFile(file, text) }
}

/** Takes the user out. Resolves to undefined when there is none. */
export async function deleteUser(file: string, userName: string): Promise<Written | undefined> {
  const text = withoutUser(await readFile(file, 'utf8'), userName)
  return text === undefined ? undefined : { isTightened: await replaceFile(file, text) }
}

/** Hashes the passwords that stand in the file as they are. A string says what is wrong with it. */
export async function hashPlainPasswords(
  file: string,
  choice: HashChoice,
): Promise<(Written & { hashed: number }) | string> {
  const result = await withHashes(await readFile(file, 'utf8'), (userName, password) =>
    hashOf(userName, password, choice),
  )
  if (typeof result === 'string') return result
  return { hashed: result.hashed, isTightened: await replaceFile(file, result.text) }
}

async function hashOf(userName: string, password: string, { kind, iterations }: HashChoice): Promise<string> {
  const fault = userNameFault(userName)
  if (fault !== undefined) throw new RangeError(fault)
  if (kind === 'scram-sha-256' && saslprep(userName) !== userName) {
    throw new RangeError('SASLprep changes the user name, so nobody could log in with it by SCRAM')
  }
  const bytes = Buffer.from(password)
  if (bytes.length === 0) throw new RangeError('the password is empty: no broker lets anybody in with that')
  if (bytes.length > MAX_PASSWORD_BYTES) {
    throw new RangeError(`the password must have at most ${MAX_PASSWORD_BYTES} bytes`)
  }
  return writeHash(await hashPassword(kind, bytes, { iterations }))
}
