/**
 * Says when files may have changed, in whatever way: written in place, replaced by a rename, reached through links that
 * are turned to another target (Let's Encrypt's `live/`, Kubernetes' `..data`), in folders that vanish and come back.
 *
 * Therefore not the files are watched but every folder on the way to them, through all links, each for the one name
 * that matters in it; after every change the way is followed again. What the system does not tell (network file systems,
 * no more inotify watches to be had) is found by looking now and then: `onChange` means "look", not "it is different".
 */
import { type FSWatcher, watch } from 'node:fs'
import { readlink, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join } from 'node:path'
import type { Clock, Timer } from './clock.ts'
import { reasonOf } from './errors.ts'
import type { Log } from './log.ts'

/** Milliseconds of quiet before a change is looked at: a renewal writes four files, one after the other. */
const DEBOUNCE = 200
/** Milliseconds after which it is looked at though changes go on coming. */
const MAX_DEBOUNCE = 2_000
/** Milliseconds between two looks without any sign of a change. */
const POLL_INTERVAL = 30_000
/** Links on the way to one file; the system itself gives up at 40. */
const MAX_LINKS = 40
/** Times that the way is followed until no new folder turns up on it. */
const MAX_ROUNDS = 5

interface WatchedFolder {
  readonly watcher: FSWatcher
  /** Device and inode: a folder that was replaced has the same name and is another. */
  readonly identity: string
  names: ReadonlySet<string> | undefined
}

/** Folders with the names in them that matter; undefined, all do. */
type Places = Map<string, Set<string> | undefined>

export class FileWatch {
  readonly #deps: FileWatchDependencies
  readonly #watched = new Map<string, WatchedFolder>()
  #poll: Timer | undefined
  #debounce: Timer | undefined
  #stirredAt: number | undefined
  #looking = Promise.resolve()
  #isClosed = false
  #hasToldFault = false

  constructor(deps: FileWatchDependencies) {
    this.#deps = deps
  }

  /** Resolves when every change from now on is noticed. */
  async start(): Promise<void> {
    this.#poll = this.#deps.clock.every(POLL_INTERVAL, () => this.#look())
    await this.#follow()
  }

  close(): void {
    this.#isClosed = true
    this.#poll?.cancel()
    this.#debounce?.cancel()
    for (const { watcher } of this.#watched.values()) watcher.close()
    this.#watched.clear()
  }

  #stir(): void {
    if (this.#isClosed) return
    const now = this.#deps.clock.monotonic()
    this.#stirredAt ??= now
    this.#debounce?.cancel()
    const wait = Math.min(DEBOUNCE, this.#stirredAt + MAX_DEBOUNCE - now)
    this.#debounce = this.#deps.clock.after(Math.max(0, wait), () => this.#look())
  }

  #look(): void {
    this.#stirredAt = undefined
    this.#looking = this.#looking.then(async () => {
      await this.#follow()
      if (!this.#isClosed) this.#deps.onChange()
    })
  }

  /** Watches what is on the way now. Once more if there was something new: it may have changed before it was watched. */
  async #follow(): Promise<void> {
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const places: Places = new Map()
      for (const file of this.#deps.files) await trace(file, places)
      for (const folder of this.#deps.folders) places.set(await trace(folder, places), undefined)
      if (this.#isClosed || !(await this.#watch(places))) return
    }
  }

  /** Watches these places and no others. True when one of them was not watched before. */
  async #watch(places: Places): Promise<boolean> {
    let isNew = false
    for (const [folder, { watcher }] of this.#watched) {
      if (places.has(folder)) continue
      watcher.close()
      this.#watched.delete(folder)
    }
    for (const [folder, names] of places) {
      const identity = await identityOf(folder)
      if (this.#isClosed) return false
      const known = this.#watched.get(folder)
      if (known !== undefined && known.identity === identity) {
        known.names = names
        continue
      }
      known?.watcher.close()
      this.#watched.delete(folder)
      if (identity === undefined) continue
      isNew = this.#open(folder, identity, names) || isNew
    }
    return isNew
  }

  #open(folder: string, identity: string, names: Set<string> | undefined): boolean {
    try {
      const watcher = watch(folder, { persistent: false })
      const place: WatchedFolder = { watcher, identity, names }
      const drop = () => {
        watcher.close()
        if (this.#watched.get(folder) === place) this.#watched.delete(folder)
      }
      watcher.on('change', (_type, name) => {
        // What happens to the folder itself is told under its own name. If it was removed, a new one may have its inode.
        const isItself = name === basename(folder)
        if (isItself) drop()
        if (isItself || name === null || place.names === undefined || place.names.has(String(name))) this.#stir()
      })
      watcher.on('error', error => {
        this.#tellFault(folder, error)
        drop()
      })
      this.#watched.set(folder, place)
      return true
    } catch (error) {
      this.#tellFault(folder, error)
      return false
    }
  }

  #tellFault(folder: string, error: unknown): void {
    if (this.#hasToldFault) return
    this.#hasToldFault = true
    this.#deps.log.debug(
      { folder, reason: reasonOf(error) },
      `changes are not told by the system: they are looked for every ${POLL_INTERVAL / 1000} s`,
    )
  }
}

export interface FileWatchDependencies {
  /** Absolute paths; they need not exist. */
  readonly files: readonly string[]
  /** Folders in which every name matters. What links in them point at is only polled. */
  readonly folders: readonly string[]
  readonly clock: Clock
  readonly log: Log
  /** Called after a change has come to rest, and now and then without any. */
  readonly onChange: () => void
}

/** Notes every folder on the way to `path`, as far as there is one. Resolves to where it leads. */
async function trace(path: string, places: Places): Promise<string> {
  const names = namesOf(path)
  let at = '/'
  let links = 0
  for (let name = names.shift(); name !== undefined; name = names.shift()) {
    if (name === '..') {
      at = dirname(at)
      continue
    }
    if (!places.has(at)) places.set(at, new Set())
    places.get(at)?.add(name)
    const next = join(at, name)
    const target = await targetOf(next)
    if (target === undefined) {
      at = next
      continue
    }
    if (++links > MAX_LINKS) return next
    if (isAbsolute(target)) at = '/'
    names.unshift(...namesOf(target))
  }
  return at
}

/** Where a link points; undefined of what is no link or is not there. */
async function targetOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path)
  } catch {
    return undefined
  }
}

function namesOf(path: string): string[] {
  return path.split('/').filter(name => name !== '' && name !== '.')
}

async function identityOf(folder: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(folder)
    return `${dev}:${ino}`
  } catch {
    return undefined
  }
}
