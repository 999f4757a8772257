/**
 * What was sent on one connection and is not acknowledged, by packet identifier. Identifiers are given in order, so
 * nearly all of them find a slot of their own in a ring: a map would be built and torn down with every message. One whose
 * slot is taken, by a message that has not been acknowledged for a whole round of the ring, stands in a map beside it. Nothing
 * is held before the first message; the window bounds the rest.
 */
import type { Delivery } from './ports.ts'

/** Slots of the first ring; a power of two, as all are. */
const FIRST_SLOTS = 8
/** The ring of one that never held anything: most sessions. Never written to. */
const NOTHING: never[] = []

export class InFlight {
  #slots: (Delivery | undefined)[] = NOTHING
  /** Packet identifier in each slot; 0, which none has, in one that is free. */
  #ids: number[] = NOTHING
  #beside: Map<number, Delivery> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  has(packetId: number): boolean {
    return this.get(packetId) !== undefined
  }

  get(packetId: number): Delivery | undefined {
    if (this.#size === 0) return undefined
    const slot = packetId & (this.#slots.length - 1)
    return this.#ids[slot] === packetId ? this.#slots[slot] : this.#beside?.get(packetId)
  }

  /** Remembers a delivery under an identifier that is free. */
  set(packetId: number, delivery: Delivery): void {
    if (this.#size >= this.#slots.length) this.#grow()
    this.#size++
    const slot = packetId & (this.#slots.length - 1)
    if (this.#ids[slot] === 0) {
      this.#ids[slot] = packetId
      this.#slots[slot] = delivery
      return
    }
    this.#beside ??= new Map()
    this.#beside.set(packetId, delivery)
  }

  delete(packetId: number): void {
    if (this.#size === 0) return
    const slot = packetId & (this.#slots.length - 1)
    if (this.#ids[slot] === packetId) {
      this.#ids[slot] = 0
      this.#slots[slot] = undefined
    } else if (this.#beside?.delete(packetId) !== true) return
    this.#size--
  }

  clear(): void {
    this.#slots = NOTHING
    this.#ids = NOTHING
    this.#beside = null
    this.#size = 0
  }

  /** All of them, in the order in which they were taken from the queue. */
  inOrder(): Delivery[] {
    const all = this.#slots.filter(delivery => delivery !== undefined).concat(...(this.#beside?.values() ?? []))
    return all.sort((a, b) => a.index - b.index)
  }

  /** Twice the slots: what was beside may stay there. */
  #grow(): void {
    const { length } = this.#slots
    const [slots, ids] = [this.#slots, this.#ids]
    const doubled = Math.max(FIRST_SLOTS, 2 * length)
    this.#slots = new Array(doubled).fill(undefined)
    this.#ids = new Array(doubled).fill(0)
    for (let i = 0; i < length; i++) {
      const packetId = ids[i] as number
      const slot = packetId & (doubled - 1)
      // Two that had a slot each before cannot meet in one of twice as many.
      if (packetId === 0) continue
      this.#ids[slot] = packetId
      this.#slots[slot] = slots[i]
    }
  }
}
