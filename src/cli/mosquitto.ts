/**
 * `larder mosquitto`, and `larder start --mosquitto-conf`: the gateway with Mosquitto's command line, configuration,
 * log and exit status, so that scripts, units and test harnesses made for Mosquitto need not know the difference.
 * Nothing is loaded before it is needed: a harness starts hundreds of brokers.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Habits, LoadedConf, LogHabits } from '../config/mosquitto/load.ts'
import type { Checks } from '../config/schedules.ts'
import type { Config } from '../config/schema.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import { type Command, EXIT_DONE, EXIT_FAILED, exampleLines, type Io } from './larder.ts'
import {
  CommandLineFault,
  FLAGS as MOSQUITTO_FLAGS,
  type MosquittoArguments,
  parseMosquittoArguments,
  USAGE,
} from './mosquitto-arguments.ts'
import { Reloading } from './reloading.ts'
import { type RunningGateway, untilSignal } from './start.ts'

/** What Mosquitto exits with when its configuration or its command line has a fault. */
const EXIT_INVALID = 3

/** Of Mosquitto's releases the latest whose options, log and exit status this is. */
const IN_PLACE_OF = 'mosquitto version 2.1'

/** Bytes: what is kept for one run only may fill a small /tmp further than what is to last. */
const VOLATILE_MIN_FREE = 8 * 2 ** 20

/** The log in Mosquitto's form. */
export interface Voice {
  line(type: 'error' | 'warning' | 'notice' | 'information', text: string): void
  /** Opens the log file, again at a SIGHUP. Throws when it cannot. */
  open(): void
  close(): void
}

export interface MosquittoDependencies<V extends Voice = Voice> {
  readonly checks: Checks
  openVoice(settings: LogHabits, io: Io): Promise<V>
  /** As `RunGateway`; what happens is told to `voice`. */
  runGateway(config: Config, voice: V, signal: AbortSignal): Promise<RunningGateway>
  /** Starts `larder mosquitto` with these arguments in the background. */
  daemonise(args: readonly string[]): Promise<void>
  /** Gives up the rights of root for those of `user`. Throws when there is no such user. */
  become(user: string): void
  readonly isRoot: boolean
}

/** `larder start --mosquitto-conf FILE [--port N] [--data-dir DIR]`. */
export type RunAsMosquitto = (
  options: { file: string; port: string | boolean | undefined; dataDir: string | boolean | undefined },
  io: Io,
) => Promise<number>

const EXAMPLES: Command['examples'] = [
  ['larder mosquitto -c /etc/mosquitto/mosquitto.conf -v', 'as mosquitto would run'],
  ['larder mosquitto -c /etc/mosquitto/mosquitto.conf --test-config', 'only look whether it would'],
]

const STATUSES =
  'Exit status: 0 done; 1 it could not be done; 3 the command line or the configuration was not understood.'

export function mosquittoCommand<V extends Voice>(deps: MosquittoDependencies<V>): Command {
  return {
    summary: "run the gateway in Mosquitto's place: with its command line, mosquitto.conf and log",
    examples: EXAMPLES,
    flags: {},
    statuses: STATUSES,
    readsAll: true,
    words: async () => MOSQUITTO_FLAGS,
    async run(_, io, args) {
      let parsed: MosquittoArguments
      try {
        parsed = parseMosquittoArguments(args)
      } catch (error) {
        if (!(error instanceof CommandLineFault)) throw error
        io.stderr(`Error: ${error.message}`)
        if (error.isUnknown) for (const line of usage(io)) io.stdout(line)
        return EXIT_INVALID
      }
      if (parsed.help) {
        for (const line of usage(io)) io.stdout(line)
        return EXIT_DONE
      }
      return serve({ ...parsed, beside: 'ignored', dataDir: undefined }, io, deps)
    },
  }
}

export function runAsMosquitto<V extends Voice>(deps: MosquittoDependencies<V>): RunAsMosquitto {
  return async ({ file, port, dataDir }, io) => {
    let ports: number[]
    try {
      ;({ ports } = parseMosquittoArguments(port === undefined ? [] : ['-p', `${port}`]))
    } catch (error) {
      io.stderr(`Error: ${reasonOf(error)}`)
      return EXIT_INVALID
    }
    const folder = typeof dataDir === 'string' ? resolve(io.cwd, dataDir) : undefined
    return serve({ ...parseMosquittoArguments([]), file, ports, beside: 'added', dataDir: folder }, io, deps)
  }
}

