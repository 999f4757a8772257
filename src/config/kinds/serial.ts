/** `devices[].serial`: a port and what speaks on it. */
import * as v from 'valibot'
import { list, map, type Report } from '../structure.ts'
import { levelFault } from '../topics.ts'
import { choice, duration, type Schema, size, text, whole } from '../values.ts'

const DAY = 86_400_000

export interface SerialConfig {
  /** Absolute. */
  path: string
  baud: number
  dataBits: 7 | 8
  parity: 'none' | 'even' | 'odd'
  stopBits: 1 | 2
  codec: 'json' | 'pairs' | 'csv' | 'number'
  /** Names of the columns; empty unless `codec` is `csv`. */
  columns: string[]
  /** Between the columns of `csv`. */
  separator: string
  /** Bytes of one line. */
  maxLine: number
  /** ms without a byte after which the port counts as unplugged and is reopened; undefined never does. */
  silence: number | undefined
  /** Ends each line that is written to the device. */
  writeLineEnding: '\n' | '\r\n' | '\r' | ''
}

export function serial(): Schema<SerialConfig> {
  const entries = {
    path: text({ example: '/dev/ttyUSB0' }),
    baud: v.optional(whole({ min: 50, max: 4_000_000, example: 9600 }), 9600),
    data_bits: v.optional(choice([8, 7]), 8),
    parity: v.optional(choice(['none', 'even', 'odd']), 'none'),
    stop_bits: v.optional(choice([1, 2]), 1),
    codec: v.optional(choice(['json', 'pairs', 'csv', 'number']), 'json'),
    columns: v.optional(list(text({ example: 'temperature', fault: levelFault }), { example: 'temperature', min: 1 })),
    separator: v.optional(text({ example: '";"', max: 8 }), ','),
    max_line: v.optional(size({ min: 16, max: 1_048_576, example: '4KiB' }), '4KiB'),
    silence: v.optional(duration({ min: 100, max: DAY, example: '5m' })),
    write_line_ending: v.optional(choice(['\n', '\r\n', '\r', '']), '\n'),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    if (written.codec === 'csv') {
      if (!('columns' in written))
        report('csv needs the names of its columns, such as columns: [temperature, humidity]', ['columns'], 'missing')
    } else if ('columns' in written) report('belongs to codec: csv', ['columns'], 'key')
    const seen = new Set<unknown>()
    for (const [index, column] of Array.isArray(written.columns) ? written.columns.entries() : []) {
      if (seen.has(column)) report('is the name of a column before it as well', ['columns', index])
      seen.add(column)
    }
  }
  return v.pipe(
    map(entries, { example: 'path: /dev/ttyUSB0', check }),
    v.transform(({ columns, silence, ...rest }) => ({ ...rest, columns: columns ?? [], silence })),
  )
}
