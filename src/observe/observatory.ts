/**
 * Where the gateway is looked at from: takes the figures whenever somebody asks, adds what only the process knows, and
 * gives them to `$SYS`, to Prometheus and to whoever asks for its status.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { EventLoop } from './event-loop.ts'
import type { Figures, MetricsSettings } from './ports.ts'
import { ProcessWatch } from './process.ts'
import type { MetricsServer } from './server.ts'
import { statusDocument, statusLines } from './status.ts'
import { SysTopics } from './sys-topics.ts'

/** Milliseconds that the event loop may be behind before it counts as stuck: keep alives go wrong from here on. */
const STUCK_MS = 5_000

/** What others know. */
export type Gathered = Omit<Figures, 'process'>

export class Observatory implements Part {
  readonly name = 'observatory'
  readonly #settings: MetricsSettings
  readonly #log: Log
  readonly #gather: () => Gathered
  readonly #loop: EventLoop
  readonly #process = new ProcessWatch()
  readonly #topics: SysTopics
  #server: MetricsServer | undefined

  constructor(deps: {
    settings: MetricsSettings
    clock: Clock
    log: Log
    gather: () => Gathered
    /** Publishes a retained message of QoS 0. */
    publish: (topic: string, payload: string) => void
  }) {
    const { settings, clock, publish } = deps
    this.#settings = settings
    this.#log = deps.log
    this.#gather = deps.gather
    this.#loop = new EventLoop({ clock })
    this.#topics = new SysTopics({ interval: settings.sysInterval, clock, look: () => this.look(), publish })
  }

  /** Rejects with a LarderError LISTEN_* when metrics cannot be served where they should be. */
  async start(signal: AbortSignal): Promise<void> {
    const { listen: place } = this.#settings
    if (place !== undefined) {
      // Node's HTTP server is loaded only where somebody wants it.
      const { MetricsServer } = await import('./server.ts')
      const server = new MetricsServer({ place, look: () => this.look(), log: this.#log })
      await server.start(signal)
      this.#server = server
    }
    this.#process.start()
    this.#loop.start()
    this.#topics.start()
  }

  async stop(): Promise<void> {
    this.#topics.stop()
    this.#loop.stop()
    await this.#server?.stop()
  }

  /** The figures of this moment. Only between start and stop. */
  look(): Figures {
    const gathered = this.#gather()
    const { late } = this.#loop
    const stuck = late > STUCK_MS ? [`the event loop is ${Math.round(late / 1000)} s behind`] : []
    return {
      ...gathered,
      troubles: [...gathered.troubles, ...stuck],
      process: { ...this.#process.look(), loop: this.#loop.delays },
    }
  }

  /** The state of the gateway: lines for a person, or one of JSON for a program. */
  status(form: 'text' | 'json'): string[] {
    const figures = this.look()
    return form === 'json' ? [JSON.stringify(statusDocument(figures))] : statusLines(figures)
  }
}
