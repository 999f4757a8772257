/**
 * What the README and docs/performance.md say of `scripts/bench`, made from its JSON, so that no figure is written by
 * hand: the table with the rows that are lost, and beside FlashMQ, which nobody has faster, on the machine that it was
 * measured on.
 */

import { count, short } from './command-line.ts'
import type { Cell, Report } from './comparison.ts'
import { OURS, RIVAL } from './contestants.ts'
import { SCENARIOS } from './scenarios.ts'
import { judge, type Verdict } from './verdict.ts'

const BEGIN = '<!-- made by `scripts/bench readme` from docs/performance.json -->'
const END = '<!-- end -->'

/** What is less than that is called a short run. */
const WHOLE = { rounds: 3, percent: 100 }

/**
 * Microseconds of FlashMQ 1.26 and of Mosquitto 2.0.11 for a message, measured side by side on another machine than the
 * rest. What can be compared is how many times less than Mosquitto each needs.
 */
const FLASHMQ: readonly { readonly scenario: string; readonly flashmq: number; readonly mosquitto: number }[] = [
  { scenario: '1 to 1, QoS 0', flashmq: 0.36, mosquitto: 9.6 },
  { scenario: '1 to 10, QoS 0', flashmq: 0.16, mosquitto: 6.4 },
  { scenario: '1 to 100, QoS 0', flashmq: 0.24, mosquitto: 6.6 },
  { scenario: '50 to 1, QoS 0', flashmq: 0.37, mosquitto: 9.7 },
  { scenario: '1 to 1, QoS 1, window 20', flashmq: 2.6, mosquitto: 18 },
  { scenario: '1 to 1, QoS 1, window 200', flashmq: 0.87, mosquitto: 18 },
  { scenario: '1 to 1, QoS 2, window 200', flashmq: 1.3, mosquitto: 38 },
  { scenario: '50 pairs, QoS 1', flashmq: 1.6, mosquitto: 17 },
  { scenario: '10,000 subscriptions', flashmq: 2.2, mosquitto: 31 },
  { scenario: '16 KB payload', flashmq: 5.5, mosquitto: 20 },
  { scenario: 'QoS 1 for a session that is away', flashmq: 1.6, mosquitto: 11.5 },
  { scenario: '50,000 that waited', flashmq: 2.0, mosquitto: 7.3 },
  { scenario: '20,000 retained, by #', flashmq: 0.9, mosquitto: 6.2 },
]

/** Replaces what stands between the marks in `text`. Throws when they are not there. */
export function replaceMarked(text: string, made: string): string {
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${BEGIN} and ${END} are not in the file, in this order`)
  return `${text.slice(0, begin + BEGIN.length)}\n\n${made}\n\n${text.slice(end)}`
}

/** For the README: what was measured, on what, and how it compares. */
export function summaryOf(report: Report): string {
  const { cells, brokers, machine, date, rounds, percent } = report
  const names = brokers.map(({ name }) => name)
  const verdicts = SCENARIOS.map(scenario => judge(scenario, cells))
  const judged = verdicts.filter(({ isReached }) => isReached !== undefined)
  const reached = judged.filter(({ isReached }) => isReached)
  const rows = SCENARIOS.map(({ name }, i) => [
    name,
    ...names.map(broker => cellText(cells.find(cell => cell.broker === broker && cell.scenario === name))),
    ...wanted(verdicts[i] ?? {}),
  ])
  const isShort = rounds < WHOLE.rounds || percent < WHOLE.percent
  return [
    `Processor time of the broker for a message, with messages a second in brackets; ${reached.length} of ${judged.length} goals are reached.`,
    '',
    ...table(['', ...names, `${RIVAL} / ${OURS}`, 'wanted'], rows),
    '',
    `${date}, ${machine}; medians of ${rounds} ${rounds === 1 ? 'round' : 'rounds'}${isShort ? `, a short run with ${percent} % of the load` : ''}. ${brokers.map(({ name, about }) => `${name} ${about}`).join('; ')}.`,
  ].join('\n')
}

/** For docs/performance.md: how far we are from the fastest broker there is. */
export function stretchOf({ cells }: Report): string {
  const rows = FLASHMQ.map(({ scenario, flashmq, mosquitto }) => {
    const { ratio } = judge({ name: scenario }, cells)
    const theirs = mosquitto / flashmq
    const verdict = ratio === undefined ? '-' : ratio >= theirs ? 'ahead' : 'behind'
    return [scenario, `${flashmq} µs`, `${short(theirs)}×`, ratio === undefined ? '-' : `${ratio.toFixed(1)}×`, verdict]
  })
  return table(
    ['', 'FlashMQ 1.26, elsewhere', 'less than Mosquitto there', 'Larder less than Mosquitto here', ''],
    rows,
  ).join('\n')
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '–'
  if (cell.figure === undefined) return 'failed'
  const { value, unit, rate, lost = 0 } = cell.figure
  const brackets = rate === undefined ? '' : ` (${rate >= 10_000 ? `${count(rate / 1_000)}k` : count(rate)})`
  return `${short(value)} ${unit}${brackets}${lost === 0 ? '' : `, ${count(lost)} lost`}`
}

function wanted({ ratio, goal, isReached }: Verdict): string[] {
  const verdict = isReached === undefined ? '' : isReached ? ', reached' : ', **missed**'
  return [ratio === undefined ? '–' : `${short(ratio)}×`, goal === undefined ? '' : `${goal}${verdict}`]
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)]
}
