/**
 * How much may wait: for one session and for all together, and what gives way beyond. A message counts for each
 * session that it waits for.
 */

/** What gives way when a queue is full: its oldest messages, the new message, or the publisher, who is told. */
export type Overflow = 'drop-oldest' | 'drop-newest' | 'reject'

export interface QueueLimits {
  /** Messages that one session's queue may hold. */
  maxMessages: number
  /** Bytes of topics, payloads and properties that one session's queue may hold. */
  maxBytes: number
  /** Milliseconds that a message may wait; Infinity for ever. */
  maxAge: number
  /** Messages that all queues together may hold. */
  maxTotalMessages: number
  /** Bytes that all queues together may hold. */
  maxTotalBytes: number
  overflow: Overflow
}

/** What waits, in one queue or in all. */
export interface Load {
  readonly count: number
  readonly bytes: number
}

export class Quota {
  readonly limits: QueueLimits
  /** All queues together. */
  count = 0
  bytes = 0
  /** The most bytes that there were, since somebody set it. */
  peakBytes = 0

  constructor(limits: QueueLimits) {
    this.limits = limits
  }

  /** More, or with negative numbers less, waits. */
  add(count: number, bytes: number): void {
    this.count += count
    this.bytes += bytes
    if (this.bytes > this.peakBytes) this.peakBytes = this.bytes
  }

  /** True when a queue holds more than it may, or would with `more`. */
  isOver(queue: Load, more: Load = NOTHING): boolean {
    const { maxMessages, maxBytes } = this.limits
    return queue.count + more.count > maxMessages || queue.bytes + more.bytes > maxBytes
  }

  /** True while a queue that was full has not drained by a good part. */
  isNearlyOver({ count, bytes }: Load): boolean {
    const { maxMessages, maxBytes } = this.limits
    return count > DRAINED * maxMessages || bytes > DRAINED * maxBytes || this.isTotalOver()
  }

  /** True when all together hold more than they may, or would with `more`. */
  isTotalOver(more: Load = NOTHING): boolean {
    const { maxTotalMessages, maxTotalBytes } = this.limits
    return this.count + more.count > maxTotalMessages || this.bytes + more.bytes > maxTotalBytes
  }
}

/** A queue that holds no more than this part of what it may is full no longer. */
const DRAINED = 0.9
const NOTHING: Load = { count: 0, bytes: 0 }
