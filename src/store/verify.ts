/**
 * `larder store verify`: goes through a store that no gateway has open, says what is there and what does not fit
 * together, and mends that. Nothing that can still be delivered is removed.
 *
 * The folder is opened, and repaired if need be, as the gateway would; then the records are looked through once without
 * changing anything, and mended in a second round only if there is a reason to.
 */
import { existsSync } from 'node:fs'
import { chown, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../kernel/clock.ts'
import { LarderError } from '../kernel/errors.ts'
import { type Log, silentLog } from '../kernel/log.ts'
import { Disk } from './disk.ts'
import { inspect } from './inspection.ts'
import { nameKey, SCHEMA_VERSION } from './keys.ts'
import { migrate } from './migrations.ts'
import { closeStore, openStore, refuseIfLocked } from './opening.ts'
import { Rounds } from './rounds.ts'
import { numberValue, valueNumber } from './sessions.ts'

/** Rounds of mending: what one leaves behind, the next removes. More would mean that something is wrong with the mending. */
const MAX_ROUNDS = 3

/** What a verification says; in the words of the command line, which knows no store. */
export interface Verification {
  readonly location: string
  /** How much there is of everything; undefined when that could not be told. */
  readonly contents: readonly (readonly [name: string, amount: string])[] | undefined
  /** One for each kind of fault, with numbers and an example. */
  readonly faults: readonly string[]
  /** Where a copy of the damaged folder is kept, when there was a reason for one. */
  readonly aside: string | undefined
  /** Nothing is wrong (any more). */
  readonly isWhole: boolean
}

/**
 * Verifies the store of `dataDir`, and mends it unless `dryRun`; undefined when there is none. Throws LarderError
 * STORE_LOCKED when a gateway has it open, DATA_DIR_UNUSABLE when it cannot be opened, STORE_FAILED when another version
 * of Larder wrote it.
 */
export async function verifyStore(options: {
  dataDir: string
  dryRun: boolean
  log: Log
}): Promise<Verification | undefined> {
  const location = join(options.dataDir, 'store')
  if (!existsSync(location)) return undefined
  return options.dryRun ? look(location) : mend(location, options.log)
}

async function look(location: string): Promise<Verification> {
  const damaged = { location, contents: undefined, aside: undefined, isWhole: false }
  if (!(await stat(location)).isDirectory()) return { ...damaged, faults: ['the store is not a folder'] }
  await refuseIfLocked(location)
  const { faults } = await inspect(location, { thorough: true })
  // LevelDB would change a damaged folder by opening it.
  if (faults.length > 0) return { ...damaged, faults }
  const disk = new Disk(location, { log: silentLog })
  await disk.open()
  try {
    const schema = await schemaOf(disk)
    if (schema !== undefined && schema !== SCHEMA_VERSION) {
      throw new LarderError('STORE_FAILED', `the store was written by another version (schema ${schema}).`, {
        hint: 'It can be verified without --dry-run, or when the gateway has been started once.',
      })
    }
    const findings = await new Rounds(disk, { isMending: false }).run()
    return { location, ...findings.told(), aside: undefined, isWhole: findings.isWhole }
  } finally {
    await disk.close()
  }
}

async function mend(location: string, log: Log): Promise<Verification> {
  const clock: Clock = systemClock
  const owner = await stat(location)
  const { disk, opening, loaded } = await openStore(location, { clock, log, onFull: async () => {} }, async opened => {
    await mendSchema(opened)
    await migrate(opened, { clock, log })
    return new Rounds(opened, { isMending: false }).run()
  })
  try {
    let isWhole = loaded.isWhole
    for (let round = 0; !isWhole && round < MAX_ROUNDS; round++) {
      await new Rounds(disk, { isMending: true }).run()
      isWhole = (await new Rounds(disk, { isMending: false }).run()).isWhole
    }
    if (isWhole) disk.stats.damaged = 0
    const { contents, faults } = loaded.told()
    if (opening.state === 'whole') return { location, contents, faults, aside: undefined, isWhole }
    return {
      location,
      contents,
      faults: [`its files were damaged (${opening.state})`, ...faults],
      aside: opening.aside,
      isWhole,
    }
  } finally {
    await closeStore(disk)
    await giveBack(location, owner)
    if (opening.state !== 'whole') await giveBack(opening.aside, owner)
  }
}

/** The schema; undefined when the record that says so is damaged or missing: then it is today's. */
async function schemaOf(disk: Disk): Promise<number | undefined> {
  const record = await disk.getRaw(nameKey('m', 'schema'))
  if (record === undefined || record.length < UNSEALED_LENGTH) return undefined
  // Schema 1 had no checksums.
  if (record.length === UNSEALED_LENGTH) return valueNumber(record)
  const value = await disk.get(nameKey('m', 'schema'))
  return value === undefined ? undefined : valueNumber(value)
}

const UNSEALED_LENGTH = 6

async function mendSchema(disk: Disk): Promise<void> {
  if ((await schemaOf(disk)) !== undefined) return
  await disk.write([{ type: 'put', key: nameKey('m', 'schema'), value: numberValue(SCHEMA_VERSION) }], true)
}

/** Whoever verifies as root must not leave files that the gateway's own user cannot open. */
async function giveBack(path: string, owner: { uid: number; gid: number }): Promise<void> {
  if (process.getuid?.() !== 0) return
  for (const name of ['', ...(await readdir(path))]) await chown(join(path, name), owner.uid, owner.gid)
}
