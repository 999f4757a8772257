/**
 * A bridge: carries what its rules choose from the spool to one upstream, in order, and takes a message
 * out of the spool only when the upstream has acknowledged it.
 *
 * Life of a connection: up → attach to the queue, which begins at its oldest message; pump while the
 * window has room; each acknowledgement removes its message; down → detach. What was not acknowledged is still in the
 * queue, comes first next time, and is marked DUP. The QoS is the rule's: a rule of QoS 0 is spooled as
 * well, but its message is removed when the socket has taken it.
 */
import type { connect as mqttConnect } from 'mqtt'
import type { Delivery, SessionQueue } from '../broker/ports.ts'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Part } from '../kernel/lifecycle.ts'
import type { Log } from '../kernel/log.ts'
import { Backoff } from './backoff.ts'
import { type Fault, faultOf } from './faults.ts'
import { type BridgeBroker, type BridgeSettings, type BridgeStatus, SPOOL_CLIENT_PREFIX } from './ports.ts'
import { routeOf, spoolFilters } from './remap.ts'
import { placeOf, Upstream } from './upstream.ts'

/** Milliseconds that a connection must stand before short pauses are tried again. */
const STABLE_TIME = 60_000
/** Milliseconds without any acknowledgement, although all is sent, before the connection is given up: enough for the largest packet at 20 kB/s. */
const ACK_TIMEOUT = 120_000
/** Milliseconds between two looks at that. */
const ACK_CHECK_INTERVAL = 10_000
/** Milliseconds between two log lines that say the same thing about an upstream that stays away. */
const REMINDER_INTERVAL = 3_600_000
/** Messages taken from the queue in one turn of the event loop, so that a long backlog does not hold up the home. */
const TURN_LIMIT = 64
/** Connections in a row that were lost without one acknowledgement, before the log offers a guess why, and then is quiet about the next ones. */
const FRUITLESS_LIMIT = 2

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
  readonly #backoff: Backoff
  readonly #place: string
  #connectClient: typeof mqttConnect | undefined
  #queue: SessionQueue | undefined
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
  #sentOnThis = 0
  #fruitless = 0
  #sent = 0
  #unmapped = 0
  #lastReason: string | undefined
  #lastReasonAt = 0

  constructor(deps: BridgeDependencies) {
    this.name = `bridge ${deps.settings.name}`
    this.#settings = deps.settings
    this.#broker = deps.broker
    this.#clock = deps.clock
    this.#log = deps.log.child({ bridge: deps.settings.name })
    this.#backoff = new Backoff({ ...deps.settings.retry, random: deps.random })
    this.#place = placeOf(deps.settings.url).place
  }

  get status(): BridgeStatus {
    return {
      connected: this.#connected,
      waiting: this.#queue?.count ?? 0,
      sent: this.#sent,
      unmapped: this.#unmapped,
    }
  }

  /** Resolves when the spool collects what the rules choose; the upstream may be away. */
  async start(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    // MQTT.js is large: a gateway without bridges never loads it.
    const [{ connect }, queue] = await Promise.all([
      import('mqtt'),
      this.#broker.openSpool(SPOOL_CLIENT_PREFIX + this.#settings.name, spoolFilters(this.#settings.out)),
    ])
    signal.throwIfAborted()
    this.#connectClient = connect
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
    if (this.#connectClient === undefined) return
    const upstream: Upstream = new Upstream({
      settings: this.#settings,
      connect: this.#connectClient,
      clock: this.#clock,
      onUp: () => this.#onUp(),
      onDown: error => this.#onDown(error),
    })
    this.#upstream = upstream
  }

  #onUp(): void {
    this.#connected = true
    this.#sentOnThis = 0
    if (this.#fruitless < FRUITLESS_LIMIT) this.#reportConnected()
    this.#stableTimer = this.#clock.after(STABLE_TIME, () => this.#onStable())
    this.#ackTimer = this.#clock.every(ACK_CHECK_INTERVAL, () => this.#checkAcks())
    this.#queue?.attach(() => this.#wake())
    this.#wake()
  }

  #onStable(): void {
    this.#backoff.reset()
    if (this.#fruitless >= FRUITLESS_LIMIT) this.#reportConnected()
    this.#fruitless = 0
  }

  #onDown(error: unknown): void {
    const wasConnected = this.#connected
    const oldest = this.#inFlight.values().next().value
    this.#upstream = undefined
    this.#connected = false
    this.#stableTimer?.cancel()
    this.#ackTimer?.cancel()
    this.#inFlight.clear()
    if (wasConnected) this.#queue?.detach()
    if (this.#stopped) return
    const pause = this.#backoff.next()
    this.#retryTimer = this.#clock.after(pause, () => this.#connect())
    if (wasConnected) this.#reportLoss(faultOf(error, this.#place), pause, oldest)
    else this.#report(faultOf(error, this.#place), pause, 'bridge cannot connect')
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
    for (
      let taken = 0;
      this.#connected && this.#upstream?.ready && this.#inFlight.size < this.#settings.maxInflight;
      taken++
    ) {
      if (taken === TURN_LIMIT) {
        this.#wake()
        return
      }
      const delivery = this.#queue?.take()
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
      this.#queue?.remove(delivery)
      this.#sent++
      this.#sentOnThis++
      this.#wake()
    })
  }

  /** A rule was taken out of the configuration while its messages waited, or maps to what is no topic name. */
  #dropUnmapped(delivery: Delivery): void {
    if (this.#unmapped === 0) {
      this.#log.warn({ topic: delivery.message.topic }, 'bridge removes messages that none of its rules maps')
    }
    this.#unmapped++
    this.#queue?.remove(delivery)
  }

  /** An upstream that answers pings but does not acknowledge would hold the bridge up for ever. */
  #checkAcks(): void {
    const upstream = this.#upstream
    if (upstream === undefined || this.#inFlight.size === 0 || upstream.unsent > 0) return
    if (this.#clock.monotonic() - this.#ackDueSince < ACK_TIMEOUT) return
    upstream.cut(new Error(`${this.#place} has not acknowledged anything for ${ACK_TIMEOUT / 1000} s`))
  }

  #reportConnected(): void {
    this.#lastReason = undefined
    this.#log.info({ upstream: this.#place, waiting: this.#queue?.count }, 'bridge connected')
  }

  #reportLoss(fault: Fault, pause: number, oldest: Delivery | undefined): void {
    this.#fruitless = this.#sentOnThis > 0 ? 0 : this.#fruitless + 1
    if (this.#fruitless < FRUITLESS_LIMIT) {
      this.#warn(fault, pause, 'bridge disconnected')
    } else {
      this.#report(
        { ...fault, hint: guessOf(oldest, this.#settings.clientId) },
        pause,
        'bridge is disconnected again and again',
      )
    }
  }

  /** The same fault again and again is logged when it begins, and then now and then. */
  #report(fault: Fault, pause: number, message: string): void {
    const now = this.#clock.monotonic()
    if (fault.reason === this.#lastReason && now - this.#lastReasonAt < REMINDER_INTERVAL) return
    this.#lastReason = fault.reason
    this.#lastReasonAt = now
    this.#warn(fault, pause, message)
  }

  #warn(fault: Fault, pause: number, message: string): void {
    const waiting = this.#queue?.count
    this.#log.warn({ code: 'BRIDGE_FAILED', upstream: this.#place, ...fault, waiting, retryInMs: pause }, message)
  }
}

/** MQTT 3.1.1 gives an upstream no way to say why it closes: these are what it usually means. */
function guessOf(oldest: Delivery | undefined, clientId: string): string {
  if (oldest === undefined) return `Perhaps another client uses the same client_id "${clientId}".`
  const { topic, payload } = oldest.message
  return `Perhaps the upstream does not take the oldest message (topic "${topic}", ${payload.length} bytes): too large, or not allowed.`
}
