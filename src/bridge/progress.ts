/** How far a backlog is worked off, and when that will be done: in the state, and now and then in the log. */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { DrainState } from './ports.ts'

/** Messages that make a backlog. */
const MIN_BACKLOG = 1_000
/** Messages that make none any more: some always wait where some always come. */
const END_OF_BACKLOG = 100
/** ms between two lines of the log. */
const TELL_INTERVAL = 30_000
/** ms before an estimate is worth anything. */
const MIN_TIME = 1_000

interface Backlog {
  readonly waiting: number
  /** Messages sent before. */
  readonly sent: number
  /** Monotonic. */
  readonly since: number
  toldAt: number
}

export class Progress {
  readonly #clock: Clock
  readonly #log: Log
  readonly #waiting: () => number
  readonly #sent: () => number
  #backlog: Backlog | undefined

  constructor(deps: {
    clock: Clock
    log: Log
    /** Messages in the spool. */
    waiting: () => number
    /** Messages that the upstream has acknowledged. */
    sent: () => number
  }) {
    this.#clock = deps.clock
    this.#log = deps.log
    this.#waiting = deps.waiting
    this.#sent = deps.sent
  }

  /** The drain begins. */
  begin(): void {
    const waiting = this.#waiting()
    if (waiting < MIN_BACKLOG) return
    const now = this.#clock.monotonic()
    this.#backlog = { waiting, sent: this.#sent(), since: now, toldAt: now }
  }

  /** The connection is gone. */
  end(): void {
    this.#backlog = undefined
  }

  /** To be called now and then while the connection stands. */
  look(): void {
    const backlog = this.#backlog
    const { state } = this
    if (backlog === undefined || state === undefined) return
    const now = this.#clock.monotonic()
    if (this.#waiting() < END_OF_BACKLOG) {
      this.#backlog = undefined
      const seconds = Math.round((now - backlog.since) / 1_000)
      this.#log.info({ messages: state.done, seconds }, 'bridge has sent its backlog')
    } else if (now - backlog.toldAt >= TELL_INTERVAL) {
      backlog.toldAt = now
      const left = state.endsAt === undefined ? undefined : Math.round((state.endsAt - this.#clock.wall()) / 1_000)
      this.#log.info({ done: state.done, of: state.of, secondsLeft: left }, 'bridge sends its backlog')
    }
  }

  /** Undefined when there is no backlog. What has come since counts with it: it stands behind. */
  get state(): DrainState | undefined {
    if (this.#backlog === undefined) return undefined
    const { waiting, sent, since } = this.#backlog
    const done = this.#sent() - sent
    const left = this.#waiting()
    const time = this.#clock.monotonic() - since
    const perMs = (waiting - left) / time
    const endsAt = time < MIN_TIME || perMs <= 0 ? undefined : Math.round(this.#clock.wall() + left / perMs)
    return { done, of: done + left, endsAt }
  }
}
