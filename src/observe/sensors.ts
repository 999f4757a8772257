/**
 * Rows of what sensors say: a row for each kind of quantity, in the base unit that Prometheus wants (celsius, ratio,
 * pascals, joules), whatever unit the sensor speaks; one more for all that has no row of its own. Room, sensor and value
 * are names from the configuration and from drivers, never from a payload: a value that nobody has described is left out.
 * What is away says nothing, so that an old value does not pass for a new one.
 */
import type { DeviceFigures } from './ports.ts'
import { gauges, type Metric, type Sample, seconds } from './rows.ts'

/** Series of one row: a large house has some fifty thermometers. */
export const MAX_SENSOR_SERIES = 200

/** The name of a value that is the only one. */
const SINGLE = ''

/** From a unit to the base unit: a factor, or a function where the zeros differ. */
type Units = Readonly<Record<string, number | ((value: number) => number)>>

const RATIO: Units = { '%': 0.01 }
const PASCALS: Units = {
  Pa: 1,
  hPa: 100,
  mbar: 100,
  kPa: 1_000,
  bar: 1e5,
  psi: 6_894.757,
  mmHg: 133.322,
  inHg: 3_386.389,
}
const JOULES: Units = { J: 1, kJ: 1e3, MJ: 1e6, GJ: 1e9, Wh: 3_600, kWh: 3.6e6, MWh: 3.6e9 }
const METERS: Units = { m: 1, mm: 0.001, cm: 0.01, km: 1_000, in: 0.0254, ft: 0.3048 }
const METERS_PER_SECOND: Units = { 'm/s': 1, 'km/h': 1 / 3.6, mph: 0.44704, kn: 0.514444 }
const CUBIC_METERS: Units = { 'm³': 1, L: 0.001, l: 0.001, mL: 1e-6 }
const MICROGRAMS: Units = { 'µg/m³': 1, 'mg/m³': 1_000 }

/** By device class, as Home Assistant has them: what the row is called, its unit, and the units that sensors tell it in. */
export const QUANTITIES: Readonly<Record<string, readonly [what: string, unit: string, units: Units]>> = {
  temperature: ['temperature', 'celsius', { '°C': 1, '°F': value => (value - 32) / 1.8, K: value => value - 273.15 }],
  humidity: ['humidity', 'ratio', RATIO],
  moisture: ['moisture', 'ratio', RATIO],
  battery: ['battery', 'ratio', RATIO],
  pressure: ['pressure', 'pascals', PASCALS],
  atmospheric_pressure: ['pressure', 'pascals', PASCALS],
  carbon_dioxide: ['carbon_dioxide', 'ppm', { ppm: 1 }],
  pm25: ['pm25', 'micrograms_per_cubic_meter', MICROGRAMS],
  pm10: ['pm10', 'micrograms_per_cubic_meter', MICROGRAMS],
  illuminance: ['illuminance', 'lux', { lx: 1 }],
  voltage: ['voltage', 'volts', { V: 1, mV: 0.001 }],
  current: ['current', 'amperes', { A: 1, mA: 0.001 }],
  power: ['power', 'watts', { W: 1, kW: 1_000 }],
  energy: ['energy', 'joules', JOULES],
  frequency: ['frequency', 'hertz', { Hz: 1, kHz: 1e3, MHz: 1e6 }],
  distance: ['distance', 'meters', METERS],
  precipitation: ['precipitation', 'meters', METERS],
  speed: ['speed', 'meters_per_second', METERS_PER_SECOND],
  wind_speed: ['wind_speed', 'meters_per_second', METERS_PER_SECOND],
  weight: ['weight', 'grams', { g: 1, kg: 1_000 }],
  duration: ['duration', 'seconds', { s: 1, ms: 0.001, min: 60, h: 3_600, d: 86_400 }],
  data_size: ['data', 'bytes', { B: 1, kB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }],
  volume: ['volume', 'cubic_meters', CUBIC_METERS],
  water: ['water', 'cubic_meters', CUBIC_METERS],
  gas: ['gas', 'cubic_meters', CUBIC_METERS],
}

const LABELS = ['room', 'sensor', 'value']

/** The row for values of this class in this unit; undefined when there is none. */
function rowFor({ deviceClass = '', unit = '' }: DeviceFigures['values'][string]) {
  const [what = '', base = '', units = {}] = Object.hasOwn(QUANTITIES, deviceClass)
    ? (QUANTITIES[deviceClass] ?? [])
    : []
  if (!Object.hasOwn(units, unit)) return undefined
  const into = units[unit] ?? 1
  return { name: nameOf(what, base), convert: typeof into === 'number' ? (value: number) => value * into : into }
}

function nameOf(what: string, base: string): string {
  return `larder_sensor_${what}_${base}`
}

/** What the sensors that are there said last: in a row of its own, or in the row for all others. */
function samples(devices: readonly DeviceFigures[], row: string | undefined): Sample[] {
  return devices
    .filter(({ state }) => state === 'online')
    .flatMap(({ room, name: sensor, values, numbers }) =>
      Object.entries(numbers).flatMap(([value, number]): Sample[] => {
        const about = Object.hasOwn(values, value) ? (values[value] ?? {}) : {}
        // The name of a value that nobody has described may come from a payload.
        if (value !== SINGLE && about.deviceClass === undefined && about.unit === undefined) return []
        const own = rowFor(about)
        if (own?.name !== row) return []
        const labels = { room, sensor, ...(value === SINGLE ? {} : { value }) }
        if (own === undefined)
          return [{ labels: { ...labels, ...(about.unit === undefined ? {} : { unit: about.unit }) }, value: number }]
        return [{ labels, value: tidy(own.convert(number)) }]
      }),
    )
    .slice(0, MAX_SENSOR_SERIES)
}

/** Without the noise of the last bits of a double: 215 hPa are 21500 Pa. */
function tidy(value: number): number {
  return Number(value.toPrecision(12))
}

function quantity(what: string, base: string): [string, Metric] {
  const name = nameOf(what, base)
  const words = (text: string) => text.replaceAll('_', ' ')
  const help = `What sensors say of ${words(what)}, in ${words(base)}.`
  return [name, gauges(LABELS, help, ({ devices }) => samples(devices, name))]
}

export const SENSOR_METRICS: Readonly<Record<string, Metric>> = {
  ...Object.fromEntries(Object.values(QUANTITIES).map(([what, base]) => quantity(what, base))),
  larder_sensor_value: gauges(
    [...LABELS, 'unit'],
    'What sensors say that has no row of its own, as they say it; 1 and 0 for on and off.',
    ({ devices }) => samples(devices, undefined),
  ),
  larder_sensor_last_update_timestamp_seconds: gauges(
    ['room', 'sensor'],
    'When a sensor was heard last, in seconds since 1970.',
    ({ devices }) =>
      devices
        .flatMap(({ room, name, heardAt }): Sample[] =>
          heardAt === undefined ? [] : [{ labels: { room, sensor: name }, value: seconds(heardAt) }],
        )
        .slice(0, MAX_SENSOR_SERIES),
  ),
}
