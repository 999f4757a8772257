/** `scripts/bench`: reads the flags, runs the scenario, prints a table or JSON. */
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { startLarder, startMosquitto } from './brokers.ts'
import { type Round, runThroughput, type Summary } from './throughput.ts'

const { values } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    messages: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    payload: { type: 'string', default: '64' },
    window: { type: 'string', default: '4000' },
  },
})
const scenario = {
  messages: whole('messages'),
  rounds: whole('rounds'),
  payload: whole('payload'),
  window: whole('window'),
}

await using larder = await startLarder()
await using mosquitto = await startMosquitto()
const brokers = mosquitto === undefined ? [larder] : [larder, mosquitto]

const rounds: Round[] = []
if (!values.json) {
  console.log(
    `1 publisher, 1 subscriber, QoS 0, ${scenario.payload} bytes, ${scenario.messages} messages a round, ` +
      `at most ${scenario.window} under way\n${cpus()[0]?.model ?? 'processor unknown'}, broker on core 0, Node ${process.version}\n`,
  )
  console.log(row('broker', 'round', 'delivered/s', 'lost', 'CPU s per million'))
  if (mosquitto === undefined)
    console.log('mosquitto is not installed (apt-get install mosquitto): nothing to compare with')
}
const summaries = await runThroughput(brokers, scenario, round => {
  rounds.push(round)
  if (!values.json) {
    console.log(
      row(round.broker, String(round.round), count(round.rate), String(round.lost), round.processor.toFixed(2)),
    )
  }
})
const ratios = compare(summaries)

if (values.json) console.log(JSON.stringify({ scenario, rounds, summaries, ratios }))
else {
  console.log('')
  for (const each of summaries) {
    console.log(row(each.broker, 'median', count(each.rate), String(each.lost), each.processor.toFixed(2)))
  }
  if (ratios !== undefined) {
    console.log(
      `\nlarder delivers ${ratios.rate.toFixed(2)} times what mosquitto delivers, ` +
        `with ${ratios.processor.toFixed(2)} times its processor time for a message`,
    )
  }
}

/** Larder's figures in units of Mosquitto's. */
function compare(summaries: readonly Summary[]): { rate: number; processor: number } | undefined {
  const [ours, theirs] = summaries
  if (ours === undefined || theirs === undefined) return undefined
  return { rate: ours.rate / theirs.rate, processor: ours.processor / theirs.processor }
}

function row(...cells: string[]): string {
  return cells.map((cell, index) => (index === 0 ? cell.padEnd(10) : cell.padStart(18))).join('')
}

function count(rate: number): string {
  return Math.round(rate).toLocaleString('en')
}

function whole(flag: 'messages' | 'rounds' | 'payload' | 'window'): number {
  const number = Number(values[flag])
  if (Number.isInteger(number) && number > 0) return number
  console.error(`bench: --${flag} is a whole number above 0, not ${values[flag]}`)
  process.exit(2)
}
