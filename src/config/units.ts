/**
 * Durations and sizes as an owner writes them: `30s`, `1.5h`, `64KiB`, `500kB`. Each `format` gives the
 * shortest text that its `parse` reads back to the same number.
 */

/** Milliseconds in a unit, largest first. */
const DURATION_UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const

/** Bytes in a unit, largest first: powers of 1024 with an i, of 1000 without (IEC 80000-13). */
const SIZE_UNITS = [
  ['GiB', 2 ** 30],
  ['GB', 1e9],
  ['MiB', 2 ** 20],
  ['MB', 1e6],
  ['KiB', 2 ** 10],
  ['kB', 1e3],
  ['B', 1],
] as const

export const DURATION_UNIT_NAMES = DURATION_UNITS.map(([name]) => name).reverse()
export const SIZE_UNIT_NAMES = SIZE_UNITS.map(([name]) => name).reverse()

/** A decimal number, at most one space, a unit. */
const QUANTITY = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/

/** Milliseconds, or undefined when `text` is no duration or does not come to whole milliseconds. */
export function parseDuration(text: string): number | undefined {
  return parse(text, name => DURATION_UNITS.find(([unit]) => unit === name)?.[1])
}

/** The text of a whole number of milliseconds. */
export function formatDuration(ms: number): string {
  return format(ms, DURATION_UNITS)
}

/** Bytes, or undefined when `text` is no size or does not come to whole bytes. A bare number is bytes; letters may be of either case. */
export function parseSize(text: string): number | undefined {
  const bare = /^\d+$/.test(text) ? `${text}B` : text
  return parse(bare, name => SIZE_UNITS.find(([unit]) => unit.toLowerCase() === name.toLowerCase())?.[1])
}

/** The text of a whole number of bytes. */
export function formatSize(bytes: number): string {
  return format(bytes, SIZE_UNITS)
}

/** What `0.1 * 3` and its like are off by, at most, relative to the result. */
const ROUNDING_ERROR = 1e-9

function parse(text: string, sizeOf: (unit: string) => number | undefined): number | undefined {
  const match = QUANTITY.exec(text)
  const unit = match ? sizeOf(match[2]!) : undefined
  if (match === null || unit === undefined) return undefined
  const exact = Number(match[1]) * unit
  const whole = Math.round(exact)
  const isWhole = Math.abs(exact - whole) <= ROUNDING_ERROR * Math.max(1, exact)
  return isWhole && Number.isSafeInteger(whole) ? whole : undefined
}

function format(amount: number, units: readonly (readonly [string, number])[]): string {
  const [name, size] = units.find(([, each]) => amount >= each && amount % each === 0) ?? units.at(-1)!
  return `${amount / size}${name}`
}