interface ServeOptions extends MosquittoArguments {
  beside: 'ignored' | 'added'
  /** Absolute; what is kept there lasts, whatever `persistence` says. */
  dataDir: string | undefined
}

type Loader = typeof import('../config/mosquitto/load.ts')

interface RunOptions extends ServeOptions, LoadedConf {
  /** Loads the configuration again. */
  read(): ReturnType<Loader['loadMosquittoConf']>
  confFaultLines: Loader['confFaultLines']
  noticeLine: Loader['noticeLine']
}

async function serve<V extends Voice>(options: ServeOptions, io: Io, deps: MosquittoDependencies<V>): Promise<number> {
  const { file, ports, beside } = options
  const { loadMosquittoConf, localMachine, confFaultLines, noticeLine } = await import('../config/mosquitto/load.ts')
  const read = () =>
    loadMosquittoConf({
      file,
      cwd: io.cwd,
      checks: deps.checks,
      machine: localMachine(),
      ports: { numbers: ports, beside },
    })
  const loaded = read()
  const early = await deps.openVoice(EARLY_LOG, io)
  if ('faults' in loaded) {
    for (const line of loaded.faults.flatMap(confFaultLines)) early.line('error', line)
    return EXIT_INVALID
  }
  if (options.testConfig && file === undefined) {
    early.line('error', 'Error: --test-config needs a configuration file: -c FILE.')
    return EXIT_INVALID
  }
  const voice = await deps.openVoice(logSettings(loaded.habits.log, options), io)
  if (options.testConfig) {
    tellConfiguration(voice, file, loaded, noticeLine)
    voice.line('information', 'Configuration file is OK.')
    return EXIT_DONE
  }
  if (options.daemon) {
    await deps.daemonise(options.inForeground)
    return EXIT_DONE
  }
  return run({ ...options, ...loaded, read, confFaultLines, noticeLine }, voice, io, deps)
}

async function run<V extends Voice>(
  options: RunOptions,
  voice: V,
  io: Io,
  deps: MosquittoDependencies<V>,
): Promise<number> {
  const { habits, file } = options
  const me = `Larder ${io.version} in place of ${IN_PLACE_OF}`
  const fault = (line: string) => {
    voice.line('error', `Error: ${line}`)
    return EXIT_FAILED
  }
  openLog(voice, habits, io)
  voice.line('information', `${me} starting`)
  tellConfiguration(voice, file, options, options.noticeLine)
  if (options.keylog !== undefined) voice.line('notice', '--tls-keylog is not honoured: keys are not written down')
  if (habits.pidFile !== undefined && !writePid(habits.pidFile)) return fault('Unable to write pid file.')
  try {
    if (deps.isRoot) {
      if (habits.user === undefined)
        voice.line('warning', `Warning: Larder runs as root: "user NAME" says as whom else.`)
      else if (habits.user !== 'root') deps.become(habits.user)
    }
    using place = dataPlace(options)
    for (const line of place.isVolatile ? [VOLATILE] : []) voice.line('notice', line)
    for (const line of openings(options.config)) voice.line('information', line)
    const reloading = new Reloading({
      read: () => readAgain(options, place, voice),
      say: line => voice.line('notice', line),
    })
    const status = await untilSignal(
      place.configOf(options.config),
      io,
      async (config, signal) => {
        const gateway = await deps.runGateway(config, voice, signal)
        voice.line('information', `${me} running`)
        return gateway
      },
      {
        fault: error => tellFault(error, fault),
        hangup: gateway => {
          openLog(voice, habits, io)
          voice.line('information', 'Reloading config.')
          // Before it is ready it has just been loaded.
          if (gateway !== null) void reloading.reload(gateway)
        },
      },
    )
    if (status === EXIT_DONE) voice.line('information', `${me} terminating`)
    return status
  } catch (error) {
    return fault(reasonOf(error))
  } finally {
    if (habits.pidFile !== undefined) rmSync(habits.pidFile, { force: true })
    voice.close()
  }
}

/** Before the configuration is known. */
const EARLY_LOG: LogHabits = {
  destinations: ['stderr'],
  types: ['error', 'warning', 'notice', 'information'],
  timestamp: true,
  connectionMessages: true,
}

const ALL_TYPES: LogHabits['types'] = [
  ...EARLY_LOG.types,
  'debug',
  'subscribe',
  'unsubscribe',
  'websockets',
  'internal',
]

