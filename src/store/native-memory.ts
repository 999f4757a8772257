/**
 * Memory that LevelDB's binding holds for JavaScript: what it has copied of a batch, and values that it has read, are freed
 * when the garbage collector finds that nobody wants them any more. The collector knows nothing of those bytes and is in no
 * hurry: hundreds of megabytes pile up behind a heap of thirty. So it is told when there may be many.
 */
import { type Collect, collector } from '../kernel/collector.ts'

/** Bytes that may pile up: some seconds of what an SD card takes, and little beside the memory of a small board. */
const MAX_UNSEEN = 32 * 1024 * 1024

export class NativeMemory {
  #unseen = 0
  #collect: Collect | undefined

  /** So many bytes went through the binding. Now and then that takes as long as a collection does. */
  moved(bytes: number): void {
    this.#unseen += bytes
    if (this.#unseen < MAX_UNSEEN) return
    this.#unseen = 0
    this.#collect ??= collector()
    this.#collect()
  }
}
