/**
 * Splits a stream of bytes into packets, wherever it was cut. Packets that lie whole in a chunk are
 * handed over as views of it. One that is cut is put together in a buffer of its own, which has room
 * for some times the bytes that have come and is no larger than the packet: a packet in a few chunks is
 * copied once, a peer that announces much and sends little holds little, and a peer that sends single
 * bytes costs no object each.
 */
import { MalformedPacketError } from './malformed.ts'
import { ReasonCode } from './reason-codes.ts'

/** Called for each whole packet. `header` is its first byte; the packet is buffer[start..end), its variable header begins at `body`. Return false to stop: nothing more is handed over until resume(). */
export type FrameHandler = (header: number, buffer: Buffer, start: number, body: number, end: number) => boolean

/** Bytes of the longest fixed header: the first byte and four of remaining length. */
const MAX_FIXED_HEADER = 5

/** Bytes first taken for a packet that is cut, or its length when that is less: a page of memory. */
const FIRST_PART = 4_096

/** There is room for so many times what has come: 16 KiB of a packet of 256 KiB are enough to put it together without copying twice. */
const HEADROOM = 16

export class FrameReader {
  /**
   * True for MQTT 5, where a remaining length that takes more bytes than it needs is malformed [MQTT-1.5.5-1]. A
   * change counts from the next packet on.
   */
  shortestLengths = false
  readonly #onFrame: FrameHandler
  #maxPacketSize: number

  /** The chunk that is being split, from `#at` on… */
  #chunk: Buffer | undefined = undefined
  #at = 0
  /** …and those behind it. There are some only while paused or called back. */
  #behind: Buffer[] | undefined = undefined

  /** The packet that is being put together: `#have` bytes of it, of `#need` once its length is known (0 before). */
  #part: Buffer | undefined = undefined
  #have = 0
  #need = 0
  #body = 0

  #closed = false
  #paused = false
  #running = false
  #resumed = false

  constructor(options: { maxPacketSize: number; onFrame: FrameHandler }) {
    this.#maxPacketSize = options.maxPacketSize
    this.#onFrame = options.onFrame
  }

  /** Bytes of the largest packet taken, fixed header included. A change counts from the next packet on. */
  get maxPacketSize(): number {
    return this.#maxPacketSize
  }

  set maxPacketSize(bytes: number) {
    this.#maxPacketSize = bytes
  }

  /** True after `onFrame` returned false and until `resume()`. */
  get paused(): boolean {
    return this.#paused
  }

