/**
 * `larder start --watch`: a reload by itself when one of the files that the configuration is made of has changed. Which files
 * those are may change with each reload. Certificates are not among them: their listeners watch those in any case.
 */
import { stat } from 'node:fs/promises'

/** Calls `onChange` when one of the files may be another, and now and then without a reason, until it is closed. */
export type WatchFiles = (files: readonly string[], onChange: () => void) => Promise<{ close(): void }>

export class ConfigurationWatch implements AsyncDisposable {
  readonly #files: () => readonly string[]
  readonly #watch: WatchFiles
  readonly #reload: () => Promise<unknown>
  #watched: { readonly files: string; close(): void } | undefined
  #seen = ''
  #isClosed = false
  /** One look after the other. */
  #work: Promise<void> = Promise.resolve()

  /** `files` gives the absolute paths of the configuration in force. `reload` must not reject. */
  constructor(deps: { files: () => readonly string[]; watch: WatchFiles; reload: () => Promise<unknown> }) {
    this.#files = deps.files
    this.#watch = deps.watch
    this.#reload = deps.reload
  }

  /** Resolves when every change from now on is noticed. */
  async start(): Promise<void> {
    this.#seen = await fingerprintOf(this.#files())
    await this.#follow()
  }

  /** Resolves when a reload that was under way has ended; there will be no other. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#watched?.close()
    await this.#work
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return
    const now = await fingerprintOf(this.#files())
    if (now === this.#seen) return
    this.#seen = now
    await this.#reload()
    await this.#follow()
  }

  /** Watches the files that count now. */
  async #follow(): Promise<void> {
    const files = this.#files()
    if (this.#isClosed || this.#watched?.files === files.join('\n')) return
    this.#watched?.close()
    const look = () => {
      this.#work = this.#work.then(() => this.#look())
    }
    const watch = await this.#watch(files, look)
    this.#watched = { files: files.join('\n'), close: () => watch.close() }
    if (this.#isClosed) watch.close()
    // Others than before: one of them may have changed since it was read.
    else look()
  }
}

/** Changes when one of the files is written, replaced or removed, and with the list. */
async function fingerprintOf(files: readonly string[]): Promise<string> {
  const marks = files.map(async file => {
    try {
      const { ino, size, mtimeMs } = await stat(file)
      return `${file} ${ino} ${size} ${mtimeMs}`
    } catch {
      return `${file} -`
    }
  })
  return (await Promise.all(marks)).join('\n')
}
