/** What the process takes of the machine: memory, processor time, and what the system writes to disks for it. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
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

  look(): Omit<ProcessFigures, 'loop' | 'startedAt'> {
    const { heapUsed: heap, external, rss } = process.memoryUsage()
    this.#heapMost = Math.max(this.#heapMost, heap + external)
    const { user, system } = process.cpuUsage()
    const written = this.#diskWritten()
    return {
      heap,
      external,
      heapMost: this.#heapMost,
      resident: rss,
      processor: (user + system) / MICROSECONDS,
      files: openFiles(),
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

/** The limit may be changed from outside while the process runs. */
function openFiles(): ProcessFigures['files'] {
  try {
    const most = /^Max open files +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    if (most === undefined) return undefined
    // Linux 6.2 and later say it at once; with a thousand clients a list is a thousand lines.
    const open = statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length
    return { open, most: most === 'unlimited' ? Number.POSITIVE_INFINITY : Number(most) }
  } catch {
    // Not Linux, or a system that hides it.
    return undefined
  }
}
