/**
 * A file is replaced as a whole or not at all, also when the power goes: what is new is written beside it, synced, and
 * takes its name. The new one belongs to whom the old one belonged to, and nobody else reads it.
 */
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { systemCodeOf } from '../kernel/errors.ts'

const OWNER_ONLY = 0o600
/** Somebody meant one group to read it, as Debian's mosquitto wants it: that stays. */
const GROUP_READS = 0o640

/** Writes `text` to `file`. Resolves to true when others could read the old one and cannot any more. */
export async function replaceFile(file: string, text: string): Promise<boolean> {
  // Behind a symbolic link its target is replaced, not the link.
  const target = await realpath(file).catch(() => file)
  const old = await stat(target).catch(() => undefined)
  const oldMode = old === undefined ? OWNER_ONLY : old.mode & 0o777
  const mode = oldMode === GROUP_READS ? GROUP_READS : OWNER_ONLY
  const folder = dirname(target)
  const beside = join(folder, `.${randomBytes(9).toString('hex')}.larder-passwd`)
  try {
    const handle = await open(beside, 'wx', OWNER_ONLY)
    try {
      await handle.writeFile(text)
      if (old !== undefined) await giveTo(handle, old)
      await handle.chmod(mode)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(beside, target)
  } catch (error) {
    await rm(beside, { force: true })
    throw error
  }
  await syncFolder(folder)
  return (oldMode & ~mode & 0o077) !== 0
}

/** Otherwise a file that root changes could not be read by the gateway that owned it. */
async function giveTo(handle: FileHandle, { uid, gid }: { uid: number; gid: number }): Promise<void> {
  const now = await handle.stat()
  if (now.uid === uid && now.gid === gid) return
  try {
    await handle.chown(uid, gid)
  } catch (error) {
    if (systemCodeOf(error) !== 'EPERM') throw error
    throw new Error('it belongs to another user or group: do this as root, or as that user', { cause: error })
  }
}

/** The name is on the disk only when the folder is. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
