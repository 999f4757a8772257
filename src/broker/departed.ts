/**
 * Sessions without a connection that something is still to happen to: they expire (MQTT 5 §3.1.2.11.2),
 * or their will is due (§3.1.3.2.2). Counted in the time of the store, which a stop of the gateway does not set back.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { LifeTime } from './ports.ts'

/** Milliseconds between two looks. Intervals are whole seconds, and may be late but never early. */
const LOOK_INTERVAL_MS = 250

interface Departed {
  /** Time at which the session ends; Infinity for never. */
  endsAt: number
  /** Publishes the will; null when there is none or it was published. */
  will: (() => void) | null
  /** Time at which the will is published. */
  willAt: number
}

export class DepartedSessions {
  readonly #clock: Clock
  readonly #time: LifeTime
  readonly #onExpired: (clientId: string) => void
  readonly #sessions = new Map<string, Departed>()
  #timer: Timer | null = null

  constructor(deps: { clock: Clock; time: LifeTime; onExpired: (clientId: string) => void }) {
    this.#clock = deps.clock
    this.#time = deps.time
    this.#onExpired = deps.onExpired
  }

  /** A connection ended. `expiry` and `will.delay` in milliseconds; Infinity for never. The will comes no later than the end of the session. */
  add(clientId: string, expiry: number, will: { delay: number; publish: () => void } | null): void {
    const now = this.#time.now()
    this.#sessions.set(clientId, {
      endsAt: now + expiry,
      will: will?.publish ?? null,
      willAt: now + Math.min(will?.delay ?? 0, expiry),
    })
    this.#timer ??= this.#clock.every(LOOK_INTERVAL_MS, () => this.#look())
  }

  /** The client is back. Its will is cancelled if it takes up its session [MQTT-3.1.3-9], and published if that ends instead. */
  returned(clientId: string, resumes: boolean): void {
    const session = this.#sessions.get(clientId)
    if (session === undefined) return
    this.#sessions.delete(clientId)
    if (!resumes) session.will?.()
  }

  /** At the gateway's stop: wills stay in the store, for the next start. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#sessions.clear()
  }

  #look(): void {
    const now = this.#time.now()
    for (const [clientId, session] of this.#sessions) {
      if (session.will !== null && now >= session.willAt) {
        const publish = session.will
        session.will = null
        publish()
      }
      if (now >= session.endsAt) {
        this.#sessions.delete(clientId)
        this.#onExpired(clientId)
      } else if (session.will === null && session.endsAt === Number.POSITIVE_INFINITY) {
        this.#sessions.delete(clientId)
      }
    }
    if (this.#sessions.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }
}
