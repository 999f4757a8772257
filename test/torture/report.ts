/** How the torture rigs tell what they found: the diary on disk, the table at the end, the verdict. */
import { appendFileSync } from 'node:fs'
import type { Books } from './books.ts'
import type { Outcome } from './scenario.ts'

/** Characters of the diary that are gathered before they are written: a crash of the rig loses no more. */
const GATHERED = 64 * 1024

/** Appends lines to a file, for the day on which the rig itself dies. */
export class Diary {
  readonly #file: string
  #lines: string[] = []
  #length = 0

  constructor(file: string) {
    this.#file = file
  }

  note(line: string): void {
    this.#lines.push(line)
    this.#length += line.length
    if (this.#length > GATHERED) this.flush()
  }

  flush(): void {
    if (this.#lines.length > 0) appendFileSync(this.#file, `${this.#lines.join('\n')}\n`)
    this.#lines = []
    this.#length = 0
  }
}

/** The figures of a run, and its verdict. */
export function tellOutcome(outcome: Outcome): string {
  const { books, verdict, starts, kills, whileStarting, drain } = outcome
  const figures: [string, string][] = [
    ['kills', `${count(kills)} (${count(whileStarting)} of them while it started)`],
    ['start until ready, median', `${count(median(starts))} ms`],
    ['messages sent', count(sum(books.publishers.values(), book => book.sent))],
    ['  acknowledged', count(sum(books.publishers.values(), book => book.acknowledged))],
    ['retained values acknowledged', count(sum(books.retained.values(), book => book.acknowledged))],
    ['messages delivered', count(books.delivered)],
    ['  repeated at QoS 1', count(repeated(books, 1))],
    ['  repeated at QoS 2', count(repeated(books, 2))],
    ['looks at a retained topic', count(books.sightings.length)],
    ['drained after the last start in', `${(drain / 1000).toFixed(1)} s`],
    ['missing', count(verdict.missing)],
    ['missing, within the loss window', count(verdict.excused)],
    ['duplicates of QoS 2', count(verdict.duplicates)],
    ['out of order', count(verdict.disordered)],
    ['faults', count(verdict.faults.length)],
  ]
  const table = figures.map(([what, figure]) => `${what.padEnd(34)}${figure}`)
  const sentence = verdict.faults.length === 0 ? 'The gateway kept its word.' : 'The gateway did not keep its word:'
  return ['', ...table, '', sentence, ...verdict.faults.map(fault => `  ${fault}`)].join('\n')
}

export function count(number: number): string {
  return Math.round(number).toLocaleString('en-US')
}

/** Repeats of what subscribers with this QoS got. Those of QoS 2 are of messages that were published with QoS 1. */
function repeated(books: Books, qos: 1 | 2): number {
  const those = [...books.subscribers.values()].filter(book => book.qos === qos)
  return sum(those, book => book.repeated)
}

function median(numbers: readonly number[]): number {
  return [...numbers].sort((a, b) => a - b)[numbers.length >> 1] ?? 0
}

function sum<T>(all: Iterable<T>, of: (each: T) => number): number {
  let total = 0
  for (const each of all) total += of(each)
  return total
}
