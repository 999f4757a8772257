/**
 * The dust sensors PMS5003, PMS7003 and PMSA003 (Plantower): `42 4D 00 1C`, thirteen numbers, and the sum of all 30 bytes before it, high byte
 * first; about once a second by themselves. `pm…` are the concentrations in the air, `pm…_cf1` those for factory calibration,
 * `particles_…` the grains larger than so many µm in 0.1 l of air.
 */
import type { ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { FrameScanner, NOISE } from './frames.ts'
import { sum } from './sums.ts'

const HEAD = Buffer.of(0x42, 0x4d, 0x00, 0x1c)
const LENGTH = 32

/** In the order of the frame, two bytes each. */
const NAMES = [
  'pm1_cf1',
  'pm25_cf1',
  'pm10_cf1',
  'pm1',
  'pm25',
  'pm10',
  'particles_0_3',
  'particles_0_5',
  'particles_1_0',
  'particles_2_5',
  'particles_5_0',
  'particles_10',
]

const VALUES: Readonly<Record<string, ValueDescription>> = Object.fromEntries(
  NAMES.map(name => [
    name,
    name.startsWith('pm')
      ? { unit: 'µg/m³', deviceClass: name.replace('_cf1', ''), stateClass: 'measurement' }
      : { unit: '1/0.1l', stateClass: 'measurement' },
  ]),
)

export function pms5003Codec(events: CodecEvents): Codec {
  const scanner = new FrameScanner({
    lengthAt(bytes, at) {
      const there = bytes.subarray(at, at + HEAD.length)
      if (there.compare(HEAD, 0, there.length) !== 0) return 0
      return there.length < HEAD.length ? undefined : LENGTH
    },
    take(frame) {
      if ((sum(frame.subarray(0, LENGTH - 2)) & 0xffff) !== frame.readUInt16BE(LENGTH - 2)) {
        events.fault('a frame with a wrong sum was dropped')
        return false
      }
      events.reading({ value: Object.fromEntries(NAMES.map((name, i) => [name, frame.readUInt16BE(4 + 2 * i)])) })
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
