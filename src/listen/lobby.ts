/**
 * Where a connection is until its CONNECT has come: at all listeners together so many may be there. Its PROXY header, its
 * TLS handshake and its WebSocket upgrade share one deadline, which bytes that trickle in do not prolong; after them
 * the session has its own. When the lobby is full, whoever has been in it long makes room; while all are still in
 * haste (a household that comes back at once after a power cut), the newcomer is closed and comes again, for cutting off
 * those in haste would let nobody ever finish.
 */
import type { Socket } from 'node:net'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { Throttle } from './throttle.ts'

/** Milliseconds from the connection to the end of its handshakes. A Pi on a bad radio link needs two or three seconds. */
const HANDSHAKE_TIMEOUT = 10_000
/** Milliseconds in which a connection counts as in haste: an honest one has sent its CONNECT within a second. */
const HASTE = 2_000
/** Milliseconds between two log lines about a full lobby. */
const LOG_INTERVAL = 60_000

/** One connection's time in the lobby. */
export class Stay {
  /** Monotonic. */
  readonly since: number
  /** Called at the deadline instead of destroying the socket. */
  onLate: (() => void) | undefined = undefined
  readonly #waiting: Map<Socket, Stay>
  readonly #socket: Socket
  #deadline: Timer | null = null

  constructor(deps: { socket: Socket; waiting: Map<Socket, Stay>; since: number }) {
    this.#socket = deps.socket
    this.#waiting = deps.waiting
    this.since = deps.since
  }

  /** There are handshakes before it is a stream: they have their time. */
  begin(clock: Clock): void {
    this.#deadline = clock.after(HANDSHAKE_TIMEOUT, () => {
      if (this.onLate === undefined) this.#socket.destroy()
      else this.onLate()
    })
  }

  /** The connection is a stream now: the deadline is off. Its CONNECT is still to come. */
  arrive(): void {
    this.#deadline?.cancel()
  }

  /** The CONNECT has come, or the connection is gone. */
  leave(): void {
    this.#deadline?.cancel()
    this.#waiting.delete(this.#socket)
  }
}

export class Lobby {
  readonly #max: () => number
  readonly #clock: Clock
  readonly #log: Log
  readonly #throttle: Throttle
  /** Oldest first. */
  readonly #waiting = new Map<Socket, Stay>()

  constructor(deps: { max: () => number; clock: Clock; log: Log }) {
    this.#max = deps.max
    this.#clock = deps.clock
    this.#log = deps.log
    this.#throttle = new Throttle({ clock: deps.clock, interval: LOG_INTERVAL })
  }

  /**
   * Undefined when there is no room; the socket is destroyed then. When the socket closes, it must leave. `isStream`: there
   * are no handshakes before it is one.
   */
  enter(socket: Socket, { isStream }: { isStream: boolean }): Stay | undefined {
    const since = this.#clock.monotonic()
    if (!this.#makeRoom(since)) {
      socket.destroy()
      return undefined
    }
    const stay = new Stay({ socket, waiting: this.#waiting, since })
    if (!isStream) stay.begin(this.#clock)
    this.#waiting.set(socket, stay)
    return stay
  }

  #makeRoom(now: number): boolean {
    const max = this.#max()
    if (this.#waiting.size < max) return true
    this.#throttle.note(closed =>
      this.#log.warn(
        { closed, max },
        'connections closed: the CONNECT of as many is still to come as limits.max_half_open allows',
      ),
    )
    const [oldest] = this.#waiting
    if (oldest === undefined || now - oldest[1].since < HASTE) return false
    oldest[1].leave()
    oldest[0].destroy()
    return true
  }
}
