/**
 * `larder update`: looks whether there is a newer version, and puts its Debian package in. Where releases lie is the owner's to
 * say: a file that `scripts/package` writes beside the packages, by its URL or its path. The package itself sees to it that a
 * version which does not run is taken back (device/rootfs/usr/lib/larder/activate).
 */
import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, type Io } from './larder.ts'
import { saying } from './store/access.ts'

/** There is a newer version. */
const EXIT_NEWER = 3
/** Bytes of a list of packages, and of a package: today a fortieth of that. */
const MAX_LIST = 64 * 1024
const MAX_PACKAGE = 64 * 2 ** 20
/** ms for all of a download: a package over a slow line. */
const DOWNLOAD_TIMEOUT = 600_000
const VARIABLE = 'LARDER_RELEASES'
const VERSION = /^\d+(\.\d+)*$/

interface Package {
  readonly file: string
  readonly sha256: string
}

interface Release {
  readonly version: string
  /** By Debian's names of processors. */
  readonly packages: Readonly<Record<string, Package>>
}

export interface UpdateDependencies {
  /** Debian's name of this machine's processor; undefined when there are no packages for it. */
  readonly architecture: string | undefined
  /** Whether this program came by a Debian package. */
  readonly isPackaged: () => boolean
  /** Puts the package in this file in. Resolves to the exit status of what does that, which says itself how it goes. */
  readonly install: (file: string) => Promise<number>
}

export function updateCommand(deps: UpdateDependencies): Command {
  return {
    summary: 'look for a newer version, and put it in; one that does not run is taken back',
    flags: {
      check: { type: 'boolean', help: 'only say whether there is one' },
      from: { type: 'string', value: 'URL', help: `URL or path of the list of packages, larder.json (or ${VARIABLE})` },
    },
    examples: [
      ['larder update --check --from https://example.org/larder.json', 'for a cron job'],
      ['sudo larder update --from /media/usb/larder.json', 'from a stick'],
    ],
    statuses:
      'Exit status: 0 it is up to date; 1 that cannot be told or done; 2 the command line was not understood; 3 with --check: there is a newer version.',
    async run(flags, io) {
      const from = typeof flags.from === 'string' ? flags.from : io.env[VARIABLE]
      if (!from) {
        io.stderr(`larder: update needs --from URL, or ${VARIABLE}: where larder.json lies beside the packages`)
        return EXIT_USAGE
      }
      return saying(io, async () => {
        const release = releaseOf(await get(from, MAX_LIST, io), from)
        const order = compareVersions(release.version, io.version)
        if (order <= 0) {
          const newest = order === 0 ? 'the newest' : `newer than ${release.version}, which is there`
          io.stdout(`larder: ${io.version} is ${newest}`)
          return EXIT_DONE
        }
        io.stdout(`larder: ${release.version} is there; this is ${io.version}`)
        return flags.check === true ? EXIT_NEWER : update(release, from, io, deps)
      })
    },
  }
}

/** Below 0, 0 or above 0, as `a` is before, the same as or after `b`. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map(version => version.split('.').map(Number)) as [number[], number[]]
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}

async function update(release: Release, from: string, io: Io, deps: UpdateDependencies): Promise<number> {
  const { architecture = 'this processor', isPackaged, install } = deps
  const wanted = release.packages[architecture]
  if (wanted === undefined) throw failed(`there is no package for ${architecture} in ${from}`)
  if (!isPackaged()) {
    throw failed(
      'this program was not installed by a package',
      'In a container, start its new image; in a checkout, `git pull`.',
    )
  }
  const location = beside(from, wanted.file)
  const content = await get(location, MAX_PACKAGE, io)
  const sum = createHash('sha256').update(content).digest('hex')
  if (sum !== wanted.sha256)
    throw failed(`${location} is not the package that ${from} names`, 'Nothing has been changed.')
  const folder = await mkdtemp(join(tmpdir(), 'larder-update-'))
  try {
    const file = join(folder, 'larder.deb')
    await writeFile(file, content)
    return (await install(file)) === 0 ? EXIT_DONE : EXIT_FAILED
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function beside(from: string, file: string): string {
  return isUrl(from) ? new URL(file, from).href : resolve(from, '..', file)
}

function isUrl(from: string): boolean {
  return /^https?:\/\//.test(from)
}

async function get(from: string, most: number, io: Io): Promise<Buffer> {
  try {
    if (!isUrl(from)) return await readFile(resolve(io.cwd, from))
    const response = await fetch(from, { signal: AbortSignal.timeout(DOWNLOAD_TIMEOUT) })
    if (!response.ok || response.body === null) throw new Error(`the server says ${response.status}`)
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of response.body) {
      size += chunk.length
      if (size > most) throw new Error(`it has more than ${most} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } catch (error) {
    const cause = (error as Error).cause
    throw failed(`${from} cannot be read: ${cause instanceof Error ? cause.message : reasonOf(error)}`)
  }
}

function releaseOf(content: Buffer, from: string): Release {
  try {
    const release = JSON.parse(content.toString()) as Release
    if (!VERSION.test(release.version) || typeof release.packages !== 'object')
      throw new Error('no version, or no packages')
    return release
  } catch (error) {
    throw failed(
      `${from} is no list of packages: ${reasonOf(error)}`,
      'It is the larder.json that scripts/package writes.',
    )
  }
}

function failed(message: string, hint?: string): LarderError {
  return new LarderError('UPDATE_FAILED', `${message}.`, hint === undefined ? {} : { hint })
}
