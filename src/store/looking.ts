/** A store that no gateway has open, for whoever wants to look at it: opened as it is, and left to its owner. */
import { existsSync } from 'node:fs'
import { chown, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { LarderError } from '../kernel/errors.ts'
import { silentLog } from '../kernel/log.ts'
import { Disk, type Records } from './disk.ts'
import { inspect } from './inspection.ts'
import { nameKey, SCHEMA_VERSION } from './keys.ts'
import { refuseIfLocked } from './opening.ts'
import { valueNumber } from './sessions.ts'
import { settleImport } from './swap.ts'

/** Bytes of the number of the schema where there is no checksum behind it. */
const UNSEALED_LENGTH = 6

/**
 * Opens the store of `dataDir`; undefined when there is none. Throws LarderError STORE_LOCKED when a gateway has it open,
 * STORE_FAILED when it is damaged, or was written by another version of Larder.
 */
export async function openToLook(dataDir: string): Promise<(Disk & AsyncDisposable) | undefined> {
  const location = join(dataDir, 'store')
  await settleImport(location)
  if (!existsSync(location)) return undefined
  await refuseIfLocked(location)
  const { faults } = await inspect(location, { thorough: false })
  if (faults.length > 0) {
    throw new LarderError('STORE_FAILED', `the store in ${location} is damaged (${faults[0]}).`, {
      hint: '"larder store verify" mends it.',
    })
  }
  return openAsItIs(location)
}

/** Opens a store whose files are in order, without mending anything. */
export async function openAsItIs(location: string): Promise<Disk & AsyncDisposable> {
  const owner = await stat(location)
  const disk = new Disk(location, { log: silentLog })
  const close = async () => {
    await disk.close()
    await giveBack(location, owner)
  }
  await disk.open()
  try {
    const schema = await schemaOf(disk)
    if (schema !== undefined && schema !== SCHEMA_VERSION) {
      throw new LarderError('STORE_FAILED', `the store was written by another version (schema ${schema}).`, {
        hint: 'It can be looked at when this version has verified it (larder store verify), or has been started once.',
      })
    }
    return Object.assign(disk, { [Symbol.asyncDispose]: close })
  } catch (error) {
    await close()
    throw error
  }
}

/** The schema; undefined when the record that says so is damaged or missing: then it is today's. */
export async function schemaOf(records: Records): Promise<number | undefined> {
  const record = await records.getRaw(nameKey('m', 'schema'))
  if (record === undefined || record.length < UNSEALED_LENGTH) return undefined
  // Schema 1 had no checksums.
  if (record.length === UNSEALED_LENGTH) return valueNumber(record)
  const value = await records.get(nameKey('m', 'schema'))
  return value === undefined ? undefined : valueNumber(value)
}

/** Whoever looks as root must not leave files that the gateway's own user cannot open. */
export async function giveBack(path: string, owner: { uid: number; gid: number }): Promise<void> {
  if (process.getuid?.() !== 0) return
  for (const name of ['', ...(await readdir(path))]) await chown(join(path, name), owner.uid, owner.gid)
}
