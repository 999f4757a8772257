/**
 * An imported store takes the place of the one before whole or not at all, though a folder cannot be exchanged for another in
 * one step. It is made in `store.importing`, and is the new store from the moment at which it is called
 * `store.imported`: whoever opens a store after that, also after a crash, first finishes what is left to do.
 */
import { existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { systemCodeOf } from '../kernel/errors.ts'

/** Where the new store is made. */
export const stagingOf = (location: string) => `${location}.importing`
const importedOf = (location: string) => `${location}.imported`

/**
 * Makes what stands in the staging folder, whole and synced, the store. Resolves to where the store before is
 * kept; undefined when there was none.
 */
export async function commitImport(location: string): Promise<string | undefined> {
  await rename(stagingOf(location), importedOf(location))
  await syncFolder(dirname(location))
  return settleImport(location)
}

/** Finishes an import that was committed; does nothing where there is none. Resolves as `commitImport`. */
export async function settleImport(location: string): Promise<string | undefined> {
  if (!existsSync(importedOf(location))) return undefined
  let kept: string | undefined
  if (existsSync(location)) {
    kept = freeName(`${location}.replaced`)
    await rename(location, kept)
  }
  try {
    await rename(importedOf(location), location)
  } catch (error) {
    if (systemCodeOf(error) !== 'ENOENT') throw error
    // Somebody else has just finished it: what was moved away was the new one.
    if (kept !== undefined && !existsSync(location)) await rename(kept, location)
    kept = undefined
  }
  await syncFolder(dirname(location))
  return kept
}

/** Takes away what an import that was cut has left. */
export async function clearStaging(location: string): Promise<void> {
  await rm(stagingOf(location), { recursive: true, force: true })
}

export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

function freeName(path: string): string {
  for (let i = 1; ; i++) {
    const candidate = `${path}-${i}`
    if (!existsSync(candidate)) return candidate
  }
}
