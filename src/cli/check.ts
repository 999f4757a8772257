/** `larder check`: says whether a configuration can be used, and everything that is wrong with it. */
import { DEFAULT_FILE, type Fault, faultLine, type LoadOptions, loadConfig } from '../config/load.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, type Flag, type Io } from './larder.ts'

export const CONFIG_FLAG: Flag = {
  type: 'string',
  short: 'c',
  value: 'FILE',
  help: `the configuration (./${DEFAULT_FILE} when not given)`,
}

/** `checks` is what the configuration cannot know by itself. */
export function checkCommand({ checks }: Pick<LoadOptions, 'checks'>): Command {
  return {
    summary: 'check a configuration: every fault with its line and column',
    examples: [
      ['larder check', './larder.yaml'],
      ['larder check -c /etc/larder/larder.yaml && larder reload', 'before it is taken up'],
    ],
    flags: { config: CONFIG_FLAG },
    async run({ config }, io) {
      const file = typeof config === 'string' ? config : DEFAULT_FILE
      const result = loadConfig({ file, env: io.env, cwd: io.cwd, checks })
      if ('faults' in result) return printFaults(io, result.faults)
      io.stdout(`larder: ${file} is valid`)
      return EXIT_DONE
    },
  }
}

/** Prints each fault on a line of its own. Gives the exit status. */
export function printFaults(io: Io, faults: readonly Fault[]): number {
  for (const fault of faults) io.stderr(faultLine(fault))
  return EXIT_FAILED
}
