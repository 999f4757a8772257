/**
 * Makes one WebSocket frame of many small ones that came with one read of the socket. Most clients send each MQTT packet in
 * a frame of its own, and what `ws` does for a frame costs more than all that the gateway does for the packet. Where one
 * message ends and the next begins means nothing to MQTT [MQTT-6.0.0-2], so whole binary messages that follow each other become one.
 * Everything else goes on to `ws` as it came: it is `ws` that knows what is allowed.
 */

/** First byte of a binary message in one frame (RFC 6455 §5.2): the last of its message, nothing reserved. */
const BINARY = 0x82
/** In the second byte: the payload is masked; the other bits are its length, or say where it stands. */
const MASKED = 0x80
const LENGTH = 0x7f
/** The length is in the next two bytes… */
const LENGTH_16 = 126
/** …or in the next eight. */
const LENGTH_64 = 127
const MASK_BYTES = 4
/** Bytes of the shortest head, of a frame that is wrong… */
const MIN_HEAD = 2
/** …and of the longest of frames that are joined, which that of the frame that is made has, too. */
const MAX_HEAD = 8
/** Bytes of its payload at most. */
const MAX_PAYLOAD = 0xffff

/** Frames that lie whole in `bytes` from `start` to `end`, and what they hold without their heads. */
interface Run {
  readonly start: number
  readonly end: number
  readonly frames: number
  readonly payload: number
}

export class FrameJoiner {
  /** Bytes of a frame that are still to come. */
  #left = 0
  /** The beginning of a head that was cut: thirteen bytes at most. */
  #head: Buffer | undefined = undefined

  /** Bytes that mean the same as those that came; they may be fewer, and are held back when a head is cut. What comes in is not written to. */
  join(chunk: Buffer): Buffer {
    const bytes = this.#head === undefined ? chunk : Buffer.concat([this.#head, chunk])
    this.#head = undefined
    let made: Buffer | undefined
    let written = 0
    /** What lies before it is in `made`. */
    let copied = 0
    let at = Math.min(this.#left, bytes.length)
    this.#left -= at
    while (at < bytes.length) {
      const run = runAt(bytes, at)
      if (run.frames > 1) {
        made ??= Buffer.allocUnsafe(bytes.length)
        written += bytes.copy(made, written, copied, run.start)
        written = write(made, written, bytes, run)
        copied = run.end
      }
      at = run.end
      if (at === bytes.length) break
      // What follows is cut, or for `ws` to look at.
      if (at + MIN_HEAD > bytes.length || at + headAt(bytes, at) > bytes.length) {
        this.#head = bytes.subarray(at)
        break
      }
      const end = at + headAt(bytes, at) + payloadAt(bytes, at)
      this.#left = Math.max(0, end - bytes.length)
      at = Math.min(end, bytes.length)
    }
    const end = bytes.length - (this.#head === undefined ? 0 : this.#head.length)
    if (made === undefined) return bytes.subarray(0, end)
    written += bytes.copy(made, written, copied, end)
    return made.subarray(0, written)
  }
}

/** The whole binary messages at `start`, as many as one frame can hold. */
function runAt(bytes: Buffer, start: number): Run {
  const { length } = bytes
  let at = start
  let frames = 0
  let payload = 0
  while (at + MIN_HEAD <= length && bytes[at] === BINARY && bytes[at + 1]! >= MASKED) {
    const head = headAt(bytes, at)
    // One that is long gains nothing.
    if (head > MAX_HEAD || at + head > length) break
    const size = payloadAt(bytes, at)
    if (at + head + size > length || payload + size > MAX_PAYLOAD) break
    payload += size
    frames++
    at += head + size
  }
  return { start, end: at, frames, payload }
}

/** Writes the frame that is made of a run; returns where it ends. */
function write(target: Buffer, start: number, bytes: Buffer, run: Run): number {
  let to = start
  target[to++] = BINARY
  target[to++] = MASKED | LENGTH_16
  target[to++] = run.payload >> 8
  target[to++] = run.payload & 0xff
  // A mask of zeros: what it is put on stays as it is.
  target.fill(0, to, to + MASK_BYTES)
  to += MASK_BYTES
  for (let at = run.start; at < run.end; ) {
    let from = at + headAt(bytes, at)
    const end = from + payloadAt(bytes, at)
    const a = bytes[from - 4]!
    const b = bytes[from - 3]!
    const c = bytes[from - 2]!
    const d = bytes[from - 1]!
    // Four at a time is twice as fast.
    for (; from + 3 < end; from += 4, to += 4) {
      target[to] = bytes[from]! ^ a
      target[to + 1] = bytes[from + 1]! ^ b
      target[to + 2] = bytes[from + 2]! ^ c
      target[to + 3] = bytes[from + 3]! ^ d
    }
    if (from < end) target[to++] = bytes[from++]! ^ a
    if (from < end) target[to++] = bytes[from++]! ^ b
    if (from < end) target[to++] = bytes[from++]! ^ c
    at = end
  }
  return to
}

/** Bytes of the head of the frame at `at`. */
function headAt(bytes: Buffer, at: number): number {
  const second = bytes[at + 1]!
  const length = second & LENGTH
  return 2 + (length === LENGTH_16 ? 2 : length === LENGTH_64 ? 8 : 0) + (second >= MASKED ? MASK_BYTES : 0)
}

/** Bytes of the payload of the frame at `at`, of which the head is whole. */
function payloadAt(bytes: Buffer, at: number): number {
  const length = bytes[at + 1]! & LENGTH
  if (length < LENGTH_16) return length
  return length === LENGTH_16 ? (bytes[at + 2]! << 8) | bytes[at + 3]! : Number(bytes.readBigUInt64BE(at + 2))
}
