/**
 * What all connections together make the gateway hold: bytes that sockets have not taken, packets that have not come
 * whole, messages that wait in memory for sessions or for acknowledgements, topics that have aliases. Nothing of it grows
 * but by bytes that are moved; so everybody is asked, exactly, whenever an eighth of the bound has been moved since the last time, and in
 * between that is one addition. Beyond the bound QoS 0 is dropped, and at the end of the turn, if the sockets have not
 * taken enough by then, whoever holds most has to go.
 */
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'

/** Part of the bound that may be moved between two looks. */
const STEP = 1 / 8
/** Milliseconds between two log lines. */
const LOG_INTERVAL = 60_000

export interface Holder {
  readonly id: string
  /** Bytes. */
  readonly held: number
  /** Ends the connection; afterwards it holds nothing. */
  giveWay(): void
}

export class Memory {
  readonly #limits: { readonly memory: number }
  readonly #clock: Clock
  readonly #log: Log
  readonly #holders = new Set<Holder>()
  #moved = 0
  #isFull = false
  #ended = 0
  #loggedAt = Number.NEGATIVE_INFINITY

  constructor(deps: { limits: { readonly memory: number }; clock: Clock; log: Log }) {
    this.#limits = deps.limits
    this.#clock = deps.clock
    this.#log = deps.log
  }

  /** More is held than may be: what can be dropped should be. Passes with the turn of the event loop. */
  get isFull(): boolean {
    return this.#isFull
  }

  add(holder: Holder): void {
    this.#holders.add(holder)
  }

  delete(holder: Holder): void {
    this.#holders.delete(holder)
  }

  /** So many bytes have come, are to be sent, or wait: somebody may hold them. */
  moved(bytes: number): void {
    this.#moved += bytes
    if (this.#moved < this.#limits.memory * STEP) return
    this.#moved = 0
    if (this.#isFull || this.#sum() <= this.#limits.memory) return
    this.#isFull = true
    // Not here: somebody is in the middle of something. What was gathered in this turn has left by then, if it could.
    setImmediate(() => this.#relieve())
  }

  #sum(): number {
    let sum = 0
    for (const { held } of this.#holders) sum += held
    return sum
  }

  #relieve(): void {
    this.#isFull = false
    let sum = this.#sum()
    if (sum <= this.#limits.memory) return
    const holders = Array.from(this.#holders, holder => ({ holder, held: holder.held })).sort((a, b) => b.held - a.held)
    for (const { holder, held } of holders) {
      if (sum <= this.#limits.memory) break
      sum -= held
      this.#tell(holder.id, held)
      holder.giveWay()
    }
  }

  #tell(client: string, held: number): void {
    this.#ended++
    const now = this.#clock.monotonic()
    if (now - this.#loggedAt < LOG_INTERVAL) return
    this.#loggedAt = now
    this.#log.warn(
      { client, held, ended: this.#ended, max: this.#limits.memory },
      'connections hold as much memory as limits.memory allows: the one that holds most is closed',
    )
    this.#ended = 0
  }
}
