/** `scripts/bench`: reads the flags, lets the brokers take turns, prints a table, and writes JSON and a chart if asked. */
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { count, row, wholeNumbers } from './command-line.ts'
import { type Cell, compare } from './comparison.ts'
import { contestants } from './contestants.ts'
import { buildGenerator } from './generator.ts'
import { type Figure, SCENARIOS, type Scenario } from './scenarios.ts'

/** The one that all are compared with. */
const RIVAL = 'mosquitto'
const OURS = 'larder'

export async function comparisonCommand(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      chart: { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      percent: { type: 'string', default: '100' },
    },
  })
  const { rounds, percent } = wholeNumbers({ rounds: values.rounds, percent: values.percent })
  const scenarios = SCENARIOS.filter(({ name }) => values.only === undefined || name.includes(values.only))
  if (scenarios.length === 0) {
    console.error(
      `bench: no scenario has "${values.only}" in its name; there are:\n${SCENARIOS.map(({ name }) => `  ${name}`).join('\n')}`,
    )
    process.exit(2)
  }
  await buildGenerator()
  const brokers = contestants(positionals)
  const machine = `${cpus()[0]?.model ?? 'processor unknown'}, broker on core 0, generator on core 1, Node ${process.version}`
  const widths = [42, ...brokers.map(() => 24), 20]
  console.log(`${machine}, load ${loadavg()[0]?.toFixed(1)}\n`)
  for (const { name, about } of brokers) console.log(`${name.padEnd(12)}${about}`)
  if (!brokers.some(({ name }) => name === RIVAL)) console.log('mosquitto is not installed (apt-get install mosquitto)')
  console.log(`\nProcessor time of the broker for a message (messages a second), medians of ${rounds} rounds\n`)
  console.log(row(widths, ['', ...brokers.map(({ name }) => name), 'against mosquitto']))
  const cells = await compare({
    brokers,
    scenarios,
    rounds,
    size: percent / 100,
    tell(scenario, measured) {
      const of = (name: string) => measured.find(({ broker }) => broker === name)
      const texts = brokers.map(({ name }) => cellText(of(name)))
      console.log(row(widths, [scenario.name, ...texts, verdict(scenario, of(OURS)?.figure, of(RIVAL)?.figure)]))
      for (const { broker, fault } of measured) if (fault !== undefined) console.log(`  ${broker}: ${fault}`)
    },
  })
  const date = new Date().toISOString().slice(0, 10)
  if (values.json !== undefined)
    await writeFile(values.json, `${JSON.stringify({ date, machine, rounds, percent, cells }, null, 2)}\n`)
  if (values.chart !== undefined)
    await writeFile(values.chart, chart(cells, { machine, date, ours: OURS, rival: RIVAL }))
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '-'
  const { figure } = cell
  if (figure === undefined) return 'failed'
  const { value, unit, rate, lost = 0, misordered = 0 } = figure
  const wrong = lost + misordered > 0 ? ` ${lost} lost` : ''
  return `${short(value)} ${unit}${rate === undefined ? '' : ` (${count(rate)}/s)`}${wrong}`
}

function short(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

/** How we stand, and whether that is what we want. */
function verdict({ goal }: Scenario, ours: Figure | undefined, theirs: Figure | undefined): string {
  if (ours === undefined) return ''
  const times = theirs === undefined ? undefined : theirs.value / ours.value
  const ratio = times === undefined ? '' : `${times.toFixed(1)}×`
  if (goal === undefined) return ratio
  if ('most' in goal) return `${ratio} (${ours.value <= goal.most ? 'under' : 'over'} ${goal.most})`
  if (times === undefined) return ''
  return `${ratio} (${times >= goal.times ? 'goal' : 'not'} ${goal.times}×)`
}
