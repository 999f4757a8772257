/**
 * From the lines of a P1 telegram to values with names, in one unit for each kind: kWh, W, V, A, m³, GJ. "Delivered" is what the house
 * takes, "returned" what it gives. A line that has no name here is kept under its code (`1-0:15.8.0`) when it holds a number with a
 * unit, and left out otherwise: numbers of meters and messages concern the household, not its thermostat.
 */
import type { Reading, ValueDescription } from '../../src/devices/ports.ts'
import { clean, excerpt, Values } from './values.ts'

const LINE = /^((\d{1,3})-(\d{1,3}):(\d{1,3}\.\d{1,3}\.\d{1,3})(?:[.*]\d{1,3})?)((?:\([^()]*\))+)$/
const NUMBER = /^(-?\d+(?:\.\d+)?)(?:\*([A-Za-z][A-Za-z0-9]*))?$/
const TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)([SW])$/

/** ms by which the clocks that these meters have are before UTC: in summer (S) and in winter (W). */
const BEFORE_UTC = { S: 7_200_000, W: 3_600_000 } as const

/** What a unit becomes, how much of that it is, and how a name ends that has it. */
interface Unit {
  readonly suffix: string
  readonly factor: number
}
const UNITS: Readonly<Record<string, Unit>> = {
  wh: { suffix: 'kwh', factor: 0.001 },
  kwh: { suffix: 'kwh', factor: 1 },
  w: { suffix: 'w', factor: 1 },
  kw: { suffix: 'w', factor: 1000 },
  varh: { suffix: 'kvarh', factor: 0.001 },
  kvarh: { suffix: 'kvarh', factor: 1 },
  var: { suffix: 'var', factor: 1 },
  kvar: { suffix: 'var', factor: 1000 },
  v: { suffix: 'v', factor: 1 },
  a: { suffix: 'a', factor: 1 },
  hz: { suffix: 'hz', factor: 1 },
  m3: { suffix: 'm3', factor: 1 },
  gj: { suffix: 'gj', factor: 1 },
  mj: { suffix: 'gj', factor: 0.001 },
}

const DESCRIPTIONS: Readonly<Record<string, ValueDescription>> = {
  kwh: { unit: 'kWh', deviceClass: 'energy', stateClass: 'total_increasing' },
  w: { unit: 'W', deviceClass: 'power', stateClass: 'measurement' },
  kvarh: { unit: 'kvarh', deviceClass: 'reactive_energy', stateClass: 'total_increasing' },
  var: { unit: 'var', deviceClass: 'reactive_power', stateClass: 'measurement' },
  v: { unit: 'V', deviceClass: 'voltage', stateClass: 'measurement' },
  a: { unit: 'A', deviceClass: 'current', stateClass: 'measurement' },
  hz: { unit: 'Hz', deviceClass: 'frequency', stateClass: 'measurement' },
}

