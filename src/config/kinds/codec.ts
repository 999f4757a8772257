/**
 * The part of `devices[].serial` that is about what speaks on the port: the name of a codec, and the keys that belong to it and to no other.
 * What comes out has the form of `device/codecs/settings.ts`.
 */
import * as v from 'valibot'
import { isMap, list, type Report } from '../structure.ts'
import { levelFault } from '../topics.ts'
import { choice, either, found, Refusal, type Schema, size, text, value, whole } from '../values.ts'
import { checkRegisters, type ModbusRegisterConfig, modbusRegister } from './modbus.ts'

const LINES = ['json', 'pairs', 'csv', 'number', 'regex', 'rflink', 'rtl_433', 'nmea'] as const
const CODECS = [...LINES, 'dsmr', 'sds011', 'pms5003', 'mhz19', 'modbus', 'raw', 'custom'] as const
type CodecName = (typeof CODECS)[number]

/** What these speak at, unless somebody changed it; all others at 9600, eight bits, no parity. */
const BAUD: Readonly<Partial<Record<CodecName, number>>> = { dsmr: 115_200, rflink: 57_600, rtl_433: 115_200 }
const USUAL_BAUD = 9600

const MAX_LINE = 4096
/** Characters of a regular expression: longer ones are programs. */
const MAX_PATTERN = 500
/** Bytes of a frame of `raw`: a message, not a file. */
const MAX_FRAME = 65_536
const USUAL_FRAME = 1024
/** Bytes that a frame begins with, or that stand between two. */
const MAX_MARK = 16
/** Values that a codec gives at once. */
const MAX_VALUES = 128
/** Registers that are read along for nothing, so that one question does for two. */
const MAX_GAP = 8

const SENTENCES = ['GGA', 'RMC', 'GLL', 'VTG', 'GSA'] as const

interface Lines {
  /** Bytes of one line. */
  maxLine: number
}

export type CodecConfig =
  | (Lines & { codec: 'pairs' | 'number' | 'rflink' | 'rtl_433' })
  | (Lines & { codec: 'json'; paths: Record<string, string> | undefined })
  | (Lines & { codec: 'csv'; columns: string[]; separator: string })
  | (Lines & { codec: 'regex'; pattern: string })
  | (Lines & { codec: 'nmea'; sentences: string[] | undefined })
  | { codec: 'dsmr' | 'sds011' | 'pms5003' | 'mhz19' }
  | { codec: 'modbus'; registers: ModbusRegisterConfig[]; maxGap: number }
  | {
      codec: 'raw'
      length: number | undefined
      start: string | undefined
      delimiter: string | undefined
      maxLength: number
      encoding: 'hex' | 'base64'
    }
  /** `file` is absolute. */
  | { codec: 'custom'; file: string; options: Record<string, unknown> }

/** The keys, for the map of a serial device. None has a default here: what is not written must not seem to be. */
export const codecEntries = {
  codec: v.exactOptional(choice(CODECS)),
  baud: v.exactOptional(whole({ min: 50, max: 4_000_000, example: 9600 })),
  max_line: v.exactOptional(size({ min: 16, max: 1_048_576, example: '4KiB' })),
  paths: v.exactOptional(anyMap<Record<string, string>>('{ temperature: main.temp }')),
  columns: v.exactOptional(
    list(text({ example: 'temperature', fault: levelFault }), { example: 'temperature', min: 1 }),
  ),
  separator: v.exactOptional(text({ example: '";"', max: 8 })),
  pattern: v.exactOptional(text({ example: "'T=(?<temperature>[\\d.]+)'", max: MAX_PATTERN, fault: patternFault })),
  sentences: v.exactOptional(list(choice(SENTENCES), { example: 'RMC', min: 1 })),
  registers: v.exactOptional(list(modbusRegister(), { example: '{ name: power, address: 12 }', min: 1 })),
  max_gap: v.exactOptional(whole({ min: 0, max: 100, example: MAX_GAP })),
  length: v.exactOptional(whole({ min: 1, max: MAX_FRAME, example: 8 })),
  start: v.exactOptional(text({ example: "'aa55'", fault: bytesFault })),
  delimiter: v.exactOptional(text({ example: "'0d0a'", fault: bytesFault })),
  max_length: v.exactOptional(whole({ min: 1, max: MAX_FRAME, example: USUAL_FRAME })),
  encoding: v.exactOptional(choice(['hex', 'base64'])),
  custom: v.exactOptional(text({ example: './my-codec.js' })),
  options: v.exactOptional(anyMap<Record<string, unknown>>('{ address: 7 }')),
}

/** Whose keys they are. */
const OWNERS: Readonly<Record<string, readonly CodecName[]>> = {
  max_line: LINES,
  paths: ['json'],
  columns: ['csv'],
  separator: ['csv'],
  pattern: ['regex'],
  sentences: ['nmea'],
  registers: ['modbus'],
  max_gap: ['modbus'],
  length: ['raw'],
  start: ['raw'],
  delimiter: ['raw'],
  max_length: ['raw'],
  encoding: ['raw'],
  custom: ['custom'],
  options: ['custom'],
}

/** What a codec cannot do without. */
const NEEDS: Readonly<Partial<Record<CodecName, readonly [key: string, message: string]>>> = {
  csv: ['columns', 'csv needs the names of its columns, such as columns: [temperature, humidity]'],
  regex: ['pattern', "regex needs a pattern with named groups, such as pattern: 'T=(?<temperature>[\\d.]+)'"],
  modbus: ['registers', 'modbus needs its registers, such as registers: [{ name: power, address: 12 }]'],
  custom: ['custom', 'needs the file of the codec, such as custom: ./my-codec.js'],
}

