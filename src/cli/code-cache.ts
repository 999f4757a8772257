/**
 * What V8 has made of the program's text is kept between starts: to read and compile it is a third of a start, and the
 * text is the same until the next update. It is written once for each build, version of Node.js and set of V8's flags.
 * Whatever is wrong with the file or its place, the program only starts as slowly as the first time.
 */
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import { cachedDataVersionTag } from 'node:v8'
import type { Script } from 'node:vm'
import { crc32 } from 'node:zlib'

/** Bytes: a program is a tenth of that, and what is longer is not ours. */
const MAX_SIZE = 16 * 1024 * 1024
/** Files of other builds and flags that stay: two gateways of one user must not take each other's away at each start. */
const MAX_FILES = 4
/** V8 copies what does not begin at such a place. */
const ALIGNMENT = 8
/** CRC-32 of all that follows, and the length of the table. */
const HEADER = 8
/** It is code: who may write it may do what the gateway may. */
const FILE_MODE = 0o600
const FOLDER_MODE = 0o700
const OTHERS_WRITE = 0o022
const ENDING = '.code'

/** The names of scripts with the bytes of each, in the order in which these follow. */
type Table = readonly (readonly [string, number])[]

/** Where it is kept: among the user's caches. Undefined when it is not wanted (as Node.js is told so), or there is no such place. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const { NODE_DISABLE_COMPILE_CACHE: disabled, XDG_CACHE_HOME: caches, HOME: home } = env
  if (disabled !== undefined && disabled !== '') return undefined
  if (caches !== undefined && isAbsolute(caches)) return join(caches, 'larder')
  return home !== undefined && isAbsolute(home) ? join(home, '.cache', 'larder') : undefined
}

export class CodeCache {
  readonly #folder: string | undefined
  readonly #name: string
  readonly #kept: Map<string, Buffer>
  /** Scripts that nothing was kept of; undefined when the start is over. */
  #fresh: Map<string, Pick<Script, 'createCachedData'>> | undefined = new Map()

  /** `build` changes whenever any text of the program does. Never throws. */
  constructor(folder: string | undefined, build: string) {
    this.#folder = folder
    // The tag stands for V8's version, its flags and what the processor can do.
    this.#name = `${build}-${cachedDataVersionTag().toString(16)}${ENDING}`
    this.#kept = folder === undefined ? new Map() : read(join(folder, this.#name))
  }

  /** What was kept of a script. */
  get(name: string): Buffer | undefined {
    return this.#kept.get(name)
  }

  /** A script was made from its text alone: nothing was kept of it, or V8 did not take that. */
  missed(name: string, script: Pick<Script, 'createCachedData'>): void {
    this.#fresh?.set(name, script)
  }

  /**
   * Keeps what was missed, with the functions that have run meanwhile. V8's part takes some milliseconds, before the first
   * `await`; its flags must be those of the start. Once: a gateway that begins anew in the same process (a backup was restored)
   * has other flags by then. Resolves to whether there was anything to write; never rejects.
   */
  async keep(): Promise<boolean> {
    const scripts = new Map(this.#kept)
    const fresh = this.#fresh ?? new Map<string, Script>()
    for (const [name, script] of fresh) scripts.set(name, script.createCachedData())
    // Their memory is the program's, or nobody's, from now on.
    this.#kept.clear()
    this.#fresh = undefined
    if (fresh.size === 0 || this.#folder === undefined) return false
    const file = join(this.#folder, this.#name)
    const unfinished = `${file}.${process.pid}`
    try {
      await mkdir(this.#folder, { recursive: true, mode: FOLDER_MODE })
      // Not synced: what a power cut leaves of it does not pass the check, and is written again.
      await writeFile(unfinished, encode(scripts), { mode: FILE_MODE })
      await rename(unfinished, file)
      await this.#prune(this.#folder)
    } catch {
      await rm(unfinished, { force: true }).catch(() => {})
    }
    return true
  }

  /** The oldest go, unfinished ones with them. */
  async #prune(folder: string): Promise<void> {
    const names = (await readdir(folder)).filter(name => name.includes(ENDING) && name !== this.#name)
    const files = await Promise.all(
      names.map(async name => ({ name, time: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
    )
    const newestFirst = files.toSorted((a, b) => b.time - a.time)
    for (const { name } of newestFirst.slice(MAX_FILES)) await rm(join(folder, name), { force: true })
  }
}

function encode(scripts: ReadonlyMap<string, Buffer>): Buffer {
  const table: Table = [...scripts].map(([name, code]) => [name, code.length])
  const text = JSON.stringify(table)
  // JSON may end in spaces.
  const head = Buffer.from(text.padEnd(text.length + padding(HEADER + text.length)))
  const length = Buffer.alloc(4)
  length.writeUInt32LE(head.length)
  const parts = [length, head, ...[...scripts.values()].flatMap(code => [code, Buffer.alloc(padding(code.length))])]
  const sum = Buffer.alloc(4)
  const rest = Buffer.concat(parts)
  sum.writeUInt32LE(crc32(rest))
  return Buffer.concat([sum, rest])
}

const padding = (length: number) => -length & (ALIGNMENT - 1)

/** Empty when it is not there, not whole, or somebody else could have written it. */
function read(file: string): Map<string, Buffer> {
  const scripts = new Map<string, Buffer>()
  const bytes = readOwn(file)
  if (bytes === undefined || bytes.length < HEADER || bytes.readUInt32LE(0) !== crc32(bytes.subarray(4))) return scripts
  let offset = HEADER + bytes.readUInt32LE(4)
  for (const [name, length] of JSON.parse(bytes.toString('utf8', HEADER, offset)) as Table) {
    scripts.set(name, bytes.subarray(offset, offset + length))
    offset += length + padding(length)
  }
  return scripts
}

function readOwn(path: string): Buffer | undefined {
  let file: number | undefined
  try {
    file = openSync(path, 'r')
    const { uid, mode, size } = fstatSync(file)
    if (uid !== process.geteuid?.() || (mode & OTHERS_WRITE) !== 0 || size > MAX_SIZE) return undefined
    return readFileSync(file)
  } catch {
    return undefined
  } finally {
    if (file !== undefined) closeSync(file)
  }
}
