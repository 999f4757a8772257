/** `larder backup`: data and configuration in one file, also while the gateway runs. The web page's has the same form. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { DEFAULT_FILE, loadConfig } from '../../config/load.ts'
import { reasonOf } from '../../kernel/errors.ts'
import { type Head, writeBackup } from '../backup.ts'
import { CONFIG_FLAG, printFaults } from '../check.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from '../larder.ts'
import { type StoreAccess, type StoreDependencies, withStore } from '../store/access.ts'
import { writeWhole } from '../whole-file.ts'
import { bytes } from '../words.ts'
import { filesBeside } from './contents.ts'

export interface BackupDependencies extends StoreDependencies {
  /** Milliseconds since 1970. */
  readonly wall: () => Promise<number>
}

export function backupCommand(deps: BackupDependencies): Command {
  return {
    summary: 'write the store, the configuration and the files that it names into one file; the gateway may run',
    flags: { config: CONFIG_FLAG },
    operands: 'FILE',
    examples: [
      ['larder backup larder.backup', 'of the gateway with ./larder.yaml'],
      ['larder backup -c /etc/larder/larder.yaml larder.backup', 'of the one that the Debian package brings'],
    ],
    async run(flags, io, [target, ...others]) {
      if (target === undefined || others.length > 0) {
        io.stderr('larder: backup needs one file, such as larder backup larder.backup')
        return EXIT_USAGE
      }
      const name = flags.config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
      const file = typeof name === 'string' ? resolve(io.cwd, name) : undefined
      const source = file === undefined ? {} : { file }
      const result = loadConfig({ ...source, env: io.env, cwd: io.cwd, checks: deps.checks })
      if ('faults' in result) return printFaults(io, result.faults)
      const { dataDir, store } = result.config
      const { files, left } = await filesBeside(result.config)
      for (const path of left) io.stderr(`larder: ${path} is left out: it cannot be read, or is too large`)
      const head: Head = {
        made: new Date(await deps.wall()).toISOString(),
        by: io.version,
        ...(file === undefined ? {} : { config: await readFile(file, 'utf8') }),
        place: { config: file, dataDir },
        files,
      }
      const write = async (access: StoreAccess | undefined) => {
        try {
          const content = writeBackup(head, access?.export(io.version) ?? nothing())
          const size = await writeWhole(resolve(io.cwd, target), content)
          const what = access === undefined ? 'no store' : 'the store'
          io.stdout(`larder: ${bytes(size)} in ${target}: ${what}, the configuration and ${files.length} files`)
          return left.length === 0 ? EXIT_DONE : EXIT_FAILED
        } catch (error) {
          // A fault of the store is said by whoever called.
          if ((error as NodeJS.ErrnoException).syscall === undefined) throw error
          io.stderr(`larder: ${target} cannot be written: ${reasonOf(error)}`)
          return EXIT_FAILED
        }
      }
      const hasStore = store.engine === 'level' && existsSync(join(dataDir, 'store'))
      return hasStore ? withStore({ 'data-dir': dataDir }, io, deps, write) : write(undefined)
    },
  }
}

async function* nothing(): AsyncGenerator<Buffer> {}
