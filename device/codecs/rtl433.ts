/**
 * What the radio receiver `rtl_433 -F json` says: an object a line, of the device `model`, `id` and `channel`, with units in the
 * names of its fields. `time` becomes the time of the reading when it says which moment it means: with `-M time:unix`,
 * or `-M time:iso` together with `-M time:utc` or `-M time:tz`. Otherwise it is local time of a place that is not told.
 */
import type { Reading, ValueDescription } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { flatten, OBJECT_BEGINS, parseJson } from './json.ts'
import { lineCodec } from './lines.ts'
import { excerpt, Values } from './values.ts'

const ISO = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d(?:\.\d{1,9})?)(Z|[+-]\d\d:?\d\d)$/
const EPOCH = /^\d{9,10}(?:\.\d{1,9})?$/

const measured = (unit: string, deviceClass?: string): ValueDescription => ({
  unit,
  deviceClass,
  stateClass: 'measurement',
})

/** Fields as the project names them in its data format. */
const VALUES: Readonly<Record<string, ValueDescription>> = {
  temperature_C: measured('°C', 'temperature'),
  temperature_F: measured('°F', 'temperature'),
  humidity: measured('%', 'humidity'),
  moisture: measured('%', 'moisture'),
  pressure_hPa: measured('hPa', 'atmospheric_pressure'),
  pressure_kPa: measured('kPa', 'pressure'),
  wind_avg_km_h: measured('km/h', 'wind_speed'),
  wind_max_km_h: measured('km/h', 'wind_speed'),
  wind_avg_m_s: measured('m/s', 'wind_speed'),
  wind_max_m_s: measured('m/s', 'wind_speed'),
  wind_dir_deg: measured('°'),
  rain_mm: { unit: 'mm', deviceClass: 'precipitation', stateClass: 'total_increasing' },
  rain_rate_mm_h: measured('mm/h', 'precipitation_intensity'),
  light_lux: measured('lx', 'illuminance'),
  uvi: measured('UV index'),
  power_W: measured('W', 'power'),
  energy_kWh: { unit: 'kWh', deviceClass: 'energy', stateClass: 'total_increasing' },
  current_A: measured('A', 'current'),
  voltage_V: measured('V', 'voltage'),
  depth_cm: measured('cm', 'distance'),
  battery_mV: measured('mV', 'voltage'),
  rssi: measured('dB', 'signal_strength'),
  snr: measured('dB'),
  noise: measured('dB'),
}

export function rtl433Codec({ maxLine }: { maxLine: number }, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, beginning: OBJECT_BEGINS, values: VALUES }, events)
}

function decode(line: string): Reading {
  const parsed = parseJson(line)
  if (typeof parsed !== 'object' || parsed === null || !('model' in parsed)) {
    throw new Error(`not a message of rtl_433, which has a model: ${excerpt(line)}`)
  }
  const { time, ...rest } = parsed as { time?: unknown }
  const at = timeOf(time)
  const values = new Values()
  flatten(at === undefined ? parsed : rest, values, line)
  return at === undefined ? { value: values.byName } : { value: values.byName, at }
}

/** Wall time in ms; undefined when it does not say which moment it means. */
function timeOf(time: unknown): number | undefined {
  const text = `${time}`
  if (EPOCH.test(text)) return Math.round(Number(text) * 1000)
  const [, date, clock, zone] = ISO.exec(text) ?? []
  if (zone === undefined) return undefined
  const at = Date.parse(`${date}T${clock}${zone.length === 5 ? `${zone.slice(0, 3)}:${zone.slice(3)}` : zone}`)
  return Number.isNaN(at) ? undefined : at
}
