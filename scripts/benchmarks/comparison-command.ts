/** `scripts/bench`: reads the flags, lets the brokers take turns, prints a table, and writes JSON and a chart if asked. */
import { writeFile } from 'node:fs/promises'
import { cpus, loadavg, release } from 'node:os'
import { parseArgs } from 'node:util'
import { chart } from './chart.ts'
import { count, row, short, wholeNumbers } from './command-line.ts'
import { type Cell, compare, type Report } from './comparison.ts'
import { contestants, OURS, RIVAL } from './contestants.ts'
import { CORE, OTHER_CORE, whatPinningNeeds } from './core.ts'
import { buildGenerator } from './generator.ts'
import { type Figure, SCENARIOS } from './scenarios.ts'
import { judge, type Verdict } from './verdict.ts'

export async function comparisonCommand(args: readonly string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      json: { type: 'string' },
      chart: { type: 'string' },
      only: { type: 'string', multiple: true, default: [''] },
      rounds: { type: 'string', default: '3' },
      percent: { type: 'string', default: '100' },
    },
  })
  const { rounds, percent } = wholeNumbers({ rounds: values.rounds, percent: values.percent })
  const scenarios = SCENARIOS.filter(({ name }) => values.only.some(part => name.includes(part)))
  if (scenarios.length === 0) {
    console.error(
      `bench: no scenario has "${values.only.join('" or "')}" in its name; there are:\n${SCENARIOS.map(({ name }) => `  ${name}`).join('\n')}`,
    )
    process.exit(2)
  }
  const lacking = whatPinningNeeds()
  if (lacking !== undefined) throw new Error(`a comparison needs ${lacking}`)
  await buildGenerator()
  const brokers = contestants(positionals)
  const machine = `${cpus()[0]?.model ?? 'processor unknown'}, Linux ${release().split('-', 1)[0]}, broker on core ${CORE}, generator on core ${OTHER_CORE}, Node ${process.version}`
  const widths = [42, ...brokers.map(() => 36)]
  console.log(`${machine}, load ${loadavg()[0]?.toFixed(1)}\n`)
  for (const { name, about } of brokers) console.log(`${name.padEnd(12)}${about}`)
  if (!brokers.some(({ name }) => name === RIVAL)) console.log('mosquitto is not installed (apt-get install mosquitto)')
  console.log(
    `\nProcessor time of the broker for a message (messages a second, part of its core that the generator used), medians of ${rounds} rounds\n`,
  )
  console.log(`${row(widths, ['', ...brokers.map(({ name }) => name)])}   against ${RIVAL}`)
  const cells = await compare({
    brokers,
    scenarios,
    rounds,
    size: percent / 100,
    tell(scenario, measured, all) {
      const texts = brokers.map(({ name }) => cellText(measured.find(({ broker }) => broker === name)))
      console.log(`${row(widths, [scenario.name, ...texts])}   ${verdictText(judge(scenario, all))}`)
      for (const { broker, fault } of measured) if (fault !== undefined) console.log(`  ${broker}: ${fault}`)
    },
  })
  const report: Report = {
    date: new Date().toISOString().slice(0, 10),
    machine,
    brokers: brokers.map(({ name, about }) => ({ name, about })),
    rounds,
    percent,
    cells,
  }
  if (values.json !== undefined) await writeFile(values.json, `${JSON.stringify(report, null, 2)}\n`)
  if (values.chart !== undefined) await writeFile(values.chart, chart(report, { ours: OURS, rival: RIVAL }))
}

function cellText(cell: Cell | undefined): string {
  if (cell === undefined) return '-'
  const { figure } = cell
  if (figure === undefined) return 'failed'
  const { lost = 0, misordered = 0 } = figure
  return `${figureText(figure)}${lost === 0 ? '' : ` ${lost} lost`}${misordered === 0 ? '' : ` ${misordered} mixed up`}`
}

function figureText({ value, unit, rate, generator, worst, proportional, processor }: Figure): string {
  const rest = [
    ...(rate === undefined ? [] : [`${count(rate)}/s`]),
    ...(generator === undefined ? [] : [percentText(generator)]),
    ...(worst === undefined ? [] : [`worst ${short(worst)}`]),
    ...(proportional === undefined ? [] : [`PSS ${short(proportional)}`]),
    ...(processor === undefined ? [] : [`${(processor * 100).toFixed(2)} % of a core`]),
  ]
  return `${short(value)} ${unit}${rest.length === 0 ? '' : ` (${rest.join(', ')})`}`
}

function percentText(part: number): string {
  return `${(part * 100).toFixed(0)} %`
}

function verdictText({ ratio, goal, isReached }: Verdict): string {
  const judged = isReached === undefined ? '' : isReached ? ' reached' : ' MISSED'
  return `${ratio === undefined ? '' : `${short(ratio)}×`}${goal === undefined ? '' : ` (${goal}:${judged})`}`
}
