/**
 * One number a line, with or without its unit: `21.5`, ` 21.5 °C`, `1013hPa`, `3.1 µg/m³`. Anything else in the
 * line is an error: `21.5 40` has two readings and `2?.5` had noise, and neither may become a number.
 */
import type { Reading } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import { excerpt } from './values.ts'

/**
 * A number, then perhaps a unit: one word of up to 16 characters, with no digits but the powers 2 and 3 (`m3`).
 * A degree sign in Latin-1 is no UTF-8 and arrives as U+FFFD. Per mille, degree, powers and dot are written as escapes,
 * because one such character doubles what the text of the bundle takes in memory.
 */
const LINE =
  /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(?:[\p{L}%\u2030\xb0][\p{L}23%\xb0/\xb2\xb3\xb7^*-]{0,15}|\uFFFD[CF])?$/u

export function numberCodec({ maxLine }: { maxLine: number }, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, mayBeTail: () => true }, events)
}

function decode(line: string): Reading {
  const number = Number(LINE.exec(line.trim())?.[1] ?? Number.NaN)
  if (!Number.isFinite(number)) throw new Error(`not a number: ${excerpt(line)}`)
  return { value: number }
}