  /** Bytes kept: chunks that wait, and what has come of a packet that is still cut. Room that is still empty is no memory yet. */
  get buffered(): number {
    let bytes = this.#have - this.#at
    if (this.#chunk !== undefined) bytes += this.#chunk.length
    if (this.#behind !== undefined) for (const chunk of this.#behind) bytes += chunk.length
    return bytes
  }

  /**
   * Takes the next bytes of the stream; `onFrame` is called from here. Throws MalformedPacketError when
   * no packet can begin so or one is too large, and whatever `onFrame` throws. After that the reader
   * keeps nothing and takes nothing.
   */
  push(chunk: Buffer): void {
    if (chunk.length === 0 || this.#closed) return
    if (this.#chunk === undefined) this.#chunk = chunk
    else {
      this.#behind ??= []
      this.#behind.push(chunk)
    }
    this.#run()
  }

  /** Goes on with what is kept. May be called from inside `onFrame`: then its false does not stop. Throws as `push` does. */
  resume(): void {
    this.#paused = false
    this.#resumed = true
    this.#run()
  }

  #run(): void {
    if (this.#running) return
    this.#running = true
    try {
      for (let chunk = this.#chunk; chunk !== undefined && !this.#paused; chunk = this.#chunk) {
        if (this.#part === undefined) this.#split(chunk)
        else this.#fill(this.#part, chunk)
        if (this.#at === chunk.length) {
          this.#chunk = this.#behind?.shift()
          this.#at = 0
        }
      }
    } catch (error) {
      this.#closed = true
      this.#chunk = undefined
      this.#behind = undefined
      this.#at = 0
      this.#drop()
      throw error
    } finally {
      this.#running = false
    }
  }

  /** Hands over the packets that lie whole in `chunk`; what is left of it begins a part. */
  #split(chunk: Buffer): void {
    const length = chunk.length
    let start = this.#at
    while (start < length) {
      let body = start + 1
      let remaining = 0
      for (let shift = 0; ; shift += 7) {
        if (body === length) {
          this.#begin(chunk, start, 0, 0)
          return
        }
        const byte = chunk[body++]!
        remaining |= (byte & 0x7f) << shift
        if (byte < 0x80) {
          if (byte === 0 && shift > 0 && this.shortestLengths) throw longLengthFault()
          break
        }
        if (shift === 21) throw lengthFault()
      }
      const size = body - start + remaining
      if (size > this.#maxPacketSize) throw sizeFault(size, this.#maxPacketSize)
      if (start + size > length) {
        this.#begin(chunk, start, size, body - start)
        return
      }
      this.#at = start + size
      if (!this.#handOver(chunk, start, body, this.#at)) return
      start = this.#at
    }
  }

  /** Begins a part with all of `chunk` from `start` on. */
  #begin(chunk: Buffer, start: number, need: number, body: number): void {
    this.#need = need
    this.#part = Buffer.allocUnsafe(need === 0 ? MAX_FIXED_HEADER : this.#roomFor(chunk.length - start))
    this.#have = chunk.copy(this.#part, 0, start)
    this.#body = body
    this.#at = chunk.length
  }

  /** Adds to the part what `chunk` brings of it, and hands it over when it is whole. */
  #fill(part: Buffer, chunk: Buffer): void {
    while (this.#need === 0) {
      if (this.#at === chunk.length) return
      const byte = chunk[this.#at++]!
      part[this.#have++] = byte
      if (byte < 0x80) this.#measure(part)
      else if (this.#have === MAX_FIXED_HEADER) throw lengthFault()
    }
    const taken = Math.min(this.#need - this.#have, chunk.length - this.#at)
    const roomy = this.#grow(part, this.#have + taken)
    chunk.copy(roomy, this.#have, this.#at, this.#at + taken)
    this.#have += taken
    this.#at += taken
    if (this.#have < this.#need) return
    const body = this.#body
    const end = this.#need
    this.#drop()
    this.#handOver(roomy, 0, body, end)
  }

  /** The fixed header in `part` has become whole. */
  #measure(part: Buffer): void {
    let remaining = 0
    for (let i = 1; i < this.#have; i++) remaining |= (part[i]! & 0x7f) << (7 * (i - 1))
    if (part[this.#have - 1] === 0 && this.#have > 2 && this.shortestLengths) throw longLengthFault()
    const size = this.#have + remaining
    if (size > this.#maxPacketSize) throw sizeFault(size, this.#maxPacketSize)
    this.#need = size
    this.#body = this.#have
  }

  /** The part, with room for `bytes`. */
  #grow(part: Buffer, bytes: number): Buffer {
    if (bytes <= part.length) return part
    const grown = Buffer.allocUnsafe(this.#roomFor(bytes))
    part.copy(grown, 0, 0, this.#have)
    this.#part = grown
    return grown
  }

  /** Bytes to take when so many of the packet have come. */
  #roomFor(bytes: number): number {
    return Math.min(this.#need, Math.max(FIRST_PART, bytes * HEADROOM))
  }

  #drop(): void {
    this.#part = undefined
    this.#have = 0
    this.#need = 0
  }

  #handOver(buffer: Buffer, start: number, body: number, end: number): boolean {
    this.#resumed = false
    // resume() called from inside the handler must not be lost when the handler then returns false.
    if (!this.#onFrame(buffer[start]!, buffer, start, body, end) && !this.#resumed) this.#paused = true
    return !this.#paused
  }
}

function lengthFault(): MalformedPacketError {
  // MQTT 3.1.1 §2.2.3: four bytes at most.
  return new MalformedPacketError('the remaining length has more than four bytes')
}

function longLengthFault(): MalformedPacketError {
  return new MalformedPacketError('the remaining length takes more bytes than it needs')
}

function sizeFault(size: number, limit: number): MalformedPacketError {
  // [MQTT-3.2.2-15]
  const reason = `a packet of ${size} bytes is larger than the limit of ${limit}`
  return new MalformedPacketError(reason, ReasonCode.PACKET_TOO_LARGE)
}
