/**
 * The CO₂ sensor MH-Z19 (Winsen), which answers when it is asked: `FF 86`, ppm, four bytes of which the data sheet does not speak, and
 * the sum that brings bytes 1 to 8 to nought. One byte of sum lets one frame of noise in 256 through, so only what comes behind a
 * question is an answer, and only the first, and only within the largest range that is sold.
 */
import type { ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { FrameScanner } from './frames.ts'
import { sum } from './sums.ts'

const QUESTION = Buffer.from('ff0186000000000079', 'hex')
const LENGTH = 9
const HEAD = 0xff
const MEASUREMENT = 0x86
const LARGEST_RANGE_PPM = 10_000

const VALUES: Readonly<Record<string, ValueDescription>> = {
  '': { unit: 'ppm', deviceClass: 'carbon_dioxide', stateClass: 'measurement' },
}

export function mhz19Codec(events: CodecEvents): Codec {
  let isWaiting = false
  const scanner = new FrameScanner({
    lengthAt(bytes, at) {
      if (!isWaiting || bytes[at] !== HEAD) return 0
      const kind = bytes[at + 1]
      return kind === undefined ? undefined : kind === MEASUREMENT ? LENGTH : 0
    },
    take(frame) {
      const ppm = frame.readUInt16BE(2)
      if ((sum(frame.subarray(1)) & 0xff) !== 0 || ppm > LARGEST_RANGE_PPM) {
        events.fault('an answer with a wrong sum was dropped')
        return false
      }
      isWaiting = false
      events.reading({ value: ppm })
      events.answered()
      return true
    },
  })
  return {
    push: chunk => scanner.push(chunk),
    questions: [QUESTION],
    asked() {
      isWaiting = true
      scanner.reset()
    },
    values: VALUES,
    get held() {
      return scanner.held
    },
  }
}
