/**
 * Watches the free space of the disk that the store lies on. LevelDB on a full disk corrupts itself or stops; so
 * below a limit nothing new is taken that needs the disk, and what was taken still finds room. A reserve, a file of
 * zeros beside the store, is given up when the disk is full all the same: it is what LevelDB needs to open again and
 * to delete.
 */
import { open, rm, stat, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'

/** Milliseconds between two looks. */
const LOOK_INTERVAL_MS = 5_000
/** Bytes written after which the next look does not wait. */
const LOOK_BYTES = 8 * 1024 * 1024
/** There is room again when so much more than the limit is free, so that it does not flap. */
const ENOUGH = 1.25
/** Bytes that must be free again after the disk was full, whatever the limit: some of LevelDB's journals and tables. */
const WORKING_BYTES = 8 * 1024 * 1024
/** Bytes of the reserve: LevelDB's write buffer becomes a table when it opens, and two more files are made. */
const RESERVE_BYTES = 8 * 1024 * 1024
/** The reserve is no more than this part of what must stay free. */
const RESERVE_SHARE = 0.25

export interface DiskGuardOptions {
  /** Folder of the store; the reserve lies beside it. */
  location: string
  /** Bytes that must stay free; 0 for no limit. */
  minFree: number
}

export class DiskGuard {
  /** Bytes that were free at the last look; undefined before the first. */
  free: number | undefined = undefined
  readonly #location: string
  readonly #minFree: number
  readonly #clock: Clock
  readonly #log: Log
  readonly #reserve: string
  #isLow = false
  /** It was found by a write that failed, in spite of the limit or for want of one. */
  #wasFull = false
  #hasReserve = false
  #timer: Timer | null = null
  #looking: Promise<void> | null = null
  #written = 0

  constructor(options: DiskGuardOptions, deps: { clock: Clock; log: Log }) {
    this.#location = options.location
    this.#minFree = options.minFree
    this.#clock = deps.clock
    this.#log = deps.log
    this.#reserve = `${options.location}.reserve`
  }

  /** True while nothing new may be taken that needs the disk. */
  get isLow(): boolean {
    return this.#isLow
  }

  async start(): Promise<void> {
    await this.#look()
    this.#timer = this.#clock.every(LOOK_INTERVAL_MS, () => this.look())
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = null
  }

  /** So many bytes were written. */
  wrote(bytes: number): void {
    this.#written += bytes
    if (this.#written < LOOK_BYTES) return
    this.#written = 0
    this.look()
  }

  /** The disk is full in spite of all: gives up the reserve. */
  async isFull(): Promise<void> {
    this.#wasFull = true
    this.#setLow(true)
    this.#hasReserve = false
    await rm(this.#reserve, { force: true })
  }

  look(): void {
    if (this.#looking !== null || this.#timer === null) return
    this.#looking = this.#look().finally(() => {
      this.#looking = null
    })
  }

  async #look(): Promise<void> {
    try {
      const { bavail, bsize } = await statfs(dirname(this.#location))
      this.free = bavail * bsize
      const working = this.#wasFull ? WORKING_BYTES : 0
      const enough = this.#isLow ? Math.max(this.#minFree * ENOUGH, working) : this.#minFree
      this.#setLow(this.free < enough)
      if (!this.#isLow) await this.#keepReserve(this.free)
    } catch (error) {
      this.#log.debug({ reason: reasonOf(error) }, 'the free space of the disk could not be found out')
    }
  }

  #setLow(isLow: boolean): void {
    if (isLow === this.#isLow) return
    this.#isLow = isLow
    if (!isLow) this.#wasFull = false
    const facts = { free: this.free, minFree: this.#minFree }
    if (isLow) {
      this.#log.error(
        facts,
        'the disk is nearly full: messages that must be stored are refused until there is room (store.min_free)',
      )
    } else {
      this.#log.warn(facts, 'the disk has room again: messages are stored again')
    }
  }

  async #keepReserve(free: number): Promise<void> {
    const bytes = Math.min(RESERVE_BYTES, Math.floor(this.#minFree * RESERVE_SHARE))
    if (this.#hasReserve || bytes === 0 || free < this.#minFree * ENOUGH + bytes) return
    const known = await stat(this.#reserve).catch(() => undefined)
    if (known === undefined || known.size < bytes) {
      const file = await open(this.#reserve, 'w', 0o600)
      try {
        // Written, not merely made long: a hole takes no space.
        await file.write(Buffer.alloc(bytes))
      } finally {
        await file.close()
      }
    }
    this.#hasReserve = true
  }
}
