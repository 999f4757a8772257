/** How a soak tells what it saw: a line of blocks for each figure over the whole run, a table, the verdict. */
import type { SoakResult } from './run.ts'
import type { Sample } from './verdict.ts'

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█']
/** Blocks in a line. */
const WIDTH = 60

type Unit = 'MB' | 'ms' | '%' | ''

const SERIES: readonly { name: string; unit: Unit; of: (sample: Sample) => number }[] = [
  { name: 'resident memory', unit: 'MB', of: each => each.resident },
  { name: 'heap', unit: 'MB', of: each => each.heap },
  { name: 'outside the heap', unit: 'MB', of: each => each.external },
  { name: 'open handles', unit: '', of: each => each.handles },
  { name: 'open tables', unit: '', of: each => each.tables },
  { name: 'size of the store', unit: 'MB', of: each => each.store },
  { name: 'ping, median', unit: 'ms', of: each => each.pingMedian },
  { name: 'ping, 99 %', unit: 'ms', of: each => each.pingHigh },
  { name: "  the pinger's own", unit: 'ms', of: each => each.late },
  { name: 'waited for processor', unit: '%', of: each => each.waited },
  { name: 'processor', unit: '%', of: each => each.processor },
]

const UNITS: Readonly<Record<string, Unit>> = {
  ...Object.fromEntries(SERIES.map(({ name, unit }) => [name, unit])),
  'heap without garbage': 'MB',
}

export function tellSoak({ samples, trends, remains, counts, log, faults }: SoakResult): string {
  const { handles, store, records } = remains
  const families = [...new Set([...Object.keys(records.before), ...Object.keys(records.after)])].sort()
  return [
    '',
    ...SERIES.map(({ name, unit, of }) => {
      const values = samples.map(of)
      const low = show(Math.min(...values), unit)
      const high = show(Math.max(...values), unit)
      return `${name.padEnd(20)} ${sparkline(values)} ${low} to ${high} ${unit}`
    }),
    '',
    row(['medians', '2nd quarter', 'last quarter', 'at most']),
    ...trends.map(({ name, second, last, bound, flat }) => {
      const unit = UNITS[name] ?? ''
      const figures = row([name, show(second, unit), show(last, unit), show(bound, unit)])
      if (Number.isNaN(second) && flat) return `${figures}  not judged: the machine is too busy`
      return `${figures}  ${flat ? '✓' : '✗'} ${unit}`
    }),
    '',
    row(['when all have gone', 'before', 'after']),
    row(['open handles', String(handles.before), String(handles.after)]),
    row(['store, kB', (store.before / 1e3).toFixed(1), (store.after / 1e3).toFixed(1)]),
    ...families.map(family =>
      row([`records ${family}`, String(records.before[family] ?? 0), String(records.after[family] ?? 0)]),
    ),
    '',
    `${count(counts.connections)} connections, ${count(counts.published)} messages published, ` +
      `${count(counts.delivered)} delivered, ${count(counts.abandoned)} sessions left to expire, ${counts.outages} outages upstream`,
    ...[...log].map(([message, times]) => `the gateway said ${count(times)} times: ${message}`),
    '',
    ...(faults.length === 0 ? ['Flat.'] : ['Not flat:', ...faults.map(fault => `  ${fault}`)]),
  ].join('\n')
}

/** A block for each part of the run, from the lowest value to the highest; the highest of a part is shown. */
export function sparkline(values: readonly number[], width: number = WIDTH): string {
  const low = Math.min(...values)
  const range = Math.max(...values) - low
  const blocks = Math.min(width, values.length)
  return Array.from({ length: blocks }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / blocks), Math.floor(((i + 1) * values.length) / blocks))
    const height = range === 0 ? 0 : (Math.max(...part) - low) / range
    return BLOCKS[Math.round(height * (BLOCKS.length - 1))]
  }).join('')
}

function show(value: number, unit: Unit): string {
  if (Number.isNaN(value)) return '-'
  if (unit === 'MB') return (value / 1e6).toFixed(1)
  if (unit === 'ms') return value.toFixed(2)
  return unit === '%' ? (value * 100).toFixed(0) : value.toFixed(0)
}

function row(cells: readonly string[]): string {
  return cells.map((cell, i) => (i === 0 ? cell.padEnd(22) : cell.padStart(14))).join('')
}

function count(number: number): string {
  return Math.round(number).toLocaleString('en')
}
