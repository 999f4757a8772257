/**
 * Frames that nobody explains, as text: of a fixed length, or with something between them. `start` says what a frame of fixed length
 * begins with; without it, one lost byte shifts all that follow, as nothing in them tells where they begin. There is no sum, so
 * what noise changed is passed on as it came.
 */
import type { Codec, CodecEvents } from './codec.ts'
import { FrameScanner, NOISE } from './frames.ts'
import type { RawSettings } from './settings.ts'

export function rawCodec(settings: Omit<RawSettings, 'codec'>, events: CodecEvents): Codec {
  const { length, delimiter } = settings
  const give = (frame: Buffer) => events.reading({ value: frame.toString(settings.encoding) })
  if (delimiter !== undefined) return delimited(Buffer.from(delimiter, 'hex'), settings.maxLength, events, give)
  if (length === undefined) throw new Error('raw needs a length or a delimiter')
  return measured(length, Buffer.from(settings.start ?? '', 'hex'), events, give)
}

function measured(length: number, start: Buffer, events: CodecEvents, give: (frame: Buffer) => void): Codec {
  const scanner = new FrameScanner({
    lengthAt(bytes, at) {
      const there = bytes.subarray(at, at + start.length)
      if (there.compare(start, 0, there.length) !== 0) return 0
      return there.length < start.length ? undefined : length
    },
    take(frame) {
      give(frame)
      return true
    },
    onNoise: () => events.fault(NOISE),
  })
  return {
    push: chunk => scanner.push(chunk),
    get held() {
      return scanner.held
    },
  }
}

/** The first frame of a connection may have lost its beginning and is left out. */
function delimited(end: Buffer, max: number, events: CodecEvents, give: (frame: Buffer) => void): Codec {
  let held: Buffer = Buffer.alloc(0)
  let begun = false
  /** The frame that comes is not given: it is the first, or too long. */
  let skipping = true
  return {
    push(chunk) {
      begun = true
      const bytes = Buffer.concat([held, chunk])
      let from = 0
      for (let at = bytes.indexOf(end); at !== -1; at = bytes.indexOf(end, from)) {
        if (at - from > max && !skipping) tooLong()
        else if (at > from && !skipping) give(bytes.subarray(from, at))
        skipping = false
        from = at + end.length
      }
      if (bytes.length - from > max + end.length - 1) {
        if (!skipping) tooLong()
        skipping = true
        // The beginning of a delimiter may be among the last bytes.
        from = bytes.length - end.length + 1
      }
      held = Buffer.from(bytes.subarray(from))
    },
    quiet() {
      if (!begun) skipping = false
    },
    get held() {
      return held.length
    },
  }

  function tooLong(): void {
    events.fault(`a frame of more than ${max} bytes was dropped`)
  }
}
