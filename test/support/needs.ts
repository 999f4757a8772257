/**
 * Tests against real peers need programs that a fresh machine may not have. `needs` finds out, and says
 * once per run of a file which tests are left out and how to get them back. Use it as
 * `describe.skipIf(!needs('mosquitto'))(...)`. `scripts/test` installs what is named here when it may.
 */
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian packages of binaries that are not called like their package. */
const PACKAGES: Readonly<Record<string, string>> = {
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  mosquitto_passwd: 'mosquitto',
}

/** Where Debian puts servers; not on the PATH of an ordinary user. */
const SERVER_FOLDER = '/usr/sbin'

const told = new Set<string>()

/** The full path of a program on PATH or in /usr/sbin, or undefined. */
export function findBinary(binary: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter).filter(Boolean), SERVER_FOLDER]
  return folders.map(folder => join(folder, binary)).find(isExecutable)
}

/** True when `binary` is installed. Otherwise says so on stderr, once, and returns false. */
export function needs(binary: string): boolean {
  if (findBinary(binary) !== undefined) return true
  if (!told.has(binary)) {
    told.add(binary)
    const pkg = PACKAGES[binary] ?? binary
    process.stderr.write(`skipped: tests that need ${binary}, because it is not installed (apt-get install ${pkg})\n`)
  }
  return false
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
