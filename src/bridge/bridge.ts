/**
 * A bridge: carries what its rules choose from the spool to one upstream, in order, and takes a message
 * out of the spool only when the upstream has acknowledged it.
 *
 * Life of a connection: up → attach to the queue, which begins at its oldest message; pump while the
 * window has room; each acknowledgement removes its message; down → detach. What was not acknowledged is
 * still in the queue, comes first next time, and is marked DUP. The QoS is the rule's: a rule of QoS 0 is
 * spooled as well, but its message is removed when the socket has taken it.
 */
import type { connect as mqttConnect } from 'mqtt'
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { Backoff } from './backoff.ts'
import { LinkLog } from './link-log.ts'
import { type BridgeBroker, type BridgeSettings, type BridgeStatus, SPOOL_CLIENT_PREFIX } from './ports.ts'
import { routeOf, spoolFilters } from './remap.ts'
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
  readonly settings: BridgeSettings
  readonly broker: BridgeBroker
  readonly clock: Clock
  readonly log: Log
  /** Numbers from 0 up to but not including 1, for the pauses. */
  readonly random: () => number
}

export class Bridge implements Part {
  readonly name: string
  readonly #settings: BridgeSettings
  readonly #broker: BridgeBroker
  readonly #clock: Clock
  readonly #log: Log
  readonly #linkLog: LinkLog
  readonly #backoff: Backoff
  readonly #place: string
  /** Set by `start`; everything below happens after it. */
  #queue!: SessionQueue
  #connectClient!: typeof mqttConnect
  #upstream: Upstream | undefined
  #connected = false
  #stopped = false
  #woken = false
  #retryTimer: Timer | undefined
  #stableTimer: Timer | undefined
  #ackTimer: Timer | undefined
  readonly #inFlight = new Map<number, Delivery>()
  /** Monotonic time since which an acknowledgement has been due. */
  #ackDueSince = 0
  /** Messages acknowledged on this connection. */
  #acknowledged = 0
  #sent = 0
  #unmapped = 0

  constructor(deps: BridgeDependencies) {
    const { name, url, clientId, retry } = deps.settings
    this.name = `bridge ${name}`
    this.#settings = deps.settings
    this.#broker = deps.broker
    this.#clock = deps.clock
    this.#log = deps.log.child({ bridge: name })
    this.#place = placeOf(url).place
    this.#linkLog = new LinkLog({ log: this.#log, clock: deps.clock, place: this.#place, clientId })
    this.#backoff = new Backoff({ ...retry, random: deps.random })
  }

  /** Only after `start`. */
  get status(): BridgeStatus {
    return { connected: this.#connected, waiting: this.#queue.count, sent: this.#sent, unmapped: this.#unmapped }
  }

  /** Resolves when the spool collects what the rules choose; the upstream may be away. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // MQTT.js is large: a gateway without bridges never loads it.
    const [mqtt, queue] = await Promise.all([
      import('mqtt'),
      this.#broker.openSpool(SPOOL_CLIENT_PREFIX + this.#settings.name, spoolFilters(this.#settings.out)),
    ])
    signal.throwIfAborted()
    // Bundled, a CommonJS package has no named exports, only the whole of it as its default.
    this.#connectClient = mqtt.default.connect
    this.#queue = queue
    this.#connect()
  }

  /** Sends nothing more, waits a moment for outstanding acknowledgements, and closes. What is not acknowledged stays in the spool. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#retryTimer?.cancel()
    await this.#upstream?.close()
  }

  #connect(): void {
    this.#upstream = new Upstream({
      settings: this.#settings,
      connect: this.#connectClient,
      clock: this.#clock,
      onUp: () => this.#onUp(),
      onDown: error => this.#onDown(error),
    })
  }

  #onUp(): void {
    this.#connected = true
    this.#acknowledged = 0
    this.#linkLog.connected(this.#queue.count)
    this.#stableTimer = this.#clock.after(STABLE_TIME, () => {
      this.#backoff.reset()
      this.#linkLog.stable(this.#queue.count)
    })
    this.#ackTimer = this.#clock.every(ACK_CHECK_INTERVAL, () => this.#checkAcks())
    this.#queue.attach(() => this.#wake())
    this.#wake()
  }

  #onDown(error: unknown): void {
    const wasConnected = this.#connected
    const oldest: Delivery | undefined = this.#inFlight.values().next().value
    this.#upstream = undefined
    this.#connected = false
    this.#stableTimer?.cancel()
    this.#ackTimer?.cancel()
    this.#inFlight.clear()
    if (wasConnected) this.#queue.detach()
    if (this.#stopped) return
    const pause = this.#backoff.next()
    this.#retryTimer = this.#clock.after(pause, () => this.#connect())
    const outage = { error, waiting: this.#queue.count, retryInMs: pause }
    if (wasConnected) this.#linkLog.lost(outage, this.#acknowledged, oldest?.message)
    else this.#linkLog.failed(outage)
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
    for (let taken = 0; this.#upstream?.ready && this.#inFlight.size < this.#settings.maxInflight; taken++) {
      if (taken === TURN_LIMIT) {
        this.#wake()
        return
      }
      const delivery = this.#queue.take()
      if (delivery === undefined) return
      this.#send(this.#upstream, delivery)
    }
  }

  #send(upstream: Upstream, delivery: Delivery): void {
    const { message } = delivery
    const route = routeOf(this.#settings.out, message.topic)
    if (route === undefined) {
      this.#dropUnmapped(delivery)
      return
    }
    if (this.#inFlight.size === 0) this.#ackDueSince = this.#clock.monotonic()
    this.#inFlight.set(delivery.index, delivery)
    const flags = {
      // The publisher's flag, as Mosquitto's bridges do: a subscriber would not see it on a live message [MQTT-3.3.1-9].
      retain: message.retain || delivery.retain,
      dup: delivery.dup && route.qos > 0, // [MQTT-3.3.1-2]
    }
    upstream.publish(route, message.payload, flags, () => {
      this.#inFlight.delete(delivery.index)
      this.#ackDueSince = this.#clock.monotonic()
      this.#queue.remove(delivery)
      this.#acknowledged++
      this.#sent++
      this.#wake()
    })
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
    if (upstream === undefined || this.#inFlight.size === 0 || upstream.unsent > 0) return
    if (this.#clock.monotonic() - this.#ackDueSince < ACK_TIMEOUT) return
    upstream.cut(new Error(`${this.#place} has not acknowledged anything for ${ACK_TIMEOUT / 1000} s`))
  }
}
