/**
 * What systemd is told of a gateway that it started as a service of `Type=notify`: that it is ready, that it stops, and, for
 * its watchdog, that it is well. Node.js has no datagram sockets of the kind that systemd listens on, so each word is a
 * short run of `systemd-notify`.
 *
 * Well is a gateway whose event loop turns (else nothing is said here), whose disk answers, and that somebody can connect to.
 * What a new start does not mend (a full disk, one listener of several whose port is taken) is told by `/healthz` and `$SYS`,
 * and is no reason to throw everybody out every minute.
 */
import { execFile } from 'node:child_process'
import type { Clock, Timer } from '../kernel/clock.ts'
import { reasonOf } from '../kernel/errors.ts'

/** Words that the watchdog waits for in the time that it has: one may come late. */
const WORDS_A_PERIOD = 3
/** ms for one word; on a board that swaps it takes seconds. */
const WORD_TIMEOUT = 20_000
/** Microseconds in a millisecond: systemd's unit. */
const MICROSECONDS = 1_000

/** Says it to systemd. Rejects when it cannot be said. */
export type Notify = (words: readonly string[]) => Promise<void>

export interface ServiceOptions {
  readonly env: NodeJS.ProcessEnv
  readonly clock: Clock
  /** For the log, once. */
  readonly warn: (message: string) => void
  readonly notify?: Notify
}

export class Service {
  readonly #clock: Clock
  readonly #warn: (message: string) => void
  readonly #notify: Notify | undefined
  /** ms between two words for the watchdog; undefined when there is none. */
  readonly #period: number | undefined
  #timer: Timer | undefined
  #isSpeaking = false
  #hasWarned = false

  /** Without NOTIFY_SOCKET nobody listens, and nothing is ever said. */
  constructor({ env, clock, warn, notify = systemdNotify }: ServiceOptions) {
    this.#clock = clock
    this.#warn = warn
    this.#notify = env.NOTIFY_SOCKET === undefined ? undefined : notify
    const watchdog = Number(env.WATCHDOG_USEC) / MICROSECONDS
    this.#period = watchdog > 0 ? watchdog / WORDS_A_PERIOD : undefined
  }

  /** The gateway accepts connections. From now on `isWell` is asked every so often, and the watchdog told when it says yes. */
  async ready(status: string, isWell: () => boolean): Promise<void> {
    if (this.#notify === undefined) return
    await this.#say(['READY=1', `STATUS=${status}`])
    if (this.#period === undefined) return
    this.#timer = this.#clock.every(this.#period, () => {
      // One at a time: where they take longer than a period, the board is busy enough.
      if (!this.#isSpeaking && isWell()) void this.#say(['WATCHDOG=1'])
    })
  }

  /** Says nothing any more. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
  }

  /** Orderly, from here on: the time that a stop may take is another setting of the service. */
  async stopping(): Promise<void> {
    this.stop()
    if (this.#notify !== undefined) await this.#say(['STOPPING=1'])
  }

  async #say(words: readonly string[]): Promise<void> {
    this.#isSpeaking = true
    try {
      await this.#notify?.(words)
    } catch (error) {
      if (!this.#hasWarned) this.#warn(`systemd cannot be told that the gateway runs: ${reasonOf(error)}`)
      this.#hasWarned = true
    } finally {
      this.#isSpeaking = false
    }
  }
}

/** Whether a gateway with this status, as `larder status --json` has it, is one that a new start would not make better. */
export function isWell(status: string, listeners: number): boolean {
  const { troubles } = JSON.parse(status) as { troubles: readonly string[] }
  const closed = troubles.filter(trouble => trouble.startsWith('the listener ')).length
  return !troubles.includes('the disk does not answer') && (closed === 0 || closed < listeners)
}

function systemdNotify(words: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('systemd-notify', words, { timeout: WORD_TIMEOUT }, error => (error === null ? resolve() : reject(error)))
  })
}
