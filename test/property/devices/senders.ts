/** Sensors that send what the properties ask of them: for each codec, frames with what they mean. */
import fc from 'fast-check'
import { MAX_TELEGRAM } from '../../../device/codecs/dsmr.ts'
import { plan, READ } from '../../../device/codecs/modbus-registers.ts'
import type { BuiltInSettings, ModbusRegister } from '../../../device/codecs/settings.ts'
import { crc16, sum } from '../../../device/codecs/sums.ts'

export interface Frame {
  readonly bytes: Buffer
  readonly value: unknown
}

export interface Sender {
  readonly name: string
  readonly settings: BuiltInSettings
  readonly frame: fc.Arbitrary<Frame>
  /** Every frame has a sum, so nothing damaged and no noise becomes a reading. */
  readonly isChecked: boolean
  /** A line whose end is lost can be told from the next. */
  readonly beginsByItself: boolean
  /** Bytes that may be held. */
  readonly bound: number
  /** What has to be said before each frame comes. */
  readonly question?: number
}

const MAX_LINE = 200
const lines = { isChecked: false, beginsByItself: false, bound: MAX_LINE + 1 }

const byte = fc.nat(255)
const word = fc.nat(0xffff)
const tenths = fc.integer({ min: -999, max: 9999 }).map(number => number / 10)
const name = fc.stringMatching(/^[a-z]{1,6}$/)

const line = (text: string, value: unknown): Frame => ({ bytes: Buffer.from(`${text}\r\n`), value })

const json: Sender = {
  ...lines,
  name: 'json',
  settings: { codec: 'json', maxLine: MAX_LINE },
  frame: fc
    .dictionary(name, fc.oneof(tenths, fc.boolean(), fc.string({ maxLength: 8 })), { minKeys: 1, maxKeys: 4 })
    .map(value => line(JSON.stringify(value), value)),
  beginsByItself: true,
}

const jsonPaths: Sender = {
  ...json,
  name: 'json with paths',
  settings: { codec: 'json', maxLine: MAX_LINE, paths: { t: 'main.temp', x: 'list[1].x' } },
  frame: fc
    .tuple(tenths, tenths)
    .map(([t, x]) => line(JSON.stringify({ main: { temp: t }, list: [0, { x }] }), { t, x })),
}

const pairs: Sender = {
  ...lines,
  name: 'pairs',
  settings: { codec: 'pairs', maxLine: MAX_LINE },
  frame: fc.dictionary(name, tenths, { minKeys: 1, maxKeys: 4 }).map(value =>
    line(
      Object.entries(value)
        .map(([key, number]) => `${key}:${number}`)
        .join(' '),
      value,
    ),
  ),
}

const csv: Sender = {
  ...lines,
  name: 'csv',
  settings: { codec: 'csv', maxLine: MAX_LINE, columns: ['a', 'b', 'c'], separator: ';' },
  frame: fc.tuple(tenths, tenths, tenths).map(([a, b, c]) => line(`${a};${b};${c}`, { a, b, c })),
}

const number: Sender = {
  ...lines,
  name: 'number',
  settings: { codec: 'number', maxLine: MAX_LINE },
  frame: tenths.map(value => line(`${value} °C`, value)),
}

const regex: Sender = {
  ...lines,
  name: 'regex',
  settings: { codec: 'regex', maxLine: MAX_LINE, pattern: '^T=(?<t>-?[\\d.]+) H=(?<h>\\d+)$' },
  frame: fc.tuple(tenths, byte).map(([t, h]) => line(`T=${t} H=${h}`, { t, h })),
}

const watchedRegex: Sender = {
  ...regex,
  name: 'regex under supervision',
  settings: { codec: 'regex', maxLine: MAX_LINE, pattern: '^(?:[TH]=(?<t>-?[\\d.]+) ?)+$' },
  frame: tenths.map(t => line(`T=${t}`, { t })),
}

