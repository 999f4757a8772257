/**
 * Values of mosquitto.conf. The fault messages are Mosquitto's own, because its users search for them. One
 * thing is stricter: Mosquitto takes `max_queued_messages lots` for 0, which means without a limit.
 */

/** What is wrong with a line, in Mosquitto's words, without the `Error: ` before them. */
export class ConfFault extends Error {}

/** Reads what stands behind the option's name. Throws a ConfFault. */
export type Read<T> = (rest: string, option: string) => T

/** The words of a value, up to a comment. */
export function words(rest: string): string[] {
  const all = rest.split(' ').filter(word => word !== '')
  const comment = all.findIndex((word, index) => index > 0 && word.startsWith('#'))
  return comment === -1 ? all : all.slice(0, comment)
}

/** The first word. What follows is not looked at, as in Mosquitto. */
export const word: Read<string> = (rest, option) => {
  const [first] = words(rest)
  if (first === undefined) throw empty(option)
  return first
}

/** The rest of the line, `#` and spaces in it included. */
export const text: Read<string> = (rest, option) => {
  const trimmed = rest.trim()
  if (trimmed === '') throw empty(option)
  return trimmed
}

export const flag: Read<boolean> = (rest, option) => {
  const written = word(rest, option)
  if (written === 'true' || written === '1') return true
  if (written === 'false' || written === '0') return false
  throw invalid(option, written)
}

/** `message` is what Mosquitto says of a number out of range. */
export function whole(min: number, max: number, message?: (written: string) => string): Read<number> {
  return (rest, option) => {
    const written = word(rest, option)
    const number = /^[-+]?\d+$/.test(written) ? Number(written) : Number.NaN
    if (number >= min && number <= max) return number
    throw message === undefined ? invalid(option, written) : new ConfFault(message(written))
  }
}

/** Below `min` it is taken for `min`: Mosquitto has negative numbers stand for none, or for the least. */
export function atLeast(min: number): Read<number> {
  const any = whole(-(2 ** 31), 2 ** 53 - 1)
  return (rest, option) => Math.max(min, any(rest, option))
}

export function oneOf<const T extends string>(...choices: readonly T[]): Read<T> {
  return (rest, option) => {
    const written = word(rest, option)
    const choice = choices.find(each => each === written)
    if (choice === undefined) throw invalid(option, written)
    return choice
  }
}

/** Seconds in the units of `persistent_client_expiration`; a month has 30 days, a year 365. */
const EXPIRATION_UNITS: Readonly<Record<string, number>> = {
  s: 1,
  h: 3_600,
  d: 86_400,
  w: 7 * 86_400,
  m: 30 * 86_400,
  y: 365 * 86_400,
}

/** Seconds. */
export const expiration: Read<number> = (rest, option) => {
  const [, amount, unit] = /^(\d+)([shdwmy])$/.exec(word(rest, option)) ?? []
  const seconds = Number(amount) * (EXPIRATION_UNITS[unit ?? ''] ?? Number.NaN)
  if (!(seconds > 0)) throw new ConfFault(`Invalid ${option} duration in configuration.`)
  return seconds
}

/** Nothing is read: the value does not matter. */
export const anything: Read<string> = rest => rest.trim()

export function empty(option: string): ConfFault {
  return new ConfFault(`Empty ${option} value in configuration.`)
}

export function invalid(option: string, written: string): ConfFault {
  return new ConfFault(`Invalid ${option} value (${written}).`)
}
