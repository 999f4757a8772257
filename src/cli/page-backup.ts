/**
 * Backups of the web page. Where people log in they are whole, as `larder backup` writes them; elsewhere only the store is
 * in them and is taken back, because secrets are in the rest, and whoever is on this machine may ask. What comes is written
 * to a file and checked from beginning to end; only then the gateway stops, takes it in and starts anew. If it does not
 * start with what came, the files of before are put back. Nothing that was there is lost.
 */
import { randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { copyFile, open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { isAbsolute, join, normalize, sep } from 'node:path'
import { pipeline } from 'node:stream/promises'
import type { Config } from '../config/schema.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { filesBeside } from './backup/contents.ts'
import { type Head, headOf, writeBackup } from './backup.ts'

/** Bytes of a backup that is taken: more than a card that this is for should hold twice. */
const MAX_BACKUP = 8 * 1024 ** 3
/** Bytes that stay free on the disk while one is received. */
const MIN_FREE = 128 * 1024 * 1024
/** Bytes between two looks at the disk. */
const LOOK_EVERY = 16 * 1024 * 1024
/** In the data folder, for as long as it takes. */
const UPLOAD = 'restore.upload'
/** Behind the name of a file that a restored one took the place of. */
const ASIDE = '.before-restore'
/** Where the configuration of a backup is left when it cannot be put in place. */
const LEFT = 'restored-larder.yaml'

/** Of the running gateway. */
export interface RunningStore {
  readonly version: string
  /** Wall time. */
  now(): number
  /** Undefined when it is kept elsewhere. */
  export(): AsyncIterable<Buffer> | undefined
  /** Rejects when it is no exported store. */
  check(store: AsyncIterable<Buffer>): Promise<unknown>
}

type Undo = (() => Promise<void>)[]

export class PageBackups {
  readonly #import: (options: {
    dataDir: string
    input: AsyncIterable<Buffer>
    replace: boolean
  }) => Promise<{ readonly kept: string | undefined }>
  readonly #say: (line: string) => void
  readonly #dataDirOf: (text: string) => string | undefined
  readonly #file: string | undefined
  readonly #config: Config
  readonly #upload: string
  #isReceiving = false
  #received: { readonly head: Head | undefined; readonly start: number } | undefined

  /**
   * `file` is the absolute path of the configuration; undefined when there is none. `dataDirOf` is where a gateway with
   * this text in it has its data; undefined when it has faults. `say` is told what is done.
   */
  constructor(deps: {
    importStore: (options: {
      dataDir: string
      input: AsyncIterable<Buffer>
      replace: boolean
    }) => Promise<{ readonly kept: string | undefined }>
    say: (line: string) => void
    dataDirOf: (text: string) => string | undefined
    file: string | undefined
    config: Config
  }) {
    this.#import = deps.importStore
    this.#say = deps.say
    this.#dataDirOf = deps.dataDirOf
    this.#file = deps.file
    this.#config = deps.config
    this.#upload = join(deps.config.dataDir, UPLOAD)
  }

  /** A backup has come, and waits for the gateway to stop. */
  get hasReceived(): boolean {
    return this.#received !== undefined
  }

  /** Removes what an earlier life may have left. */
  async begin(): Promise<void> {
    await rm(this.#upload, { force: true })
  }

  /** The bytes of a backup; undefined when the store is kept elsewhere. */
  async write(
    store: RunningStore,
    isWhole: boolean,
  ): Promise<{ name: string; stream: AsyncIterable<Buffer> } | undefined> {
    const exported = store.export()
    if (exported === undefined) return undefined
    const made = new Date(store.now()).toISOString()
    const { dataDir } = this.#config
    const head: Head = {
      made,
      by: store.version,
      place: { config: undefined, dataDir },
      ...(isWhole && (await this.#contents())),
    }
    return { name: `larder-${made.slice(0, 10)}.backup`, stream: writeBackup(head, exported) }
  }

  /**
   * Takes a backup, and checks all of it. Rejects with a LarderError ARCHIVE_INVALID when it cannot be used; nothing is
   * left behind then. Of one that may not be `isWhole` only the store counts.
   */
  async receive(input: AsyncIterable<Uint8Array>, store: RunningStore, isWhole: boolean): Promise<void> {
    if (store.export() === undefined) throw new Error('the store of this gateway is kept elsewhere')
    if (this.#isReceiving || this.hasReceived) throw new Error('a backup is being restored already')
    this.#isReceiving = true
    try {
      await this.begin()
      const file = createWriteStream(this.#upload, { flags: 'wx', mode: 0o600, flush: true })
      await pipeline(bounded(input, this.#config.dataDir), file)
      const { head, length: start } = await headOf(this.#upload)
      await store.check(createReadStream(this.#upload, { start }))
      this.#received = { head: isWhole ? head : undefined, start }
    } catch (error) {
      await this.begin()
      if (error instanceof LarderError) throw error
      throw new LarderError('ARCHIVE_INVALID', `the backup cannot be taken: ${reasonOf(error)}.`, { cause: error })
    } finally {
      this.#isReceiving = false
    }
  }

  /**
   * Takes up what was received; the gateway must have stopped. Gives what puts the files of before back, if any were
   * replaced. Never rejects: what cannot be taken up is said, and what was there is there still.
   */
  async takeUp(): Promise<(() => Promise<void>) | undefined> {
    const { head, start = 0 } = this.#received ?? {}
    const { dataDir } = this.#config
    const undo: Undo = []
    try {
      const input = createReadStream(this.#upload, { start })
      const { kept } = await this.#import({ dataDir, input, replace: true })
      this.#say(`larder: restored the store${kept === undefined ? '' : `; the one of before is kept in ${kept}`}`)
      for (const { path, mode, content } of head?.files ?? []) {
        // The page is no way to files that are none of this gateway's business.
        if (this.#isOwn(path)) undo.push(...(await this.#put(path, Buffer.from(content, 'base64'), mode)))
        else this.#say(`larder: ${path} is in the backup, and here is no such file: "larder restore" takes it in`)
      }
      if (head?.config !== undefined) undo.push(...(await this.#putConfig(head.config)))
    } catch (error) {
      const why = error instanceof LarderError ? error.toLine() : reasonOf(error)
      this.#say(`larder: the backup was not taken up, or not all of it: ${why}`)
    } finally {
      await this.begin()
    }
    if (undo.length === 0) return undefined
    return async () => {
      for (const each of undo) await each()
      this.#say('larder: the gateway does not start with the files of the backup: those of before are back')
    }
  }

  async #contents(): Promise<Pick<Head, 'config' | 'place' | 'files'>> {
    const { dataDir } = this.#config
    const { files } = await filesBeside(this.#config)
    const text = this.#file === undefined ? {} : { config: await readFile(this.#file, 'utf8') }
    return { ...text, place: { config: this.#file, dataDir }, files }
  }

  /** Named in the configuration, or in the data folder and not of the store. */
  #isOwn(path: string): boolean {
    const { dataDir } = this.#config
    if (!isAbsolute(path) || normalize(path) !== path) return false
    if (!path.startsWith(dataDir + sep)) return isNamed(path, this.#config)
    return !path.startsWith(join(dataDir, 'store')) && path !== this.#upload
  }

  /** Where it cannot be put in place it is left in the data folder, and that is said. */
  async #putConfig(text: string): Promise<Undo> {
    let why = 'this gateway was started without one'
    const dataDir = this.#dataDirOf(text) ?? this.#config.dataDir
    if (dataDir !== this.#config.dataDir) {
      why = `its data_dir is ${dataDir}, and the store is in ${this.#config.dataDir}`
    } else if (this.#file !== undefined) {
      try {
        return await this.#put(this.#file, Buffer.from(text), (await stat(this.#file)).mode)
      } catch (error) {
        why = reasonOf(error)
      }
    }
    const left = join(this.#config.dataDir, LEFT)
    await writeFile(left, text, { mode: 0o600 })
    this.#say(`larder: the configuration of the backup is in ${left}: ${why}`)
    return []
  }

  /** Whole or not at all, with the old one kept. Gives what puts that back, when there was one that was different. */
  async #put(path: string, content: Buffer, mode: number): Promise<Undo> {
    const before = await readFile(path).catch(() => undefined)
    if (before?.equals(content) === true) return []
    const beside = `${path}.${randomUUID()}`
    try {
      await using handle = await open(beside, 'wx', 0o600)
      await handle.writeFile(content)
      await handle.chmod(mode & 0o777)
      await handle.sync()
      if (before !== undefined) await copyFile(path, path + ASIDE)
      await rename(beside, path)
    } catch (error) {
      await rm(beside, { force: true })
      throw error
    }
    this.#say(`larder: restored ${path}${before === undefined ? '' : `; the one of before is ${path}${ASIDE}`}`)
    return before === undefined ? [] : [() => copyFile(path + ASIDE, path)]
  }
}

function isNamed(path: string, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return value === path
  return Object.values(value).some(each => isNamed(path, each))
}

async function* bounded(input: AsyncIterable<Uint8Array>, dataDir: string): AsyncGenerator<Uint8Array> {
  let length = 0
  let lookAt = 0
  for await (const chunk of input) {
    length += chunk.length
    if (length > MAX_BACKUP) throw new Error(`it has more than ${MAX_BACKUP} bytes`)
    if (length >= lookAt) {
      lookAt = length + LOOK_EVERY
      const { bavail, bsize } = await statfs(dataDir)
      if (bavail * bsize < MIN_FREE + LOOK_EVERY) throw new Error('there is no room for it on the disk')
    }
    yield chunk
  }
}
