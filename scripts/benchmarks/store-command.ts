/** `scripts/bench store`: reads the flags, lets the brokers take turns through the cases, prints tables or JSON. */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { count, wholeNumbers } from './command-line.ts'
import { CASES, type Many, type Measurement, measure, measureMany } from './store.ts'
import { summarise, targets, tellCases, tellMany, tellTargets } from './store-report.ts'
import { contestants } from './stores.ts'

export async function storeCommand(args: readonly string[]): Promise<void> {
  const { json, ...numbers } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      messages: { type: 'string', default: '200000' },
      rounds: { type: 'string', default: '3' },
      payload: { type: 'string', default: '200' },
      queued: { type: 'string', default: '1000000' },
    },
  }).values
  const scenario = wholeNumbers(numbers)
  const brokers = contestants()
  const tell = (line: string): void => {
    if (!json) console.log(line)
  }

  tell(
    `QoS 1, ${scenario.payload} bytes, up to ${count(scenario.messages)} messages a measurement, medians of ` +
      `${scenario.rounds} rounds\n${cpus()[0]?.model ?? 'processor unknown'}, broker on core 0, generator on core 1, ` +
      `Node ${process.version}, load ${loadavg()
        .map(load => load.toFixed(1))
        .join(' ')}\n`,
  )
  for (const { name, about } of brokers) tell(`${name.padEnd(18)}${about}`)
  if (!brokers.some(({ name }) => name.startsWith('mosquitto')))
    tell('mosquitto is not installed (apt-get install mosquitto): nothing to compare with')

  tell(
    `\nµs CPU, storage and write() count until the broker is at rest; write() counts sockets too. Missing is what was not\n` +
      `delivered at all, or not within the time: slow brokers get fewer messages and do not drain to the end.`,
  )

  const measurements: Measurement[] = []
  for (let round = 1; round <= scenario.rounds; round++) {
    for (const kind of CASES) {
      for (const broker of brokers) measurements.push(...(await measure(broker, kind, scenario, round)))
    }
    if (!json) process.stderr.write(`round ${round} of ${scenario.rounds}\n`)
  }
  const summaries = summarise(measurements)
  tell(tellCases(summaries))

  const many: Many[] = []
  for (const broker of brokers.filter(({ takesMany }) => takesMany)) many.push(await measureMany(broker, scenario))
  tell(tellMany(many))

  const reached = targets(summaries, many, scenario.queued)
  tell(tellTargets(reached))
  tell(
    `\nload at the end ${loadavg()
      .map(load => load.toFixed(1))
      .join(' ')}`,
  )
  if (json) console.log(JSON.stringify({ scenario, measurements, summaries, many, targets: reached }))
}
