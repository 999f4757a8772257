/**
 * What has come by the links to other brokers, or left by them, so that a copy that comes by another way is known.
 *
 * `SeenIdentities` is exact: a bit for each message. `Contents` is for messages without an identity, above all those of
 * MQTT 3.1.1: topic and payload, for a moment. A link carries each message once in each direction, so what is the same and
 * comes twice by one link are two messages, and what comes once by each of two links is one.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import type { Identity } from '../mqtt/identity.ts'
import type { Message, Settlement } from './ports.ts'

/** Messages of one origin that stand together. */
const CHUNK = 4_096
/** Chunks that are remembered, those longest not asked for go: 4 million messages in 512 KiB. */
const MAX_CHUNKS = 1_024

/** ms within which the same content that comes by another link is the same message: a lap of a ring of busy gateways. */
const SAME_WITHIN = 5_000
/** Contents remembered: what a fast link carries in that time. What goes beyond is forgotten, oldest first. */
const MAX_CONTENTS = 20_000
/** Of one content: each is looked at for each that comes. */
const MAX_ALIKE = 100

export class SeenIdentities {
  /** In the order in which they were last asked for. */
  readonly #chunks = new Map<string, Uint8Array>()

  has(identity: Identity): boolean {
    const chunk = this.#chunks.get(keyOf(identity))
    return chunk !== undefined && ((chunk[byteOf(identity)] as number) & bitOf(identity)) !== 0
  }

  add(identity: Identity): void {
    const key = keyOf(identity)
    const chunk = this.#chunks.get(key) ?? new Uint8Array(CHUNK / 8)
    this.#chunks.delete(key)
    this.#chunks.set(key, chunk)
    chunk[byteOf(identity)] = (chunk[byteOf(identity)] as number) | bitOf(identity)
    if (this.#chunks.size <= MAX_CHUNKS) return
    for (const oldest of this.#chunks.keys()) {
      this.#chunks.delete(oldest)
      return
    }
  }

  delete(identity: Identity): void {
    const chunk = this.#chunks.get(keyOf(identity))
    if (chunk !== undefined) chunk[byteOf(identity)] = (chunk[byteOf(identity)] as number) & ~bitOf(identity)
  }
}

function keyOf({ origin, number }: Identity): string {
  return `${origin} ${Math.floor(number / CHUNK)}`
}

function byteOf({ number }: Identity): number {
  return (number % CHUNK) >> 3
}

function bitOf({ number }: Identity): number {
  return 1 << (number & 7)
}

/** One message that was accepted, and those who wait until it is settled, because they brought a copy. */
export class Accepted {
  #waiting: Settlement[] | null = []

  settled(): void {
    const waiting = this.#waiting ?? []
    this.#waiting = null
    for (const each of waiting) each.settled()
  }

  /** `settlement` is told when this is settled. */
  whenSettled(settlement: Settlement | null): void {
    if (this.#waiting === null) settlement?.settled()
    else if (settlement !== null) this.#waiting.push(settlement)
  }
}

/** One message by its content. */
interface Sighting {
  /** Undefined when it was published here. */
  readonly accepted: Accepted | undefined
  /** Monotonic. */
  at: number
  /** The links by which it has come. */
  readonly came: Set<string>
  /** The links by which it has left. */
  readonly left: Set<string>
}

export class Contents {
  readonly #clock: Clock
  /** In the order in which they were last seen anew. */
  readonly #sightings = new Map<string, Sighting[]>()
  #count = 0

  constructor(deps: { clock: Clock }) {
    this.#clock = deps.clock
  }

  /** The message that this is a copy of; undefined when it is new, and is known from now on as `accepted`. */
  came(link: string, message: Message, accepted: Accepted): Sighting | undefined {
    const key = contentOf(message)
    const known = this.#recent(key).find(each => !each.came.has(link) && comesBy(each, link))
    if (known === undefined)
      this.#push(key, { accepted, at: this.#clock.monotonic(), came: new Set([link]), left: new Set() })
    else known.came.add(link)
    return known
  }

  /** The message leaves, and its identity does not go with it. `isRepeated`: it may have left before. */
  left(link: string, message: Message, isRepeated: boolean): void {
    const key = contentOf(message)
    const recent = this.#recent(key)
    if (isRepeated && recent.some(({ left }) => left.has(link))) return
    const known = recent.find(each => !each.left.has(link))
    const at = this.#clock.monotonic()
    if (known === undefined) {
      this.#push(key, { accepted: undefined, at, came: new Set(), left: new Set([link]) })
      return
    }
    known.left.add(link)
    known.at = at
    this.#renew(key)
  }

  /** The message that `came` took for new was refused: it will come again. */
  forget(message: Message, accepted: Accepted): void {
    const key = contentOf(message)
    const sightings = this.#sightings.get(key) ?? []
    const at = sightings.findIndex(each => each.accepted === accepted)
    if (at < 0) return
    sightings.splice(at, 1)
    this.#count--
    if (sightings.length === 0) this.#sightings.delete(key)
  }

  #recent(key: string): readonly Sighting[] {
    const since = this.#clock.monotonic() - SAME_WITHIN
    for (const [oldest, sightings] of this.#sightings) {
      if (sightings.some(({ at }) => at >= since)) break
      this.#drop(oldest, sightings)
    }
    return this.#sightings.get(key)?.filter(({ at }) => at >= since) ?? []
  }

  #push(key: string, sighting: Sighting): void {
    const since = this.#clock.monotonic() - SAME_WITHIN
    const before = this.#sightings.get(key) ?? []
    const sightings = before.filter(({ at }) => at >= since).slice(1 - MAX_ALIKE)
    this.#count += 1 + sightings.length - before.length
    sightings.push(sighting)
    this.#sightings.set(key, sightings)
    this.#renew(key)
    for (const [oldest, each] of this.#sightings) {
      if (this.#count <= MAX_CONTENTS) return
      this.#drop(oldest, each)
    }
  }

  #renew(key: string): void {
    const sightings = this.#sightings.get(key) as Sighting[]
    this.#sightings.delete(key)
    this.#sightings.set(key, sightings)
  }

  #drop(key: string, sightings: readonly Sighting[]): void {
    this.#sightings.delete(key)
    this.#count -= sightings.length
  }
}

/** A copy can come by `link` only of what came, or left, by another: nobody is sent back what he sent. */
function comesBy({ came, left }: Sighting, link: string): boolean {
  return came.size > 0 || left.size > 1 || (left.size === 1 && !left.has(link))
}

function contentOf({ topicBytes, payload }: Message): string {
  return createHash('sha1').update(topicBytes).update(payload).digest('base64')
}
