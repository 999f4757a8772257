/**
 * Remembers topics by their bytes, so that those which come again cost no decoding and no check. A topic has a place in
 * the one set of slots that its hash names; when all of them are taken, one that was not asked for of late gives way. The
 * cache starts small, and doubles when a quarter as many have given way as it has slots.
 *
 * With many topics in use, none of them is in the processor's cache, and each place in memory that has to be looked into
 * is waited for. So a set is searched by the marks of its topics, which stand close together, and the bytes of all topics
 * stand in one piece of memory, of which then mostly one place is looked at.
 */
import { TopicName } from './topic-name.ts'
import { decodeUtf8 } from './utf8.ts'

/** Slots at first, a power of two: a home publishes on a few hundred topics. */
const FIRST_SLOTS = 512
/** Slots at most: with some 300 bytes for each, ten megabytes, when twenty thousand topics are in use. */
const MAX_SLOTS = 32_768
/** Slots of a set: with so many, hardly any set is full before most of all slots are. */
const WAYS = 8
/** Bytes of a slot: the length of the topic, then the topic. */
const SLOT = 128
/** Bytes of a topic worth keeping: with the slots, this bounds the cache also when somebody wants to fill it. */
const MAX_BYTES = SLOT - 1
/** Of a mark: the topic was asked for again. The other bits are of its hash. */
const IN_USE = 1

export class TopicCache {
  #names: (TopicName | undefined)[] = []
  #marks = new Uint16Array(0)
  #bytes = new Uint8Array(0)
  /** Of each set, where it is looked next for one to give way. */
  #hands = new Uint8Array(0)
  /** Of the sets, less one: what of a hash names one of them. */
  #mask = 0
  #gaveWay = 0

  constructor() {
    this.#resize(FIRST_SLOTS)
  }

  /**
   * The topic in buffer[start..end), which is without its length bytes. One that is empty, or too long to be kept, is
   * another object each time. Throws MalformedPacketError when it is not valid.
   */
  find(buffer: Buffer, start: number, end: number): TopicName {
    const length = end - start
    if (length === 0 || length > MAX_BYTES) return readTopic(buffer, start, end)
    const hash = hashOf(buffer, start, end)
    const mark = markOf(hash)
    const marks = this.#marks
    const first = (hash & this.#mask) * WAYS
    for (let slot = first; slot < first + WAYS; slot++) {
      if ((marks[slot]! | IN_USE) !== mark || !isTopic(this.#bytes, slot * SLOT, buffer, start, length)) continue
      if (marks[slot] !== mark) marks[slot] = mark
      return this.#names[slot] as TopicName
    }
    return this.#keep(hash, buffer, start, end)
  }

  #keep(hash: number, buffer: Buffer, start: number, end: number): TopicName {
    const name = readTopic(buffer, start, end)
    const slot = this.#slotFor(hash)
    const hasGivenWay = this.#names[slot] !== undefined
    this.#put(slot, hash, name, buffer.subarray(start, end))
    const slots = this.#names.length
    if (hasGivenWay && ++this.#gaveWay >= slots / 4 && slots < MAX_SLOTS) this.#resize(slots * 2)
    return name
  }

  /** One that is free; else the next one round the set that was not asked for since it was last passed here. */
  #slotFor(hash: number): number {
    const set = hash & this.#mask
    const first = set * WAYS
    for (let slot = first; slot < first + WAYS; slot++) if (this.#names[slot] === undefined) return slot
    const [marks, hands] = [this.#marks, this.#hands]
    for (;;) {
      const slot = first + hands[set]!
      hands[set] = (hands[set]! + 1) % WAYS
      if ((marks[slot]! & IN_USE) === 0) return slot
      marks[slot]! &= ~IN_USE
    }
  }

  #put(slot: number, hash: number, name: TopicName, bytes: Uint8Array): void {
    this.#names[slot] = name
    // One that never comes again gives way before those that do.
    this.#marks[slot] = markOf(hash) & ~IN_USE
    this.#bytes[slot * SLOT] = bytes.length
    this.#bytes.set(bytes, slot * SLOT + 1)
  }

  #resize(slots: number): void {
    const [names, bytes] = [this.#names, this.#bytes]
    this.#names = new Array(slots).fill(undefined)
    this.#marks = new Uint16Array(slots)
    this.#bytes = new Uint8Array(slots * SLOT)
    this.#hands = new Uint8Array(slots / WAYS)
    this.#mask = slots / WAYS - 1
    this.#gaveWay = 0
    for (const [slot, name] of names.entries()) {
      if (name === undefined) continue
      const from = slot * SLOT + 1
      const topic = bytes.subarray(from, from + bytes[from - 1]!)
      const hash = hashOf(topic, 0, topic.length)
      // There is room: only those that shared a set can share one now.
      this.#put(this.#slotFor(hash), hash, name, topic)
    }
  }
}

/** Other bits than those that name the set. */
function markOf(hash: number): number {
  return (hash >>> 16) | IN_USE
}

function hashOf(buffer: Uint8Array, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ buffer[i]!, 0x0100_0193)
  return hash ^ (hash >>> 15)
}

function isTopic(bytes: Uint8Array, at: number, buffer: Buffer, start: number, length: number): boolean {
  if (bytes[at] !== length) return false
  for (let i = 0; i < length; i++) {
    if (bytes[at + 1 + i] !== buffer[start + i]) return false
  }
  return true
}

/** The topic in buffer[start..end), without a cache. Throws MalformedPacketError when it is not valid. */
export function readTopic(buffer: Buffer, start: number, end: number): TopicName {
  return new TopicName(decodeUtf8(buffer, start, end, 'topic'))
}
