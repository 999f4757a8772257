/**
 * `larder start`: loads the configuration, runs the gateway and says when it is ready. SIGTERM and SIGINT
 * stop it in order; a second one, by somebody who will not wait for that, ends it at once.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError } from '../kernel/errors.ts'
import { CONFIG_FLAG, printFaults } from './check.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, type Io, type StopSignal } from './larder.ts'

export interface RunningGateway {
  /** URLs that it accepts connections at. */
  readonly addresses: readonly string[]
  stop(): Promise<void>
}

/** Resolves when the gateway accepts connections; rejects, leaving nothing behind, when it cannot or `signal` aborts. */
export type RunGateway = (config: Config, signal: AbortSignal) => Promise<RunningGateway>

const STOP_SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGINT']

export function startCommand(deps: Pick<LoadOptions, 'checks'> & { runGateway: RunGateway }): Command {
  return {
    summary: 'run the gateway',
    flags: {
      config: {
        ...CONFIG_FLAG,
        help: `the configuration (when not given: ./${DEFAULT_FILE} if it is there, else the built-in one)`,
      },
      'data-dir': { type: 'string', value: 'DIR', help: 'the folder for the store, in place of data_dir' },
    },
    async run(flags, io) {
      const file = flags.config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
      // The flag is another way to set the variable that takes the place of `data_dir`.
      const env = flags['data-dir'] === undefined ? io.env : { ...io.env, LARDER_DATA_DIR: `${flags['data-dir']}` }
      const source = typeof file === 'string' ? { file } : {}
      const result = loadConfig({ ...source, env, cwd: io.cwd, checks: deps.checks })
      if ('faults' in result) return printFaults(io, result.faults)
      return untilSignal(result.config, io, deps.runGateway)
    },
  }
}

async function untilSignal(config: Config, io: Io, runGateway: RunGateway): Promise<number> {
  const stop = new AbortController()
  const impatience = new AbortController()
  const onStop = () => (stop.signal.aborted ? impatience : stop).abort()
  const onHangup = () => io.stderr('larder: cannot reload yet: restart the gateway to use a changed configuration')
  for (const signal of STOP_SIGNALS) io.signals.on(signal, onStop)
  io.signals.on('SIGHUP', onHangup)
  try {
    const atOnce = aborted(impatience.signal).then(() => EXIT_FAILED)
    return await Promise.race([serve(config, io, runGateway, stop.signal), atOnce])
  } finally {
    for (const signal of STOP_SIGNALS) io.signals.off(signal, onStop)
    io.signals.off('SIGHUP', onHangup)
  }
}

async function serve(config: Config, io: Io, runGateway: RunGateway, stop: AbortSignal): Promise<number> {
  try {
    const gateway = await runGateway(config, stop)
    if (!stop.aborted) io.stdout(['larder: ready', gateway.addresses.join(', ')].filter(Boolean).join(' on '))
    await aborted(stop)
    await gateway.stop()
    return EXIT_DONE
  } catch (error) {
    // A start that was asked to stop has stopped.
    if (stop.aborted && (error as Error)?.name === 'AbortError') return EXIT_DONE
    const line = error instanceof LarderError ? error.toLine() : String((error as Error)?.stack ?? error)
    io.stderr(`larder: ${line}`)
    return EXIT_FAILED
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
