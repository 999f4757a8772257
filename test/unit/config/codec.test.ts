/** `devices[].serial`: which codec, and the keys that belong to it. */
import { describe, expect, test } from 'vitest'
import { createCodec } from '../../../device/codecs/create.ts'
import type { BuiltInSettings } from '../../../device/codecs/settings.ts'
import { configOf, faultsOf } from './loading.ts'

const device = (serial: string) => `devices:\n  - { name: A, room: R, serial: { path: /x, ${serial} } }`

function settingsOf(serial: string): Record<string, unknown> {
  return configOf(device(serial)).devices[0]?.settings as unknown as Record<string, unknown>
}

const REGISTER = {
  unitId: 1,
  function: 'holding',
  type: 'uint16',
  length: 1,
  wordOrder: 'big',
  byteOrder: 'big',
  scale: 1,
  offset: 0,
  unit: undefined,
  deviceClass: undefined,
  stateClass: undefined,
}

describe('a codec', () => {
  test.each<[serial: string, own: Record<string, unknown>]>([
    ['codec: pairs', { codec: 'pairs', baud: 9600, maxLine: 4096 }],
    ['codec: number, max_line: 64', { codec: 'number', baud: 9600, maxLine: 64 }],
    ['codec: rflink', { codec: 'rflink', baud: 57_600, maxLine: 4096 }],
    ['codec: rtl_433', { codec: 'rtl_433', baud: 115_200, maxLine: 4096 }],
    ['codec: rtl_433, baud: 9600', { codec: 'rtl_433', baud: 9600, maxLine: 4096 }],
    ['codec: nmea', { codec: 'nmea', baud: 9600, maxLine: 4096, sentences: undefined }],
    ['codec: nmea, sentences: [RMC]', { codec: 'nmea', baud: 9600, maxLine: 4096, sentences: ['RMC'] }],
    ['codec: dsmr', { codec: 'dsmr', baud: 115_200 }],
    ['codec: sds011', { codec: 'sds011', baud: 9600 }],
    ['codec: pms5003', { codec: 'pms5003', baud: 9600 }],
    ['codec: mhz19', { codec: 'mhz19', baud: 9600 }],
    [
      'paths: { t: main.temp, x: "list[0].x" }',
      { codec: 'json', baud: 9600, maxLine: 4096, paths: { t: 'main.temp', x: 'list[0].x' } },
    ],
    ['codec: csv, columns: [a]', { codec: 'csv', baud: 9600, maxLine: 4096, columns: ['a'], separator: ',' }],
    ["codec: regex, pattern: 'T=(?<t>.)'", { codec: 'regex', baud: 9600, maxLine: 4096, pattern: 'T=(?<t>.)' }],
    [
      'codec: modbus, registers: [{ name: power, address: 12 }]',
      { codec: 'modbus', baud: 9600, maxGap: 8, registers: [{ ...REGISTER, name: 'power', address: 12 }] },
    ],
    [
      "codec: raw, length: 4, start: 'AA55'",
      { codec: 'raw', baud: 9600, length: 4, start: 'AA55', delimiter: undefined, maxLength: 1024, encoding: 'hex' },
    ],
    [
      "codec: raw, delimiter: '0d0a', max_length: 8, encoding: base64",
      {
        codec: 'raw',
        baud: 9600,
        length: undefined,
        start: undefined,
        delimiter: '0d0a',
        maxLength: 8,
        encoding: 'base64',
      },
    ],
  ])('%s', (serial, own) => {
    const settings = settingsOf(serial)
    const others = Object.keys(settingsOf('codec: sds011')).filter(key => !(key in own))
    expect(Object.keys(settings).toSorted()).toEqual([...others, ...Object.keys(own)].toSorted())
    expect(settings).toMatchObject(own)
    // And the codec can be made of it.
    const events = { reading: () => {}, fault: () => {}, answered: () => {} }
    expect(createCodec(settings as unknown as BuiltInSettings, events)).toHaveProperty('push')
  })

  test.each([
    'custom: ./my-codec.js',
    'codec: custom, custom: ./my-codec.js, options: { tare: 5, deep: { list: [1] } }',
  ])('%s', serial => {
    const options = serial.includes('tare') ? { tare: 5, deep: { list: [1] } } : {}
    expect(settingsOf(serial)).toMatchObject({ codec: 'custom', file: '/home/owner/my-codec.js', options })
  })

  test('registers in full', () => {
    const registers = `[
      { name: energy, unit_id: 7, function: input, address: 342, type: float32, word_order: little, byte_order: little,
        scale: 0.1, offset: -4, unit: kWh, device_class: energy, state_class: total_increasing },
      { name: text, address: 0, type: string, length: 8 },
      { name: lamps, function: coil, address: 0, type: bits, length: 10 },
      { name: pump, function: coil, address: 3 }]`
    expect(settingsOf(`codec: modbus, max_gap: 0, registers: ${registers}`)).toMatchObject({
      maxGap: 0,
      registers: [
        {
          name: 'energy',
          unitId: 7,
          function: 'input',
          address: 342,
          type: 'float32',
          wordOrder: 'little',
          byteOrder: 'little',
          scale: 0.1,
          offset: -4,
          unit: 'kWh',
          deviceClass: 'energy',
          stateClass: 'total_increasing',
        },
        { name: 'text', type: 'string', length: 8 },
        { name: 'lamps', type: 'bits', length: 10 },
        { name: 'pump', type: 'bool', length: 1 },
      ],
    })
  })
})

