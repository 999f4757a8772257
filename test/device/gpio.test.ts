/** From an edge to a subscriber, with everything between them but the pin itself; that is in `scripts/test gpio`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { MemoryGpioDriver } from '../../device/gpio/memory-driver.ts'
import { createGateway, type Gateway, silentLog } from '../../src/index.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'

/** ms from the edge to the subscriber, at the median. */
const WANTED = 5
const EDGES = 200

let folder: string
let gateway: Gateway
let board: MemoryGpioDriver

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'larder-gpio-'))
  board = new MemoryGpioDriver()
})

afterEach(async () => {
  await gateway.stop()
  await rm(folder, { recursive: true, force: true })
})

async function start(gpio: Record<string, unknown>): Promise<RawClient> {
  const devices = [{ name: 'Door', room: 'Hall', gpio }]
  const settings = { data_dir: folder, listeners: ['mqtt://127.0.0.1:0'], devices }
  gateway = createGateway(settings, { gpio: board, log: silentLog })
  await gateway.start()
  const client = await RawClient.connect({ port: Number(new URL(gateway.addresses()[0] ?? '').port) })
  await client.subscribe({ topic: '/Home/Hall/Door', qos: 0 })
  return client
}

test('each edge is one message at a subscriber, in order; how soon is printed', async () => {
  await using client = await start({ pin: 17, direction: 'in', debounce: '0s' })
  await client.received(1)
  const took: number[] = []
  let edgeAt = 0
  client.onPacket = () => took.push(performance.now() - edgeAt)
  for (let edge = 0; edge < EDGES; edge++) {
    edgeAt = performance.now()
    board.set(17, edge % 2 === 0)
    await until(() => took.length > edge, { what: `message ${edge}`, every: 1 })
  }
  expect(client.payloads.slice(1)).toEqual(Array.from({ length: EDGES }, (_, edge) => (edge % 2 === 0 ? 'on' : 'off')))
  const median = took.sort((a, b) => a - b)[EDGES / 2] as number
  console.log(`from an edge to its subscriber: ${median.toFixed(2)} ms (median of ${EDGES}); goal ${WANTED} ms`)
})

test('a count is there again after a restart of the gateway, and can be set', async () => {
  const settings = { pin: 17, direction: 'count', debounce: '0s', per_pulse: 0.5, every: '100ms' }
  const totals = (client: RawClient) => client.payloads.map(payload => JSON.parse(payload).total as number)
  {
    await using client = await start(settings)
    await client.publish('/Home/Hall/Door/set', '100', { qos: 1 })
    await until(() => totals(client).at(-1) === 100, { what: () => `100; got ${client.payloads}` })
    for (let edge = 0; edge < 10; edge++) board.set(17, edge % 2 === 0)
    await until(() => totals(client).at(-1) === 102.5, { what: () => `102.5; got ${client.payloads}` })
    await gateway.stop()
  }
  await using client = await start(settings)
  await until(() => totals(client).at(-1) === 102.5, { what: () => `102.5; got ${client.payloads}` })
})
