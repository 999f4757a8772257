/**
 * A bridge: carries what its rules choose from the spool to one upstream, in order, and takes a message
 * out of the spool only when the upstream has acknowledged it; and publishes here what its rules choose there.
 *
 * Life of a connection: up → subscribe → attach to the spools, which begin at their oldest messages; pump while the
 * window has room; each acknowledgement removes its message; down → detach. What was not acknowledged is
 * still in its spool, comes first next time, and is marked DUP. The QoS is the rule's, but QoS 2 only for messages that
 * were published so; a rule of QoS 0 is spooled as well, but its message is removed when the socket has taken it.
 */
import type { connect as mqttConnect } from 'mqtt'
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { Moment } from '../kernel/moment.ts'
import { Bookkeeping } from './bookkeeping.ts'
import type { ConnectionSettings, LinkMemory } from './connection.ts'
import { type DeadLetter, DeadLetters } from './dead-letters.ts'
import { Demand } from './demand.ts'
import { Echoes } from './echoes.ts'
import { Exchange } from './exchange.ts'
import { faultOf, isClockFault } from './faults.ts'
import { LinkLog } from './link-log.ts'
import {
  type BridgeBroker,
  type BridgeRule,
  type BridgeSettings,
  type BridgeState,
  type BridgeStatus,
  SPOOL_CLIENT_PREFIX,
} from './ports.ts'
import { RateLimit } from './rate.ts'
import { routeOf, rulesOf } from './remap.ts'
import type { Taken } from './spool.ts'
import { Spools } from './spools.ts'
import { StatusTopics } from './status-topics.ts'
import { Suspicion } from './suspicion.ts'
import { placeOf } from './upstream.ts'
import { wayOf } from './way.ts'

/** Milliseconds between two looks at what is counted, and at what an outage leaves. */
const LOOK_INTERVAL = 1_000
/** Looks between two statements of the state. */
const LOOKS_PER_STATEMENT = 10
/** Percent, where the owner says nothing. */
const DRAIN_SHARE = 50

export interface BridgeDependencies {
  readonly settings: BridgeSettings & ConnectionSettings
  /** Name of this gateway. */
  readonly gateway: string
  readonly broker: BridgeBroker
  readonly clock: Clock
  readonly log: Log
  /** Numbers from 0 up to but not including 1, for the pauses. */
  readonly random: () => number
}

/** Why a bridge leaves its upstream in peace. */
type Leave = 'idle' | 'renewal' | 'pause'

export class Bridge implements Part {
  readonly name: string
  readonly #settings: BridgeSettings & ConnectionSettings
  readonly #rules: { readonly out: readonly BridgeRule[]; readonly in: readonly BridgeRule[] }
  readonly #clientId: string
  readonly #broker: BridgeBroker
  readonly #clock: Clock
  readonly #log: Log
  readonly #linkLog: LinkLog
  readonly #demand: Demand
  readonly #memory: LinkMemory = {}
  readonly #echoes: Echoes
  readonly #deadLetters: DeadLetters
  readonly #suspicion = new Suspicion()
  readonly #statusTopics: StatusTopics
  readonly #gateway: string
  readonly #spools: Spools
  readonly #books: Bookkeeping
  readonly #rate: RateLimit
  /** Set by `start`; everything below happens after it. */
  #connectClient!: typeof mqttConnect
  #exchange: Exchange | undefined
  #connected = false
  #stopped = false
  #lookTimer: Timer | undefined
  #looks = 0
  #paused = false
  #connections = 0
  /** We leave in peace: nobody has failed. */
  #leaving: Leave | undefined
  #since: Moment | undefined
  #lastError: string | undefined