/** Codes (without their channel), what they are called, and the unit that usually makes the name complete. */
const NAMES: Readonly<Record<string, readonly [name: string, suffix: string]>> = {
  '1.8.0': ['delivered', 'kwh'],
  '1.8.1': ['delivered_t1', 'kwh'],
  '1.8.2': ['delivered_t2', 'kwh'],
  '1.8.3': ['delivered_t3', 'kwh'],
  '1.8.4': ['delivered_t4', 'kwh'],
  '2.8.0': ['returned', 'kwh'],
  '2.8.1': ['returned_t1', 'kwh'],
  '2.8.2': ['returned_t2', 'kwh'],
  '2.8.3': ['returned_t3', 'kwh'],
  '2.8.4': ['returned_t4', 'kwh'],
  '3.8.0': ['reactive_delivered', 'kvarh'],
  '3.8.1': ['reactive_delivered_t1', 'kvarh'],
  '3.8.2': ['reactive_delivered_t2', 'kvarh'],
  '4.8.0': ['reactive_returned', 'kvarh'],
  '4.8.1': ['reactive_returned_t1', 'kvarh'],
  '4.8.2': ['reactive_returned_t2', 'kvarh'],
  '1.7.0': ['power', 'w'],
  '2.7.0': ['power_returned', 'w'],
  '21.7.0': ['power_l1', 'w'],
  '41.7.0': ['power_l2', 'w'],
  '61.7.0': ['power_l3', 'w'],
  '22.7.0': ['power_returned_l1', 'w'],
  '42.7.0': ['power_returned_l2', 'w'],
  '62.7.0': ['power_returned_l3', 'w'],
  '3.7.0': ['reactive_power', 'var'],
  '4.7.0': ['reactive_power_returned', 'var'],
  '23.7.0': ['reactive_power_l1', 'var'],
  '43.7.0': ['reactive_power_l2', 'var'],
  '63.7.0': ['reactive_power_l3', 'var'],
  '24.7.0': ['reactive_power_returned_l1', 'var'],
  '44.7.0': ['reactive_power_returned_l2', 'var'],
  '64.7.0': ['reactive_power_returned_l3', 'var'],
  '32.7.0': ['voltage_l1', 'v'],
  '52.7.0': ['voltage_l2', 'v'],
  '72.7.0': ['voltage_l3', 'v'],
  '31.7.0': ['current_l1', 'a'],
  '51.7.0': ['current_l2', 'a'],
  '71.7.0': ['current_l3', 'a'],
  '14.7.0': ['frequency', 'hz'],
  '1.4.0': ['demand', 'w'],
  '1.6.0': ['demand_peak', 'w'],
  '17.0.0': ['limit', 'w'],
  '31.4.0': ['fuse', 'a'],
  '96.14.0': ['tariff', ''],
  '96.3.10': ['breaker', ''],
  '96.7.21': ['power_failures', ''],
  '96.7.9': ['long_power_failures', ''],
  '32.32.0': ['voltage_sags_l1', ''],
  '52.32.0': ['voltage_sags_l2', ''],
  '72.32.0': ['voltage_sags_l3', ''],
  '32.36.0': ['voltage_swells_l1', ''],
  '52.36.0': ['voltage_swells_l2', ''],
  '72.36.0': ['voltage_swells_l3', ''],
}

/** What hangs on the meter by M-Bus, by the type of device (EN 13757-3) in `0-n:24.1.0`. */
const ATTACHED: Readonly<Record<number, string>> = {
  3: 'gas',
  4: 'heat',
  6: 'warm_water',
  7: 'water',
  10: 'cooling',
  12: 'heat',
}
/** Their readings: since version 4, in Belgium for gas, up to version 3. */
const ATTACHED_READINGS = new Set(['24.2.1', '24.2.3', '24.3.0'])

/** What may come out, by name. */
export const OBIS_VALUES: Readonly<Record<string, ValueDescription>> = {
  ...Object.fromEntries(
    Object.values(NAMES).map(([name, suffix]) => [named(name, suffix), DESCRIPTIONS[suffix] ?? {}]),
  ),
  gas_m3: { unit: 'm³', deviceClass: 'gas', stateClass: 'total_increasing' },
  water_m3: { unit: 'm³', deviceClass: 'water', stateClass: 'total_increasing' },
  warm_water_m3: { unit: 'm³', deviceClass: 'water', stateClass: 'total_increasing' },
  heat_gj: { unit: 'GJ', deviceClass: 'energy', stateClass: 'total_increasing' },
  cooling_gj: { unit: 'GJ', deviceClass: 'energy', stateClass: 'total_increasing' },
  gas_at: { deviceClass: 'timestamp' },
  water_at: { deviceClass: 'timestamp' },
}

interface Line {
  /** As it is written. */
  readonly code: string
  readonly channel: number
  /** Without its channel. */
  readonly kind: string
  readonly cells: readonly string[]
}

