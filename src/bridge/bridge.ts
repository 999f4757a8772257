/**
 * A bridge: carries what its rules choose from the spool to one upstream, in order, and takes a message
 * out of the spool only when the upstream has acknowledged it; and publishes here what its rules choose there.
 *
 * Life of a connection: up → subscribe → attach to the queue, which begins at its oldest message; pump while the
 * window has room; each acknowledgement removes its message; down → detach. What was not acknowledged is
 * still in the queue, comes first next time, and is marked DUP. The QoS is the rule's, but QoS 2 only for messages that
 * were published so; a rule of QoS 0 is spooled as well, but its message is removed when the socket has taken it.
 */
import type { connect as mqttConnect } from 'mqtt'
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { ReasonCode } from '../mqtt/reason-codes.ts'
import { Backoff } from './backoff.ts'
import type { ConnectionSettings, LinkMemory } from './connection.ts'
import { type DeadLetter, DeadLetters } from './dead-letters.ts'
import { Echoes } from './echoes.ts'
import { faultOf } from './faults.ts'
import { Incoming, type IncomingCounts } from './incoming.ts'
import { LinkLog } from './link-log.ts'
import { Outgoing } from './outgoing.ts'
import {
  type BridgeBroker,
  type BridgeRule,
  type BridgeSettings,
  type BridgeState,
  type BridgeStatus,
  SPOOL_CLIENT_PREFIX,
} from './ports.ts'
import { type PreparedMessage, prepare } from './prepare.ts'
import { localRouteOf, routeOf, rulesOf, spoolFilters } from './remap.ts'
import { StatusTopics } from './status-topics.ts'
import { PROOF_TIME, Suspicion } from './suspicion.ts'
import { placeOf, Upstream } from './upstream.ts'

/** Milliseconds that a connection must stand before short pauses are tried again. */
const STABLE_TIME = 60_000
/** Milliseconds without any acknowledgement, although all is sent, before the connection is given up: enough for the largest packet at 20 kB/s. */
const ACK_TIMEOUT = 120_000
/** Milliseconds between two looks at that. */
const ACK_CHECK_INTERVAL = 10_000
/** Messages taken from the queue in one turn of the event loop, so that a long backlog does not hold up the home. */
const TURN_LIMIT = 64

export interface BridgeDependencies {
  readonly settings: BridgeSettings & ConnectionSettings
  readonly broker: BridgeBroker
  readonly clock: Clock
  readonly log: Log
  /** Numbers from 0 up to but not including 1, for the pauses. */
  readonly random: () => number
}

export class Bridge implements Part {
  readonly name: string
  readonly #settings: BridgeSettings & ConnectionSettings
  readonly #rules: { readonly out: readonly BridgeRule[]; readonly in: readonly BridgeRule[] }
  readonly #clientId: string
  readonly #broker: BridgeBroker
  readonly #clock: Clock
  readonly #log: Log
  readonly #linkLog: LinkLog
  readonly #backoff: Backoff
  readonly #memory: LinkMemory = {}
  readonly #echoes: Echoes
  readonly #deadLetters: DeadLetters
  readonly #suspicion = new Suspicion()
  readonly #statusTopics: StatusTopics
  /** Set by `start`; everything below happens after it. */
  #queue!: SessionQueue
  #connectClient!: typeof mqttConnect
  #upstream: Upstream | undefined
  #outgoing: Outgoing | undefined
  #incoming: Incoming | undefined
  #connected = false
  /** The queue is ours: messages are taken from it. */
  #attached = false
  #stopped = false
  #woken = false
  #retryTimer: Timer | undefined
  #proofTimer: Timer | undefined
  #stableTimer: Timer | undefined
  #ackTimer: Timer | undefined
  /** Monotonic time since which an acknowledgement has been due. */
  #ackDueSince = 0
  /** Messages acknowledged on this connection. */
  #acknowledged = 0
  #connections = 0
  /** We ended this connection, for a reason that is no fault of the messages in flight. */
  #isOurEnd = false
  #sent = 0
  #unmapped = 0
  readonly #counts: IncomingCounts = { received: 0, ignored: 0 }
  #since: number | undefined
  #lastError: string | undefined

  constructor(deps: BridgeDependencies) {
    const { name, url, clientId, retry } = deps.settings
    this.name = `bridge ${name}`
    this.#settings = deps.settings
    this.#rules = rulesOf(deps.settings)
    this.#clientId = SPOOL_CLIENT_PREFIX + name
    this.#broker = deps.broker
    this.#clock = deps.clock
    this.#log = deps.log.child({ bridge: name })
    this.#linkLog = new LinkLog({ log: this.#log, clock: deps.clock, place: placeOf(url).place, clientId })
    this.#backoff = new Backoff({ ...retry, random: deps.random })
    this.#echoes = new Echoes({ clock: deps.clock })
    this.#deadLetters = new DeadLetters({ broker: deps.broker, spool: this.#clientId, log: this.#log })
    this.#statusTopics = new StatusTopics({ broker: deps.broker, settings: deps.settings, log: this.#log })
  }

