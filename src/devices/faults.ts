/**
 * Faults of a device in the log. A line that sends garbage for ever must not fill a disk: of each kind
 * of fault the first is logged at once, and what follows within a minute is counted and told in one line.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'

/** At most one line a minute and kind: 1440 a day, a few hundred KB. */
export const FAULT_INTERVAL_MS = 60_000

interface Episode {
  repeated: number
  latest: string
  timer: Timer
}

export class FaultLog {
  readonly #log: Log
  readonly #clock: Clock
  readonly #episodes = new Map<string, Episode>()
  #stopped = false

  constructor(options: { log: Log; clock: Clock }) {
    this.#log = options.log
    this.#clock = options.clock
  }

  /** `kind` is one of few (it is remembered); `message` may differ each time. Returns false when it was only counted. */
  report(kind: string, message: string): boolean {
    if (this.#stopped) return false
    const episode = this.#episodes.get(kind)
    if (episode !== undefined) {
      episode.repeated++
      episode.latest = message
      return false
    }
    this.#log.warn({ fault: kind }, message)
    this.#episodes.set(kind, { repeated: 0, latest: message, timer: this.#later(kind) })
    return true
  }

  /** Tells what was counted and not yet said. Later reports are dropped. */
  stop(): void {
    this.#stopped = true
    for (const [kind, episode] of this.#episodes) {
      episode.timer.cancel()
      this.#summarize(kind, episode)
    }
    this.#episodes.clear()
  }

  #later(kind: string): Timer {
    return this.#clock.after(FAULT_INTERVAL_MS, () => {
      const episode = this.#episodes.get(kind)
      if (episode === undefined) return
      if (episode.repeated === 0) {
        this.#episodes.delete(kind)
        return
      }
      this.#summarize(kind, episode)
      episode.repeated = 0
      episode.timer = this.#later(kind)
    })
  }

  #summarize(kind: string, { repeated, latest }: Episode): void {
    if (repeated > 0) this.#log.warn({ fault: kind, repeated }, latest)
  }
}
