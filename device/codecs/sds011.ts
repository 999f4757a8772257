/**
 * The dust sensor SDS011 (Nova): `AA C0`, PM2.5 and PM10 in tenths of µg/m³, low byte first, two bytes of its number, the sum of those six,
 * `AB`; once a second by itself. Its answers to commands, `AA C5`, are of the same form and no readings.
 */
import type { ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { FrameScanner, NOISE } from './frames.ts'
import { sum } from './sums.ts'

const LENGTH = 10
const HEAD = 0xaa
const TAIL = 0xab
const MEASUREMENT = 0xc0
const ANSWER = 0xc5

const VALUES: Readonly<Record<string, ValueDescription>> = {
  pm25: { unit: 'µg/m³', deviceClass: 'pm25', stateClass: 'measurement' },
  pm10: { unit: 'µg/m³', deviceClass: 'pm10', stateClass: 'measurement' },
}

export function sds011Codec(events: CodecEvents): Codec {
  const scanner = new FrameScanner({
    lengthAt(bytes, at) {
      if (bytes[at] !== HEAD) return 0
      const kind = bytes[at + 1]
      return kind === undefined ? undefined : kind === MEASUREMENT || kind === ANSWER ? LENGTH : 0
    },
    take(frame) {
      if (frame[LENGTH - 1] !== TAIL || (sum(frame.subarray(2, 8)) & 0xff) !== frame[8]) {
        events.fault('a frame with a wrong sum was dropped')
        return false
      }
      if (frame[1] === MEASUREMENT) {
        events.reading({ value: { pm25: frame.readUInt16LE(2) / 10, pm10: frame.readUInt16LE(4) / 10 } })
      }
      return true
    },
    onNoise: () => events.fault(NOISE),
  })
  return {
    push: chunk => scanner.push(chunk),
    values: VALUES,
    get held() {
      return scanner.held
    },
  }
}