/**
 * Reads a telegram from `/` to `!`. Throws an `Error` when there is nothing in it, or, of one that no CRC speaks for (`isSound` false), a line that no
 * meter writes.
 */
export function readTelegram(text: string, isSound: boolean): Reading {
  // Version 2 and 3 break the line of the gas meter before its value.
  const [, ...lines] = text.replace(/\r?\n\(/g, '(').split(/\r?\n/)
  const end = lines.pop()
  if (end !== '!')
    throw new Error(`a telegram was dropped, as its end is not on a line of its own: ${excerpt(end ?? text)}`)
  const read = lines.filter(line => line !== '').flatMap(line => lineOf(line, isSound) ?? [])

  const types = new Map(
    read.filter(({ kind }) => kind === '24.1.0').map(({ channel, cells }) => [channel, Number(cells[0])]),
  )
  const values = new Values()
  let at: number | undefined
  for (const line of read) {
    if (line.kind === '1.0.0') at = timeOf(line.cells[0])
    else if (line.channel > 0 && ATTACHED_READINGS.has(line.kind)) takeAttached(line, types.get(line.channel), values)
    else take(line, values)
  }
  if (values.count === 0) throw new Error('a telegram without values was dropped')
  return at === undefined ? { value: values.byName } : { value: values.byName, at }
}

function lineOf(text: string, isSound: boolean): Line | undefined {
  const [, code, , channel, kind, cells] = LINE.exec(text) ?? []
  if (code === undefined || kind === undefined || cells === undefined) {
    if (isSound) return undefined
    throw new Error(`a telegram was dropped, as no meter writes ${excerpt(text)}`)
  }
  return { code, channel: Number(channel), kind, cells: cells.slice(1, -1).split(')(') }
}

function take({ code, kind, cells }: Line, values: Values): void {
  // The peak of a month has its time before it.
  const { number, unit } = numberOf(cells.at(-1)) ?? {}
  if (number === undefined || cells.length > 2) return
  const [name] = NAMES[kind] ?? []
  if (name === undefined) {
    if (unit !== undefined && cells.length === 1) values.set(code, number)
    return
  }
  put(name, number, unit, values)
}

function takeAttached({ channel, cells }: Line, type: number | undefined, values: Values): void {
  const { number, unit = cells.at(-2) } = numberOf(cells.at(-1)) ?? {}
  if (number === undefined) return
  const kind = (type === undefined ? undefined : ATTACHED[type]) ?? `mbus_${channel}`
  // A meter that was exchanged may still be listed on its old channel.
  const isSecond = Object.keys(values.byName).some(name => new RegExp(`^${kind}_(m3|gj|kwh)$`).test(name))
  const name = isSecond ? `${kind}_${channel}` : kind
  put(name, number, unit, values)
  const at = timeOf(cells[0])
  if (at !== undefined) values.set(`${name}_at`, new Date(at).toISOString())
}

function put(name: string, number: number, unit: string | undefined, values: Values): void {
  const { suffix, factor } = UNITS[unit?.toLowerCase() ?? ''] ?? { suffix: unit?.toLowerCase() ?? '', factor: 1 }
  values.set(named(name, suffix), clean(number * factor))
}

function named(name: string, suffix: string): string {
  return suffix === '' ? name : `${name}_${suffix}`
}

function numberOf(cell: string | undefined): { number: number; unit: string | undefined } | undefined {
  const [, number, unit] = NUMBER.exec(cell ?? '') ?? []
  return number === undefined ? undefined : { number: Number(number), unit }
}

/** `170102192002W` as wall time in ms; undefined when summer or winter is not told. */
function timeOf(cell: string | undefined): number | undefined {
  const [, year, month, day, hour, minute, second, season] = TIME.exec(cell ?? '') ?? []
  if (season === undefined) return undefined
  const local = Date.UTC(
    2000 + Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
  )
  return local - BEFORE_UTC[season as 'S' | 'W']
}
