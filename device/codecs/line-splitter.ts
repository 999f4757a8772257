/**
 * Cuts a stream of bytes into lines at `\n` or `\r\n`. However the stream is cut into chunks, the same
 * lines come out. It never holds more than one line of `maxLine` bytes: a longer one is dropped to its
 * end and counted, and the next line is whole again, so noise costs no more than the line it is in.
 * One splitter serves one connection: a new connection must not inherit half a line from the old one.
 */

const LF = 0x0a
const CR = 0x0d
/** First size of the buffer for a line that came in pieces; most lines of sensors fit. */
const FIRST_BYTES = 256

export class LineSplitter {
  readonly #maxLine: number
  readonly #onLine: (line: string) => void
  readonly #onOverlong: () => void
  /** The beginning of a line whose end has not come yet. */
  #held: Buffer = Buffer.alloc(0)
  #length = 0
  #skipping = false

  /** `maxLine` counts bytes without the line end. `onOverlong` is called once for each line that is dropped. */
  constructor(options: { maxLine: number; onLine: (line: string) => void; onOverlong: () => void }) {
    this.#maxLine = options.maxLine
    this.#onLine = options.onLine
    this.#onOverlong = options.onOverlong
  }

  /** Bytes of memory in use; never more than `maxLine` and a carriage return. */
  get capacity(): number {
    return this.#held.length
  }

  /** Takes the next bytes. Text is UTF-8; bytes that are not become U+FFFD. */
  push(chunk: Buffer): void {
    let from = 0
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, from)) {
      this.#end(chunk, from, end)
      from = end + 1
    }
    this.#hold(chunk, from)
  }

  /** A line ends at `end` of the chunk. */
  #end(chunk: Buffer, from: number, end: number): void {
    if (this.#length > 0) {
      this.#hold(chunk, from, end)
      if (!this.#skipping) this.#emit(this.#held, 0, this.#length)
    } else if (!this.#skipping) {
      this.#emit(chunk, from, end)
    }
    this.#length = 0
    this.#skipping = false
  }

  #emit(bytes: Buffer, from: number, end: number): void {
    const stop = end > from && bytes[end - 1] === CR ? end - 1 : end
    if (stop - from > this.#maxLine) this.#onOverlong()
    else this.#onLine(bytes.toString('utf8', from, stop))
  }

  #hold(chunk: Buffer, from: number, end = chunk.length): void {
    if (this.#skipping) return
    const length = this.#length + end - from
    // One more than the limit, because the last byte may turn out to be the carriage return of the line end.
    const limit = this.#maxLine + 1
    if (length > limit) {
      this.#skipping = true
      this.#length = 0
      this.#held = Buffer.alloc(0)
      this.#onOverlong()
      return
    }
    if (length > this.#held.length) {
      const grown = Buffer.allocUnsafe(Math.min(limit, Math.max(FIRST_BYTES, length, this.#held.length * 2)))
      this.#held.copy(grown, 0, 0, this.#length)
      this.#held = grown
    }
    chunk.copy(this.#held, this.#length, from, end)
    this.#length = length
  }
}
