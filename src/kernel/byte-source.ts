/** Takes bytes off a stream, however it is cut into chunks: so many of them, or a line. */

/** The stream ended before what was asked for had come. */
export class EndOfBytes extends Error {
  constructor() {
    super('the connection was closed')
    this.name = 'EndOfBytes'
  }
}

const LINE_BREAK = 0x0a

export class ByteSource {
  readonly #chunks: AsyncIterator<Buffer>
  #waiting: Buffer[] = []
  #length = 0

  constructor(input: AsyncIterable<Buffer>) {
    this.#chunks = input[Symbol.asyncIterator]()
  }

  /** The next line with its line break. Throws EndOfBytes, and RangeError when it has more than `most` bytes. */
  async line(most: number): Promise<Buffer> {
    // All but the last chunk have been looked through.
    for (;;) {
      const last = this.#waiting.at(-1)
      const end = last?.indexOf(LINE_BREAK) ?? -1
      if (last !== undefined && end >= 0) return this.take(this.#length - last.length + end + 1)
      if (this.#length > most) throw new RangeError(`a line has at most ${most} bytes`)
      await this.#more()
    }
  }

  /** Throws EndOfBytes. */
  async take(length: number): Promise<Buffer> {
    while (this.#length < length) await this.#more()
    const all = this.#waiting.length === 1 ? (this.#waiting[0] as Buffer) : Buffer.concat(this.#waiting)
    this.#waiting = length === all.length ? [] : [all.subarray(length)]
    this.#length -= length
    return all.subarray(0, length)
  }

  /** Nothing more will be taken: whoever gives the stream may let go of it. */
  async close(): Promise<void> {
    await this.#chunks.return?.()
  }

  async #more(): Promise<void> {
    const { value, done } = await this.#chunks.next()
    if (done === true) throw new EndOfBytes()
    this.#waiting.push(value)
    this.#length += value.length
  }
}
