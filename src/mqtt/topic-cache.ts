/**
 * Remembers topics by their bytes, so that those which come again cost no decoding and no check. A topic has a place in
 * the one pair of slots that its hash names; of two that are there, the one that was asked for longer ago gives way. The
 * cache starts small, and doubles when a quarter as many have given way as it has slots.
 *
 * The bytes stand by themselves, in one piece of memory: with many topics in use, none of them is in the processor's
 * cache, and each object that had to be looked into would be waited for.
 */
import { TopicName } from './topic-name.ts'
import { decodeUtf8 } from './utf8.ts'

/** Slots at first, a power of two: a home publishes on a few hundred topics. */
const FIRST_SLOTS = 512
/** Slots at most: with some 300 bytes for each, ten megabytes, when twenty thousand topics are in use. */
const MAX_SLOTS = 32_768
/** Bytes of a slot: the length of the topic, then the topic. */
const SLOT = 128
/** Bytes of a topic worth keeping: with the slots, this bounds the cache also when somebody wants to fill it. */
const MAX_BYTES = SLOT - 1

export class TopicCache {
  #names: (TopicName | undefined)[] = []
  #bytes = new Uint8Array(0)
  /** Of each pair, the slot that was asked for last: 0 or 1. */
  #latest = new Uint8Array(0)
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
    const latest = this.#latest
    const pair = hashOf(buffer, start, end) & (latest.length - 1)
    let slot = 2 * pair + latest[pair]!
    if (isTopic(this.#bytes, slot * SLOT, buffer, start, length)) return this.#names[slot] as TopicName
    slot ^= 1
    if (!isTopic(this.#bytes, slot * SLOT, buffer, start, length)) return this.#keep(slot, buffer, start, end)
    latest[pair]! ^= 1
    return this.#names[slot] as TopicName
  }

  #keep(slot: number, buffer: Buffer, start: number, end: number): TopicName {
    const name = readTopic(buffer, start, end)
    const hasGivenWay = this.#names[slot] !== undefined
    this.#put(slot, name, buffer.subarray(start, end))
    const slots = this.#names.length
    if (hasGivenWay && ++this.#gaveWay >= slots / 4 && slots < MAX_SLOTS) this.#resize(slots * 2)
    return name
  }

  #put(slot: number, name: TopicName, bytes: Uint8Array): void {
    this.#names[slot] = name
    this.#bytes[slot * SLOT] = bytes.length
    this.#bytes.set(bytes, slot * SLOT + 1)
    this.#latest[slot >> 1] = slot & 1
  }

  #resize(slots: number): void {
    const [names, bytes] = [this.#names, this.#bytes]
    this.#names = new Array(slots).fill(undefined)
    this.#bytes = new Uint8Array(slots * SLOT)
    this.#latest = new Uint8Array(slots / 2)
    this.#gaveWay = 0
    for (const [slot, name] of names.entries()) {
      if (name === undefined) continue
      const from = slot * SLOT + 1
      const topic = bytes.subarray(from, from + bytes[from - 1]!)
      const first = 2 * (hashOf(topic, 0, topic.length) & (slots / 2 - 1))
      // There is room: two that shared a pair are the only ones that can share one now.
      this.#put(this.#names[first] === undefined ? first : first + 1, name, topic)
    }
  }
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
