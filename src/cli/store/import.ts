/** `larder store import`: takes in what `larder store export` wrote, whole or not at all. */
import { type FileHandle, open } from 'node:fs/promises'
import { resolve } from 'node:path'
import { reasonOf } from '../../kernel/errors.ts'
import { GATEWAY_FLAGS } from '../asking.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE } from '../larder.ts'
import { count } from '../words.ts'
import { dataDirOf, type StoreDependencies, saying } from './access.ts'

export function storeImportCommand(deps: StoreDependencies): Command {
  return {
    summary: 'take in an exported store, whole or not at all; the gateway must be stopped',
    flags: {
      ...GATEWAY_FLAGS,
      replace: { type: 'boolean', help: 'set aside the store that is there; without, there must be none' },
    },
    operands: 'FILE',
    examples: [
      ['larder store import larder.backup', 'into an empty data_dir'],
      ['larder store import --replace larder.backup', 'in place of the store that is there, which is kept beside it'],
    ],
    async run(flags, io, [file, ...others]) {
      if (file === undefined || others.length > 0) {
        io.stderr('larder: store import needs one file, such as larder store import larder.backup, or - for stdin')
        return EXIT_USAGE
      }
      const dataDir = dataDirOf(flags, io, deps)
      if (dataDir === undefined) return EXIT_FAILED
      return saying(io, async () => {
        const found = file === '-' ? undefined : await opened(resolve(io.cwd, file))
        if (typeof found === 'string') {
          io.stderr(`larder: ${file} cannot be read: ${found}`)
          return EXIT_FAILED
        }
        await using handle = found
        const input: AsyncIterable<Buffer> = handle?.createReadStream({ autoClose: false }) ?? deps.streams.stdin
        const { records, header, kept } = await deps.import({ dataDir, input, replace: flags.replace === true })
        const { made, by } = header
        io.stdout(`larder: imported ${count(records)} records into ${dataDir}, exported by larder ${by} at ${made}`)
        if (kept !== undefined) io.stdout(`larder: the store of before is kept in ${kept}; remove it when all is well`)
        return EXIT_DONE
      })
    },
  }
}

/** A file, or why it cannot be read. */
async function opened(file: string): Promise<FileHandle | string> {
  try {
    return await open(file)
  } catch (error) {
    return reasonOf(error)
  }
}
