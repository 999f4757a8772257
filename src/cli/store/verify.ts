/** `larder store verify`: what is in the store of a stopped gateway, what is wrong with it, and the mending of that. */
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../../config/load.ts'
import type { Config } from '../../config/schema.ts'
import { LarderError } from '../../kernel/errors.ts'
import { CONFIG_FLAG, printFaults } from '../check.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, type Io } from '../larder.ts'

/** What a verification says. */
export interface Verified {
  readonly location: string
  /** How much there is of everything, named; undefined when that could not be told, or when there is no store. */
  readonly contents: readonly (readonly [name: string, amount: string])[] | undefined
  /** One for each kind of fault, with numbers and an example. */
  readonly faults: readonly string[]
  /** Where a copy of the damaged folder is kept, when there was a reason for one. */
  readonly aside: string | undefined
  readonly isWhole: boolean
}

/** Resolves when the store has been verified, and mended unless `dryRun`; undefined when there is no store. */
export type VerifyStore = (config: Config, options: { dryRun: boolean }) => Promise<Verified | undefined>

export function storeVerifyCommand(deps: Pick<LoadOptions, 'checks'> & { verify: VerifyStore }): Command {
  return {
    summary: 'look for damage in the store of a stopped gateway, and mend it',
    flags: {
      config: CONFIG_FLAG,
      'data-dir': { type: 'string', value: 'DIR', help: 'the folder with the store, in place of data_dir' },
      'dry-run': { type: 'boolean', help: 'change nothing; exit status 1 when something is to be mended' },
    },
    examples: [
      ['larder store verify --dry-run', 'look and change nothing; exit status 1 when something is to be mended'],
      ['larder store verify --data-dir /var/lib/larder', 'mend it; a copy of damaged files is kept'],
    ],
    async run(flags, io) {
      const file = typeof flags.config === 'string' ? flags.config : DEFAULT_FILE
      const env = flags['data-dir'] === undefined ? io.env : { ...io.env, LARDER_DATA_DIR: `${flags['data-dir']}` }
      const result = loadConfig({ file, env, cwd: io.cwd, checks: deps.checks })
      if ('faults' in result) return printFaults(io, result.faults)
      const { config } = result
      if (config.store.engine !== 'level') {
        io.stderr(`larder: the store is kept by ${config.store.engine}: there is nothing to verify here`)
        return EXIT_FAILED
      }
      const dryRun = flags['dry-run'] === true
      try {
        const verified = await deps.verify(config, { dryRun })
        if (verified !== undefined) return report(verified, dryRun, io)
        io.stdout(`larder: there is no store in ${config.dataDir} yet`)
        return EXIT_DONE
      } catch (error) {
        if (!(error instanceof LarderError)) throw error
        io.stderr(`larder: ${error.toLine()}`)
        return EXIT_FAILED
      }
    },
  }
}

function report({ location, contents = [], faults, aside, isWhole }: Verified, dryRun: boolean, io: Io): number {
  const names = Math.max(0, ...contents.map(([name]) => name.length))
  const amounts = Math.max(0, ...contents.map(([, amount]) => amount.length))
  for (const [name, amount] of contents) io.stdout(`${name.padEnd(names)}  ${amount.padStart(amounts)}`)
  for (const fault of faults) io.stdout(fault)
  if (aside !== undefined) io.stdout(`a copy of before is in ${aside}`)
  if (faults.length === 0) io.stdout(`larder: the store in ${location} is whole`)
  else if (isWhole) io.stdout(`larder: the store in ${location} is mended`)
  else if (dryRun) io.stdout(`larder: the store in ${location} is to be mended; nothing was changed (--dry-run)`)
  else io.stderr(`larder: the store in ${location} could not be mended entirely`)
  return isWhole ? EXIT_DONE : EXIT_FAILED
}
