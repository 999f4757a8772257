/**
 * `larder start`: loads the configuration, runs the gateway and says when it is ready. SIGTERM and SIGINT
 * stop it in order; a second one, by somebody who will not wait for that, ends it at once.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { CONFIG_FLAG, printFaults } from './check.ts'
import { type ControlAnswer, type ControlRequest, openControl } from './control.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, type Io, type StopSignal } from './larder.ts'
import type { RunAsMosquitto } from './mosquitto.ts'
import { Reloading } from './reloading.ts'
import { ConfigurationWatch, type WatchFiles } from './watching.ts'

export interface RunningGateway {
  /** URLs that it accepts connections at. */
  readonly addresses: readonly string[]
  stop(): Promise<void>
  /** See `Reloadable`. */
  reload(config: Config): Promise<string[]>
  /** Lines for a person, or one of JSON. */
  status?(form: 'text' | 'json'): string[]
}

/** Resolves when the gateway accepts connections; rejects, leaving nothing behind, when it cannot or `signal` aborts. */
export type RunGateway = (config: Config, signal: AbortSignal) => Promise<RunningGateway>

/** How a running gateway speaks when it is not by its log. */
export interface Manner {
  /** It could not start, or not stop as it should. Gives the exit status. */
  fault(error: unknown): number
  /** SIGHUP came; `gateway` is null before it is ready. */
  hangup(gateway: RunningGateway | null): void
  /** It is ready. What this opens is closed before it stops. */
  attend?(gateway: RunningGateway): Promise<AsyncDisposable>
}

const WATCH_FLAG: Command['flags'][string] = {
  type: 'boolean',
  help: 'reload by itself when the configuration, or a file of the access rules, has changed',
}

const MOSQUITTO_FLAGS: Command['flags'] = {
  'mosquitto-conf': { type: 'string', value: 'FILE', help: 'a mosquitto.conf, in place of larder.yaml' },
  port: { type: 'string', value: 'N', help: 'with --mosquitto-conf: a port of this machine, beside its listeners' },
}

const STOP_SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGINT']

export function startCommand(
  deps: Pick<LoadOptions, 'checks'> & { runGateway: RunGateway; watchFiles?: WatchFiles; asMosquitto?: RunAsMosquitto },
): Command {
  return {
    summary: 'run the gateway',
    flags: {
      config: {
        ...CONFIG_FLAG,
        help: `the configuration (when not given: ./${DEFAULT_FILE} if it is there, else the built-in one)`,
      },
      'data-dir': { type: 'string', value: 'DIR', help: 'the folder for the store, in place of data_dir' },
      ...(deps.watchFiles === undefined ? {} : { watch: WATCH_FLAG }),
      ...(deps.asMosquitto === undefined ? {} : MOSQUITTO_FLAGS),
    },
    async run(flags, io) {
      const { config, port, 'mosquitto-conf': conf, 'data-dir': dataDir } = flags
      if (typeof conf === 'string' && deps.asMosquitto !== undefined) {
        if (config === undefined) return deps.asMosquitto({ file: conf, port, dataDir }, io)
        io.stderr('larder: start: --mosquitto-conf is in place of --config: give one of them')
        return EXIT_USAGE
      }
      if (port !== undefined) {
        io.stderr('larder: start: --port goes with --mosquitto-conf; in larder.yaml a port belongs to a listener')
        return EXIT_USAGE
      }
      const file = flags.config ?? (existsSync(resolve(io.cwd, DEFAULT_FILE)) ? DEFAULT_FILE : undefined)
      // The flag is another way to set the variable that takes the place of `data_dir`.
      const env = flags['data-dir'] === undefined ? io.env : { ...io.env, LARDER_DATA_DIR: `${flags['data-dir']}` }
      const source = typeof file === 'string' ? { file } : {}
      const read = () => loadConfig({ ...source, env, cwd: io.cwd, checks: deps.checks })
      const result = read()
      if ('faults' in result) return printFaults(io, result.faults)
      const watch = flags.watch === true && typeof file === 'string' ? deps.watchFiles : undefined
      const manner = usualManner({ io, read, config: result.config, file: resolve(io.cwd, `${file}`), watch })
      return untilSignal(result.config, io, deps.runGateway, manner)
    },
  }
}

