import { faultLine, loadConfig } from '../../../src/config/load.ts'
import type { Config } from '../../../src/config/schema.ts'
import { cronFault } from '../../../src/devices/cron.ts'

export const CWD = '/home/owner'
const checks = { cron: cronFault }

export function load(options: { text?: string; file?: string; env?: NodeJS.ProcessEnv; cwd?: string }) {
  return loadConfig({ env: {}, cwd: CWD, checks, ...options })
}

/** The configuration that `text` stands for; throws when it has faults. */
export function configOf(text: string, env: NodeJS.ProcessEnv = {}): Config {
  const result = load({ text, env })
  if ('faults' in result) throw new Error(result.faults.map(faultLine).join('\n'))
  return result.config
}

/** The faults of `text`, one line each, without the file's name when it is the usual one. */
export function faultsOf(text: string, env: NodeJS.ProcessEnv = {}): string[] {
  const result = load({ text, env })
  return 'faults' in result ? result.faults.map(fault => faultLine(fault).replace(/^larder\.yaml:/, '')) : []
}
