/**
 * Messages over an outage, with an end by force of either side at moments that nobody chose: nothing that the gateway has
 * acknowledged is missing upstream, each topic is in order, and of QoS 2 there is one of each. The upstream is another
 * gateway, whose PUBACK is a promise that outlives kill -9, or Debian's mosquitto, which keeps what it had acknowledged only
 * when it may end by itself. LARDER_BRIDGE_MESSAGES=50000 for the long form.
 */
import { describe, expect, test } from 'vitest'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'

const COUNT = Number(process.env.LARDER_BRIDGE_MESSAGES ?? 2_000)
/** Half of them at QoS 1, half at QoS 2. */
const HALF = Math.floor(COUNT / 2)
/** Ends by force while the backlog drains, and of the gateway while it comes about. */
const DRAIN_KILLS = COUNT > 10_000 ? 20 : 6
const PUBLISH_KILLS = 2
/** Longest time in ms between a start and the next end by force: what a drain takes. The moment is drawn. */
const LONGEST_LIFE = COUNT > 10_000 ? 2_000 : 150
const TIMEOUT = 60_000 + COUNT * 10
/** Topics of the messages of QoS 1. */
const TOPICS = 5
/** Messages a second that a drain must reach even on a machine that does other things; the goal is 5,000. */
const LEAST_RATE = 500

const topicOf = (number: number) => `up/one/${number % TOPICS}`

const limits = `limits: { max_queued_messages: ${10 * COUNT + 100_000} }`

const config = (upstream: number): string => `name: Cottage
${limits}
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${upstream}
    max_inflight: 200
    retry: { min: 100ms, max: 200ms }
    out:
      - filter: up/one/#
      - filter: up/two/#
        qos: 2
`

interface Upstream extends AsyncDisposable {
  readonly port: number
  /** Ends it as hard as its promises allow. */
  end(): Promise<void>
  start(): Promise<void>
}

async function anotherGateway(): Promise<Upstream> {
  const gateway = await startGateway({ config: `name: Cloud\n${limits}` })
  return {
    port: gateway.port,
    end: () => gateway.kill(),
    start: () => gateway.start(),
    [Symbol.asyncDispose]: () => gateway[Symbol.asyncDispose](),
  }
}

async function mosquitto(): Promise<Upstream> {
  const broker = await startMosquitto({
    config: ['persistence true', 'persistence_location {dir}/', 'max_queued_messages 0', 'max_inflight_messages 0'],
  })
  return {
    port: broker.port,
    end: () => broker.stop(),
    start: () => broker.restart(),
    [Symbol.asyncDispose]: () => broker.remove(),
  }
}

const watcher = (port: number) => ({ port, clientId: 'watcher', clean: false })

/** A session upstream that everything waits for. */
async function subscribe(port: number): Promise<void> {
  await using client = await RawClient.connect(watcher(port))
  await client.subscribe({ topic: 'up/#', qos: 2 })
  await client.disconnect()
}

async function publishTwice(port: number): Promise<void> {
  await using client = await RawClient.connect({ port })
  for (let number = 0; number < HALF; number += 50) {
    const some = Array.from({ length: Math.min(50, HALF - number) }, (_, i) => `${number + i}`)
    await Promise.all(some.map(each => client.publish('up/two/t', each, { qos: 2 })))
  }
}

/** Publishes with QoS 1 while the gateway is killed now and then. */
async function publishOnce(gateway: Gateway, ledger: Ledger): Promise<void> {
  const kills = Array.from({ length: PUBLISH_KILLS }, () => Math.ceil(Math.random() * HALF)).sort((a, b) => a - b)
  ledger.onAcknowledged = count => {
    if (count < (kills[0] ?? Number.POSITIVE_INFINITY)) return
    kills.shift()
    process.kill(gateway.pid, 'SIGKILL')
  }
  while (!(await ledger.run(gateway.port).catch(() => false))) {
    await gateway.exit
    await gateway.start()
  }
  if (!gateway.process.running) await gateway.start()
}

async function moment(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, Math.random() * LONGEST_LIFE))
}

