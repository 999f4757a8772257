/**
 * `larder start`: loads the configuration, runs the gateway and says when it is ready. SIGTERM and SIGINT
 * stop it in order; a second one, by somebody who will not wait for that, ends it at once.
 */
import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { dashboardAlone } from '../config/dashboard-alone.ts'
import { DEFAULT_FILE, type LoadOptions, loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { type BridgeAccess, obeyBridges } from './bridges.ts'
import { CONFIG_FLAG, printFaults } from './check.ts'
import { type ControlAnswer, type ControlRequest, openControl } from './control.ts'
import { accessFiles, type Explain, explainer, filesOf, isMendable } from './explaining.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, EXIT_USAGE, type Io, type StopSignal } from './larder.ts'
import { obeyLog, type Tail } from './log.ts'
import type { RunAsMosquitto } from './mosquitto.ts'
import { PageBackups } from './page-backup.ts'
import { Program, type ShownFault, shownError, shownFault } from './program.ts'
import { Reloading } from './reloading.ts'
import type { ImportStore, StoreAccess } from './store/access.ts'
import { obeyStore } from './store/obeying.ts'
import { obeyTop } from './top/command.ts'
import type { ClientLook } from './top/screen.ts'
import { ConfigurationWatch, type WatchFiles } from './watching.ts'

export interface RunningGateway {
  /** URLs that it accepts connections at. */
  readonly addresses: readonly string[]
  /** `again`: another one follows in this process. */
  stop(options: { again: boolean }): Promise<void>
  /** See `Reloadable`. */
  reload(config: Config): Promise<string[]>
  /** Lines for a person, or one of JSON. */
  status?(form: 'text' | 'json'): string[]
  /** The last lines of its log. */
  log?(): Tail
  /** Those of its clients with the most to do. */
  clients?(limit: number): ClientLook[]
  bridges?(): BridgeAccess
  /** Its store, for whoever looks at it while it runs; undefined when that is kept elsewhere. */
  store?(): StoreAccess | undefined
}

/** Resolves when the gateway accepts connections; rejects, leaving nothing behind, when it cannot or `signal` aborts. */
export type RunGateway = (config: Config, signal: AbortSignal, program?: Program) => Promise<RunningGateway>

/** How a running gateway speaks when it is not by its log. */
export interface Manner {
  /** It could not start, or not stop as it should. Gives the exit status. */
  fault(error: unknown): number
  /** SIGHUP came; `gateway` is null before it is ready. */
  hangup(gateway: RunningGateway | null): void
  /** It is ready. What this opens is closed before it stops. */
  attend?(gateway: RunningGateway): Promise<AsyncDisposable>
  /** Resolves when it is to stop although nobody has sent a signal. */
  readonly again?: Promise<void>
}

const WATCH_FLAG: Command['flags'][string] = {
  type: 'boolean',
  help: 'reload by itself when the configuration, or a file of the access rules, has changed',
}

const EXPLAIN_FLAG: Command['flags'][string] = {
  type: 'boolean',
  help: 'when the configuration has faults, show them on the web page and start when they are mended',
}

const MOSQUITTO_FLAGS: Command['flags'] = {
  'mosquitto-conf': { type: 'string', value: 'FILE', help: 'a mosquitto.conf, in place of larder.yaml' },
  port: { type: 'string', value: 'N', help: 'with --mosquitto-conf: a port of this machine, beside its listeners' },
}

const STOP_SIGNALS: readonly StopSignal[] = ['SIGTERM', 'SIGINT']

/** In the place of an exit status: it has stopped to begin anew. */
const EXIT_AGAIN = -1

export function startCommand(
  deps: Pick<LoadOptions, 'checks'> & {
    runGateway: RunGateway
    watchFiles?: WatchFiles
    asMosquitto?: RunAsMosquitto
    explain?: Explain
    /** For backups of the web page. */
    importStore?: ImportStore
  },
): Command {
  return {
    summary: 'run the gateway',
    examples: [
      ['larder start', 'with ./larder.yaml if it is there, else the built-in configuration'],
      ['larder start -c /etc/larder/larder.yaml --watch', 'and take up each change of the file'],
      ['larder start --mosquitto-conf /etc/mosquitto/mosquitto.conf', "with Mosquitto's configuration"],
    ],
    flags: {
      config: {
        ...CONFIG_FLAG,
        help: `the configuration (when not given: ./${DEFAULT_FILE} if it is there, else the built-in one)`,
      },
      'data-dir': { type: 'string', value: 'DIR', help: 'the folder for the store, in place of data_dir' },
      ...(deps.watchFiles === undefined ? {} : { watch: WATCH_FLAG }),
      ...(deps.explain === undefined ? {} : { explain: EXPLAIN_FLAG }),
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
      const watch = flags.watch === true && typeof file === 'string' ? deps.watchFiles : undefined
      const path = typeof file === 'string' ? resolve(io.cwd, file) : undefined
      const dashboard = () => dashboardAlone({ ...source, env, cwd: io.cwd, checks: deps.checks })
      const explaining = flags.explain === true ? explainer({ ...deps, io, read }) : undefined
      /** Puts the configuration of before back, when the one of a backup does not do. */
      let undo: (() => Promise<void>) | undefined
      for (;;) {
        const result = read()
        const program = new Program({ file: path, read, dashboard })
        if ('faults' in result) {
          const status = printFaults(io, result.faults)
          if (undo !== undefined) {
            await undo()
            undo = undefined
            continue
          }
          const mended = await explaining?.(program, result.faults.map(shownFault), [])
          if (mended === true) continue
          return mended === false ? EXIT_DONE : status
        }
        const { config } = result
        const { importStore } = deps
        if (importStore !== undefined) {
          const dataDirOf = (text: string) => {
            const other = loadConfig({ ...source, env, cwd: io.cwd, checks: deps.checks, text })
            return 'config' in other ? other.config.dataDir : undefined
          }
          program.backups = new PageBackups({ importStore, say: io.stderr, dataDirOf, file: path, config })
        }
        const faults: ShownFault[] = []
        const mend = explaining === undefined ? undefined : (fault: ShownFault) => faults.push(fault)
        const manner = usualManner({ io, read, config, file: `${path}`, watch, program, mend })
        const runGateway: RunGateway = (config, signal) => deps.runGateway(config, signal, program)
        const status = await untilSignal(config, io, runGateway, manner)
        if (program.backups?.hasReceived === true) {
          undo = await program.backups.takeUp()
          if (status === EXIT_AGAIN) continue
        }
        if (undo !== undefined && !program.wasReady && status !== EXIT_DONE) {
          await undo()
          undo = undefined
          continue
        }
        if (faults.length === 0) return status
        const mended = await explaining?.(program, faults, filesOf(config))
        if (mended !== true) return mended === false ? EXIT_DONE : status
      }
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
  program: Program
  /** Told of a fault that can be mended in a file. */
  mend: ((fault: ShownFault) => void) | undefined
}): Manner {
  const { io, config, file, watch, program, mend } = options
  /** The configuration in force. */
  let current = config
  const reloading = new Reloading({
    read: options.read,
    say: line => io.stderr(line),
    onTaken: taken => {
      current = taken
      program.taken()
    },
  })
  return {
    again: program.again,
    fault: error => {
      const line = error instanceof LarderError ? error.toLine() : String((error as Error)?.stack ?? error)
      io.stderr(`larder: ${line}`)
      if (isMendable(error)) mend?.(shownError(error))
      return EXIT_FAILED
    },
    hangup: gateway => {
      if (gateway === null) io.stderr('larder: still starting: send SIGHUP again when it is ready')
      else void reloading.reload(gateway)
    },
    async attend(gateway) {
      program.reload = () => reloading.reload(gateway)
      program.wasReady = true
      await program.backups?.begin()
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
  { command, form = 'text', options = {} }: ControlRequest,
  reloading: Reloading,
  gateway: RunningGateway,
): Promise<ControlAnswer> {
  if (command === 'reload') return reloading.reload(gateway)
  if (command === 'status' && gateway.status !== undefined) return { ok: true, lines: gateway.status(form) }
  if (command === 'log' && gateway.log !== undefined) return obeyLog(gateway.log(), options)
  if (command === 'top' && gateway.status !== undefined && gateway.clients !== undefined)
    return obeyTop(gateway.status, gateway.clients)
  const request = { command, form, options }
  const answer = (await obeyStore(request, gateway.store?.())) ?? (await obeyBridges(request, gateway.bridges?.()))
  if (answer !== undefined) return answer
  return { ok: false, lines: [`larder: the running gateway does not know the command "${command}"`] }
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
    await (manner.again === undefined ? aborted(stop) : Promise.race([aborted(stop), manner.again]))
    await attendance?.[Symbol.asyncDispose]()
    await gateway.stop({ again: !stop.aborted })
    return stop.aborted ? EXIT_DONE : EXIT_AGAIN
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
