/**
 * One connection of a bridge to its upstream, with both halves of the session on it: up → subscribe → empty the spools;
 * down → what was not acknowledged stays where it was.
 */
import type { IClientOptions, connect as mqttConnect } from 'mqtt'
import type { Timer } from '../kernel/clock.ts'
import type { Bookkeeping } from './bookkeeping.ts'
import type { ConnectionSettings, LinkMemory } from './connection.ts'
import { Drain, type DrainDependencies } from './drain.ts'
import { Incoming } from './incoming.ts'
import type { BridgeSettings } from './ports.ts'
import { leftOverFilters } from './remap.ts'
import type { Taken } from './spool.ts'
import { PROOF_TIME } from './suspicion.ts'
import { Upstream } from './upstream.ts'

/** Milliseconds between two looks whether what waited at the beginning has arrived. */
const NEWS_CHECK_INTERVAL = 1_000
/** Milliseconds for the upstream to answer our subscriptions: nothing goes before. */
const SUBACK_TIMEOUT = 120_000

export interface ExchangeDependencies extends Omit<DrainDependencies, 'maxInflight' | 'counts' | 'onSession' | 'end'> {
  readonly settings: BridgeSettings & ConnectionSettings
  readonly connect: typeof mqttConnect
  readonly memory: LinkMemory
  readonly books: Bookkeeping
  /** What CONNECT is to say besides. */
  readonly options: Partial<IClientOptions>
  /** The upstream has accepted the connection. */
  readonly onUp: () => void
  /** The connection is gone, or did not come about. Called once, last. */
  readonly onDown: (error: unknown) => void
}

export class Exchange {
  readonly upstream: Upstream
  /** We ended it, for a reason that is no fault of the messages in flight. */
  isOurEnd = false
  readonly #deps: ExchangeDependencies
  readonly #drain: Drain
  readonly #incoming: Incoming
  #proofTimer: Timer | undefined
  #newsTimer: Timer | undefined
  #subackTimer: Timer | undefined
  #isOver = false

  /** Begins to connect. */
  constructor(deps: ExchangeDependencies) {
    const { settings, rules, books, options } = deps
    this.#deps = deps
    const end = (error: Error) => {
      this.isOurEnd = true
      this.upstream.cut(error)
    }
    this.#drain = new Drain({
      ...deps,
      maxInflight: settings.maxInflight,
      counts: books.counts,
      onSession: () => {
        if (this.upstream.client !== undefined) this.#incoming.listen(this.upstream.client)
      },
      end,
    })
    this.#incoming = new Incoming({
      ...deps,
      rules: rules.in,
      counts: books.counts,
      leftOver: settings.unsubscribe === false ? [] : leftOverFilters(rules),
      cut: end,
    })
    // An exchange of QoS 2 goes on where it was only if the upstream keeps our session.
    const keepsSession = rules.in.length > 0 || rules.out.some(({ qos }) => qos === 2)
    this.upstream = new Upstream({
      ...deps,
      options: { ...this.#drain.outgoing.options(), ...this.#incoming.options(keepsSession), ...options },
    })
  }

  /** Messages acknowledged. */
  get acknowledged(): number {
    return this.#drain.acknowledged
  }

  /** Of what is in flight, what waits longest. */
  get oldest(): Taken | undefined {
    return this.#drain.outgoing.oldest
  }

  /**
   * The connection stands. `isNew`: it is the first since the start. `greet` is done before messages are sent: what it
   * publishes has no place in their window [MQTT-4.9.0-2].
   */
  begin(isNew: boolean, greet: (done: () => void) => void): void {
    const { suspicion, clock, spools } = this.#deps
    const { client, limits } = this.upstream
    if (client === undefined || limits === undefined) return
    const waiting = spools.count
    const hasNews = waiting > 0
    if (hasNews) {
      this.#newsTimer = clock.every(NEWS_CHECK_INTERVAL, () => {
        if (this.acknowledged < waiting && spools.count > 0) return
        this.#newsTimer?.cancel()
        this.#incoming.fetchRetained()
      })
    }
    this.#subackTimer = clock.after(SUBACK_TIMEOUT, () => {
      this.isOurEnd = true
      this.upstream.cut(new Error(`${this.upstream.place} has not answered for ${SUBACK_TIMEOUT / 1000} s`))
    })
    this.#incoming.open(client, limits, { isNew, hasNews }, () => {
      if (this.#isOver) return
      greet(() => {
        this.#subackTimer?.cancel()
        if (this.#isOver) return
        if (suspicion.isOn) this.#proofTimer = clock.after(PROOF_TIME, () => this.#empty())
        else this.#empty()
      })
    })
  }

  /** Sets aside what the upstream does not take. */
  bury(taken: Taken, reason: string): void {
    this.#drain.bury(taken, reason)
  }

  /** The connection is gone. */
  close(): void {
    this.#isOver = true
    this.#drain.close()
    this.#incoming.close()
    this.#proofTimer?.cancel()
    this.#newsTimer?.cancel()
    this.#subackTimer?.cancel()
    this.#deps.books.progress.end()
  }

  #empty(): void {
    this.#deps.spools.ready(() => {
      if (this.#isOver) return
      this.#deps.books.progress.begin()
      this.#drain.open(this.upstream)
    })
  }
}
