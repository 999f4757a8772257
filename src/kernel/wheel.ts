/**
 * One timer of the clock for many deadlines that may be a little late. Each connection has one at any time, and mostly it
 * passes without being needed: a timer each would be made and cancelled for nothing, and wake the process one by one.
 * Deadlines stand in slots of time, and the clock wakes for the first slot that has any.
 */
import type { Clock, Timer } from './clock.ts'

/** Milliseconds of a slot: so late is a deadline at most, and so often does the process wake for all of them. */
const SLOT_MS = 250

/** One deadline at a time. */
export class Alarm {
  readonly #wheel: Wheel
  /** Called when the deadline has come. */
  readonly ring: () => void
  /** Where it stands in the wheel; null when it is not set. */
  slot: number | null = null

  constructor(wheel: Wheel, ring: () => void) {
    this.#wheel = wheel
    this.ring = ring
  }

  /** Rings once, `delay` milliseconds from now or up to a slot later, in place of an earlier deadline. */
  set(delay: number): void {
    this.#wheel.put(this, delay)
  }

  cancel(): void {
    this.#wheel.take(this)
  }
}

export class Wheel {
  readonly #clock: Clock
  /** By the number of the slot, counted from the clock's beginning. None is empty. */
  readonly #slots = new Map<number, Set<Alarm>>()
  #timer: Timer | null = null
  /** The slot that the timer is for. */
  #next = Number.POSITIVE_INFINITY

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  alarm(ring: () => void): Alarm {
    return new Alarm(this, ring)
  }

  /** For `Alarm`. */
  put(alarm: Alarm, delay: number): void {
    const slot = Math.ceil((this.#clock.monotonic() + delay) / SLOT_MS)
    if (slot === alarm.slot) return
    this.#remove(alarm)
    alarm.slot = slot
    const alarms = this.#slots.get(slot)
    if (alarms === undefined) this.#slots.set(slot, new Set([alarm]))
    else alarms.add(alarm)
    if (slot < this.#next) this.#wakeFor(slot)
  }

  /** For `Alarm`. */
  take(alarm: Alarm): void {
    this.#remove(alarm)
    if (this.#slots.size === 0) this.#rest()
  }

  #remove(alarm: Alarm): void {
    if (alarm.slot === null) return
    const alarms = this.#slots.get(alarm.slot)
    alarms?.delete(alarm)
    if (alarms?.size === 0) this.#slots.delete(alarm.slot)
    alarm.slot = null
  }

  #wakeFor(slot: number): void {
    this.#timer?.cancel()
    this.#next = slot
    this.#timer = this.#clock.after(Math.max(0, slot * SLOT_MS - this.#clock.monotonic()), () => this.#turn())
  }

  #rest(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#next = Number.POSITIVE_INFINITY
  }

  #turn(): void {
    // A timer may come a fraction of a millisecond early.
    const now = Math.max(this.#next, Math.floor(this.#clock.monotonic() / SLOT_MS))
    const due: Alarm[] = []
    for (const [slot, alarms] of this.#slots) if (slot <= now) due.push(...alarms)
    this.#rest()
    due.sort((a, b) => (a.slot as number) - (b.slot as number))
    // One that rings may set or cancel others.
    for (const alarm of due) {
      if (alarm.slot === null || alarm.slot > now) continue
      this.#remove(alarm)
      alarm.ring()
    }
    let first = Number.POSITIVE_INFINITY
    for (const slot of this.#slots.keys()) if (slot < first) first = slot
    if (first < this.#next) this.#wakeFor(first)
  }
}
