/**
 * What the radio gateway RFLink hears: `20;2D;UPM/Esic;ID=0001;TEMP=00cf;HUM=16;BAT=OK;`, by its Protocol Reference. The sender
 * is `protocol` and `id`; fields get plain names, and those that are hexadecimal or in tenths become numbers. A field
 * that is not in the reference is kept as text. What the gateway says of itself (`20;99;PONG;`) is no reading.
 *
 * The lines carry no sum: a field that does not read as what it should be makes the whole line suspect.
 */
import type { Reading, Value, ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import { clean, excerpt, numberOrText, Values } from './values.ts'

/** Node 20 is the gateway; a packet counter; the name of the protocol; fields. */
const LINE = /^20;[0-9a-f]{2};([^;=]+);(.*)$/i
const PACKET_BEGINS = /(?<=;)\s*(?=20;[0-9a-f]{2};)/i

/** The directions of the compass that WINDIR counts, in degrees each. */
const WIND_STEP = 22.5
const WIND_DIRECTIONS = 16

const HUMIDITY_STATES = ['normal', 'comfortable', 'dry', 'wet']
const FORECASTS = ['unknown', 'sunny', 'partly cloudy', 'cloudy', 'rain']

/** What a field becomes; undefined when it is not written as it should be. */
type Read = (text: string) => Value | undefined

interface Field extends ValueDescription {
  readonly name: string
  readonly read: Read
}

const hex: Read = text => (/^[0-9a-f]{1,8}$/i.test(text) ? Number.parseInt(text, 16) : undefined)
const decimal: Read = text => (/^-?\d{1,9}(?:\.\d{1,6})?$/.test(text) ? Number(text) : undefined)
const tenths: Read = text => {
  const number = hex(text) as number | undefined
  return number === undefined ? undefined : clean(number / 10)
}
/** The high bit of 16 is the sign. */
const signedTenths: Read = text => {
  const number = hex(text) as number | undefined
  if (number === undefined || number > 0xffff) return undefined
  return clean((number & 0x8000 ? -(number & 0x7fff) : number) / 10)
}
const percent: Read = text => (/^\d{1,3}$/.test(text) && Number(text) <= 100 ? Number(text) : undefined)
const direction: Read = text =>
  /^\d{1,4}$/.test(text) && Number(text) < WIND_DIRECTIONS ? Number(text) * WIND_STEP : undefined
const oneOf =
  (words: readonly string[]): Read =>
  text =>
    /^\d{1,2}$/.test(text) ? words[Number(text)] : undefined
const is =
  (yes: string, no: string): Read =>
  text =>
    text === yes ? true : text === no ? false : undefined
const plain: Read = text => text

function field(name: string, read: Read, unit?: string, deviceClass?: string): Field {
  return { name, read, unit, deviceClass, ...(unit === undefined ? {} : { stateClass: 'measurement' }) }
}

const FIELDS: Readonly<Record<string, Field>> = {
  ID: field('id', plain),
  SWITCH: field('switch', plain),
  CMD: field('command', plain),
  SET_LEVEL: field('level', decimal),
  TEMP: field('temperature', signedTenths, '°C', 'temperature'),
  HUM: field('humidity', percent, '%', 'humidity'),
  BARO: field('pressure', hex, 'hPa', 'atmospheric_pressure'),
  HSTATUS: field('humidity_status', oneOf(HUMIDITY_STATES)),
  BFORECAST: field('forecast', oneOf(FORECASTS)),
  UV: field('uv', hex),
  LUX: field('illuminance', hex, 'lx', 'illuminance'),
  BAT: field('battery_low', is('LOW', 'OK'), undefined, 'battery'),
  RAIN: { ...field('rain', tenths, 'mm', 'precipitation'), stateClass: 'total_increasing' },
  RAINRATE: field('rain_rate', tenths, 'mm/h', 'precipitation_intensity'),
  RAINTOT: { ...field('rain_day', tenths, 'mm', 'precipitation'), stateClass: 'total_increasing' },
  WINSP: field('wind_speed', tenths, 'km/h', 'wind_speed'),
  AWINSP: field('wind_average', tenths, 'km/h', 'wind_speed'),
  // The reference speaks of no division, but its own examples are ten times too high without.
  WINGS: field('wind_gust', tenths, 'km/h', 'wind_speed'),
  WINDIR: field('wind_direction', direction, '°'),
  WINCHL: field('wind_chill', signedTenths, '°C', 'temperature'),
  WINTMP: field('wind_temperature', signedTenths, '°C', 'temperature'),
  CHIME: field('chime', decimal),
  SMOKEALERT: field('smoke', is('ON', 'OFF'), undefined, 'smoke'),
  PIR: field('motion', is('ON', 'OFF'), undefined, 'motion'),
  CO2: field('co2', decimal, 'ppm', 'carbon_dioxide'),
  SOUND: field('sound', decimal),
  KWATT: field('power_kw', hex, 'kW', 'power'),
  WATT: field('power', hex, 'W', 'power'),
  CURRENT: field('current', decimal, 'A', 'current'),
  CURRENT2: field('current_2', decimal, 'A', 'current'),
  CURRENT3: field('current_3', decimal, 'A', 'current'),
  DIST: field('distance', decimal),
  METER: field('meter', decimal),
  VOLT: field('voltage', decimal, 'V', 'voltage'),
  RGBW: field('rgbw', plain),
}

const VALUES: Readonly<Record<string, ValueDescription>> = Object.fromEntries(
  Object.values(FIELDS).map(({ name, unit, deviceClass, stateClass }) => [name, { unit, deviceClass, stateClass }]),
)

export function rflinkCodec({ maxLine }: { maxLine: number }, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, beginning: PACKET_BEGINS, values: VALUES }, events)
}

function decode(line: string): Reading | undefined {
  const text = line.trim()
  const [, protocol, rest] = LINE.exec(text) ?? []
  if (protocol === undefined || rest === undefined) {
    // Echoes of commands, and what the gateway says of itself: `20;00;Nodo …;`, `20;99;RFDEBUG=ON;`.
    if (/^(?:1[01];|20;[0-9a-f]{2};[\w ]+=[^;]*;)/i.test(text) && text.endsWith(';')) return undefined
    throw new Error(`not a packet of RFLink: ${excerpt(text)}`)
  }
  const labels = rest.split(';').filter(each => each !== '')
  if (!labels.some(each => Object.hasOwn(FIELDS, each.split('=', 1)[0] ?? ''))) return undefined
  if (!rest.endsWith(';')) throw new Error(`a packet of RFLink without its end: ${excerpt(text)}`)

  const values = new Values()
  values.set('protocol', protocol)
  for (const label of labels) take(label)
  if (!('id' in values.byName)) throw new Error(`a packet of RFLink without an ID: ${excerpt(text)}`)
  return { value: values.byName }

  function take(label: string): void {
    // A dimmer says CMD=SET_LEVEL=14: a command with its level.
    const [, key, own, nested] = /^([A-Z0-9_]+)=([^=]*)(?:=([^=]*))?$/i.exec(label) ?? []
    if (key === undefined || own === undefined) throw new Error(`no field at ${excerpt(label)} in ${excerpt(text)}`)
    if (nested !== undefined) take(`${own}=${nested}`)
    const known = Object.hasOwn(FIELDS, key) ? FIELDS[key] : undefined
    const value = known === undefined ? numberOrText(own) : known.read(own)
    if (value === undefined) throw new Error(`${key} cannot be ${excerpt(own)} in ${excerpt(text)}`)
    values.set(known?.name ?? key.toLowerCase(), value)
  }
}
