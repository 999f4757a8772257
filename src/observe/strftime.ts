/** Dates in the format of strftime(3), in local time and in English, as a broker without a locale prints them. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

const DAY_MS = 86_400_000

const two = (number: number): string => `${number}`.padStart(2, '0')
const name = (names: readonly string[], index: number): string => names[index] as string
const hour12 = (date: Date): number => date.getHours() % 12 || 12

const FIELDS: Readonly<Record<string, (date: Date) => string>> = {
  a: date => name(DAYS, date.getDay()).slice(0, 3),
  A: date => name(DAYS, date.getDay()),
  b: date => name(MONTHS, date.getMonth()).slice(0, 3),
  h: date => name(MONTHS, date.getMonth()).slice(0, 3),
  B: date => name(MONTHS, date.getMonth()),
  c: date => strftime('%a %b %e %H:%M:%S %Y', date),
  C: date => two(Math.floor(date.getFullYear() / 100)),
  d: date => two(date.getDate()),
  D: date => strftime('%m/%d/%y', date),
  e: date => `${date.getDate()}`.padStart(2),
  F: date => strftime('%Y-%m-%d', date),
  H: date => two(date.getHours()),
  I: date => two(hour12(date)),
  j: date => `${dayOfYear(date)}`.padStart(3, '0'),
  k: date => `${date.getHours()}`.padStart(2),
  l: date => `${hour12(date)}`.padStart(2),
  m: date => two(date.getMonth() + 1),
  M: date => two(date.getMinutes()),
  n: () => '\n',
  p: date => (date.getHours() < 12 ? 'AM' : 'PM'),
  P: date => (date.getHours() < 12 ? 'am' : 'pm'),
  r: date => strftime('%I:%M:%S %p', date),
  R: date => strftime('%H:%M', date),
  s: date => `${Math.floor(date.getTime() / 1000)}`,
  S: date => two(date.getSeconds()),
  t: () => '\t',
  T: date => strftime('%H:%M:%S', date),
  u: date => `${date.getDay() || 7}`,
  w: date => `${date.getDay()}`,
  x: date => strftime('%m/%d/%y', date),
  X: date => strftime('%H:%M:%S', date),
  y: date => two(date.getFullYear() % 100),
  Y: date => `${date.getFullYear()}`,
  z: offset,
  Z: date => new Intl.DateTimeFormat('en', { timeZoneName: 'short' }).formatToParts(date).find(isZone)?.value ?? '',
  '%': () => '%',
}

/** What is no field stays as it is. */
export function strftime(format: string, date: Date): string {
  return format.replace(
    /%(.)/gs,
    (whole, field: string) => (Object.hasOwn(FIELDS, field) ? FIELDS[field]?.(date) : undefined) ?? whole,
  )
}

/** From 1. */
function dayOfYear(date: Date): number {
  const midnight = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate())
  return (midnight - Date.UTC(date.getFullYear(), 0, 1)) / DAY_MS + 1
}

/** Such as +0130. */
function offset(date: Date): string {
  const minutes = -date.getTimezoneOffset()
  const absolute = Math.abs(minutes)
  return `${minutes < 0 ? '-' : '+'}${two(Math.floor(absolute / 60))}${two(absolute % 60)}`
}

function isZone({ type }: Intl.DateTimeFormatPart): boolean {
  return type === 'timeZoneName'
}