async function prove(upstream: Upstream): Promise<void> {
  await subscribe(upstream.port)
  await upstream.end()
  await using gateway = await startGateway({ config: config(upstream.port) })
  const ledger = new Ledger({ clientId: 'sensor', count: HALF, window: 100, topicOf })
  await publishTwice(gateway.port)
  await publishOnce(gateway, ledger)
  expect(ledger.acknowledged.size).toBe(HALF)
  await upstream.start()
  /** Connections that found something to carry. */
  let drains = 0
  for (let kill = 0; kill < DRAIN_KILLS; kill++) {
    await moment()
    if (kill % 2 === 0) {
      await upstream.end()
      await moment()
      await upstream.start()
    } else {
      drains += drainsOf(gateway)
      await gateway.kill()
      await gateway.start()
    }
  }
  await using client = await RawClient.connect(watcher(upstream.port))
  const expected = new Set(ledger.acknowledged)
  let two = 0
  const missing = () => {
    for (const { topic, payload } of client.publishes.slice(two)) {
      if (topic.startsWith('up/one/')) expected.delete(Number(payload.toString()))
    }
    two = client.publishes.length
    return expected.size + HALF - new Set(payloads(client, 'up/two/')).size
  }
  await until(() => missing() === 0, {
    what: () => `all upstream, ${missing()} missing, ${client.publishes.length} came\n${gateway.log}`,
    timeout: 30_000 + COUNT * 5,
    every: 200,
  })
  // What came twice would be behind the last that was waited for.
  await using last = await RawClient.connect({ port: gateway.port })
  await last.publish('up/two/end', 'end', { qos: 2 })
  await last.publish('up/one/end', 'end', { qos: 1 })
  await until(() => client.publishes.filter(({ topic }) => topic.endsWith('/end')).length === 2, {
    what: 'the last of each',
    timeout: 30_000,
  })
  expect(payloads(client, 'up/two/t')).toEqual(Array.from({ length: HALF }, (_, number) => `${number}`))
  const got = client.publishes
    .filter(({ topic }) => topic.startsWith('up/one/') && !topic.endsWith('/end'))
    .map(({ topic, payload }) => ({ topic, number: Number(payload.toString()) }))
  expect(faultsOfDelivery(got, ledger.acknowledged, topicOf)).toEqual([])
  drains += drainsOf(gateway)
  expect(drains).toBeGreaterThan(1)
  console.log(
    `${COUNT} messages, ${PUBLISH_KILLS + DRAIN_KILLS} ends by force, ${drains} drains begun: none missing, ` +
      `${got.length - HALF} of QoS 1 twice, none of QoS 2`,
  )
}

function drainsOf(gateway: Gateway): number {
  return gateway.process.errors.filter(line => /"waiting":[1-9].*"msg":"bridge connected"/.test(line)).length
}

function payloads(client: RawClient, prefix: string): string[] {
  return client.publishes.filter(({ topic }) => topic.startsWith(prefix)).map(({ payload }) => payload.toString())
}

describe(`${COUNT} messages over an outage`, { timeout: TIMEOUT }, () => {
  test('both sides are killed, the upstream in the middle of its answers (nanomq#2432)', async () => {
    await using upstream = await anotherGateway()
    await prove(upstream)
  })

  test.skipIf(!needs('mosquitto'))('the gateway is killed, mosquitto stopped and started', async () => {
    await using upstream = await mosquitto()
    await prove(upstream)
  })

  test.skipIf(!needs('mosquitto'))(
    'drain fast, without anything new to push them (nanomq#1980, nanomq#2423)',
    async () => {
      await using upstream = await mosquitto()
      await upstream.end()
      await using gateway = await startGateway({ config: config(upstream.port) })
      const count = Math.max(COUNT, 10_000)
      const ledger = new Ledger({ clientId: 'sensor', count, window: 200, topicOf })
      await ledger.run(gateway.port)
      await upstream.start()
      await using client = await RawClient.connect({ port: upstream.port })
      let first = 0
      client.onPacket = packet => {
        if (packet.cmd === 'publish') first ||= performance.now()
      }
      await client.subscribe({ topic: 'up/#', qos: 0 })
      // What came before the subscription is not counted, nor its time.
      const isLast = () => client.publishes.at(-1)?.payload.toString() === `${count - 1}`
      await until(isLast, {
        what: () => `the last one, ${client.publishes.length} came\n${gateway.log}`,
        timeout: 60_000,
      })
      const rate = (client.publishes.length - 1) / ((performance.now() - first) / 1_000)
      console.log(
        `drained to mosquitto at ${Math.round(rate)} messages/s (${client.publishes.length} counted); goal 5,000`,
      )
      expect(client.publishes.length).toBeGreaterThan(count / 4)
      expect(rate).toBeGreaterThan(LEAST_RATE)
    },
  )
})
