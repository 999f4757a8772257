/**
 * `scripts/bench counts`: counts, and compares with `counts.json`. Ends with status 1 when a count has grown by more than the
 * tolerance. `--update` writes what was found: whoever does that says in the commit what the growth is for.
 */
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from '../../test/support/gateway.ts'
import { count, row, wholeNumbers } from './command-line.ts'
import { type Change, type Counts, changes, countLoads, LOADS, TOLERANCE } from './counts.ts'
import { buildGenerator } from './generator.ts'

interface Expectations {
  /** The major version of Node.js: another V8 allocates otherwise. */
  readonly node: number
  readonly counts: Readonly<Record<string, Counts>>
}

const COLUMNS = ['bytes', 'promises', 'callbacks', 'reads', 'writes'] as const
const WIDTHS = [36, 14, 12, 12, 12, 12]
const NODE = Number(process.versions.node.split('.')[0])

export async function countsCommand(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      update: { type: 'boolean', default: false },
      expected: { type: 'string', default: join(ROOT, 'scripts/benchmarks/counts.json') },
      only: { type: 'string', default: '' },
      rounds: { type: 'string', default: '5' },
    },
  })
  const { rounds } = wholeNumbers({ rounds: values.rounds })
  const loads = LOADS.filter(({ name }) => name.includes(values.only))
  if (loads.length === 0) {
    console.error(
      `bench: no load has "${values.only}" in its name; there are:\n${LOADS.map(({ name }) => `  ${name}`).join('\n')}`,
    )
    process.exit(2)
  }
  const expected = await read(values.expected)
  await buildGenerator()
  console.log(`For 1,000 messages, SUBSCRIBEs or connections, Node ${process.version}, medians of ${rounds} rounds\n`)
  console.log(row(WIDTHS, ['', ...COLUMNS]))
  const counts = await countLoads(loads, rounds)
  for (const [name, found] of Object.entries(counts))
    console.log(row(WIDTHS, [name, ...COLUMNS.map(column => numberText(found[column]))]))
  if (values.update) {
    const all = expected.node === NODE ? { ...expected.counts, ...counts } : counts
    await writeFile(values.expected, `${JSON.stringify({ node: NODE, counts: all }, null, 2)}\n`)
    console.log(`\n${values.expected} is written; the commit says why it has changed`)
  } else if (expected.node !== NODE) {
    console.log(`\nnot compared: what is expected was counted with Node ${expected.node}`)
  } else process.exitCode = tell(changes(expected.counts, counts))
}

/** Gives the status to end with. */
function tell({ grown, fallen }: ReturnType<typeof changes>): number {
  const limit = `${TOLERANCE * 100} %`
  console.log('')
  for (const change of fallen) console.log(`fallen  ${changeText(change)}`)
  for (const change of grown) console.log(`GROWN   ${changeText(change)}`)
  if (fallen.length > 0)
    console.log(`less by more than ${limit}: \`scripts/bench counts --update\` holds what was won, commit counts.json`)
  if (grown.length > 0)
    console.log(
      `more by over ${limit}: mend it, or \`scripts/bench counts --update\` and say in the commit what it is for`,
    )
  if (grown.length + fallen.length === 0) console.log(`all within ${limit} of what is expected`)
  return grown.length > 0 ? 1 : 0
}

function changeText({ load, what, expected, found }: Change): string {
  const before = expected === undefined ? 'nothing expected' : `${numberText(expected)} expected`
  return `${load}: ${what} ${numberText(found)}, ${before}`
}

function numberText(number: number | undefined): string {
  if (number === undefined) return '-'
  return number >= 1_000 ? count(number) : number.toFixed(1)
}

async function read(file: string): Promise<Expectations> {
  // The first `--update` makes it.
  return existsSync(file) ? JSON.parse(await readFile(file, 'utf8')) : { node: NODE, counts: {} }
}
