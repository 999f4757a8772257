/** Numbers, sizes, ages and states in a person's words and in the number format of their browser. */
import type { ValueView } from '../api.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

/** Decimals that mean something, by Home Assistant's device class. What is not here goes by its magnitude. */
const DECIMALS: Readonly<Record<string, number>> = {
  temperature: 1,
  humidity: 0,
  moisture: 0,
  battery: 0,
  carbon_dioxide: 0,
  pressure: 0,
  atmospheric_pressure: 0,
  illuminance: 0,
  signal_strength: 0,
  power: 0,
  voltage: 1,
  current: 2,
  energy: 2,
  gas: 2,
  water: 2,
  frequency: 2,
}

/** What on and off mean, by device class. */
const SWITCHED: Readonly<Record<string, readonly [on: string, off: string]>> = {
  door: ['Open', 'Closed'],
  garage_door: ['Open', 'Closed'],
  window: ['Open', 'Closed'],
  opening: ['Open', 'Closed'],
  motion: ['Motion', 'No motion'],
  occupancy: ['Occupied', 'Empty'],
  presence: ['Here', 'Away'],
  moisture: ['Wet', 'Dry'],
  smoke: ['Smoke', 'No smoke'],
  gas: ['Gas', 'No gas'],
  connectivity: ['Connected', 'Disconnected'],
  problem: ['Problem', 'No problem'],
  lock: ['Unlocked', 'Locked'],
}

const formats = new Map<number, Intl.NumberFormat>()

/** `1,234.5`, with as many decimals as named. */
export function number(value: number, decimals = 0): string {
  let format = formats.get(decimals)
  if (format === undefined) {
    format = new Intl.NumberFormat(undefined, { minimumFractionDigits: decimals, maximumFractionDigits: decimals })
    formats.set(decimals, format)
  }
  return format.format(value)
}

/** How many decimals a reading is shown with. */
export function decimalsOf(value: number, deviceClass?: string): number {
  const known = deviceClass === undefined ? undefined : DECIMALS[deviceClass]
  if (known !== undefined) return known
  if (Number.isInteger(value)) return 0
  const size = Math.abs(value)
  if (size >= 100) return 0
  return size >= 10 ? 1 : 2
}

/** A value and its unit, apart: they are set in different sizes. Bytes are brought to a unit that can be read. */
export function reading(view: Pick<ValueView, 'value' | 'unit' | 'deviceClass'>): { text: string; unit?: string } {
  const { value, unit, deviceClass } = view
  if (value === undefined) return { text: '–' }
  if (typeof value === 'number') {
    if (unit === 'B') {
      const [text = '', scaled = ''] = bytes(value).split('\u00a0')
      return { text, unit: scaled }
    }
    if (unit === 's' && value >= 120) return { text: duration(value * SECOND) }
    const text = number(value, decimalsOf(value, deviceClass))
    return unit === undefined ? { text } : { text, unit }
  }
  const on = typeof value === 'boolean' ? value : /^(on|true|1|open)$/i.test(value)
  const off = typeof value === 'boolean' ? !value : /^(off|false|0|closed)$/i.test(value)
  const words = deviceClass === undefined ? undefined : SWITCHED[deviceClass]
  if (words !== undefined && (on || off)) return { text: on ? words[0] : words[1] }
  if (typeof value === 'boolean') return { text: value ? 'On' : 'Off' }
  return { text: value === '' ? '(empty)' : capital(value) }
}

const SHORT = /\b(cpu|gpu|gpio|ram|ip|id|co2|voc|rssi|usb|mqtt)\b/gi

/** Units at the end of a name, where the unit is told anyway. */
const UNITS: Readonly<Record<string, RegExp>> = {
  B: /_bytes$/,
  s: /_(s|seconds)$/,
  '°C': /_(c|celsius)$/,
  '%': /_percent$/,
  V: /_volts?$/,
  W: /_watts?$/,
}

/** `cpu_temperature` becomes `CPU temperature`, `uptime_s` in seconds `Uptime`. */
export function named(name: string, unit?: string): string {
  const ending = unit === undefined ? undefined : UNITS[unit]
  const bare = ending === undefined ? name : name.replace(ending, '')
  return capital(bare.replaceAll('_', ' ')).replace(SHORT, word => word.toUpperCase())
}

function capital(text: string): string {
  return /^[a-z]+( |$)/.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text
}

const SIZES = ['B', 'KB', 'MB', 'GB', 'TB']

/** `3.4 MB`: decimal units, as on the package of an SD card. */
export function bytes(size: number): string {
  let unit = 0
  let left = size
  while (left >= 1000 && unit < SIZES.length - 1) {
    left /= 1000
    unit++
  }
  return `${number(left, unit === 0 || left >= 100 ? 0 : 1)}\u00a0${SIZES[unit]}`
}

/** `4 min`: the largest unit that says enough. */
export function duration(ms: number): string {
  const time = Math.max(0, ms)
  if (time < SECOND && time > 0) return `${number(time, time < 10 ? 1 : 0)}\u00a0ms`
  if (time < MINUTE) return `${Math.floor(time / SECOND)}\u00a0s`
  if (time < HOUR) return `${Math.floor(time / MINUTE)}\u00a0min`
  if (time < 2 * DAY) return `${Math.floor(time / HOUR)}\u00a0h`
  return `${number(Math.floor(time / DAY))}\u00a0days`
}

/** `4 min ago`. */
export function ago(ms: number): string {
  return ms < 2 * SECOND ? 'just now' : `${duration(ms)} ago`
}

/** `12 messages`, `1 message`. */
export function some(count: number, one: string, many = `${one}s`): string {
  return `${number(count)}\u00a0${count === 1 ? one : many}`
}

/** Messages a second; few are told exactly. */
export function rate(perSecond: number): string {
  return `${number(perSecond, perSecond > 0 && perSecond < 10 ? 1 : 0)}/s`
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' })
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' })
const minute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'short' })
const hour = new Intl.DateTimeFormat(undefined, { weekday: 'short', hour: '2-digit', minute: '2-digit' })
const day = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })

export const dateTime = (at: number): string => moment.format(at)
export const timeOfDay = (at: number): string => clock.format(at)
export const minuteOfDay = (at: number): string => minute.format(at)
export const dayOfWeek = (at: number): string => weekday.format(at)
export const hourOfDay = (at: number): string => hour.format(at)
export const date = (at: number): string => day.format(at)

/** A topic that wraps at its slashes: its levels, each with the slash before it. */
export function levels(topic: string): string[] {
  return topic.split(/(?=\/)/)
}

/** When a value is too old to be believed: three periods, and never under half a minute. */
export const STALE_AFTER = 30 * SECOND
export const STALE_PERIODS = 3

/** Whether a thing that speaks every `period` and spoke last at `at` has been silent for too long. */
export function isStale(at: number | undefined, period: number | undefined, wall: number): boolean {
  if (at === undefined || period === undefined) return false
  return wall - at > Math.max(STALE_PERIODS * period, STALE_AFTER)
}
