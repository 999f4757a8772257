/**
 * When a bridge connects. `automatic`: at the start, and again after each end, after a pause that grows. `once`: at the
 * start, and not again. `lazy`: when enough waits, or something has waited for long; it leaves when nothing has moved
 * for a while, and is meanwhile as automatic as any.
 *
 * A certificate that is not valid by a clock that nobody has set yet is no reason to wait for the end of a pause: when
 * the clock is set, it is tried again.
 */
import { CLOCK_STEP_MS, type Clock, type Timer } from '../kernel/clock.ts'
import { Backoff } from './backoff.ts'
import type { ConnectionSettings } from './connection.ts'

/** Milliseconds that a connection must stand before short pauses are tried again. */
const STABLE_TIME = 60_000
/** Milliseconds between two looks at what waits, at what has moved, and at the clock. */
const LOOK_INTERVAL = 1_000
/** Of a lazy bridge: messages that must wait (Mosquitto's default), ms without traffic (too), and ms that one may wait. */
const THRESHOLD = 10
const IDLE_TIMEOUT = 60_000
const MAX_WAIT = 3_600_000

export interface DemandDependencies {
  readonly settings: ConnectionSettings & { readonly retry: { readonly min: number; readonly max: number } }
  readonly clock: Clock
  readonly random: () => number
  /** Messages in the spool. */
  readonly waiting: () => number
  /** Messages carried so far, either way. */
  readonly carried: () => number
  readonly connect: () => void
  /** The bridge has nothing to do, and is to disconnect. */
  readonly leave: () => void
  /** The connection has stood for `STABLE_TIME`. */
  readonly onStable: () => void
}

export class Demand {
  readonly #deps: DemandDependencies
  readonly #backoff: Backoff
  #retryTimer: Timer | undefined
  #stableTimer: Timer | undefined
  #lookTimer: Timer | undefined

  constructor(deps: DemandDependencies) {
    this.#deps = deps
    this.#backoff = new Backoff({ ...deps.settings.retry, random: deps.random })
  }

  get #isLazy(): boolean {
    return this.#deps.settings.startType === 'lazy'
  }

  /** The bridge has started. */
  begin(): void {
    if (this.#isLazy) this.#watchSpool()
    else this.#deps.connect()
  }

  /** The connection stands. */
  up(): void {
    const { clock, onStable } = this.#deps
    this.#stableTimer = clock.after(STABLE_TIME, () => {
      this.#backoff.reset()
      onStable()
    })
    if (this.#isLazy) this.#watchTraffic()
  }

  /**
   * The connection is gone, or did not come about. Returns the pause in ms before it is tried again, or undefined when it
   * waits for something else. `isClock`: a certificate was not valid by the clock of this machine.
   */
  down(isClock: boolean): number | undefined {
    const { settings, clock, waiting } = this.#deps
    this.stop()
    if (settings.startType === 'once') return undefined
    if (this.#isLazy && waiting() === 0) {
      this.#watchSpool()
      return undefined
    }
    const pause = this.#backoff.next()
    this.#retryTimer = clock.after(pause, () => this.again())
    if (isClock) this.#watchClock()
    return pause
  }

  /** There is a reason to think that it works now: the pause is over. */
  hurry(): void {
    if (this.#retryTimer !== undefined) this.again()
  }

  /** Without a pause. */
  again(): void {
    this.stop()
    this.#deps.connect()
  }

  /** Nothing is tried any more. */
  stop(): void {
    for (const timer of [this.#retryTimer, this.#stableTimer, this.#lookTimer]) timer?.cancel()
    this.#retryTimer = undefined
  }

  #watchSpool(): void {
    const { settings, clock, waiting } = this.#deps
    const { threshold = THRESHOLD, maxWait = MAX_WAIT } = settings
    let since = clock.monotonic()
    const look = () => {
      if (waiting() === 0) since = clock.monotonic()
      if (waiting() >= threshold || clock.monotonic() - since >= maxWait) this.again()
    }
    this.#lookTimer = clock.every(LOOK_INTERVAL, look)
    look()
  }

  #watchTraffic(): void {
    const { settings, clock, waiting, carried, leave } = this.#deps
    let before = carried()
    let since = clock.monotonic()
    this.#lookTimer = clock.every(LOOK_INTERVAL, () => {
      const isBusy = waiting() > 0 || carried() !== before
      before = carried()
      if (isBusy) since = clock.monotonic()
      if (clock.monotonic() - since < (settings.idleTimeout ?? IDLE_TIMEOUT)) return
      this.#lookTimer?.cancel()
      leave()
    })
  }

  #watchClock(): void {
    const { clock } = this.#deps
    const offset = () => clock.wall() - clock.monotonic()
    const before = offset()
    this.#lookTimer = clock.every(LOOK_INTERVAL, () => {
      if (Math.abs(offset() - before) >= CLOCK_STEP_MS) this.again()
    })
  }
}
