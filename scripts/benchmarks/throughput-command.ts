/** `scripts/bench`: reads the flags, runs the scenario, prints a table or JSON. */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { startLarder, startMosquitto } from './brokers.ts'
import { count, row, wholeNumbers } from './command-line.ts'
import { type Round, runThroughput, type Summary } from './throughput.ts'

const WIDTHS = [10, 18, 18, 18, 18]

export async function throughputCommand(args: readonly string[]): Promise<void> {
  const { json, ...numbers } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      messages: { type: 'string', default: '1000000' },
      rounds: { type: 'string', default: '5' },
      payload: { type: 'string', default: '64' },
      window: { type: 'string', default: '4000' },
    },
  }).values
  const scenario = wholeNumbers(numbers)

  await using larder = await startLarder()
  await using mosquitto = await startMosquitto()
  const brokers = mosquitto === undefined ? [larder] : [larder, mosquitto]

  const rounds: Round[] = []
  if (!json) {
    console.log(
      `1 publisher, 1 subscriber, QoS 0, ${scenario.payload} bytes, ${scenario.messages} messages a round, ` +
        `at most ${scenario.window} under way\n${cpus()[0]?.model ?? 'processor unknown'}, broker on core 0, Node ${process.version}\n`,
    )
    console.log(row(WIDTHS, ['broker', 'round', 'delivered/s', 'lost', 'CPU s per million']))
    if (mosquitto === undefined)
      console.log('mosquitto is not installed (apt-get install mosquitto): nothing to compare with')
  }
  const summaries = await runThroughput(brokers, scenario, round => {
    rounds.push(round)
    if (!json) console.log(tell(round, String(round.round)))
  })
  const ratios = compare(summaries)

  if (json) console.log(JSON.stringify({ scenario, rounds, summaries, ratios }))
  else {
    console.log('')
    for (const each of summaries) console.log(tell(each, 'median'))
    if (ratios !== undefined) {
      console.log(
        `\nlarder delivers ${ratios.rate.toFixed(2)} times what mosquitto delivers, ` +
          `with ${ratios.processor.toFixed(2)} times its processor time for a message`,
      )
    }
  }
}

function tell({ broker, rate, lost, processor }: Round | Summary, round: string): string {
  return row(WIDTHS, [broker, round, count(rate), String(lost), processor.toFixed(2)])
}

/** Larder's figures in units of Mosquitto's. */
function compare(summaries: readonly Summary[]): { rate: number; processor: number } | undefined {
  const [ours, theirs] = summaries
  if (ours === undefined || theirs === undefined) return undefined
  return { rate: ours.rate / theirs.rate, processor: ours.processor / theirs.processor }
}
