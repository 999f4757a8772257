/**
 * The form of a backup, of `larder backup` and of the web page: one file with the configuration, the files that it names,
 * and the store. Its first line says what it is and holds all that is small; behind it comes the store, exactly as
 * `larder store export` writes it:
 *
 *   larder-backup {"made":"…","by":"…","config":"…",…}
 */
import { createReadStream } from 'node:fs'
import { ByteSource } from '../kernel/byte-source.ts'

const MAGIC = 'larder-backup '
/** Bytes of the first line: the largest configuration and some files beside it. */
const MAX_HEAD = 16 * 1024 * 1024

export interface KeptFile {
  /** Where it belongs; absolute. */
  readonly path: string
  readonly mode: number
  /** In base64. */
  readonly content: string
}

export interface Head {
  readonly made: string
  /** Version of the program that made it. */
  readonly by: string
  /** Text of the configuration; absent of a gateway without one, and where its secrets may not be told. */
  readonly config?: string
  /** Where the configuration and the store were. */
  readonly place?: { readonly config: string | undefined; readonly dataDir: string }
  readonly files?: readonly KeptFile[]
}

/** The bytes of a backup. */
export async function* writeBackup(head: Head, store: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  yield Buffer.from(`${MAGIC}${JSON.stringify(head)}\n`)
  yield* store
}

/**
 * The first line of the backup in the file `path`, and how many bytes it has; undefined and none of an exported store by
 * itself. Rejects when it says nothing.
 */
export async function headOf(path: string): Promise<{ head: Head | undefined; length: number }> {
  const stream = createReadStream(path)
  try {
    const source = new ByteSource(stream)
    const start = (await source.take(MAGIC.length)).toString('latin1')
    if (start !== MAGIC) return { head: undefined, length: 0 }
    const line = await source.line(MAX_HEAD)
    const head: unknown = JSON.parse(line.toString())
    if (!isHead(head)) throw new Error('its first line says nothing')
    return { head, length: MAGIC.length + line.length }
  } finally {
    stream.destroy()
  }
}

function isHead(input: unknown): input is Head {
  const { made, by, config = '', files = [] } = (input ?? {}) as Partial<Record<keyof Head, unknown>>
  if (![made, by, config].every(each => typeof each === 'string') || !Array.isArray(files)) return false
  return files.every(
    file => typeof file?.path === 'string' && typeof file.mode === 'number' && typeof file.content === 'string',
  )
}