  /** Only after `start`. */
  get status(): BridgeStatus {
    return { connected: this.#connected, waiting: this.#queue.count, sent: this.#sent, unmapped: this.#unmapped }
  }

  /** Only after `start`. */
  get state(): BridgeState {
    const { received, ignored } = this.#counts
    const dead = this.#deadLetters.count
    return { ...this.status, since: this.#since, received, ignored, dead, lastError: this.#lastError }
  }

  /** Resolves when the spool collects what the rules choose; the upstream may be away. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // MQTT.js is large: a gateway without bridges never loads it.
    const [mqtt, queue] = await Promise.all([
      import('mqtt'),
      this.#broker.openSpool(this.#clientId, spoolFilters(this.#rules.out)),
      this.#deadLetters.open(),
    ])
    signal.throwIfAborted()
    // Bundled, a CommonJS package has no named exports, only the whole of it as its default.
    this.#connectClient = mqtt.default.connect
    this.#queue = queue
    this.#statusTopics.tell(this.state)
    this.#connect()
  }

  /** Sends nothing more, waits a moment for outstanding acknowledgements, and closes. What is not acknowledged stays in the spool. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retryTimer?.cancel()
    if (this.#connected) this.#statusTopics.sayGoodbye(this.#upstream?.client)
    await this.#upstream?.close()
    this.#statusTopics.tell(this.state)
  }

  /** What the upstream would not take, oldest first. */
  deadLetters(): AsyncIterable<DeadLetter> {
    return this.#deadLetters.list()
  }

  /** Puts the dead letters behind what waits, and returns how many there were. */
  retryDeadLetters(): Promise<number> {
    return this.#deadLetters.retry(this.#queue)
  }

  #connect(): void {
    const outgoing = new Outgoing({
      queue: this.#queue,
      onSession: () => {
        if (upstream.client !== undefined) incoming.listen(upstream.client)
      },
    })
    const incoming = new Incoming({
      clientId: this.#clientId,
      rules: this.#rules.in,
      broker: this.#broker,
      echoes: this.#echoes,
      log: this.#log,
      counts: this.#counts,
      cut: error => this.#end(upstream, error),
    })
    // An exchange of QoS 2 goes on where it was only if the upstream keeps our session.
    const keepsSession = this.#rules.in.length > 0 || this.#rules.out.some(({ qos }) => qos === 2)
    const upstream: Upstream = new Upstream({
      settings: this.#settings,
      connect: this.#connectClient,
      clock: this.#clock,
      memory: this.#memory,
      options: {
        ...outgoing.options(),
        ...incoming.options(keepsSession),
        ...this.#statusTopics.options(),
      },
      onUp: () => this.#onUp(),
      onDown: error => this.#onDown(error),
    })
    this.#upstream = upstream
    this.#outgoing = outgoing
    this.#incoming = incoming
  }

  #onUp(): void {
    const { client, limits } = this.#upstream as Upstream
    if (client === undefined || limits === undefined) return
    this.#setConnected(true)
    this.#acknowledged = 0
    this.#isOurEnd = false
    this.#linkLog.connected(this.#queue.count, this.#upstream?.place)
    this.#stableTimer = this.#clock.after(STABLE_TIME, () => {
      this.#backoff.reset()
      this.#linkLog.stable(this.#queue.count)
    })
    this.#ackTimer = this.#clock.every(ACK_CHECK_INTERVAL, () => {
      this.#statusTopics.tell(this.state)
      this.#checkAcks()
    })
    this.#statusTopics.sayHello(client)
    const upstream = this.#upstream
    this.#incoming?.open(client, limits, this.#connections++ === 0, () => {
      if (upstream !== this.#upstream) return
      if (this.#suspicion.isOn) this.#proofTimer = this.#clock.after(PROOF_TIME, () => this.#attach())
      else this.#attach()
    })
  }

  #attach(): void {
    this.#attached = true
    this.#queue.attach(() => this.#wake())
    this.#wake()
  }

  #onDown(error: unknown): void {
    const wasConnected = this.#connected
    const oldest = this.#outgoing?.oldest
    this.#lastError = faultOf(error, this.#upstream?.place ?? '').reason
    this.#upstream = undefined
    this.#outgoing?.close()
    this.#incoming?.close()
    this.#stableTimer?.cancel()
    this.#proofTimer?.cancel()
    this.#ackTimer?.cancel()
    if (this.#attached) this.#queue.detach()
    this.#attached = false
    this.#setConnected(false)
    if (this.#stopped) return
    const isTheirEnd = wasConnected && !this.#isOurEnd
    if (isTheirEnd && this.#acknowledged === 0 && this.#suspicion.ended(oldest?.index)) {
      this.#bury(oldest as Delivery, 'the upstream closes the connection whenever it is sent this message')
    }
    const pause = this.#backoff.next()
    this.#retryTimer = this.#clock.after(pause, () => this.#connect())
    const outage = { error, waiting: this.#queue.count, retryInMs: pause }
    if (wasConnected) this.#linkLog.lost(outage, this.#acknowledged, oldest?.message)
    else this.#linkLog.failed(outage)
  }

  #setConnected(connected: boolean): void {
    const isChange = connected !== this.#connected
    this.#connected = connected
    if (!isChange) return
    this.#since = this.#clock.wall()
    this.#statusTopics.tell(this.state)
  }

  /** Pumps once in the next turn of the event loop, however many acknowledgements and messages this turn brings. */
  #wake(): void {
    if (this.#woken) return
    this.#woken = true
    setImmediate(() => {
      this.#woken = false
      this.#pump()
    })
  }

  #pump(): void {
    const outgoing = this.#outgoing
    if (!this.#attached || outgoing === undefined) return
    for (let taken = 0; this.#upstream?.ready && outgoing.size < this.#window; taken++) {
      if (taken === TURN_LIMIT) {
        this.#wake()
        return
      }
      const delivery = this.#queue.take()
      if (delivery === undefined) return
      this.#send(this.#upstream, outgoing, delivery)
    }
  }

  /** [MQTT-4.9.0-2] */
  get #window(): number {
    if (this.#suspicion.isOn) return 1
    return Math.min(this.#settings.maxInflight, this.#upstream?.limits?.receiveMaximum ?? 0)
  }

  #send(upstream: Upstream, outgoing: Outgoing, delivery: Delivery): void {
    const { client, limits } = upstream
    const route = routeOf(this.#rules.out, delivery.message.topic)
    if (client === undefined || limits === undefined) return
    if (route === undefined) {
      this.#dropUnmapped(delivery)
      return
    }
    const prepared = prepare(delivery, route, limits, this.#broker.gatewayId)
    if (prepared === 'came round') {
      this.#counts.ignored++
      this.#queue.remove(delivery)
      return
    }
    if (prepared === 'too large') {
      this.#bury(delivery, `it is larger than the ${limits.maximumPacketSize} bytes that the upstream takes`)
      return
    }
    if (outgoing.size === 0) this.#ackDueSince = this.#clock.monotonic()
    const outcome = {
      done: () => this.#done(delivery),
      refused: (code: number) => this.#refused(upstream, delivery, code),
    }
    // [MQTT-4.4.0-1]
    if (delivery.released !== undefined && limits.sessionPresent) outgoing.resume(client, delivery, outcome)
    else this.#publish(upstream, outgoing, delivery, prepared, outcome)
  }

  #publish(
    upstream: Upstream,
    outgoing: Outgoing,
    delivery: Delivery,
    message: PreparedMessage,
    outcome: { done(): void; refused(code: number): void },
  ): void {
    const { topic } = message.route
    // MQTT 5 asks the upstream not to send it back.
    const isExpected = upstream.limits?.version === 4 && localRouteOf(this.#rules.in, topic) !== undefined
    if (isExpected) this.#echoes.expect(topic, delivery.message.payload)
    if (outgoing.send(upstream.client as NonNullable<Upstream['client']>, delivery, message, outcome)) return
    upstream.cut(
      new Error(`${upstream.place} does not acknowledge a message, and all packet identifiers were used since`),
    )
  }

  #done(delivery: Delivery): void {
    this.#ackDueSince = this.#clock.monotonic()
    this.#queue.remove(delivery)
    this.#suspicion.clear()
    this.#acknowledged++
    this.#sent++
    this.#wake()
  }

  #refused(upstream: Upstream, delivery: Delivery, code: number): void {
    this.#ackDueSince = this.#clock.monotonic()
    // It will take it later: the pause before the next connection is what slows us down.
    if (code === ReasonCode.QUOTA_EXCEEDED) this.#end(upstream, new Error(`${upstream.place} takes no more now (0x97)`))
    else this.#bury(delivery, `the upstream refuses it with reason code 0x${code.toString(16)}`)
  }

  #end(upstream: Upstream, error: Error): void {
    this.#isOurEnd = true
    upstream.cut(error)
  }

  #bury(delivery: Delivery, reason: string): void {
    this.#deadLetters.bury(delivery, reason).then(
      () => {
        this.#queue.remove(delivery)
        this.#suspicion.clear()
        this.#wake()
      },
      error => this.#upstream?.cut(error),
    )
  }

  /** A rule was taken out of the configuration while its messages waited, or maps to what is no topic name. */
  #dropUnmapped(delivery: Delivery): void {
    if (this.#unmapped === 0) {
      this.#log.warn({ topic: delivery.message.topic }, 'bridge removes messages that none of its rules maps')
    }
    this.#unmapped++
    this.#queue.remove(delivery)
  }

  /** An upstream that answers pings but does not acknowledge would hold the bridge up for ever. */
  #checkAcks(): void {
    const upstream = this.#upstream
    if (upstream === undefined || (this.#outgoing?.size ?? 0) === 0 || upstream.unsent > 0) return
    if (this.#clock.monotonic() - this.#ackDueSince < ACK_TIMEOUT) return
    upstream.cut(new Error(`${upstream.place} has not acknowledged anything for ${ACK_TIMEOUT / 1000} s`))
  }
}
