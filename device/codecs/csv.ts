/**
 * One row of cells a line, named by the configured columns in order. Cells are trimmed; those that are numbers
 * become numbers; an empty cell is "no reading" and left out. Quoted cells are not known here.
 */
import { excerpt, type LineCodec, numberOrText, Values } from './values.ts'

/** A codec for rows of exactly these columns. */
export function csvCodec(options: { columns: readonly string[]; separator: string }): LineCodec {
  const { columns, separator } = options
  return {
    decode(line) {
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
    },
  }
}