/** Runs the gateway until a signal stops it; gives the exit status. */
export async function untilSignal(config: Config, io: Io, runGateway: RunGateway, manner: Manner): Promise<number> {
  const stop = new AbortController()
  const impatience = new AbortController()
  const onStop = () => (stop.signal.aborted ? impatience : stop).abort()
  let running: RunningGateway | null = null
  const onHangup = () => manner.hangup(running)
  const run: RunGateway = async (...args) => {
    running = await runGateway(...args)
    return running
  }
  for (const signal of STOP_SIGNALS) io.signals.on(signal, onStop)
  io.signals.on('SIGHUP', onHangup)
  try {
    const atOnce = aborted(impatience.signal).then(() => EXIT_FAILED)
    return await Promise.race([serve(config, io, run, manner, stop.signal), atOnce])
  } finally {
    for (const signal of STOP_SIGNALS) io.signals.off(signal, onStop)
    io.signals.off('SIGHUP', onHangup)
  }
}

function usualManner(options: {
  io: Io
  read: () => ReturnType<typeof loadConfig>
  config: Config
  file: string
  watch: WatchFiles | undefined
}): Manner {
  const { io, config, file, watch } = options
  /** The configuration in force. */
  let current = config
  const reloading = new Reloading({
    read: options.read,
    say: line => io.stderr(line),
    onTaken: taken => (current = taken),
  })
  return {
    fault: error => {
      const line = error instanceof LarderError ? error.toLine() : String((error as Error)?.stack ?? error)
      io.stderr(`larder: ${line}`)
      return EXIT_FAILED
    },
    hangup: gateway => {
      if (gateway === null) io.stderr('larder: still starting: send SIGHUP again when it is ready')
      else void reloading.reload(gateway)
    },
    async attend(gateway) {
      const attendance: AsyncDisposable[] = []
      try {
        attendance.push(await openControl(config.dataDir, request => obey(request, reloading, gateway)))
      } catch (error) {
        io.stderr(`larder: commands such as "larder reload" cannot reach this gateway: ${reasonOf(error)}`)
      }
      if (watch !== undefined) {
        const files = () => [file, ...accessFiles(current)]
        const watching = new ConfigurationWatch({ files, watch, reload: () => reloading.reload(gateway) })
        await watching.start()
        attendance.push(watching)
      }
      return {
        async [Symbol.asyncDispose]() {
          for (const each of attendance) await each[Symbol.asyncDispose]()
        },
      }
    },
  }
}

async function obey(
  { command, form = 'text' }: ControlRequest,
  reloading: Reloading,
  gateway: RunningGateway,
): Promise<ControlAnswer> {
  if (command === 'reload') return reloading.reload(gateway)
  if (command === 'status' && gateway.status !== undefined) return { ok: true, lines: gateway.status(form) }
  return { ok: false, lines: [`larder: the running gateway does not know the command "${command}"`] }
}

function accessFiles({ listeners }: Config): string[] {
  const files = listeners.flatMap(({ access }) => [access.passwordFile, access.aclFile])
  return [...new Set(files.filter(file => file !== undefined))]
}

async function serve(
  config: Config,
  io: Io,
  runGateway: RunGateway,
  manner: Manner,
  stop: AbortSignal,
): Promise<number> {
  try {
    const gateway = await runGateway(config, stop)
    const attendance = stop.aborted ? undefined : await manner.attend?.(gateway)
    if (!stop.aborted) io.stdout(['larder: ready', gateway.addresses.join(', ')].filter(Boolean).join(' on '))
    await aborted(stop)
    await attendance?.[Symbol.asyncDispose]()
    await gateway.stop()
    return EXIT_DONE
  } catch (error) {
    // A start that was asked to stop has stopped.
    if (stop.aborted && (error as Error)?.name === 'AbortError') return EXIT_DONE
    return manner.fault(error)
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
