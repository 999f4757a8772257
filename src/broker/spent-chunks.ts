/**
 * Memory of chunks that were read from sockets, and of packets put together from them. They die young, but V8 looks after
 * the young when small objects fill their space or buffers 32 MiB, and meanwhile it counts the buffers against the old:
 * large messages make it mark the whole heap over and over, for what one look at the young would have freed. So it is made
 * to look when buffers have piled up. Small messages never come to that: they bring objects enough.
 */
import { getHeapStatistics } from 'node:v8'
import { type Collect, collector } from '../kernel/collector.ts'

/** Bytes that are read until it is asked how much has piled up: the answer takes some microseconds. */
const STEP = 1024 * 1024
/** Bytes of buffers that may pile up. With what two steps bring, V8 does not mind: it lets a small heap grow by 8 MiB and the space of the young. */
const MAX_PILE = 4 * 1024 * 1024

export class SpentChunks {
  #read = 0
  /** Bytes of all buffers when they were fewest since the last look at the young. */
  #fewest = Number.POSITIVE_INFINITY
  #collect: Collect | undefined
  readonly #look = () => {
    // Not process.memoryUsage: that reads /proc as well, which takes ten times as long.
    const { external_memory: buffers } = getHeapStatistics()
    this.#fewest = Math.min(this.#fewest, buffers)
    if (buffers - this.#fewest < MAX_PILE) return
    this.#collect ??= collector()
    this.#collect({ type: 'minor' })
    // They are freed in the background: the next time tells how many are left.
    this.#fewest = Number.POSITIVE_INFINITY
  }

  /** So many bytes were read, and given to whoever they are for. */
  read(bytes: number): void {
    this.#read += bytes
    if (this.#read < STEP) return
    this.#read = 0
    // Behind the outboxes, which are flushed in the same way: most of what has come has left by then.
    setImmediate(this.#look)
  }
}
