/** Which core each side of a measurement has: none takes any of the other's. */
import { cpus } from 'node:os'
import { findBinary } from '../../test/support/needs.ts'

/** The core that brokers have. */
export const CORE = 0
/** The core of generators, and of whatever else is not measured. */
export const OTHER_CORE = 1

/** The command that runs on `core`. Where there is nothing to choose, or nothing to choose with, it runs anywhere. */
export function onCore(core: number, command: readonly [string, ...string[]]): [string, ...string[]] {
  return whatPinningNeeds() === undefined ? ['taskset', '-c', String(core), ...command] : [...command]
}

/** What this machine lacks for figures that mean something; undefined when nothing. */
export function whatPinningNeeds(): string | undefined {
  if (cpus().length < 2) return 'two cores: one for the broker, one for the generator'
  return findBinary('taskset') === undefined ? 'taskset (apt-get install util-linux)' : undefined
}
