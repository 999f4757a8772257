/**
 * The wall clock of one program, by Debian's `faketime`: as far from the real one as a file says, and it jumps when that file
 * changes, while monotonic time goes on as it is. What a machine without a clock battery does at its start.
 */
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export class FakeTime implements AsyncDisposable {
  /** For the program that is deceived. */
  readonly env: Record<string, string>
  readonly #folder: string

  private constructor(folder: string, library: string) {
    this.#folder = folder
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: join(folder, 'offset'),
      FAKETIME_NO_CACHE: '1',
      FAKETIME_DONT_FAKE_MONOTONIC: '1',
    }
  }

  /** `offset`: ms between the real time and what the clock says. */
  static async make(offset: number): Promise<FakeTime> {
    const time = new FakeTime(await mkdtemp(join(tmpdir(), 'larder-clock-')), await findLibrary())
    await time.jump(offset)
    return time
  }

  /** Sets the clock, for whoever looks at it from now on. */
  async jump(offset: number): Promise<void> {
    const file = join(this.#folder, 'offset')
    const seconds = Math.round(offset / 1000)
    // The file is read at any time, and must be whole.
    await writeFile(`${file}.new`, `${seconds < 0 ? '' : '+'}${seconds}\n`)
    await rename(`${file}.new`, file)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** The library that the program `faketime` would preload. */
async function findLibrary(): Promise<string> {
  for (const folder of await readdir('/usr/lib')) {
    const path = join('/usr/lib', folder, 'faketime/libfaketimeMT.so.1')
    if (existsSync(path)) return path
  }
  throw new Error('faketime is here, and its library is not')
}
