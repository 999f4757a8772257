/**
 * `larder store verify`: goes through a store that no gateway has open, says what is there and what does not fit
 * together, and mends that. Nothing that can still be delivered is removed.
 *
 * The folder is opened, and repaired if need be, as the gateway would; then the records are looked through once without
 * changing anything, and mended in a second round only if there is a reason to.
 */
import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, systemClock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Disk } from './disk.ts'
import { inspect } from './inspection.ts'
import { nameKey, SCHEMA_VERSION } from './keys.ts'
import { giveBack, openAsItIs, schemaOf } from './looking.ts'
import { migrate } from './migrations.ts'
import { closeStore, openStore, refuseIfLocked } from './opening.ts'
import { Rounds } from './rounds.ts'
import { numberValue } from './sessions.ts'
import { settleImport } from './swap.ts'

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
  await settleImport(location)
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
  await using disk = await openAsItIs(location)
  const findings = await new Rounds(disk).run()
  return { location, ...findings.told(), aside: undefined, isWhole: findings.isWhole }
}

async function mend(location: string, log: Log): Promise<Verification> {
  const clock: Clock = systemClock
  const owner = await stat(location)
  const { disk, opening, loaded } = await openStore(location, { clock, log, onFull: async () => {} }, async opened => {
    await mendSchema(opened)
    await migrate(opened, { clock, log })
    return new Rounds(opened).run()
  })
  try {
    let isWhole = loaded.isWhole
    for (let round = 0; !isWhole && round < MAX_ROUNDS; round++) {
      await new Rounds(disk, disk).run()
      isWhole = (await new Rounds(disk).run()).isWhole
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

async function mendSchema(disk: Disk): Promise<void> {
  if ((await schemaOf(disk)) !== undefined) return
  await disk.write([{ type: 'put', key: nameKey('m', 'schema'), value: numberValue(SCHEMA_VERSION) }], true)
}
