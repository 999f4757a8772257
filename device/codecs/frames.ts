/**
 * Finds frames in a stream of bytes: places where one may begin are tried one after the other, so a frame that is damaged, or noise that
 * looks like the beginning of one, costs nothing of what comes behind it. Never holds more than one frame.
 */

/** Bytes without a frame after which it is said: several seconds of a sensor, or a line at the wrong speed. */
export const NOISE_LIMIT = 1024

export interface FrameRules {
  /** Length of the frame that may begin at `at`: 0 when none can, undefined when there are too few bytes to say. Bounded by the frames' nature. */
  lengthAt(bytes: Buffer, at: number): number | undefined
  /** A whole frame, as far as its length goes. False when it is damaged; it is then looked into for another. */
  take(frame: Buffer): boolean
  /** Bytes were skipped: as often as `NOISE_LIMIT` of them came without a frame. */
  onNoise?(): void
}

export class FrameScanner {
  readonly #rules: FrameRules
  #held: Buffer = Buffer.alloc(0)
  #skipped = 0

  constructor(rules: FrameRules) {
    this.#rules = rules
  }

  /** Bytes that are kept: the beginning of a frame. */
  get held(): number {
    return this.#held.length
  }

  /** Forgets the beginning of a frame. */
  reset(): void {
    this.#held = Buffer.alloc(0)
  }

  push(chunk: Buffer): void {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let at = 0
    while (at < bytes.length) {
      const length = this.#rules.lengthAt(bytes, at)
      if (length === undefined || at + length > bytes.length) break
      if (length > 0 && this.#rules.take(bytes.subarray(at, at + length))) {
        at += length
        this.#skipped = 0
      } else {
        at++
        this.#skip()
      }
    }
    // A copy: the chunk may be a large one, and is the driver's.
    this.#held = Buffer.from(bytes.subarray(at))
  }

  #skip(): void {
    if (++this.#skipped < NOISE_LIMIT) return
    this.#skipped = 0
    this.#rules.onNoise?.()
  }
}

/** What `onNoise` says. */
export const NOISE = `${NOISE_LIMIT} bytes came without a frame: is it this sensor, and is the baud rate right?`
