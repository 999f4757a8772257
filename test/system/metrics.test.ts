/** Metrics of the built gateway as others get them: Prometheus over HTTP, `/healthz`, `larder status`, and what they cost. */
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { samplesOf } from '../support/exposition.ts'
import { freePort } from '../support/free-port.ts'
import { type Gateway, larder, startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { until, within } from '../support/wait.ts'

const CLIENTS = 1_000
const SCRAPES = 50
/** Milliseconds, at the median, as a scraper on the same machine sees it. */
const GOAL = 5

async function start(more = ''): Promise<{ gateway: Gateway; url: string }> {
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  return { gateway: await startGateway({ config: `metrics: { listen: '${url}' }\n${more}` }), url }
}

async function get(url: string, init: RequestInit = {}) {
  const response = await fetch(url, init)
  return { status: response.status, headers: response.headers, text: await response.text() }
}

test('Prometheus reads what was done, and the status says the same', async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  await using client = await RawClient.connect({ port: gateway.port })
  await using away = await RawClient.connect({ port: gateway.port, clientId: 'away', clean: false })
  await away.subscribe({ topic: 'kept', qos: 1 })
  await away.disconnect()
  await client.publish('kept', 'bread', { qos: 1 })
  await until(
    async () => samplesOf((await get(`${url}/metrics`)).text).get('larder_mqtt_clients{state="disconnected"}'),
    {
      what: 'the session that is away',
    },
  )
  const { status, headers, text } = await get(`${url}/metrics`)
  expect([status, headers.get('content-type')]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8'])
  const samples = samplesOf(text)
  expect(samples.get('larder_mqtt_publishes_total{direction="received"}')).toBe(1)
  expect(samples.get('larder_mqtt_bytes_total{direction="received"}')).toBe(
    client.socket.bytesWritten + away.socket.bytesWritten,
  )
  expect(samples.get('larder_queue_messages{queue="clients"}')).toBe(1)
  // A session, a subscription and a message that wait for the disk are three commits at most, and one at least.
  expect(samples.get('larder_store_commits_total')).toBeGreaterThan(0)
  expect(samples.get('larder_store_commit_seconds_count')).toBe(samples.get('larder_store_commits_total'))
  expect(samples.get('larder_store_written_bytes_total')).toBeGreaterThan('keptbread'.length)
  expect(samples.get('larder_store_loss_window_seconds')).toBe(0)
  expect(samples.get('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)

  const screen = await larder(['status', '--data-dir', gateway.dataDir])
  expect(screen).toMatchObject({ code: 0, errors: [] })
  expect(screen.lines.join('\n')).toMatch(/^health +ok$/m)
  expect(screen.lines.join('\n')).toMatch(/^clients +1 connected \(most \d\), 1 away; 1 connections$/m)
  expect(screen.lines.join('\n')).toMatch(/^waiting +1 messages, 11 B$/m)
  const json = await larder(['status', '--data-dir', gateway.dataDir, '--json'])
  const { ok, metrics } = JSON.parse(json.lines.join(''))
  expect(ok).toBe(true)
  expect(metrics.larder_mqtt_publishes_total.received).toBe(1)
})

test('the listener answers nothing else, and keeps nobody waiting', async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  expect(await get(`${url}/healthz`)).toMatchObject({ status: 200, text: 'ok\n' })
  expect((await get(`${url}/metrics`, { method: 'HEAD' })).text).toBe('')
  expect((await get(`${url}/metrics?x=1`)).status).toBe(200)
  expect((await get(`${url}/`)).status).toBe(404)
  const post = await get(`${url}/metrics`, { method: 'POST', body: 'x' })
  expect([post.status, post.headers.get('allow')]).toEqual([405, 'GET, HEAD'])
  // Somebody who says nothing does not hold up the stop.
  const silent = connect(Number(new URL(url).port), '127.0.0.1')
  await new Promise(resolve => silent.once('connect', resolve))
  await within(gateway.stop(), { what: 'the stop' })
  silent.destroy()
})

test('an address that is taken is said, and the gateway does not start', async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  await using other = await import('../support/gateway.ts').then(({ prepareGateway }) =>
    prepareGateway({ config: `metrics: { listen: '${url}' }`, waitReady: false }),
  )
  await other.start()
  expect(await other.exit).toMatchObject({ code: 1 })
  expect(other.stderr).toContain(`LISTEN_IN_USE: another program listens at ${url} already. Give another address`)
})

test('a gateway that cannot store is unwell, and says why', async () => {
  // More than any disk has: it counts as nearly full from the start.
  const { gateway, url } = await start('store: { min_free: 1024GiB }')
  await using _ = gateway
  const { status, text } = await get(`${url}/healthz`)
  expect([status, text]).toEqual([503, 'the disk is nearly full\n'])
  const { lines } = await larder(['status', '--data-dir', gateway.dataDir])
  expect(lines[1]).toMatch(/^health +the disk is nearly full$/)
})

test('a listener that a reload could not open is told', async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  const squatter = createServer().listen(gateway.port, '127.0.0.2')
  await once(squatter, 'listening')
  try {
    const file = join(gateway.folder, 'larder.yaml')
    const written = await readFile(file, 'utf8')
    await writeFile(file, written.replace(`127.0.0.1:${gateway.port}`, `127.0.0.2:${gateway.port}`))
    await larder(['reload', '--data-dir', gateway.dataDir])
    const { status, text } = await get(`${url}/healthz`)
    expect([status, text]).toEqual([503, `the listener mqtt://127.0.0.2:${gateway.port} is not open\n`])
    await writeFile(file, written)
    await larder(['reload', '--data-dir', gateway.dataDir])
    expect((await get(`${url}/healthz`)).status).toBe(200)
  } finally {
    squatter.close()
  }
})

test(`a scrape at ${CLIENTS} clients`, async () => {
  const { gateway, url } = await start()
  await using _ = gateway
  const clients: RawClient[] = []
  try {
    for (let i = 0; i < CLIENTS; i += 100) {
      clients.push(...(await Promise.all(Array.from({ length: 100 }, () => RawClient.connect({ port: gateway.port })))))
    }
    await Promise.all(clients.map((client, i) => client.subscribe({ topic: `home/${i}`, qos: 0 })))
    const times: number[] = []
    for (let i = 0; i < SCRAPES; i++) {
      const begun = performance.now()
      const { text } = await get(`${url}/metrics`)
      times.push(performance.now() - begun)
      if (i === 0) expect(samplesOf(text).get('larder_mqtt_subscriptions{kind="plain"}')).toBe(CLIENTS)
      await pause(10)
    }
    times.sort((a, b) => a - b)
    const median = times[SCRAPES / 2] as number
    console.log(
      `a scrape at ${CLIENTS} clients: ${median.toFixed(2)} ms (median of ${SCRAPES}), ${times.at(-1)?.toFixed(2)} ms at most; goal ${GOAL} ms`,
    )
  } finally {
    for (const { socket } of clients) socket.destroy()
  }
})
