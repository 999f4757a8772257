/**
 * Where messages of MQTT 3.x clients wait that the store has no room for. Those versions have no word for "no
 * room", so the publisher is not acknowledged and keeps its message; it is tried again until there is
 * room. MQTT 5 clients are told (0x97), and nothing of theirs waits here.
 */
import type { Clock, Timer } from '../kernel/clock.ts'

/** Bytes of messages that wait here, of all connections together. Beyond, a socket with a message here is not read. */
const MAX_PARKED_BYTES = 16 * 1024 * 1024
/** Milliseconds between two tries: room comes when a disk is cleared or a session drains, which takes seconds. */
const RETRY_MS = 500

/** The messages of one connection, in order. */
export interface Parked {
  /** Tries again, oldest first, and stops at the first for which there is no room. Returns true when none is left. */
  retry(): boolean
}

export class Parking {
  readonly #clock: Clock
  readonly #parked = new Set<Parked>()
  #bytes = 0
  #timer: Timer | null = null

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  get isFull(): boolean {
    return this.#bytes > MAX_PARKED_BYTES
  }

  /** `parked` has one more message, of so many bytes. */
  add(parked: Parked, bytes: number): void {
    this.#parked.add(parked)
    this.#bytes += bytes
    this.#timer ??= this.#clock.every(RETRY_MS, () => this.#retry())
  }

  /** So many bytes have gone. */
  free(bytes: number): void {
    this.#bytes -= bytes
  }

  /** The connection has ended: its client will send again. */
  leave(parked: Parked, bytes: number): void {
    this.#bytes -= bytes
    this.#forget(parked)
  }

  #retry(): void {
    for (const parked of this.#parked) if (parked.retry()) this.#forget(parked)
  }

  #forget(parked: Parked): void {
    this.#parked.delete(parked)
    if (this.#parked.size > 0) return
    this.#timer?.cancel()
    this.#timer = null
  }
}