/** -q is stronger than -v, and both than the file. */
function logSettings(log: LogHabits, { quiet, verbose }: MosquittoArguments): LogHabits {
  return quiet ? { ...log, types: [] } : verbose ? { ...log, types: ALL_TYPES } : log
}

function openLog(voice: Voice, { log }: Habits, io: Io): void {
  try {
    voice.open()
  } catch {
    // As Mosquitto: without a log rather than without a broker.
    io.stderr(`Error: Unable to open log file ${log.file} for writing.`)
  }
}

/** The configuration as it is now; its faults are told in Mosquitto's form, so none are handed on. */
function readAgain({ read, habits, confFaultLines, noticeLine }: RunOptions, place: DataPlace, voice: Voice) {
  const loaded = read()
  if ('faults' in loaded) {
    for (const line of loaded.faults.flatMap(confFaultLines)) voice.line('error', line)
    return { faults: [] }
  }
  for (const notice of loaded.notices) voice.line('notice', noticeLine(notice))
  if (JSON.stringify(loaded.habits) !== JSON.stringify(habits)) {
    voice.line('notice', 'log options, pid_file, user and persistence: a change counts from the next start.')
  }
  return { config: place.configOf(loaded.config) }
}

const LOCAL_ONLY = [
  'Starting in local only mode. Connections will only be possible from clients running on this machine.',
  'Create a configuration file which defines a listener to allow remote access.',
  'For more details see https://mosquitto.org/documentation/authentication-methods/',
]

const VOLATILE = 'persistence is false: as in Mosquitto, nothing is kept over a restart. "persistence true" keeps it.'

function tellConfiguration(
  voice: Voice,
  file: string | undefined,
  loaded: LoadedConf,
  noticeLine: Loader['noticeLine'],
): void {
  for (const included of loaded.included) voice.line('information', `Loading config file ${included}`)
  voice.line('information', file === undefined ? 'Using default config.' : `Config loaded from ${file}.`)
  for (const notice of loaded.notices) voice.line('notice', noticeLine(notice))
  if (loaded.habits.isLocalOnly) for (const line of LOCAL_ONLY) voice.line('warning', line)
}

/** `Opening ipv4 listen socket on port 1883.` */
function openings({ listeners }: Config): string[] {
  return listeners.flatMap(({ protocol, host, port, path }) => {
    if (protocol === 'unix') return [`Opening unix listen socket on path ${path}.`]
    if (protocol === 'ws' || protocol === 'wss') return [`Opening websockets listen socket on port ${port}.`]
    // All addresses of both versions are one socket here.
    const versions = host === '::' ? ['ipv4', 'ipv6'] : [host.includes(':') ? 'ipv6' : 'ipv4']
    return versions.map(version => `Opening ${version} listen socket on port ${port}.`)
  })
}

interface DataPlace extends Disposable {
  readonly isVolatile: boolean
  /** `config` with its data there. */
  configOf(config: Config): Config
}

/** Where this run keeps its data: with `persistence false`, in a folder that goes with it. */
function dataPlace({ habits, dataDir }: RunOptions): DataPlace {
  if (dataDir !== undefined || !habits.isVolatile) {
    const there = dataDir === undefined ? {} : { dataDir }
    return { isVolatile: false, configOf: config => ({ ...config, ...there }), [Symbol.dispose]() {} }
  }
  const folder = mkdtempSync(join(tmpdir(), 'larder-volatile-'))
  const store = { durability: Number.POSITIVE_INFINITY, durabilityFor: [], minFree: VOLATILE_MIN_FREE }
  return {
    isVolatile: true,
    configOf: config => ({ ...config, dataDir: folder, store: { ...config.store, ...store } }),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function writePid(file: string): boolean {
  try {
    writeFileSync(file, `${process.pid}`, { mode: 0o644 })
    return true
  } catch {
    return false
  }
}

/** Mosquitto's words where it has some, then ours, which say what to do. */
function tellFault(error: unknown, fault: (line: string) => number): number {
  if (!(error instanceof LarderError)) return fault(reasonOf(error))
  if (error.code === 'LISTEN_IN_USE') fault('Address already in use')
  const status = fault(error.toLine())
  return /^(CONFIG|CERTIFICATE)_/.test(error.code) ? EXIT_INVALID : status
}

function usage({ version }: Io): string[] {
  return [
    `Larder ${version}, an MQTT v5.0/v3.1.1/v3.1 broker in place of ${IN_PLACE_OF}.`,
    '',
    ...USAGE,
    '',
    ...exampleLines(EXAMPLES),
    '',
    STATUSES,
  ]
}
