/**
 * What receivers for satellite navigation say (NMEA 0183): `$GPGGA,…*47`, from any talker. GGA, RMC, GLL, VTG and GSA are read, each
 * into a reading of its own; other sentences are left out. The sum between `*` and the end is required. Without a
 * fix only that is said (`fix: false`): the position in such a sentence is an old one. RMC tells date and time, and so the time of
 * its reading.
 */
import type { Reading, ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import type { NmeaSettings } from './settings.ts'
import { clean, excerpt, Values } from './values.ts'

const SENTENCE = /^\$([^$*]+)\*([0-9a-f]{2})$/i
const SENTENCE_BEGINS = /(?=\$)/

/** km/h of a knot. */
const KNOT = 1.852
/** Digits behind the point of a degree: a centimetre. */
const DEGREE_DIGITS = 7
/** Two digits of a year below this are in this century; GPS is not older. */
const CENTURY_TURNS = 80

const VALUES: Readonly<Record<string, ValueDescription>> = {
  latitude: { unit: '°' },
  longitude: { unit: '°' },
  altitude: { unit: 'm', deviceClass: 'distance', stateClass: 'measurement' },
  speed: { unit: 'km/h', deviceClass: 'speed', stateClass: 'measurement' },
  course: { unit: '°' },
  satellites: { stateClass: 'measurement' },
  hdop: { stateClass: 'measurement' },
  vdop: { stateClass: 'measurement' },
  pdop: { stateClass: 'measurement' },
}

/** Reads the cells behind the name of a sentence into `values`; may give the time. */
type Sentence = (cells: readonly string[], values: Values) => number | undefined

const SENTENCES: Readonly<Record<string, Sentence>> = {
  GGA(cells, values) {
    const quality = number(cells[5]) ?? 0
    values.set('fix', quality > 0)
    set(values, 'satellites', number(cells[6]))
    if (quality === 0) return undefined
    values.set('quality', quality)
    position(cells.slice(1), values)
    set(values, 'hdop', number(cells[7]))
    set(values, 'altitude', number(cells[8]))
    return undefined
  },
  RMC(cells, values) {
    const isFixed = cells[1] === 'A'
    values.set('fix', isFixed)
    if (!isFixed) return undefined
    position(cells.slice(2), values)
    set(values, 'speed', kmh(number(cells[6])))
    set(values, 'course', number(cells[7]))
    return moment(cells[8] ?? '', cells[0] ?? '')
  },
  GLL(cells, values) {
    const isFixed = cells[5] === 'A'
    values.set('fix', isFixed)
    if (isFixed) position(cells, values)
    return undefined
  },
  VTG(cells, values) {
    set(values, 'course', number(cells[0]))
    set(values, 'speed', cells[6] === '' ? kmh(number(cells[4])) : number(cells[6]))
    return undefined
  },
  GSA(cells, values) {
    const mode = number(cells[1]) ?? 1
    values.set('fix', mode > 1)
    if (mode === 1) return undefined
    values.set('mode', mode === 3 ? '3D' : '2D')
    set(values, 'pdop', number(cells[14]))
    set(values, 'hdop', number(cells[15]))
    set(values, 'vdop', number(cells[16]))
    return undefined
  },
}

export function nmeaCodec({ maxLine, sentences }: Omit<NmeaSettings, 'codec'>, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, beginning: SENTENCE_BEGINS, values: VALUES }, events)

  function decode(line: string): Reading | undefined {
    const text = line.trim()
    if (text.startsWith('!')) return undefined // AIS: ships
    const [, body = '', sum = ''] = SENTENCE.exec(text) ?? []
    if (body === '') throw new Error(`not a sentence of NMEA 0183 with its sum: ${excerpt(text)}`)
    if (sumOf(body) !== Number.parseInt(sum, 16)) throw new Error(`the sum is wrong: ${excerpt(text)}`)
    const [name = '', ...cells] = body.split(',')
    // Two letters name the talker; a P begins what a maker made up.
    const type = name.startsWith('P') ? '' : name.slice(2)
    if (sentences !== undefined && !sentences.includes(type)) return undefined
    const read = Object.hasOwn(SENTENCES, type) ? SENTENCES[type] : undefined
    if (read === undefined) return undefined
    const values = new Values()
    const at = read(cells, values)
    if (values.count === 0) return undefined
    return at === undefined ? { value: values.byName } : { value: values.byName, at }
  }
}

function sumOf(body: string): number {
  return Buffer.from(body, 'latin1').reduce((sum, byte) => sum ^ byte, 0)
}

function set(values: Values, name: string, value: number | undefined): void {
  if (value !== undefined) values.set(name, value)
}

/** Undefined for an empty cell and for what is no number. */
function number(cell: string | undefined): number | undefined {
  return cell !== undefined && /^-?\d+(?:\.\d*)?$/.test(cell) ? Number(cell) : undefined
}

function kmh(knots: number | undefined): number | undefined {
  return knots === undefined ? undefined : clean(knots * KNOT)
}

/** Four cells: `4807.038`, `N`, `01131.000`, `E`; degrees and minutes. */
function position([latitude, northSouth, longitude, eastWest]: readonly string[], values: Values): void {
  set(values, 'latitude', degrees(latitude, 2, northSouth === 'S'))
  set(values, 'longitude', degrees(longitude, 3, eastWest === 'W'))
}

function degrees(cell: string | undefined, digits: number, isNegative: boolean): number | undefined {
  if (cell === undefined || !/^\d{4,5}(?:\.\d*)?$/.test(cell)) return undefined
  const value = Number(cell.slice(0, digits)) + Number(cell.slice(digits)) / 60
  return Number((isNegative ? -value : value).toFixed(DEGREE_DIGITS))
}

/** `230394` and `123519.00` as wall time in ms; both are UTC. */
function moment(date: string, time: string): number | undefined {
  const [, day, month, year] = (/^(\d\d)(\d\d)(\d\d)$/.exec(date) ?? []).map(Number)
  const [, hour, minute, second] = (/^(\d\d)(\d\d)(\d\d(?:\.\d+)?)$/.exec(time) ?? []).map(Number)
  if (day === undefined || month === undefined || year === undefined) return undefined
  if (hour === undefined || minute === undefined || second === undefined) return undefined
  return Date.UTC(
    year + (year < CENTURY_TURNS ? 2000 : 1900),
    month - 1,
    day,
    hour,
    minute,
    0,
    Math.round(second * 1000),
  )
}
