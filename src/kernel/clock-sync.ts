/**
 * Whether the wall clock of this machine can be believed. A Pi has no clock battery: until a time server has
 * been heard it says something from the past. Linux keeps that secret from programs without system calls of their
 * own, so three signs are looked for: systemd-timesyncd's mark that it has set the clock; where that does not run, a
 * hardware clock from which the kernel took the time; and a leap forward while we look on, until it is taken back. What
 * says less than `NOT_BEFORE` is wrong whatever the signs say: a hardware clock with an empty battery, or a leap to there.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { CLOCK_STEP_MS, type Clock, type ClockSync } from './clock.ts'

/** This was written after then. */
export const NOT_BEFORE = Date.UTC(2026, 0, 1)

export class SystemClockSync implements ClockSync {
  readonly #clock: Clock
  readonly #root: string
  readonly #offset: number

  /** `root` is where `/run` and `/sys` are looked for. */
  constructor(deps: { clock: Clock; root?: string }) {
    this.#clock = deps.clock
    this.#root = deps.root ?? '/'
    this.#offset = deps.clock.wall() - deps.clock.monotonic()
  }

  isSynced(): boolean {
    const wall = this.#clock.wall()
    if (wall < NOT_BEFORE) return false
    if (wall - this.#clock.monotonic() - this.#offset > CLOCK_STEP_MS) return true
    const timesync = join(this.#root, 'run/systemd/timesync')
    if (existsSync(timesync)) return existsSync(join(timesync, 'synchronized'))
    return this.#cameFromHardware()
  }

  #cameFromHardware(): boolean {
    try {
      return readFileSync(join(this.#root, 'sys/class/rtc/rtc0/hctosys'), 'utf8').trim() === '1'
    } catch {
      return false
    }
  }
}