function nameOf(written: Record<string, unknown>): unknown {
  return written.codec ?? ('custom' in written ? 'custom' : 'json')
}

/** What is wrong between them. */
export function checkCodec(written: Record<string, unknown>, report: Report): void {
  const name = nameOf(written)
  if (!CODECS.some(each => each === name)) return
  for (const [key, owners] of Object.entries(OWNERS)) {
    if (key in written && !owners.some(each => each === name))
      report(`belongs to codec: ${either(owners)}`, [key], 'key')
  }
  const [needed, message] = NEEDS[name as CodecName] ?? []
  if (needed !== undefined && message !== undefined && !(needed in written)) report(message, [needed], 'missing')
  if (name === 'raw') checkRaw(written, report)
  checkPaths(written.paths, report)
  checkColumns(written.columns, report)
  checkRegisters(written.registers, MAX_VALUES, report)
}

function checkRaw({ length, delimiter, start, max_length }: Record<string, unknown>, report: Report): void {
  if (length === undefined && delimiter === undefined) {
    report("raw needs to know where a frame ends: length: 8, or delimiter: '0d0a'", ['length'], 'missing')
  } else if (length !== undefined && delimiter !== undefined) {
    report('a frame ends after its length already; leave one of the two out', ['delimiter'], 'key')
  } else if (delimiter !== undefined && start !== undefined)
    report('belongs to a frame with a length', ['start'], 'key')
  if (length !== undefined && max_length !== undefined)
    report('belongs to a frame with a delimiter', ['max_length'], 'key')
  if (typeof length === 'number' && typeof start === 'string' && start.length / 2 > length) {
    report(`is longer than the frame of ${length} bytes`, ['start'])
  }
}

function checkPaths(paths: unknown, report: Report): void {
  if (!isMap(paths)) return
  const names = Object.keys(paths)
  if (names.length === 0 || names.length > MAX_VALUES) report(`must have 1 to ${MAX_VALUES} values`, ['paths'])
  for (const [name, path] of Object.entries(paths)) {
    const wrong = name === '' ? 'has a value without a name' : levelFault(name)
    if (wrong !== undefined) report(wrong, ['paths', name], 'key')
    if (typeof path !== 'string' || !PATH.test(path)) {
      report(`must be a path such as main.temp or list[0].x; found ${found(path)}`, ['paths', name])
    }
  }
}

/** As `device/codecs/paths.ts` reads it. */
const PATH = /^(?:[^.[\]"]+|\[(?:\d{1,6}|"[^"]*")\])(?:\.[^.[\]"]+|\[(?:\d{1,6}|"[^"]*")\])*$/

function checkColumns(columns: unknown, report: Report): void {
  const seen = new Set<unknown>()
  for (const [index, column] of Array.isArray(columns) ? columns.entries() : []) {
    if (seen.has(column)) report('is the name of a column before it as well', ['columns', index])
    seen.add(column)
  }
}

interface Written {
  codec?: CodecName
  baud?: number
  maxLine?: number
  paths?: Record<string, string>
  columns?: string[]
  separator?: string
  pattern?: string
  sentences?: string[]
  registers?: ModbusRegisterConfig[]
  maxGap?: number
  length?: number
  start?: string
  delimiter?: string
  maxLength?: number
  encoding?: 'hex' | 'base64'
  custom?: string
  options?: Record<string, unknown>
}

/** The codec with its own keys and no others, complete; and all that is not about codecs, as it was. */
export function completeCodec<T extends Written>(written: T) {
  const {
    codec: named,
    baud,
    maxLine = MAX_LINE,
    paths,
    columns = [],
    separator = ',',
    pattern = '',
    ...more
  } = written
  const { sentences, registers = [], maxGap = MAX_GAP, length, start, delimiter, ...others } = more
  const { maxLength = USUAL_FRAME, encoding = 'hex', custom: file = '', options = {}, ...rest } = others
  const codec = named ?? (file === '' ? 'json' : 'custom')
  const own = (): CodecConfig => {
    switch (codec) {
      case 'json':
        return { codec, maxLine, paths }
      case 'csv':
        return { codec, maxLine, columns, separator }
      case 'regex':
        return { codec, maxLine, pattern }
      case 'nmea':
        return { codec, maxLine, sentences }
      case 'modbus':
        return { codec, registers, maxGap }
      case 'raw':
        return { codec, length, start, delimiter, maxLength, encoding }
      case 'custom':
        return { codec, file, options }
      case 'dsmr':
      case 'sds011':
      case 'pms5003':
      case 'mhz19':
        return { codec }
      default:
        return { codec, maxLine }
    }
  }
  return { ...rest, baud: baud ?? BAUD[codec] ?? USUAL_BAUD, ...own() }
}

/** A map whose keys are the owner's. */
function anyMap<T extends Record<string, unknown>>(example: string): Schema<T> {
  return value(example, input =>
    isMap(input) ? (input as T) : new Refusal(`must be a map, such as ${example}; found ${found(input)}`),
  )
}

function patternFault(pattern: string): string | undefined {
  try {
    // With an empty alternative it matches anything, and tells which groups there are.
    const { groups } = new RegExp(`${pattern}|`).exec('') ?? {}
    return groups === undefined ? "must have named groups, such as 'T=(?<temperature>[\\d.]+)'" : undefined
  } catch (error) {
    return `is not a regular expression: ${(error as Error).message.replace(/^.*: /s, '')}`
  }
}

function bytesFault(bytes: string): string | undefined {
  return /^(?:[\da-f]{2})+$/i.test(bytes) && bytes.length <= MAX_MARK * 2
    ? undefined
    : `must be 1 to ${MAX_MARK} bytes as pairs of hexadecimal digits, such as '0d0a'`
}
