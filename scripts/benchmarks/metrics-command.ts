/**
 * `scripts/bench metrics`: what it costs to be looked at. A scrape as somebody on the same machine sees it, and in processor
 * time of the gateway, alone and with many clients; and one round of numbers below `$SYS`, which goes on day and night.
 */
import { Agent, get } from 'node:http'
import { cpus, loadavg } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { freePort } from '../../test/support/free-port.ts'
import { type Gateway, startGateway } from '../../test/support/gateway.ts'
import { RawClient } from '../../test/support/mqtt-client.ts'
import { processorSeconds } from '../../test/support/procfs.ts'
import { median, row, wholeNumbers } from './command-line.ts'
import { CORE } from './core.ts'

/** ms: issue of the metrics, at the median. */
const TARGET = 5
/** Clients that connect at once. */
const AT_ONCE = 100
/** Scrapes before those that count. */
const WARM_UP = 20
/** ms between two rounds of `$SYS` where their cost is measured; the usual interval is a hundred times longer. */
const BUSY_INTERVAL = 100
const USUAL_INTERVAL = 10_000
const WIDTHS = [10, 12, 12, 16, 16, 18]

interface Cost {
  readonly clients: number
  /** ms. */
  readonly median: number
  readonly p99: number
  readonly bytes: number
  /** ms of processor time of the gateway. */
  readonly scrape: number
  readonly round: number
}

export async function metricsCommand(args: readonly string[]): Promise<void> {
  const { json, ...numbers } = parseArgs({
    args: [...args],
    options: {
      json: { type: 'boolean', default: false },
      clients: { type: 'string', default: '1000' },
      scrapes: { type: 'string', default: '500' },
      seconds: { type: 'string', default: '10' },
    },
  }).values
  const { clients, scrapes, seconds } = wholeNumbers(numbers)
  const costs: Cost[] = []
  for (const count of [0, clients]) {
    const scraped = await scrapeCost(count, scrapes)
    const idle = await idleCost(count, seconds, 0)
    const busy = await idleCost(count, seconds, BUSY_INTERVAL)
    costs.push({ clients: count, ...scraped, round: ((busy - idle) * BUSY_INTERVAL) / 1000 })
  }
  if (json) {
    console.log(JSON.stringify({ scrapes, seconds, costs, target: TARGET }))
    return
  }
  const worst = Math.max(...costs.map(({ median }) => median))
  console.log(
    [
      `${cpus()[0]?.model ?? 'processor unknown'}, gateway on core ${CORE}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}; ` +
        `${scrapes} scrapes of ${costs[0]?.bytes} bytes`,
      '',
      row(WIDTHS, ['clients', 'median ms', '99 % ms', 'CPU ms/scrape', 'CPU ms/$SYS', '$SYS, % of core']),
      ...costs.map(({ clients, median, p99, scrape, round }) =>
        row(WIDTHS, [
          `${clients}`,
          median.toFixed(2),
          p99.toFixed(2),
          scrape.toFixed(2),
          round.toFixed(2),
          ((round / USUAL_INTERVAL) * 100).toFixed(3),
        ]),
      ),
      '',
      `target: a scrape under ${TARGET} ms at the median (${worst < TARGET ? 'reached' : 'missed'})`,
    ].join('\n'),
  )
}

async function scrapeCost(clients: number, scrapes: number): Promise<Omit<Cost, 'clients' | 'round'>> {
  const url = `http://127.0.0.1:${await freePort()}/metrics`
  await using house = await open(clients, `metrics: { listen: '${url.replace('/metrics', '')}' }`)
  const { pid } = house.gateway
  const agent = new Agent({ keepAlive: true })
  let bytes = 0
  for (let i = 0; i < WARM_UP; i++) bytes = await scrape(url, agent)
  const before = await processorSeconds(pid)
  const times: number[] = []
  for (let i = 0; i < scrapes; i++) {
    const begun = performance.now()
    await scrape(url, agent)
    times.push(performance.now() - begun)
  }
  const used = (await processorSeconds(pid)) - before
  agent.destroy()
  times.sort((a, b) => a - b)
  const p99 = times[Math.floor(scrapes * 0.99)] ?? Number.NaN
  return { median: median(times), p99, bytes, scrape: (used * 1000) / scrapes }
}

/** ms of processor time in a second of a gateway that nobody asks anything of. */
async function idleCost(clients: number, seconds: number, interval: number): Promise<number> {
  await using house = await open(clients, `metrics: { sys_interval: ${interval}ms }`)
  const { pid } = house.gateway
  await pause(1_000)
  const before = await processorSeconds(pid)
  await pause(seconds * 1000)
  return (((await processorSeconds(pid)) - before) * 1000) / seconds
}

async function open(count: number, config: string): Promise<AsyncDisposable & { gateway: Gateway }> {
  const gateway = await startGateway({ cpu: CORE, config: `log: { level: warn }\n${config}` })
  const { port } = gateway
  const clients: RawClient[] = []
  while (clients.length < count) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - clients.length) }, () => RawClient.connect({ port }))
    clients.push(...(await Promise.all(some)))
  }
  await Promise.all(clients.map((client, i) => client.subscribe({ topic: `home/${i}`, qos: 1 })))
  return {
    gateway,
    async [Symbol.asyncDispose]() {
      for (const { socket } of clients) socket.destroy()
      await gateway[Symbol.asyncDispose]()
    },
  }
}

/** Bytes of the answer. */
function scrape(url: string, agent: Agent): Promise<number> {
  return new Promise((resolve, reject) => {
    get(url, { agent }, response => {
      let bytes = 0
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length
      })
      response.on('end', () => resolve(bytes)).on('error', reject)
    }).on('error', reject)
  })
}
