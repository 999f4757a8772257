/** What the process takes of the machine: memory, processor time, and what the system writes to disks for it. */
import { readFileSync } from 'node:fs'
import type { ProcessFigures } from './ports.ts'

const MICROSECONDS = 1_000

export class ProcessWatch {
  #heapMost = 0
  #saysWrites = true
  /** What was written before anybody had sent a message: making the store and its reserve. */
  #writtenBefore = 0

  /** Disk writes count from here on. */
  start(): void {
    this.#writtenBefore = this.#diskWritten() ?? 0
  }

  look(): Omit<ProcessFigures, 'loop'> {
    const { heapUsed, external, rss } = process.memoryUsage()
    const heap = heapUsed + external
    this.#heapMost = Math.max(this.#heapMost, heap)
    const { user, system } = process.cpuUsage()
    const written = this.#diskWritten()
    return {
      heap,
      heapMost: this.#heapMost,
      resident: rss,
      processor: (user + system) / MICROSECONDS,
      diskWritten: written === undefined ? undefined : written - this.#writtenBefore,
    }
  }

  /** Linux counts it where its kernel was built to; asked in vain once, it is not asked again. */
  #diskWritten(): number | undefined {
    if (!this.#saysWrites) return undefined
    try {
      const written = /^write_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1]
      if (written !== undefined) return Number(written)
    } catch {
      // Not Linux, or a system that hides it.
    }
    this.#saysWrites = false
    return undefined
  }
}
