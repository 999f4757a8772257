/**
 * One row of cells a line, named by the configured columns in order. Cells are trimmed; those that are numbers
 * become numbers; an empty cell is "no reading" and left out. Quoted cells are not known here.
 */
import type { Reading } from '../../src/devices/ports.ts'
import type { Codec, CodecEvents } from './codec.ts'
import { lineCodec } from './lines.ts'
import type { CsvSettings } from './settings.ts'
import { excerpt, numberOrText, Values } from './values.ts'

/** A codec for rows of exactly these columns. */
export function csvCodec({ maxLine, columns, separator }: Omit<CsvSettings, 'codec'>, events: CodecEvents): Codec {
  return lineCodec({ maxLine, decode, mayBeTail: () => true }, events)

  function decode(line: string): Reading {
    const cells = line.split(separator)
    if (cells.length !== columns.length) {
      throw new Error(`${cells.length} cells where ${columns.length} columns are configured: ${excerpt(line)}`)
    }
    const values = new Values()
    columns.forEach((column, index) => {
      const cell = (cells[index] ?? '').trim()
      if (cell !== '') values.set(column, numberOrText(cell))
    })
    if (values.count === 0) throw new Error(`no values in ${excerpt(line)}`)
    return { value: values.byName }
  }
}
