/**
 * Remembers topics by their bytes, so that those which come again cost no decoding and no check. A topic has a place in
 * the one pair of slots that its hash names; of two that are there, the one that was asked for longer ago gives way. The
 * cache starts small, and doubles when a quarter as many have given way as it has slots.
 */
import { decodeUtf8 } from './utf8.ts'

/** A topic that was found to be a valid string. */
export interface CachedTopic {
  readonly topic: string
  /** As on the wire, behind its two length bytes. */
  readonly topicBytes: Buffer
}

/** Slots at first, a power of two: a home publishes on a few hundred topics. */
const FIRST_SLOTS = 512
/** Slots at most: with some 300 bytes for each, ten megabytes, when twenty thousand topics are in use. */
const MAX_SLOTS = 32_768
/** Bytes of a topic worth keeping: with the slots, this bounds the cache also when somebody wants to fill it. */
const MAX_BYTES = 128

export class TopicCache {
  #slots: (CachedTopic | undefined)[] = []
  #gaveWay = 0

  constructor() {
    this.#resize(FIRST_SLOTS)
  }

  /**
   * The topic in buffer[start..end), which is without its length bytes; undefined when it is too long
   * to be kept. Throws MalformedPacketError when it is not valid.
   */
  find(buffer: Buffer, start: number, end: number): CachedTopic | undefined {
    if (end - start > MAX_BYTES) return undefined
    const slots = this.#slots
    const pair = pairOf(hashOf(buffer, start, end), slots.length)
    const first = slots[2 * pair]
    if (first !== undefined && isTopic(first.topicBytes, buffer, start, end)) return first
    const second = slots[2 * pair + 1]
    if (second !== undefined && isTopic(second.topicBytes, buffer, start, end)) {
      slots[2 * pair] = second
      slots[2 * pair + 1] = first
      return second
    }
    const fresh = copyTopic(buffer, start, end)
    slots[2 * pair] = fresh
    slots[2 * pair + 1] = first
    if (second !== undefined && ++this.#gaveWay >= slots.length / 4 && slots.length < MAX_SLOTS)
      this.#resize(slots.length * 2)
    return fresh
  }

  #resize(size: number): void {
    const kept = this.#slots
    const slots: (CachedTopic | undefined)[] = new Array(size).fill(undefined)
    for (const topic of kept) {
      if (topic === undefined) continue
      // There is room: two that shared a pair are the only ones that can share one now.
      const at = 2 * pairOf(hashOf(topic.topicBytes, 2, topic.topicBytes.length), size)
      slots[slots[at] === undefined ? at : at + 1] = topic
    }
    this.#slots = slots
    this.#gaveWay = 0
  }
}

function hashOf(buffer: Buffer, start: number, end: number): number {
  let hash = end - start
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ buffer[i]!, 0x0100_0193)
  return hash | 0
}

function pairOf(hash: number, slots: number): number {
  return (hash ^ (hash >>> 15)) & (slots / 2 - 1)
}

function isTopic(topicBytes: Buffer, buffer: Buffer, start: number, end: number): boolean {
  if (topicBytes.length !== end - start + 2) return false
  for (let i = start, j = 2; i < end; i++, j++) {
    if (buffer[i] !== topicBytes[j]) return false
  }
  return true
}

function copyTopic(buffer: Buffer, start: number, end: number): CachedTopic {
  const topic = decodeUtf8(buffer, start, end, 'topic')
  // Not from Node's pool: what is kept long would keep all that shares a piece of the pool with it.
  const topicBytes = Buffer.allocUnsafeSlow(end - start + 2)
  topicBytes.writeUInt16BE(end - start)
  buffer.copy(topicBytes, 2, start, end)
  return { topic, topicBytes }
}