  constructor(deps: BridgeDependencies) {
    const { name, url, clientId } = deps.settings
    this.name = `bridge ${name}`
    this.#settings = deps.settings
    this.#rules = rulesOf(deps.settings)
    this.#clientId = SPOOL_CLIENT_PREFIX + name
    this.#broker = deps.broker
    this.#clock = deps.clock
    this.#log = deps.log.child({ bridge: name })
    this.#gateway = deps.gateway
    this.#spools = new Spools({
      broker: deps.broker,
      clientId: this.#clientId,
      rules: this.#rules.out,
      way: wayOf(deps.settings, this.#rules.out),
      share: deps.settings.drainShare ?? DRAIN_SHARE,
      clock: deps.clock,
      log: this.#log,
    })
    this.#books = new Bookkeeping({ broker: deps.broker, spools: this.#spools, clock: deps.clock, log: this.#log })
    this.#rate = new RateLimit({ clock: deps.clock, rate: deps.settings.maxRate ?? Number.POSITIVE_INFINITY })
    this.#linkLog = new LinkLog({ log: this.#log, clock: deps.clock, place: placeOf(url).place, clientId })
    this.#demand = new Demand({
      settings: deps.settings,
      clock: deps.clock,
      random: deps.random,
      waiting: () => this.#spools.count,
      carried: () => this.#books.counts.sent + this.#books.counts.received,
      connect: () => this.#connect(),
      leave: () => void this.#leave('idle'),
      onStable: () => this.#linkLog.stable(this.#spools.count),
    })
    this.#echoes = new Echoes({ clock: deps.clock })
    this.#deadLetters = new DeadLetters({ broker: deps.broker, spool: this.#clientId, log: this.#log })
    this.#statusTopics = new StatusTopics({ broker: deps.broker, settings: deps.settings, log: this.#log })
  }

  /** Only after `start`. */
  get status(): BridgeStatus {
    return this.#books.statusOf({ connected: this.#connected })
  }

  /** Only after `start`. */
  get state(): BridgeState {
    return this.#books.stateOf({
      connected: this.#connected,
      paused: this.#paused,
      since: this.#since?.wall,
      lastError: this.#lastError,
      dead: this.#deadLetters.count,
    })
  }

  /** Resolves when the spool collects what the rules choose; the upstream may be away. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // MQTT.js is large: a gateway without bridges never loads it.
    const [mqtt] = await Promise.all([import('mqtt'), this.#spools.open(), this.#deadLetters.open()])
    signal.throwIfAborted()
    // Bundled, a CommonJS package has no named exports, only the whole of it as its default.
    this.#connectClient = mqtt.default.connect
    this.#statusTopics.tell(this.state)
    this.#lookTimer = this.#clock.every(LOOK_INTERVAL, () => this.#look())
    this.#demand.begin()
  }

  /** Sends nothing more, waits a moment for outstanding acknowledgements, and closes. What is not acknowledged stays in the spool. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#demand.stop()
    this.#lookTimer?.cancel()
    await this.#sayGoodbye()
    await this.#spools.close()
    this.#statusTopics.tell(this.state)
  }

  /**
   * The gateway was told to reload, and nothing of this bridge has changed but perhaps the files of TLS: then it connects
   * again with the new ones. One that waits to try again tries now. Nothing is lost.
   */
  async renew(): Promise<void> {
    const upstream = this.#exchange?.upstream
    if (upstream === undefined) {
      this.#demand.hurry()
      return
    }
    try {
      if (!(await upstream.isOutdated()) || upstream !== this.#exchange?.upstream) return
    } catch (error) {
      // The connection that stands is better than none.
      this.#log.warn(
        { ...faultOf(error, upstream.place) },
        'bridge keeps its connection: its new TLS files cannot be used',
      )
      return
    }
    await this.#leave('renewal')
  }

  /** What the upstream would not take, oldest first. */
  deadLetters(): AsyncIterable<DeadLetter> {
    return this.#deadLetters.list()
  }

  /** Puts the dead letters behind what waits, and returns how many there were. */
  retryDeadLetters(): Promise<number> {
    return this.#deadLetters.retry(topic => this.#spools.spoolOf(routeOf(this.#rules.out, topic)?.rule))
  }

  /** Leaves the upstream, and stays away from it; the spool goes on collecting. Resolves when the connection is closed. */
  async pause(): Promise<void> {
    if (this.#paused || this.#stopped) return
    this.#paused = true
    this.#demand.stop()
    this.#log.info({}, 'bridge is paused')
    await this.#leave('pause')
    this.#statusTopics.tell(this.state)
  }

  /** Ends a pause. */
  async resume(): Promise<void> {
    if (!this.#paused || this.#stopped) return
    this.#paused = false
    this.#log.info({}, 'bridge goes on')
    // One that is just leaving connects again when it has left.
    if (this.#exchange === undefined) this.#demand.begin()
    this.#statusTopics.tell(this.state)
  }

  async #leave(why: Leave): Promise<void> {
    if (this.#exchange === undefined) return
    this.#leaving = why
    await this.#sayGoodbye()
  }

  async #sayGoodbye(): Promise<void> {
    const upstream = this.#exchange?.upstream
    if (this.#connected) this.#statusTopics.sayGoodbye(upstream?.client)
    await upstream?.close()
  }

  #connect(): void {
    this.#exchange = new Exchange({
      settings: this.#settings,
      connect: this.#connectClient,
      clientId: this.#clientId,
      gateway: this.#gateway,
      memory: this.#memory,
      spools: this.#spools,
      books: this.#books,
      rate: this.#rate,
      rules: this.#rules,
      broker: this.#broker,
      echoes: this.#echoes,
      deadLetters: this.#deadLetters,
      suspicion: this.#suspicion,
      clock: this.#clock,
      log: this.#log,
      options: this.#statusTopics.options(),
      onUp: () => this.#onUp(),
      onDown: error => this.#onDown(error),
    })
  }

  #onUp(): void {
    const exchange = this.#exchange as Exchange
    const { client, place } = exchange.upstream
    if (client === undefined) return
    this.#setConnected(true)
    this.#linkLog.connected(this.#spools.count, place)
    this.#demand.up()
    exchange.begin(this.#connections++ === 0, done => this.#statusTopics.sayHello(client, done))
  }

  #look(): void {
    this.#books.look()
    if (!this.#connected) this.#spools.look()
    void this.#spools.tidy().catch(error => {
      this.#log.warn({ reason: reasonOf(error) }, 'an empty spool of a bridge could not be ended')
    })
    this.#looks++
    if (this.#looks % LOOKS_PER_STATEMENT === 0) this.#statusTopics.tell(this.state)
  }

  #onDown(error: unknown): void {
    const wasConnected = this.#connected
    const exchange = this.#exchange as Exchange
    const { oldest, acknowledged, isOurEnd } = exchange
    this.#lastError = faultOf(error, exchange.upstream.place).reason
    this.#exchange = undefined
    exchange.close()
    this.#setConnected(false)
    if (this.#stopped) return
    const leaving = this.#leaving
    this.#leaving = undefined
    if (leaving !== undefined) {
      this.#left(leaving)
      return
    }
    const isTheirEnd = wasConnected && !isOurEnd
    if (isTheirEnd && acknowledged === 0 && this.#suspicion.ended(placeIn(oldest))) {
      exchange.bury(oldest as Taken, 'the upstream closes the connection whenever it is sent this message')
    }
    const pause = this.#demand.down(isClockFault(error))
    const outage = { error, waiting: this.#spools.count, retryInMs: pause }
    if (wasConnected) this.#linkLog.lost(outage, acknowledged, oldest?.delivery.message)
    else this.#linkLog.failed(outage)
    if (this.#settings.startType === 'once') {
      this.#log.warn({}, 'bridge is not connected again before the next start: that is its start_type')
    }
  }

  #left(why: Leave): void {
    this.#lastError = undefined
    if (this.#paused) return
    if (why === 'pause') {
      this.#demand.again()
    } else if (why === 'idle') {
      this.#log.info({}, 'bridge has nothing to carry, and disconnects until something waits')
      this.#demand.down(false)
    } else {
      this.#log.info({}, 'bridge connects again, with its new TLS files')
      this.#demand.again()
    }
  }

  #setConnected(connected: boolean): void {
    const isChange = connected !== this.#connected
    this.#connected = connected
    if (!isChange) return
    this.#since = new Moment(this.#clock)
    this.#statusTopics.tell(this.state)
  }
}

/** Names the place of a message. */
function placeIn(taken: Taken | undefined): string | undefined {
  return taken === undefined ? undefined : `${taken.spool.queue.clientId} ${taken.delivery.index}`
}
