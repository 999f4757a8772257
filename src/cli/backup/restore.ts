/**
 * `larder restore`: puts back what `larder backup` wrote. The store is taken in first, whole or not at all; then the files, each
 * where it was. What is there already is refused or, with `--replace`, kept beside under another name.
 */
import { createReadStream, existsSync } from 'node:fs'
import { chmod, chown, mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { LarderError, reasonOf } from '../../kernel/errors.ts'
import { type Head, headOf } from '../backup.ts'
import { type Command, EXIT_DONE, EXIT_USAGE, type Io } from '../larder.ts'
import { type StoreDependencies, saying } from '../store/access.ts'
import { count } from '../words.ts'

/** Behind the name of a file that a restored one took the place of. */
const ASIDE = '.before-restore'
/** Of a configuration: a password may be in it. */
const CONFIG_MODE = 0o640

interface Found {
  readonly path: string
  readonly mode: number
  readonly content: Buffer
}

interface Opened {
  readonly head: Head
  readonly dataDir: string
  readonly files: readonly Found[]
  /** Undefined when there is none in it. */
  readonly store: (() => AsyncIterable<Buffer>) | undefined
}

export function restoreCommand(deps: StoreDependencies): Command {
  return {
    summary: 'put back what "larder backup" wrote; the gateway must be stopped',
    flags: {
      replace: { type: 'boolean', help: 'set aside what is there; without, nothing of it may be' },
      'dry-run': { type: 'boolean', help: 'only say what is in it, and where it belongs' },
    },
    operands: 'FILE',
    examples: [
      ['larder restore --dry-run larder.backup', 'what is in it'],
      ['larder restore larder.backup', 'on a machine that is new'],
      ['larder restore --replace larder.backup', 'in place of what is there, which is kept beside'],
    ],
    async run(flags, io, [name, ...others]) {
      if (name === undefined || others.length > 0) {
        io.stderr('larder: restore needs one file, such as larder restore larder.backup')
        return EXIT_USAGE
      }
      return saying(io, async () => {
        const backup = await read(resolve(io.cwd, name), name)
        if (flags['dry-run'] === true) return tell(backup, io)
        return restore(backup, { io, deps, replace: flags.replace === true })
      })
    },
  }
}

async function restore(
  { head, dataDir, files, store }: Opened,
  { io, deps, replace }: { io: Io; deps: StoreDependencies; replace: boolean },
): Promise<number> {
  const differing: Found[] = []
  for (const file of files) {
    const there = await readFile(file.path).catch(() => undefined)
    if (there === undefined || !there.equals(file.content)) differing.push(file)
  }
  const taken = new Set(differing.map(({ path }) => path).filter(path => existsSync(path)))
  if (taken.size > 0 && !replace) {
    const names = [...taken].join(', ')
    throw new LarderError('RESTORE_FAILED', `these are there already, and not as in the backup: ${names}.`, {
      hint: 'Give --replace to keep them beside, under other names.',
    })
  }
  if (store !== undefined) {
    const { records, kept } = await deps.import({ dataDir, input: store(), replace })
    io.stdout(`larder: restored ${count(records)} records into ${dataDir}, of larder ${head.by} at ${head.made}`)
    if (kept !== undefined) io.stdout(`larder: the store of before is kept in ${kept}; remove it when all is well`)
  }
  for (const file of differing) {
    await put(file, dataDir)
    const before = taken.has(file.path) ? `; the one of before is ${file.path}${ASIDE}` : ''
    io.stdout(`larder: restored ${file.path}${before}`)
  }
  return EXIT_DONE
}

/** Whole, or not at all. Of what root puts there, the gateway's user must be able to read its own. */
async function put({ path, mode, content }: Found, dataDir: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true })
    const unfinished = `${path}.part`
    await writeFile(unfinished, content, { mode, flush: true })
    await chmod(unfinished, mode)
    const model = await stat(path).catch(() => stat(dataDir).catch(() => undefined))
    if (process.getuid?.() === 0 && model !== undefined) await chown(unfinished, model.uid, model.gid)
    if (existsSync(path)) await rename(path, `${path}${ASIDE}`)
    await rename(unfinished, path)
  } catch (error) {
    throw new LarderError('RESTORE_FAILED', `${path} cannot be written: ${reasonOf(error)}.`, {
      hint: 'May this user write there? What has been restored so far stays.',
      cause: error,
    })
  }
}

function tell({ head, dataDir, files, store }: Opened, io: Io): number {
  io.stdout(`larder: a backup of ${dataDir}, by larder ${head.by} at ${head.made}`)
  if (store === undefined) io.stdout('there is no store in it')
  for (const { path } of files) io.stdout(path)
  return EXIT_DONE
}

/** Throws LarderError ARCHIVE_INVALID. */
async function read(path: string, name: string): Promise<Opened> {
  const invalid = (why: string, cause?: unknown) =>
    new LarderError('ARCHIVE_INVALID', `${name} cannot be restored: ${why}.`, {
      hint: 'It should be what "larder backup" wrote; nothing has been changed.',
      cause,
    })
  try {
    const { head, length } = await headOf(path)
    if (head?.place === undefined) throw invalid('it does not say where things belong')
    const { config, dataDir } = head.place
    const files: Found[] = (head.files ?? []).map(file => ({ ...file, content: Buffer.from(file.content, 'base64') }))
    if (config !== undefined && head.config !== undefined) {
      files.unshift({ path: config, mode: CONFIG_MODE, content: Buffer.from(head.config) })
    }
    const hasStore = (await stat(path)).size > length
    return { head, dataDir, files, store: hasStore ? () => createReadStream(path, { start: length }) : undefined }
  } catch (error) {
    throw error instanceof LarderError ? error : invalid(reasonOf(error), error)
  }
}