const rflink: Sender = {
  ...lines,
  name: 'rflink',
  settings: { codec: 'rflink', maxLine: MAX_LINE },
  frame: fc
    .tuple(byte, word, fc.integer({ min: -999, max: 999 }), fc.nat(100))
    .map(([count, id, temperature, humidity]) => {
      const counter = count.toString(16).padStart(2, '0')
      const temp = ((temperature < 0 ? 0x8000 : 0) | Math.abs(temperature)).toString(16).padStart(4, '0')
      const text = `20;${counter};UPM/Esic;ID=${id.toString(16)};TEMP=${temp};HUM=${humidity};BAT=OK;`
      const value = {
        protocol: 'UPM/Esic',
        id: id.toString(16),
        temperature: temperature / 10,
        humidity,
        battery_low: false,
      }
      return line(text, temperature === 0 ? { ...value, temperature: 0 } : value)
    }),
  beginsByItself: true,
}

const rtl433: Sender = {
  ...lines,
  name: 'rtl_433',
  settings: { codec: 'rtl_433', maxLine: MAX_LINE },
  frame: fc.tuple(word, tenths).map(([id, temperature_C]) => {
    const value = { model: 'Acurite-Tower', id, temperature_C }
    return line(JSON.stringify({ time: '2026-01-02T03:04:05Z', ...value }), value)
  }),
  beginsByItself: true,
}

const nmea: Sender = {
  ...lines,
  name: 'nmea',
  settings: { codec: 'nmea', maxLine: MAX_LINE },
  frame: fc.tuple(fc.constantFrom('GP', 'GN', 'GL'), fc.nat(359), fc.nat(200)).map(([talker, course, speed]) => {
    const body = `${talker}VTG,${course},T,,M,,N,${speed},K`
    const xor = [...body].reduce((all, letter) => all ^ letter.charCodeAt(0), 0)
    return line(`$${body}*${xor.toString(16).padStart(2, '0').toUpperCase()}`, { course, speed })
  }),
  isChecked: true,
  beginsByItself: true,
}

const dsmr: Sender = {
  name: 'dsmr',
  settings: { codec: 'dsmr' },
  frame: fc.tuple(fc.nat(999_999), fc.nat(9999)).map(([energy, power]) => {
    const digits = String(energy).padStart(6, '0')
    const text = [
      '/ISk5\\2MT382-1000',
      '',
      '1-3:0.2.8(50)',
      '0-0:1.0.0(170102192002W)',
      `1-0:1.8.1(${digits.slice(0, 3)}.${digits.slice(3)}*kWh)`,
      `1-0:1.7.0(${String(power).padStart(5, '0')}*W)`,
      '!',
    ].join('\r\n')
    const crc = crc16(Buffer.from(text), 0).toString(16).padStart(4, '0').toUpperCase()
    return line(`${text}${crc}`, { delivered_t1_kwh: energy / 1000, power_w: power })
  }),
  isChecked: true,
  beginsByItself: true,
  bound: MAX_TELEGRAM,
}

const sds011: Sender = {
  name: 'sds011',
  settings: { codec: 'sds011' },
  frame: fc.tuple(word, word, word).map(([pm25, pm10, id]) => {
    const bytes = Buffer.from('aac0000000000000' + '00ab', 'hex')
    bytes.writeUInt16LE(pm25, 2)
    bytes.writeUInt16LE(pm10, 4)
    bytes.writeUInt16LE(id, 6)
    bytes[8] = sum(bytes.subarray(2, 8)) & 0xff
    return { bytes, value: { pm25: pm25 / 10, pm10: pm10 / 10 } }
  }),
  isChecked: true,
  beginsByItself: true,
  bound: 9,
}

