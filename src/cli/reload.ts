/** `larder reload`: has the running gateway read its configuration again, and says what came of it. */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../config/load.ts'
import { LarderError } from '../kernel/errors.ts'
import { CONFIG_FLAG, printFaults } from './check.ts'
import { askGateway } from './control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED } from './larder.ts'

export function reloadCommand({ checks }: Pick<LoadOptions, 'checks'>): Command {
  return {
    summary: 'have the running gateway take up its changed configuration',
    flags: {
      config: CONFIG_FLAG,
      'data-dir': { type: 'string', value: 'DIR', help: 'where its store is; then the file is not looked at here' },
    },
    async run({ config, 'data-dir': dataDir }, io) {
      let folder = typeof dataDir === 'string' ? resolve(io.cwd, dataDir) : undefined
      if (folder === undefined) {
        const file = config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
        const result = loadConfig({ ...(typeof file === 'string' ? { file } : {}), env: io.env, cwd: io.cwd, checks })
        if ('faults' in result) return printFaults(io, result.faults)
        folder = result.config.dataDir
      }
      try {
        const { ok, lines } = await askGateway(folder, { command: 'reload' })
        for (const line of lines) (ok ? io.stdout : io.stderr)(line)
        return ok ? EXIT_DONE : EXIT_FAILED
      } catch (error) {
        if (!(error instanceof LarderError)) throw error
        io.stderr(`larder: ${error.toLine()}`)
        return EXIT_FAILED
      }
    },
  }
}
