/**
 * What a backup has beside the store and the configuration: every file that the configuration names, and what the gateway keeps
 * in its data folder.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { isAbsolute, join } from 'node:path'
import type { Config } from '../../config/schema.ts'
import type { KeptFile } from '../backup.ts'

/** Bytes of all these files: lists of passwords and certificates have some kilobytes, and they are held in memory. */
const MAX_FILES = 4 * 2 ** 20
/** Of the kernel: there is nothing in them to keep. */
const NOT_KEPT = /^\/(dev|proc|sys|run)\//
/** In the data folder, what is no file to keep: the store itself, what was set aside of it, and what is of this run only. */
const NOT_COPIED = /^(store($|[./-])|before-update|after-failed-update|control\.sock|restore\.|restored-)/

/** The files, and the paths of those that are left out, because they cannot be read or are too large. */
export async function filesBeside(config: Config): Promise<{ files: KeptFile[]; left: string[] }> {
  const files: KeptFile[] = []
  const left: string[] = []
  let size = 0
  for (const path of new Set([...namedIn(config), ...(await filesIn(config.dataDir))])) {
    const found = await stat(path).catch(() => undefined)
    if (found?.isFile() !== true) continue
    const isTooMuch = size + found.size > MAX_FILES
    const content = isTooMuch ? undefined : await readFile(path).catch(() => undefined)
    if (content === undefined) left.push(path)
    else files.push({ path, mode: found.mode & 0o777, content: content.toString('base64') })
    size += content?.length ?? 0
  }
  return { files, left }
}

/** Whatever in a configuration is a path: which keys are is not said twice. */
function namedIn(value: unknown): string[] {
  if (typeof value === 'string') return isAbsolute(value) && !NOT_KEPT.test(value) ? [value] : []
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(namedIn) : []
}

async function filesIn(dataDir: string): Promise<string[]> {
  const names = await readdir(dataDir, { recursive: true }).catch(() => [])
  return names.filter(name => !NOT_COPIED.test(name)).map(name => join(dataDir, name))
}
