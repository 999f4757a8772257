/** `scripts/bench devices`: reads the flags, measures, prints what was aimed at beside what came out. */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { count, median, wholeNumbers } from './command-line.ts'
import { openDevices } from './devices.ts'

/** From a line on the wire to a subscriber, in ms at the median; processor time of the load as part of a core. */
const TARGETS = { latency: 5, processor: 0.15 }

export async function devicesCommand(args: readonly string[]): Promise<void> {
  const { json, ...numbers } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      sources: { type: 'string', default: '20' },
      rate: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '20' },
      samples: { type: 'string', default: '500' },
    },
  }).values
  const scenario = wholeNumbers(numbers)
  await using devices = await openDevices(scenario.sources)
  const latencies = (await devices.latencies(scenario.samples)).sort((a, b) => a - b)
  const latency = { median: median(latencies), p99: latencies[Math.floor(latencies.length * 0.99)] ?? Number.NaN }
  const load = await devices.load({ rate: scenario.rate, seconds: scenario.seconds })
  if (json) {
    console.log(JSON.stringify({ scenario, latency, load, targets: TARGETS }))
    return
  }
  const verdict = (ok: boolean) => (ok ? 'reached' : 'missed')
  const percent = (part: number) => `${(part * 100).toFixed(1)} %`
  console.log(
    `${scenario.sources} serial lines at 115,200 baud (pseudo-terminals, socat between), 1 subscriber to all\n` +
      `${cpus()[0]?.model ?? 'processor unknown'}, gateway on core 0, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n\n` +
      `line to subscriber   median ${latency.median.toFixed(2)} ms, 99 % ${latency.p99.toFixed(2)} ms of ${scenario.samples}` +
      ` (target under ${TARGETS.latency} ms at the median: ${verdict(latency.median < TARGETS.latency)})\n` +
      `${count(load.rate)} readings/s      ${percent(load.processor)} of a core, ${percent(load.idle)} without any; ` +
      `${count(load.sent)} sent, ${load.sent - load.received} lost` +
      ` (target under ${percent(TARGETS.processor)}: ${verdict(load.processor < TARGETS.processor)})`,
  )
}
