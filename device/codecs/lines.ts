/**
 * The codec of everything that comes in lines. What a line means is told by a function; this cuts the stream, says
 * what was wrong with a line, and knows about the two places where a line is not what it seems:
 *
 * - The first one of a connection may have lost its beginning. Where such a tail could pass for a line (`21.5` for
 *   `121.5`) it is left out, unless the line was known to be quiet before it.
 * - One whose end was lost is glued to the next. Where a line shows by itself where it begins, the pieces are read.
 */
import type { Reading, ValueDescription } from '../../src/devices/ports.ts'
import { reasonOf } from '../../src/kernel/errors.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { LineSplitter } from './line-splitter.ts'
import { excerpt } from './values.ts'

export interface LineRules {
  /** Bytes of a line without its end. */
  readonly maxLine: number
  /** Reads one line without its end; undefined when it is none of ours. Throws an `Error` that says what is wrong. */
  decode(line: string): Reading | undefined
  /** Whether this line, which `decode` can read, may be the tail of a longer one. Absent: never. */
  mayBeTail?(line: string): boolean
  /** Where lines begin in one that `decode` cannot read: matches the empty place before each. */
  readonly beginning?: RegExp | undefined
  readonly values?: Readonly<Record<string, ValueDescription>> | undefined
}

export function lineCodec(rules: LineRules, events: CodecEvents): Codec {
  /** Whether the line that comes next is known to begin where it seems to. */
  let whole = false
  let begun = false

  const splitter = new LineSplitter({
    maxLine: rules.maxLine,
    onLine: line => {
      const isFirst = !whole
      whole = true
      if (line.trim() !== '') take(line, isFirst)
    },
    onOverlong: () => {
      whole = true
      events.fault(`a line of more than ${rules.maxLine} bytes was dropped`)
    },
  })

  function take(line: string, isFirst: boolean): void {
    try {
      read(line, isFirst)
    } catch (error) {
      const pieces = rules.beginning === undefined ? [] : line.split(rules.beginning)
      if (pieces.length > 1) for (const piece of pieces) takePiece(piece, isFirst)
      else if (!isFirst) events.fault(reasonOf(error))
    }
  }

  function takePiece(piece: string, isFirst: boolean): void {
    try {
      read(piece, isFirst)
    } catch (error) {
      if (!isFirst) events.fault(reasonOf(error))
    }
  }

  function read(line: string, isFirst: boolean): void {
    const reading = rules.decode(line)
    if (reading === undefined) return
    if (isFirst && rules.mayBeTail?.(line) === true) {
      events.fault(`the first line was left out, as its beginning may be missing: ${excerpt(line)}`)
    } else events.reading(reading)
  }

  return {
    push(chunk) {
      begun = true
      splitter.push(chunk)
    },
    quiet() {
      if (!begun) whole = true
    },
    values: rules.values,
    get held() {
      return splitter.capacity
    },
  }
}
