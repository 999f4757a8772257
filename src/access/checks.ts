/** Password checks wait their turn: each takes a thread of the pool that the store writes with, too, and memory. */

/** Checks that run at once: half of the pool's four threads, so that the disk is never without one. */
const AT_ONCE = 2
/** Checks that may wait. Beyond, a client is turned away at once: it will come again. */
const MAX_WAITING = 200

/** A login that could not be looked into now. Aedes' hooks hand `returnCode` on: 3 is Server unavailable (MQTT 3.1.1 §3.2.2.3). */
export class BusyError extends Error {
  readonly returnCode = 3
}

export class Checks {
  #running = 0
  readonly #waiting: (() => void)[] = []

  /** Runs `work` when it is its turn. Rejects with BusyError when too many wait already. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running < AT_ONCE) this.#running++
    else if (this.#waiting.length >= MAX_WAITING) throw new BusyError('too many logins wait to be checked')
    else await new Promise<void>(resolve => this.#waiting.push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#waiting.shift()
      if (next === undefined) this.#running--
      else next()
    }
  }
}
