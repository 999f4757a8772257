/** The chart of `scripts/bench`: how many times less processor time than the rival, by scenario, as SVG. */
import type { Report } from './comparison.ts'

const WIDTH = 830
const ROW = 22
const LEFT = 320
const RIGHT = 60
const TOP = 56

interface Sides {
  readonly ours: string
  readonly rival: string
}

/** Bars on a logarithmic axis: at 1 both need the same, beyond it we need less. */
export function chart({ cells, machine, date }: Report, { ours, rival }: Sides): string {
  const figureOf = (broker: string, scenario: string) =>
    cells.find(cell => cell.broker === broker && cell.scenario === scenario)?.figure
  const rows = [...new Set(cells.map(({ scenario }) => scenario))].flatMap(scenario => {
    const [a, b] = [figureOf(ours, scenario), figureOf(rival, scenario)]
    if (a?.unit !== 'µs' || b === undefined || !(a.value > 0) || !(b.value > 0)) return []
    return [{ scenario, times: b.value / a.value }]
  })
  const [least, most] = [
    Math.min(0.5, ...rows.map(({ times }) => times)),
    Math.max(2, ...rows.map(({ times }) => times)),
  ]
  const span = WIDTH - LEFT - RIGHT
  const x = (times: number) => LEFT + (span * Math.log(times / least)) / Math.log(most / least)
  const height = TOP + rows.length * ROW + 30
  const ticks = [0.1, 0.5, 1, 2, 5, 10, 20, 50, 100].filter(tick => tick >= least && tick <= most)
  const bars = rows.map(({ scenario, times }, i) => {
    const y = TOP + i * ROW
    const [from, to] = [Math.min(x(1), x(times)), Math.max(x(1), x(times))]
    return [
      `<text x="${LEFT - 8}" y="${y + 14}" text-anchor="end">${escaped(scenario)}</text>`,
      `<rect class="${times >= 1 ? 'less' : 'more'}" x="${from.toFixed(1)}" y="${y + 3}" width="${(to - from).toFixed(1)}" height="${ROW - 8}"/>`,
      `<text class="n" x="${(to + 6).toFixed(1)}" y="${y + 14}">${times.toFixed(1)}×</text>`,
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="Processor time for a message, ${rival} against ${ours}">
<style>text{font:12px system-ui,sans-serif;fill:#24292f}.h{font-weight:600;font-size:14px}.less{fill:#2f7d5b}.more{fill:#b4532a}line{stroke:#8886}.n{font-variant-numeric:tabular-nums}@media(prefers-color-scheme:dark){text{fill:#e6e6e6}.less{fill:#58b98c}.more{fill:#e08a5f}}</style>
<text class="h" x="8" y="20">How many times less processor time ${ours} needs for a message than ${rival}</text>
<text x="8" y="38">${escaped(machine)}; ${date}</text>
${ticks.map(tick => `<line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${TOP}" y2="${height - 24}"/><text x="${x(tick).toFixed(1)}" y="${height - 8}" text-anchor="middle">${tick}×</text>`).join('\n')}
${bars.join('\n')}
</svg>
`
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;')
}
