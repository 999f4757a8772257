/** `larder store export`: everything that is in the store, in one file, also while the gateway runs. */
import { resolve } from 'node:path'
import { reasonOf } from '../../kernel/errors.ts'
import { GATEWAY_FLAGS } from '../asking.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from '../larder.ts'
import { writeWhole } from '../whole-file.ts'
import { bytes } from '../words.ts'
import { type StoreDependencies, withStore, written } from './access.ts'

export function storeExportCommand(deps: StoreDependencies): Command {
  return {
    summary: 'write the store into one file, for a backup or another machine; the gateway may run',
    flags: GATEWAY_FLAGS,
    operands: 'FILE',
    examples: [
      ['larder store export larder.backup', 'what was acknowledged before is in it; the configuration is not'],
      ['larder store export - | gzip | ssh nas "cat > larder.backup.gz"', 'to another machine'],
    ],
    async run(flags, io, [file, ...others]) {
      if (file === undefined || others.length > 0) {
        io.stderr('larder: store export needs one file, such as larder store export larder.backup, or - for stdout')
        return EXIT_USAGE
      }
      return withStore(flags, io, deps, async store => {
        const blocks = store.export(io.version)
        if (file === '-') {
          for await (const block of blocks) if (!(await written(deps.streams.stdout, block))) return EXIT_FAILED
          return EXIT_DONE
        }
        const size = await writeWhole(resolve(io.cwd, file), blocks).catch((error: NodeJS.ErrnoException) => {
          // A fault of the store is said by whoever called.
          if (error.syscall === undefined) throw error
          io.stderr(`larder: ${file} cannot be written: ${reasonOf(error)}`)
          return undefined
        })
        if (size === undefined) return EXIT_FAILED
        io.stdout(`larder: exported ${bytes(size)} to ${file}`)
        io.stdout('larder: larder.yaml, password files and certificates are not in it: keep a copy of those too')
        return EXIT_DONE
      })
    },
  }
}
