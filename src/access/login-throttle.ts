/**
 * Guessing is slow: after a number of failed logins from one address, a failure closes the door to it for a while that
 * doubles each time, and attempts pass one at a time. A login that succeeds costs nobody time but opens nothing either,
 * so one valid account does not help to guess another's password.
 *
 * A house behind one address (a router, a container's network, a proxy on this machine: therefore loopback counts like
 * any address) must not be locked out by one device with an old password: a user who has logged in from there goes
 * past the line, until a login in that name fails. Unix sockets have no address and are not slowed: file permissions
 * say who may knock there. Kept in memory only; it stays over a reload.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import { neighbourhoodOf } from '../kernel/neighbourhood.ts'
import { BusyError } from './checks.ts'

/** Failures that cost no time: people mistype, and a house has several devices. */
export const FREE_FAILURES = 10
/** Milliseconds after which an address without a new failure is as good as new. */
export const WINDOW_MS = 10 * 60_000
/** Milliseconds that the door is closed at first… */
export const FIRST_DELAY_MS = 500
/** …and at most: two in line still come in before a gateway or a client gives up a connection, after 10 s. */
export const MAX_DELAY_MS = 4_000
/** Milliseconds in line after which an attempt is turned away unchecked: its client has gone. */
export const MAX_WAIT_MS = 8_000
/** Attempts in line at one door. Beyond, they are turned away at once. */
export const MAX_WAITING = 20
/** Addresses that are remembered for their failures, some 200 bytes each; the one that failed longest ago goes first. */
export const MAX_ADDRESSES = 2_000
/** Users that are remembered for their success, each with its address; the one that succeeded longest ago goes first. */
export const MAX_KNOWN = 2_000

/** What is known of one address. */
interface Door {
  failures: number
  /** Monotonic, of the last failure. */
  failedAt: number
  /** Monotonic: closed until then. */
  closedUntil: number
  /** Attempts that are being checked. */
  checking: number
  readonly line: { pass: (mayGo: boolean) => void; since: number }[]
  timer: Timer | null
}

export class LoginThrottle {
  readonly #clock: Clock
  readonly #onSlowed: (address: string, failures: number) => void
  /** By address, the one that failed last at the end. */
  readonly #doors = new Map<string, Door>()
  /** `address user`, the one that succeeded last at the end. */
  readonly #known = new Set<string>()

  /** `onSlowed` is called when an address has used up its free failures. */
  constructor(deps: { clock: Clock; onSlowed?: (address: string, failures: number) => void }) {
    this.#clock = deps.clock
    this.#onSlowed = deps.onSlowed ?? (() => {})
  }

  /**
   * Resolves to what `check` does, which is called when the attempt may be made: true is a success. `address` undefined
   * is not slowed. Rejects with BusyError, without a check, when too many wait; and as `check` does, which counts as nothing.
   */
  async attempt(
    from: { address: string | undefined; userName: string },
    check: () => Promise<boolean>,
  ): Promise<boolean> {
    if (from.address === undefined) return check()
    const address = neighbourhoodOf(from.address)
    const user = `${address} ${from.userName}`
    const door = this.#doorOf(address)
    // Taken out meanwhile: of many at the same time, one goes past the line.
    const isKnown = this.#known.delete(user)
    if (isKnown) door.checking++
    else await this.#enter(door)
    try {
      const isSuccess = await check()
      if (isSuccess) this.#remember(user)
      else this.#failed(address, door)
      return isSuccess
    } catch (error) {
      if (isKnown) this.#remember(user)
      throw error
    } finally {
      door.checking--
      this.#move(door)
      this.#tidy(address, door)
    }
  }

  /** Turns everybody away who waits. */
  stop(): void {
    for (const door of this.#doors.values()) {
      door.timer?.cancel()
      door.timer = null
      for (const { pass } of door.line.splice(0)) pass(false)
    }
  }

  #doorOf(address: string): Door {
    const door = this.#doors.get(address)
    if (door !== undefined) {
      if (this.#clock.monotonic() - door.failedAt >= WINDOW_MS) door.failures = 0
      return door
    }
    const fresh: Door = { failures: 0, failedAt: 0, closedUntil: 0, checking: 0, line: [], timer: null }
    this.#doors.set(address, fresh)
    return fresh
  }

  /** Resolves when the attempt has been let in, and is counted among those that are being checked. */
  async #enter(door: Door): Promise<void> {
    if (door.line.length === 0 && this.#isOpen(door)) {
      door.checking++
      return
    }
    if (door.line.length >= MAX_WAITING) throw new BusyError('too many logins from this address wait')
    const mayGo = await new Promise<boolean>(pass => {
      door.line.push({ pass, since: this.#clock.monotonic() })
      this.#move(door)
    })
    if (!mayGo) throw new BusyError('the login waited too long')
  }

  /** Those who are being checked may all fail: they count as if they had. */
  #isOpen(door: Door): boolean {
    if (door.failures + door.checking < FREE_FAILURES) return true
    return door.checking === 0 && this.#clock.monotonic() >= door.closedUntil
  }

  /** Lets in whose turn it is, one at a time: whoever is let in calls again when the check has ended. */
  #move(door: Door): void {
    const now = this.#clock.monotonic()
    while (door.line[0] !== undefined && now - door.line[0].since > MAX_WAIT_MS) door.line.shift()?.pass(false)
    if (door.line.length === 0 || door.timer !== null) return
    if (this.#isOpen(door)) {
      door.checking++
      door.line.shift()?.pass(true)
    } else if (door.checking === 0) {
      door.timer = this.#clock.after(door.closedUntil - now, () => {
        door.timer = null
        this.#move(door)
      })
    }
  }

  #failed(address: string, door: Door): void {
    const now = this.#clock.monotonic()
    door.failures++
    door.failedAt = now
    const beyond = door.failures - FREE_FAILURES
    if (beyond >= 0) door.closedUntil = now + Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** beyond)
    if (beyond === 0) this.#onSlowed(address, door.failures)
    this.#doors.delete(address)
    this.#doors.set(address, door)
  }

  #remember(user: string): void {
    this.#known.delete(user)
    this.#known.add(user)
    if (this.#known.size > MAX_KNOWN) this.#known.delete(this.#known.values().next().value as string)
  }

  /** Forgets an address of which nothing is to be remembered, and the oldest of too many. */
  #tidy(address: string, door: Door): void {
    if (door.failures === 0 && isIdle(door)) this.#doors.delete(address)
    if (this.#doors.size <= MAX_ADDRESSES) return
    const oldest = [...this.#doors].find(([, each]) => isIdle(each))
    if (oldest !== undefined) this.#doors.delete(oldest[0])
  }
}

function isIdle({ checking, line }: Door): boolean {
  return checking === 0 && line.length === 0
}
