/** The messages of one topic on their way out: `window.ts`, then rounding, then `pace.ts`. */
import type { Clock, Timer } from '../kernel/clock.ts'
import { Pace } from './pace.ts'
import type { Pacing } from './ports.ts'
import { hasMoved, type Item, rounded } from './shape.ts'
import { Window } from './window.ts'

/** What one reading has to say on one topic. */
export interface Sample {
  readonly items: readonly Item[]
  /** Wall time in ms; undefined when nobody knows. */
  readonly time: number | undefined
}

export class Channel {
  readonly #clock: Clock
  readonly #every: number
  readonly #window: Window | undefined
  readonly #pace: Pace<Sample>
  #closing: Timer | undefined
  /** Of the last sample. */
  #time: number | undefined

  constructor(options: { pacing: Pacing; clock: Clock; publish: (sample: Sample) => void }) {
    const { minInterval, maxInterval, window } = options.pacing
    this.#clock = options.clock
    this.#every = window?.every ?? 0
    this.#window = window === undefined ? undefined : new Window(window)
    this.#pace = new Pace<Sample>({
      clock: options.clock,
      min: minInterval,
      max: maxInterval,
      hasMoved: (before, now) => hasMoved(before.items, now.items),
      publish: options.publish,
    })
  }

  /** Returns false when some of it found no room. */
  offer({ items, time }: Sample): boolean {
    if (this.#window === undefined) {
      this.#settle(items, time)
      return true
    }
    this.#time = time
    // A window begins with the first value in it: a device that says nothing costs no timer.
    this.#closing ??= this.#clock.after(this.#every, () => this.#close())
    return this.#window.add(items)
  }

  /** See `Pace.rest`. */
  rest(): void {
    this.#pace.rest()
  }

  /** What has come and has not gone out goes out now: part of a window, and what is held. */
  stop(): void {
    this.#close()
    this.#pace.stop()
  }

  #close(): void {
    if (this.#closing === undefined) return
    this.#closing.cancel()
    this.#closing = undefined
    this.#settle(this.#window?.close() ?? [], this.#time)
  }

  #settle(items: readonly Item[], time: number | undefined): void {
    const settled = items.map(item => ({ ...item, value: rounded(item.value, item.shape) }))
    this.#pace.offer({ items: settled, time })
  }
}
