/**
 * What the log says about the way to the upstream: one line for each change and its reason. An upstream
 * that stays away for days, or one that drops every connection, must not fill the log: the same reason is
 * said when it begins, and then now and then.
 */
import type { Message } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { type Fault, faultOf } from './faults.ts'

/** Milliseconds between two lines that say the same thing. */
const REMINDER_INTERVAL = 3_600_000
/** Connections in a row that were lost without one acknowledgement, before they count as one state, with a guess why. */
const FRUITLESS_LIMIT = 2

export interface Outage {
  /** As `faultOf` takes it. */
  readonly error: unknown
  /** Messages in the spool. */
  readonly waiting: number
  /** Undefined: not for now. */
  readonly retryInMs: number | undefined
}

export class LinkLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #place: string
  readonly #clientId: string
  #connectedTo: string
  #fruitless = 0
  #lastReason: string | undefined
  #lastReasonAt = 0

  constructor(deps: { log: Log; clock: Clock; place: string; clientId: string }) {
    this.#log = deps.log
    this.#clock = deps.clock
    this.#place = deps.place
    this.#connectedTo = deps.place
    this.#clientId = deps.clientId
  }

  /** `place` is the address that has answered, where there are several. */
  connected(waiting: number, place?: string): void {
    this.#connectedTo = place ?? this.#place
    if (this.#fruitless < FRUITLESS_LIMIT) this.#sayConnected(waiting)
  }

  /** The connection has stood for so long that it counts as a good one. */
  stable(waiting: number): void {
    if (this.#fruitless >= FRUITLESS_LIMIT) this.#sayConnected(waiting)
    this.#fruitless = 0
  }

  /** No connection came about. */
  failed(outage: Outage): void {
    this.#repeating(outage, faultOf(outage.error, this.#place), 'bridge cannot connect')
  }

  /** A connection is gone. `acknowledged` counts the messages that it carried, `oldest` is one that it did not. */
  lost(outage: Outage, acknowledged: number, oldest: Message | undefined): void {
    this.#fruitless = acknowledged > 0 ? 0 : this.#fruitless + 1
    const fault = faultOf(outage.error, this.#place)
    if (this.#fruitless < FRUITLESS_LIMIT) {
      this.#warn(outage, fault, 'bridge disconnected')
    } else {
      const hint = guessOf(oldest, this.#clientId)
      this.#repeating(outage, { ...fault, hint }, 'bridge is disconnected again and again')
    }
  }

  #sayConnected(waiting: number): void {
    this.#lastReason = undefined
    this.#log.info({ upstream: this.#connectedTo, waiting }, 'bridge connected')
  }

  #repeating(outage: Outage, fault: Fault, message: string): void {
    const now = this.#clock.monotonic()
    if (fault.reason === this.#lastReason && now - this.#lastReasonAt < REMINDER_INTERVAL) return
    this.#lastReason = fault.reason
    this.#lastReasonAt = now
    this.#warn(outage, fault, message)
  }

  #warn({ waiting, retryInMs }: Outage, fault: Fault, message: string): void {
    this.#log.warn({ code: 'BRIDGE_FAILED', upstream: this.#place, ...fault, waiting, retryInMs }, message)
  }
}

/** MQTT 3.1.1 gives an upstream no way to say why it closes: these are what it usually means. */
function guessOf(oldest: Message | undefined, clientId: string): string {
  if (oldest === undefined) return `Perhaps another client uses the same client_id "${clientId}".`
  const { topic, payload } = oldest
  return `Perhaps the upstream does not take the oldest message (topic "${topic}", ${payload.length} bytes): too large, or not allowed.`
}
