/**
 * Tests against real peers need programs that a fresh machine may not have. `needs` finds out, and says
 * once per run of a file which tests are left out and how to get them back. Use it as
 * `describe.skipIf(!needs('mosquitto'))(...)`. `scripts/test` installs what is named here when it may.
 */
import { spawnSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Debian packages of binaries that are not called like their package. */
const PACKAGES: Readonly<Record<string, string>> = {
  'pebble-challtestsrv': 'pebble',
  mosquitto_pub: 'mosquitto-clients',
  mosquitto_sub: 'mosquitto-clients',
  mosquitto_rr: 'mosquitto-clients',
  mosquitto_passwd: 'mosquitto',
  ip: 'iproute2',
  ss: 'iproute2',
  promtool: 'prometheus',
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

/**
 * A Python that has `module`, looked for under `path` too. A Python of somebody's own, which may come first
 * on PATH, does not see Debian's modules; Debian's in /usr/bin does. Undefined, and said once, when there is none.
 */
export function pythonWith(module: string, options: { package: string; path?: string }): string | undefined {
  const env = options.path === undefined ? process.env : { ...process.env, PYTHONPATH: options.path }
  for (const python of ['python3', '/usr/bin/python3']) {
    if (spawnSync(python, ['-c', `import ${module}`], { env, stdio: 'ignore' }).status === 0) return python
  }
  const what = options.path ?? options.package
  if (!told.has(what)) {
    told.add(what)
    const how = options.path === undefined ? `apt-get install ${options.package}` : 'scripts/test system fetches it'
    process.stderr.write(`skipped: tests that need ${module} of ${what}, because it is not installed (${how})\n`)
  }
  return undefined
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