const registers = (...list: string[]) => `codec: modbus, registers: [${list.join(', ')}]`

test.each<[serial: string, fault: string]>([
  [
    'codec: jsn',
    "codec: must be json, pairs, csv, number, regex, rflink, rtl_433, nmea, dsmr, sds011, pms5003, mhz19, modbus, raw or custom; found the text 'jsn'; did you mean 'json'?",
  ],
  ['codec: regex', "pattern: regex needs a pattern with named groups, such as pattern: 'T=(?<temperature>[\\d.]+)'"],
  ["codec: regex, pattern: '('", 'pattern: is not a regular expression: Unterminated group'],
  ["codec: regex, pattern: '(a)'", "pattern: must have named groups, such as 'T=(?<temperature>[\\d.]+)'"],
  ['codec: modbus', 'registers: modbus needs its registers, such as registers: [{ name: power, address: 12 }]'],
  ['codec: custom', 'custom: needs the file of the codec, such as custom: ./my-codec.js'],
  ['codec: raw', "length: raw needs to know where a frame ends: length: 8, or delimiter: '0d0a'"],
  [
    "codec: raw, length: 8, delimiter: '00'",
    'delimiter: a frame ends after its length already; leave one of the two out',
  ],
  ["codec: raw, start: 'aa', delimiter: '00'", 'start: belongs to a frame with a length'],
  ["codec: raw, start: 'aabb', length: 1", 'start: is longer than the frame of 1 bytes'],
  ['codec: raw, length: 8, max_length: 8', 'max_length: belongs to a frame with a delimiter'],
  [
    "codec: raw, length: 8, start: 'abc'",
    "start: must be 1 to 16 bytes as pairs of hexadecimal digits, such as '0d0a'",
  ],
  [
    'codec: dsmr, max_line: 1KiB',
    'max_line: belongs to codec: json, pairs, csv, number, regex, rflink, rtl_433 or nmea',
  ],
  ['separator: ";"', 'separator: belongs to codec: csv'],
  ['codec: json, custom: ./x.js', 'custom: belongs to codec: custom'],
  ['options: {}', 'options: belongs to codec: custom'],
  [
    'codec: nmea, sentences: [RMX]',
    "sentences[0]: must be GGA, RMC, GLL, VTG or GSA; found the text 'RMX'; did you mean 'RMC'?",
  ],
  ['paths: main.temp', "paths: must be a map, such as { temperature: main.temp }; found the text 'main.temp'"],
  ['paths: {}', 'paths: must have 1 to 128 values'],
  ['paths: { a: 5 }', 'paths.a: must be a path such as main.temp or list[0].x; found the number 5'],
  ['paths: { a: "b..c" }', "paths.a: must be a path such as main.temp or list[0].x; found the text 'b..c'"],
  ['paths: { a/b: c }', 'paths["a/b"]: must not contain \'/\', which separates the levels of a topic'],
  [registers('{ name: a }'), 'registers[0].address: is required, such as address: 12'],
  [
    registers('{ name: a, address: 1 }', '{ name: a, address: 2 }'),
    'registers[1].name: is the name of a register before it as well',
  ],
  [registers('{ name: a, address: 1, unit_id: 248 }'), 'registers[0].unit_id: must be between 1 and 247; found 248'],
  [
    registers('{ name: a, address: 1, function: coil, type: int16 }'),
    'registers[0].type: a coil is bool, or several of them are bits',
  ],
  [
    registers('{ name: a, address: 1, type: string }'),
    'registers[0].length: string needs its number of registers, such as length: 8',
  ],
  [
    registers('{ name: a, address: 1, function: coil, type: bits }'),
    'registers[0].length: bits needs its number of coils, such as length: 8',
  ],
  [
    registers('{ name: a, address: 1, length: 2 }'),
    'registers[0].length: belongs to type: string, or to type: bits of coils',
  ],
  [
    registers('{ name: a, address: 1, type: string, length: 126 }'),
    'registers[0].length: must be up to 125 registers; found 126',
  ],
  [
    registers('{ name: a, address: 65535, type: uint32 }'),
    'registers[0].address: ends behind the last address, which is 65535',
  ],
  [
    registers('{ name: a, address: 1, scale: 0 }'),
    'registers[0].scale: must not be 0, or every value would be the same',
  ],
  [
    registers(...Array.from({ length: 129 }, (_, i) => `{ name: r${i}, address: ${i} }`)),
    'registers: has more than 128 registers: make two devices of it',
  ],
])('%s', (serial, fault) => {
  const faults = faultsOf(device(serial)).map(each => each.replace(/^\d+:\d+: devices\[0\]\.serial\.?/, ''))
  expect(faults).toEqual([fault])
})
