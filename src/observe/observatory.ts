/**
 * Where the gateway is looked at from: takes the figures whenever somebody asks, adds what only the process knows, and
 * gives them to `$SYS`, to Prometheus and to whoever asks for its status. Other settings are taken up while it runs: all
 * that can be wrong with them is found out before anything changes.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Clock } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log, LogTopics } from '../kernel/log.ts'
import { Moment } from '../kernel/moment.ts'
import { CertificateWatch } from './certificates.ts'
import { EventLoop } from './event-loop.ts'
import { Guard } from './guard.ts'
import type { CertificateFile, Doorkeeper, Figures, MetricsSettings } from './ports.ts'
import { ProcessWatch } from './process.ts'
import type { MetricsServer } from './server.ts'
import { statusDocument, statusLines } from './status.ts'
import { SysTopics } from './sys-topics.ts'

/** Milliseconds that the event loop may be behind before it counts as stuck: keep alives go wrong from here on. */
const STUCK_MS = 5_000
/** Part of the file handles from which on there is next to none left: the store needs some, too. */
const FULL = 0.95

/** What others know. */
export type Gathered = Omit<Figures, 'process'>

/** Settings that were found to be possible. Disposed of without a commit, they leave nothing behind. */
export interface PreparedMetrics extends AsyncDisposable {
  commit(): Promise<void>
}

export class Observatory implements Part {
  readonly name = 'observatory'
  #settings: MetricsSettings
  readonly #log: Log
  readonly #gather: () => Gathered
  readonly #doorkeeper: (passwordFile: string) => Promise<Doorkeeper>
  readonly #loop: EventLoop
  readonly #certificates: CertificateWatch
  readonly #process = new ProcessWatch()
  readonly #topics: SysTopics
  readonly #publish: (topic: string, payload: string, retain?: boolean) => void
  readonly #logTopics: LogTopics | undefined
  #server: MetricsServer | undefined
  /** What a reload could not do. */
  #trouble: string | undefined
  readonly #processStarted: Moment

  constructor(deps: {
    settings: MetricsSettings
    clock: Clock
    log: Log
    gather: () => Gathered
    /** Reads a password file. Rejects with a LarderError when it cannot be used. */
    doorkeeper: (passwordFile: string) => Promise<Doorkeeper>
    /** Of those that are read anew for each use. */
    certificateFiles: () => readonly CertificateFile[]
    /** Lines of the log that are to be published. */
    logTopics?: LogTopics | undefined
    /** Publishes a message of QoS 0, retained unless it is said. */
    publish: (topic: string, payload: string, retain?: boolean) => void
  }) {
    const { settings, clock, publish, logTopics } = deps
    this.#publish = publish
    this.#processStarted = new Moment(clock, process.uptime() * 1_000)
    this.#logTopics = logTopics
    this.#settings = settings
    this.#log = deps.log
    this.#gather = deps.gather
    this.#doorkeeper = deps.doorkeeper
    this.#loop = new EventLoop({ clock })
    this.#certificates = new CertificateWatch({ files: deps.certificateFiles, clock })
    this.#topics = new SysTopics({ interval: settings.sysInterval, clock, look: () => this.look(), publish })
  }

  /** Rejects with a LarderError: LISTEN_* when metrics cannot be served where they should be, CONFIG_* for a password file. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    this.#server = await this.#newServer(this.#settings, await this.#newGuard(this.#settings))
    await this.#server?.start()
    this.#process.start()
    this.#loop.start()
    this.#certificates.start()
    this.#topics.start()
    if (this.#logTopics !== undefined) this.#logTopics.send = (topic, line) => this.#publish(topic, line, false)
  }

  async stop(): Promise<void> {
    if (this.#logTopics !== undefined) this.#logTopics.send = null
    this.#topics.stop()
    this.#loop.stop()
    this.#certificates.stop()
    await this.#server?.stop()
  }

  /** Reads and opens what other settings name, and changes nothing. Rejects as `start` does. */
  async prepare(settings: MetricsSettings): Promise<PreparedMetrics> {
    const guard = await this.#newGuard(settings)
    const old = this.#server
    const { listen: before } = this.#settings
    const isThere = old !== undefined && isDeepStrictEqual(before, settings.listen)
    let server = isThere ? undefined : await this.#newServer(settings, guard)
    // Only one can have a port: the old one goes first, and then it is too late to refuse.
    const isFree = old === undefined || before?.port !== settings.listen?.port
    if (isFree) await server?.start()
    return {
      commit: async () => {
        this.#settings = settings
        void this.#certificates.read()
        this.#topics.change(settings.sysInterval)
        if (isThere) {
          old.guard = guard
          return
        }
        await old?.stop()
        this.#server = server
        server = undefined
        this.#trouble = undefined
        if (!isFree) await this.#startLate()
      },
      async [Symbol.asyncDispose]() {
        await server?.stop()
      },
    }
  }

  /** The figures of this moment. Only between start and stop. */
  look(): Figures {
    const gathered = this.#gather()
    const { late } = this.#loop
    const stuck = late > STUCK_MS ? [`the event loop is ${Math.round(late / 1000)} s behind`] : []
    const about = this.#process.look()
    const unserved = this.#trouble === undefined ? [] : [this.#trouble]
    // A Pi may learn only later what time it was when it started.
    return {
      ...gathered,
      certificates: [...gathered.certificates, ...this.#certificates.certificates],
      troubles: [...gathered.troubles, ...stuck, ...unserved, ...fullOf(about.files)],
      process: { ...about, startedAt: this.#processStarted.wall, loop: this.#loop.delays },
    }
  }

  /** The state of the gateway: lines for a person, or one of JSON for a program. */
  status(form: 'text' | 'json'): string[] {
    const figures = this.look()
    return form === 'json' ? [JSON.stringify(statusDocument(figures))] : statusLines(figures)
  }

  async #newGuard({ passwordFile, bearerToken }: MetricsSettings): Promise<Guard> {
    const doorkeeper = passwordFile === undefined ? undefined : await this.#doorkeeper(passwordFile)
    return new Guard({ doorkeeper, bearerToken })
  }

  /** Node's HTTP server and prom-client are loaded only where somebody wants them. */
  async #newServer({ listen: place }: MetricsSettings, guard: Guard): Promise<MetricsServer | undefined> {
    if (place === undefined) return undefined
    const { MetricsServer } = await import('./server.ts')
    return new MetricsServer({ place, guard, look: () => this.look(), log: this.#log })
  }

  async #startLate(): Promise<void> {
    try {
      await this.#server?.start()
    } catch (error) {
      this.#trouble = `metrics are not served: ${reasonOf(error)}`
      this.#log.error({ reason: reasonOf(error) }, 'metrics are not served')
      this.#server = undefined
    }
  }
}

/** Without a handle for its socket a connection is closed before anybody sees it, and nothing is said. */
function fullOf(files: Figures['process']['files']): string[] {
  if (files === undefined || files.open < files.most * FULL) return []
  const { open, most } = files
  return [`${open} of ${most} file handles are in use: nobody new can connect until LimitNOFILE (ulimit -n) is raised`]
}
