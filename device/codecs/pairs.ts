/**
 * Lines such as `temp:21.5 hum=40` or `temp: 21.5, hum: 40`: pairs of `key:value` or `key=value`, separated by
 * blanks, commas or semicolons. Values that are numbers become numbers. A value that stands directly behind
 * its key may contain `:` and `=` (`at=12:30`).
 */
import type { Reading } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import { excerpt, numberOrText, Values } from './values.ts'

const SEPARATORS = /[\s,;]*/y
/** A key, its sign, and the value: behind blanks a plain word, otherwise anything up to a separator. */
const PAIR = /([^\s,;:=]+)[ \t]*[:=](?:[ \t]*([^\s,;:=]+)(?=[\s,;]|$)|([^\s,;]*))/y

export function pairsCodec({ maxLine }: { maxLine: number }, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, mayBeTail: () => true }, events)
}

function decode(line: string): Reading {
  const values = new Values()
  let at = skip(SEPARATORS, line, 0)
  while (at < line.length) {
    PAIR.lastIndex = at
    const [pair, key, word, tail] = PAIR.exec(line) ?? []
    if (pair === undefined || key === undefined) {
      throw new Error(`no key and value at ${excerpt(line.slice(at))} in ${excerpt(line)}`)
    }
    const value = word ?? tail ?? ''
    if (value === '') throw new Error(`${excerpt(key)} has no value in ${excerpt(line)}`)
    values.set(key, numberOrText(value))
    at = skip(SEPARATORS, line, at + pair.length)
  }
  if (values.count === 0) throw new Error(`no values in ${excerpt(line)}`)
  return { value: values.byName }
}

/** The place behind what `pattern` (sticky, may be empty) matches at `from`. */
function skip(pattern: RegExp, text: string, from: number): number {
  pattern.lastIndex = from
  return from + (pattern.exec(text)?.[0].length ?? 0)
}