const PARTICLES = ['0_3', '0_5', '1_0', '2_5', '5_0', '10'].map(size => `particles_${size}`)
const PMS_NAMES = ['pm1_cf1', 'pm25_cf1', 'pm10_cf1', 'pm1', 'pm25', 'pm10', ...PARTICLES]
const pms5003: Sender = {
  name: 'pms5003',
  settings: { codec: 'pms5003' },
  frame: fc.array(word, { minLength: 13, maxLength: 13 }).map(numbers => {
    const bytes = Buffer.alloc(32)
    Buffer.from('424d001c', 'hex').copy(bytes)
    for (const [i, each] of numbers.entries()) bytes.writeUInt16BE(each, 4 + 2 * i)
    bytes.writeUInt16BE(sum(bytes.subarray(0, 30)) & 0xffff, 30)
    return { bytes, value: Object.fromEntries(PMS_NAMES.map((each, i) => [each, numbers[i]])) }
  }),
  isChecked: true,
  beginsByItself: true,
  bound: 31,
}

const mhz19: Sender = {
  name: 'mhz19',
  settings: { codec: 'mhz19' },
  frame: fc.tuple(fc.nat(10_000), byte, byte, byte, byte).map(([ppm, ...rest]) => {
    const bytes = Buffer.from([0xff, 0x86, ppm >> 8, ppm & 0xff, ...rest, 0])
    bytes[8] = (256 - (sum(bytes.subarray(1, 8)) & 0xff)) & 0xff
    return { bytes, value: ppm }
  }),
  isChecked: true,
  beginsByItself: true,
  bound: 8,
  question: 0,
}

const REGISTERS: readonly ModbusRegister[] = (['a', 'b', 'c'] as const).map((each, address) => ({
  name: each,
  address,
  unitId: 17,
  function: 'holding',
  type: 'uint16',
  length: 1,
  wordOrder: 'big',
  byteOrder: 'big',
  scale: 1,
  offset: 0,
}))
const modbus: Sender = {
  name: 'modbus',
  settings: { codec: 'modbus', registers: REGISTERS, maxGap: 0 },
  frame: fc.tuple(word, word, word).map(([a, b, c]) => {
    const body = Buffer.alloc(9)
    body.set([17, READ.holding, 6])
    for (const [i, each] of [a, b, c].entries()) body.writeUInt16BE(each, 3 + 2 * i)
    const crc = crc16(body, 0xffff)
    return { bytes: Buffer.concat([body, Buffer.of(crc & 0xff, crc >> 8)]), value: { a, b, c } }
  }),
  isChecked: true,
  beginsByItself: true,
  bound: 5 + 2 * plan(REGISTERS, 0).reduce((most, { count }) => Math.max(most, count), 0),
  question: 0,
}

const raw: Sender = {
  ...lines,
  name: 'raw',
  settings: { codec: 'raw', delimiter: '0d0a', maxLength: 64, encoding: 'hex' },
  frame: fc.uint8Array({ minLength: 1, maxLength: 64 }).map(bytes => {
    const body = Buffer.from(bytes.map(each => (each === 0x0d || each === 0x0a ? 0x20 : each)))
    return { bytes: Buffer.concat([body, Buffer.from('\r\n')]), value: body.toString('hex') }
  }),
  bound: 65,
}

const rawFixed: Sender = {
  ...raw,
  name: 'raw of a length',
  settings: { codec: 'raw', length: 6, start: 'aa55', maxLength: 64, encoding: 'base64' },
  // Nothing in it looks like the beginning of another.
  frame: fc.uint8Array({ minLength: 4, maxLength: 4, max: 0x7f }).map(bytes => {
    const frame = Buffer.from([0xaa, 0x55, ...bytes.map(each => (each === 0x55 ? 0 : each))])
    return { bytes: frame, value: frame.toString('base64') }
  }),
  bound: 5,
}

export const SENDERS: readonly Sender[] = [
  json,
  jsonPaths,
  pairs,
  csv,
  number,
  regex,
  watchedRegex,
  rflink,
  rtl433,
  nmea,
  dsmr,
  sds011,
  pms5003,
  mhz19,
  modbus,
  raw,
  rawFixed,
]
