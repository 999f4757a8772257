/**
 * The time of the store: milliseconds that it has been in use. It never jumps, whatever the wall clock does, and
 * is written now and then, so that it goes on after a restart. The time for which the machine was off is added
 * only if the wall clock could be trusted both when the time was written and now: a Pi has no clock
 * battery, and may wake up in 1970 or wherever its last owner left it. Untrusted, expiry waits: nothing is
 * thrown away because of a clock that is wrong.
 */
import type { LifeTime } from '../broker/ports.ts'
import { CLOCK_STEP_MS, type Clock, type ClockSync } from '../kernel/clock.ts'

/** What is written. */
export interface TimeRecord {
  /** Time of the store. */
  readonly elapsed: number
  /** Wall time at that moment; undefined when it could not be trusted. */
  readonly wall: number | undefined
}

/** A new store begins here, ten years on: what an older store left from before it was migrated has its place, too. */
export const FIRST_TIME: TimeRecord = { elapsed: 10 * 365 * 86_400_000, wall: undefined }

export class StoreTime implements LifeTime {
  readonly #clock: Clock
  readonly #sync: ClockSync
  #base = FIRST_TIME.elapsed
  #since: number
  /** Wall time of the record that was read, until the time since then has been added. */
  #before: number | undefined = undefined
  #writtenAt = Number.NEGATIVE_INFINITY
  /** Wall time less monotonic time, then. */
  #writtenOffset = 0

  constructor(deps: { clock: Clock; sync: ClockSync }) {
    this.#clock = deps.clock
    this.#sync = deps.sync
    this.#since = deps.clock.monotonic()
  }

  now(): number {
    return this.#base + this.#clock.monotonic() - this.#since
  }

  /** Goes on from what was written. */
  load({ elapsed, wall }: TimeRecord): void {
    this.#base = elapsed
    this.#since = this.#clock.monotonic()
    this.#before = wall
    this.catchUp()
  }

  /** Adds the time that the machine was off, once, as soon as the wall clock can be trusted. */
  catchUp(): void {
    if (this.#before === undefined || !this.#sync.isSynced()) return
    const running = this.#clock.monotonic() - this.#since
    const off = this.#clock.wall() - running - this.#before
    this.#before = undefined
    if (off > 0) this.#base += off
  }

  /**
   * What is to be written now; undefined when that was done less than `interval` milliseconds ago and the clock was not set
   * since: after a crash, a leap from what was written to what is right would pass for time off.
   */
  record(interval: number): TimeRecord | undefined {
    const now = this.#clock.monotonic()
    const offset = this.#clock.wall() - now
    if (now - this.#writtenAt < interval && Math.abs(offset - this.#writtenOffset) < CLOCK_STEP_MS) return undefined
    this.#writtenAt = now
    this.#writtenOffset = offset
    this.catchUp()
    const elapsed = this.now()
    // While the time off is unknown, what was true before it still says when that was.
    if (this.#before !== undefined) return { elapsed, wall: this.#before + elapsed - this.#base }
    return { elapsed, wall: this.#sync.isSynced() ? this.#clock.wall() : undefined }
  }
}

export function encodeTime({ elapsed, wall = 0 }: TimeRecord): Buffer {
  const value = Buffer.allocUnsafe(12)
  value.writeUIntBE(Math.round(elapsed), 0, 6)
  value.writeUIntBE(Math.max(0, Math.round(wall)), 6, 6)
  return value
}

export function decodeTime(value: Buffer): TimeRecord {
  const wall = value.readUIntBE(6, 6)
  return { elapsed: value.readUIntBE(0, 6), wall: wall === 0 ? undefined : wall }
}
