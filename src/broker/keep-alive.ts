/** A client that is silent for one and a half times its keep alive is taken for dead [MQTT-3.1.2-24]. */
import type { Clock, Timer } from '../kernel/clock.ts'

const FACTOR = 1.5

export class KeepAlive {
  readonly #clock: Clock
  readonly #isHeld: () => boolean
  readonly #onSilence: () => void
  #timer: Timer | null = null
  #lastSeen = 0
  /** Milliseconds. */
  #allowed = 0

  /** `isHeld` says whether the client is not being read: its silence is ours then. */
  constructor(deps: { clock: Clock; isHeld: () => boolean; onSilence: () => void }) {
    this.#clock = deps.clock
    this.#isHeld = deps.isHeld
    this.#onSilence = deps.onSilence
  }

  /** Something came, or is read again. */
  seen(): void {
    this.#lastSeen = this.#clock.monotonic()
  }

  /** From now on; 0 seconds is no keep alive. */
  start(seconds: number): void {
    this.#allowed = FACTOR * seconds * 1000
    if (this.#allowed > 0) this.#watch(this.#allowed)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #watch(wait: number): void {
    this.#timer = this.#clock.after(wait, () => {
      const silence = this.#isHeld() ? 0 : this.#clock.monotonic() - this.#lastSeen
      if (silence < this.#allowed) this.#watch(this.#allowed - silence)
      else this.#onSilence()
    })
  }
}
