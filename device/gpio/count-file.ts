/**
 * A count that outlives the gateway: one number in a file of its own. It is replaced as a whole or not at all, also when
 * the power goes: the new one is written beside it, synced, and takes its name. A file that cannot be read is put aside.
 */
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { LarderError, reasonOf, systemCodeOf } from '../../src/kernel/errors.ts'

/** Nobody else has to write what the owner is billed for; anybody may read it. */
const MODE = 0o644

export class CountFile {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  /** The count, or 0 when there is none yet. Rejects with a `LarderError`, having put the file aside, when it is no count. */
  async load(): Promise<number> {
    let reason = 'it holds no number'
    try {
      const text = await readFile(this.#path, 'utf8')
      const count = /^\d{1,16}\n$/.test(text) ? Number(text) : Number.NaN
      if (Number.isSafeInteger(count)) return count
    } catch (error) {
      if (systemCodeOf(error) === 'ENOENT') return 0
      reason = reasonOf(error)
    }
    const aside = `${this.#path}.damaged`
    await rename(this.#path, aside).catch(() => {})
    throw new LarderError('DEVICE_FAILED', `The count in ${this.#path} is put aside as ${aside}, because ${reason}.`)
  }

  /** Resolves when the count is on the disk. */
  async save(count: number): Promise<void> {
    const folder = dirname(this.#path)
    const beside = `${this.#path}.new`
    await mkdir(folder, { recursive: true })
    try {
      await synced(beside, 'w', file => file.writeFile(`${count}\n`))
      await rename(beside, this.#path)
    } catch (error) {
      await rm(beside, { force: true })
      throw error
    }
    // The name is on the disk only when the folder is.
    await synced(folder, 'r', async () => {})
  }
}

async function synced(
  path: string,
  flags: 'r' | 'w',
  work: (file: Awaited<ReturnType<typeof open>>) => Promise<void>,
): Promise<void> {
  const file = await open(path, flags, MODE)
  try {
    await work(file)
    await file.sync()
  } finally {
    await file.close()
  }
}
