/**
 * Small messages of a rule, until there are enough of them, or the first has waited for long enough, to go together. A batch
 * that is not sent when the connection ends is none: its messages are still in the spool.
 */
import type { Clock, Timer } from '../kernel/clock.ts'
import type { BridgeRule } from './ports.ts'
import type { Route } from './remap.ts'
import type { Taken } from './spool.ts'

/** Messages in a batch, however small: each is a record that goes when it is acknowledged. */
const MAX_MEMBERS = 1_000
/** Bytes between two messages, and around all. */
const SEPARATOR = 1
const BRACKETS = 2

export interface Batch {
  readonly route: Route
  readonly members: Taken[]
  /** The wrapped messages. */
  readonly texts: string[]
  bytes: number
  readonly timer: Timer
}

export class Batches {
  readonly #clock: Clock
  readonly #ship: (batch: Batch) => void
  readonly #open = new Map<BridgeRule, Batch>()

  /** `ship` sends a batch; it is told of each once. */
  constructor(deps: { clock: Clock; ship: (batch: Batch) => void }) {
    this.#clock = deps.clock
    this.#ship = deps.ship
  }

  /** `room` is how many bytes the payload may have at the upstream; `isAlone`: the message goes by itself. */
  add(taken: Taken, text: string, route: Route, { room, isAlone }: { room: number; isAlone: boolean }): void {
    const { rule } = route
    const { every, maxBytes } = rule.batch as NonNullable<BridgeRule['batch']>
    const most = Math.min(maxBytes, room)
    const bytes = Buffer.byteLength(text) + SEPARATOR
    const before = this.#open.get(rule)
    if (before !== undefined && before.bytes + bytes > most) this.#close(rule)
    const batch = this.#open.get(rule) ?? this.#begin(route, every)
    batch.members.push(taken)
    batch.texts.push(text)
    batch.bytes += bytes
    if (isAlone || batch.bytes >= most || batch.members.length >= MAX_MEMBERS) this.#close(rule)
  }

  /** The connection is gone. */
  clear(): void {
    for (const { timer } of this.#open.values()) timer.cancel()
    this.#open.clear()
  }

  #begin(route: Route, every: number): Batch {
    const { rule } = route
    const timer = this.#clock.after(every, () => this.#close(rule))
    const batch: Batch = { route, members: [], texts: [], bytes: BRACKETS - SEPARATOR, timer }
    this.#open.set(rule, batch)
    return batch
  }

  #close(rule: BridgeRule): void {
    const batch = this.#open.get(rule)
    if (batch === undefined) return
    this.#open.delete(rule)
    batch.timer.cancel()
    this.#ship(batch)
  }
}
