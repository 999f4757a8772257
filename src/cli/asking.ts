/** What commands to the running gateway have in common: where it is, and what it answers. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../config/load.ts'
import { LarderError } from '../kernel/errors.ts'
import { CONFIG_FLAG, printFaults } from './check.ts'
import { askGateway, type ControlRequest } from './control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED } from './larder.ts'

/** How the gateway is found: by its configuration, or by its data folder. */
export const GATEWAY_FLAGS: Command['flags'] = {
  config: CONFIG_FLAG,
  'data-dir': { type: 'string', value: 'DIR', help: 'where its store is; then the file is not looked at here' },
}

/** The data folder that the flags name. Undefined when the configuration has faults: they are said. */
export function folderOf(
  { config, 'data-dir': dataDir }: Parameters<Command['run']>[0],
  io: Parameters<Command['run']>[1],
  { checks }: Pick<LoadOptions, 'checks'>,
): string | undefined {
  if (typeof dataDir === 'string') return resolve(io.cwd, dataDir)
  const file = config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
  const result = loadConfig({ ...(typeof file === 'string' ? { file } : {}), env: io.env, cwd: io.cwd, checks })
  if (!('faults' in result)) return result.config.dataDir
  printFaults(io, result.faults)
  return undefined
}

/** Asks the gateway that the flags name, and prints what it says. Gives the exit status. */
export async function ask(
  request: ControlRequest,
  flags: Parameters<Command['run']>[0],
  io: Parameters<Command['run']>[1],
  options: Pick<LoadOptions, 'checks'>,
): Promise<number> {
  const folder = folderOf(flags, io, options)
  if (folder === undefined) return EXIT_FAILED
  try {
    const { ok, lines } = await askGateway(folder, request)
    for (const line of lines) (ok ? io.stdout : io.stderr)(line)
    return ok ? EXIT_DONE : EXIT_FAILED
  } catch (error) {
    if (!(error instanceof LarderError)) throw error
    io.stderr(`larder: ${error.toLine()}`)
    return EXIT_FAILED
  }
}
