/** What codecs share: how a number is written, how values are gathered, how a line is quoted in a fault. */
import type { Value } from '../../src/devices/ports.ts'

/** Values that one frame may carry: more than any sensor has, few enough that noise cannot make a flood of topics. */
export const MAX_VALUES = 128

/** Characters of a line that are shown in a fault: enough to recognise it. */
const EXCERPT_LENGTH = 60

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/

/** `text` as a number if it is one and finite, otherwise as it is. */
export function numberOrText(text: string): number | string {
  if (!NUMBER.test(text)) return text
  const number = Number(text)
  return Number.isFinite(number) ? number : text
}

/** Digits of a number that was scaled: more than any sensor has, fewer than a double's, so that 0.244 × 1000 reads 244. */
const SIGNIFICANT_DIGITS = 12

/** A number after arithmetic, without the dust of its binary form. */
export function clean(number: number): number {
  return Number(number.toPrecision(SIGNIFICANT_DIGITS))
}

/** A line as it is shown in a fault: quoted, control characters escaped, cut. */
export function excerpt(line: string): string {
  return JSON.stringify(line.length <= EXCERPT_LENGTH ? line : `${line.slice(0, EXCERPT_LENGTH)}…`)
}

/** Values by name. Has no prototype, so that a field called `__proto__` is a field like any other. */
export class Values {
  readonly byName: Record<string, Value> = Object.create(null)
  count = 0

  /** Adds a value; of two with one name the later counts. Throws beyond `MAX_VALUES`. */
  set(name: string, value: Value): void {
    if (!(name in this.byName) && ++this.count > MAX_VALUES) throw new Error(`more than ${MAX_VALUES} values at once`)
    this.byName[name] = value
  }
}
