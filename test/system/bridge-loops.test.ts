/**
 * Brokers joined in ways in which a message could come twice or for ever, everything carried both ways: each message is
 * everywhere exactly once, what is the same and is published twice everywhere exactly twice.
 */
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { until } from '../support/wait.ts'

/** Messages of each broker's own client. */
const COUNT = 100
/** ms for a network of gateways to start and find each other on a busy machine. */
const START = 30_000

type Version = '5' | '3.1.1'

interface BridgeText {
  name: string
  port: number
  rules?: string
}

const everything = 'both: [{ filter: "#" }]'

/** A gateway on `port` with these bridges. */
function gatewayText(name: string, port: number, version: Version, bridges: readonly BridgeText[]): string {
  const entries = bridges.map(
    ({ name, port, rules = everything }) => `
  - name: ${name}
    url: mqtt://127.0.0.1:${port}
    version: "${version}"
    retry: { min: 100ms, max: 300ms }
    ${rules}`,
  )
  return `name: ${name}
listeners: ["mqtt://127.0.0.1:${port}"]
${entries.length === 0 ? '' : 'bridges:'}${entries.join('')}
`
}

/** Starts gateways from what each has for bridges, given the ports of all. */
async function startGateways(
  count: number,
  version: Version,
  bridgesOf: (ports: readonly number[], at: number) => BridgeText[],
): Promise<AsyncDisposable & { ports: readonly number[]; gateways: readonly Gateway[] }> {
  const ports: number[] = []
  for (let at = 0; at < count; at++) ports.push(await freePort())
  const gateways = await Promise.all(
    ports.map((port, at) => startGateway({ config: gatewayText(`G${at}`, port, version, bridgesOf(ports, at)) })),
  )
  return {
    ports,
    gateways,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(gateways.map(gateway => gateway[Symbol.asyncDispose]()))
    },
  }
}

/** A client at each of these brokers that hears everything and keeps books. */
class Watch {
  readonly clients: readonly RawClient[]

  private constructor(clients: readonly RawClient[]) {
    this.clients = clients
  }

  static async start(ports: readonly number[]): Promise<Watch> {
    const clients = await Promise.all(ports.map(port => RawClient.connect({ port })))
    const topics = ['room/#', 'ready/#', '$SYS/broker/connection/+/state']
    for (const client of clients) await client.subscribe(...topics.map(topic => ({ topic, qos: 1 as const })))
    return new Watch(clients)
  }

  heard(client: RawClient, prefix: string): string[] {
    return client.publishes
      .filter(({ topic }) => topic.startsWith(prefix))
      .map(({ topic, payload }) => `${topic} ${payload}`)
  }

  /** Until every bridge is up, and a message from each has come to each. */
  async joined(bridges: number): Promise<void> {
    // The last that each says of each.
    const states = () =>
      this.clients.flatMap(client => [
        ...new Map(this.heard(client, '$SYS/broker/connection/').map(line => line.split(' ') as [string, string])),
      ])
    const up = () => states().filter(([, state]) => state === '1').length
    await until(() => up() === bridges, { what: () => `${bridges} bridges that are up: ${states()}`, timeout: START })
    const expected = this.clients.map((_client, at) => `ready/${at} `)
    const missing = () =>
      this.clients.flatMap((client, at) => {
        const heard = this.heard(client, 'ready/')
        return expected.filter(each => !heard.some(line => line.startsWith(each))).map(each => `${each}at ${at}`)
      })
    let round = 0
    await until(
      async () => {
        round++
        await Promise.all(this.clients.map((client, at) => client.publish(`ready/${at}`, `${round}`, { qos: 1 })))
        await Promise.all(this.clients.map(client => client.ping()))
        return missing().length === 0
      },
      { what: () => `bridges that carry: ${missing()}`, timeout: START, every: 50 },
    )
  }

  /** Until what was said last by each has come to each: whatever went before it by the same ways is there. */
  async settled(round: string): Promise<void> {
    const expected = this.clients.map((_client, at) => `ready/${at} ${round}`)
    await Promise.all(this.clients.map((client, at) => client.publish(`ready/${at}`, round, { qos: 1 })))
    const isThere = () =>
      this.clients.every(client => {
        const heard = new Set(this.heard(client, 'ready/'))
        return expected.every(each => heard.has(each))
      })
    await until(isThere, { what: `the ${round} to reach everybody`, timeout: START })
  }

  /** Publishes at each, and compares what each has heard. There are so many bridges. */
  async check(bridges: number): Promise<void> {
    await this.joined(bridges)
    await this.settled('start')
    const expected: string[] = []
    await Promise.all(
      this.clients.map(async (client, at) => {
        for (let number = 0; number < COUNT; number += 10) {
          const some = Array.from({ length: 10 }, (_, i) => `${number + i}`)
          // The same button, pressed twice.
          for (const each of [...some, 'pressed', 'pressed']) expected.push(`room/${at} ${each}`)
          const sent = [...some, 'pressed', 'pressed']
          await Promise.all(sent.map(each => client.publish(`room/${at}`, each, { qos: 1, retain: number === 50 })))
        }
      }),
    )
    expected.sort()
    const counts = () => this.clients.map(client => this.heard(client, 'room/').length)
    const hasAll = () => counts().every(count => count >= expected.length)
    await until(hasAll, { what: () => `${expected.length} messages everywhere, got ${counts()}`, timeout: START })
    // Two laps: what goes round in a circle would be here again.
    await this.settled('first lap')
    await this.settled('second lap')
    for (const client of this.clients) {
      expect(this.heard(client, 'room/').sort()).toEqual(expected)
      for (const [at] of this.clients.entries()) {
        const numbers = this.heard(client, `room/${at} `.trim()).filter(line => !line.endsWith('pressed'))
        expect(numbers, `room/${at} at ${this.clients.indexOf(client)}`).toEqual(
          Array.from({ length: COUNT }, (_, number) => `room/${at} ${number}`),
        )
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.clients.map(client => client[Symbol.asyncDispose]()))
  }
}

test('a gateway of a ring that is killed and comes back: the others hear everything once, and it misses nothing', {
  timeout: 120_000,
}, async () => {
  await using world = await startGateways(3, '5', (ports, at) => [
    { name: 'next', port: ports[(at + 1) % 3] as number },
  ])
  await using all = await Watch.start(world.ports)
  await all.joined(3)
  const [, , killed] = world.gateways as [Gateway, Gateway, Gateway]
  const session = { port: world.ports[2] as number, clientId: 'stays', clean: false }
  await using before = await RawClient.connect(session)
  await before.subscribe({ topic: 'room/#', qos: 1 })
  await before.disconnect()
  const [first, second] = all.clients as [RawClient, RawClient]
  const lines = Array.from({ length: 4 * COUNT }, (_, number) => `room/t ${number}`)
  for (const number of lines.keys()) {
    await (number % 2 === 0 ? first : second).publish('room/t', `${number}`, { qos: 1 })
    if (number === COUNT) await killed.kill()
    if (number === 2 * COUNT) await killed.start()
  }
  await using after = await RawClient.connect(session)
  const heard = () => [first, second, after].map(client => new Set(all.heard(client, 'room/')).size)
  await until(() => heard().every(count => count === lines.length), {
    what: () => `all, got ${heard()}`,
    timeout: START,
  })
  await using states = await RawClient.connect({ port: session.port })
  await states.subscribe({ topic: '$SYS/broker/connection/+/state', qos: 1 })
  await until(() => states.payloads.includes('1'), { what: 'its bridge again', timeout: START })
  // A lap by each way, behind everything that is still to go round.
  for (const lap of ['one', 'two']) {
    await first.publish('ready/lap', lap, { qos: 1 })
    await until(() => all.heard(second, 'ready/lap').includes(`ready/lap ${lap}`), { what: `lap ${lap}` })
  }
  for (const client of [first, second]) expect(all.heard(client, 'room/').sort()).toEqual([...lines].sort())
})

test.each(['out', 'in'])('two bridges under two names: a message comes under each, once (%s)', async direction => {
  const rules = (prefix: string) =>
    direction === 'out'
      ? `out: [{ filter: "#", remote_prefix: ${prefix}/ }]`
      : `in: [{ filter: "#", local_prefix: ${prefix}/ }]`
  await using world = await startGateways(2, '5', ([, other = 0], at) =>
    at === 0 ? ['attic', 'cellar'].map(name => ({ name, port: other, rules: rules(name) })) : [],
  )
  const [from, to] = direction === 'out' ? world.ports : world.ports.toReversed()
  await using publisher = await RawClient.connect({ port: from as number })
  await using subscriber = await RawClient.connect({ port: to as number })
  await subscriber.subscribe({ topic: 'attic/#', qos: 1 }, { topic: 'cellar/#', qos: 1 })
  const heard = (name: string) =>
    subscriber.publishes.filter(({ topic }) => topic.endsWith(name)).map(({ topic }) => topic)
  await until(
    async () => {
      await publisher.publish('ready', '', { qos: 1 })
      return new Set(heard('ready')).size === 2
    },
    { what: 'both bridges to carry', timeout: START, every: 50 },
  )
  for (const payload of ['on', 'off']) await publisher.publish('room/lamp', payload, { qos: 1 })
  await until(() => heard('lamp').length >= 4, { what: () => `four messages, got ${heard('lamp')}` })
  await publisher.publish('last', '', { qos: 1 })
  await until(() => heard('last').length >= 2, { what: 'what came last' })
  expect(heard('lamp').sort()).toEqual(['attic/room/lamp', 'attic/room/lamp', 'cellar/room/lamp', 'cellar/room/lamp'])
})

for (const version of ['5', '3.1.1'] as const) {
  describe(`MQTT ${version}: each message once everywhere`, { timeout: 120_000 }, () => {
    test('two gateways and one bridge (m#1263)', async () => {
      await using world = await startGateways(2, version, ([, other = 0], at) =>
        at === 0 ? [{ name: 'other', port: other }] : [],
      )
      await using watch = await Watch.start(world.ports)
      await watch.check(1)
    })

    test('two gateways, each with a bridge to the other', async () => {
      await using world = await startGateways(2, version, (ports, at) => [
        { name: 'other', port: ports[1 - at] as number },
      ])
      await using watch = await Watch.start(world.ports)
      await watch.check(2)
    })

    test('two bridges from one gateway to another', async () => {
      await using world = await startGateways(2, version, ([, other = 0], at) =>
        at === 0
          ? [
              { name: 'one', port: other },
              { name: 'two', port: other },
            ]
          : [],
      )
      await using watch = await Watch.start(world.ports)
      await watch.check(2)
    })

    test('rules that overlap (m#1467)', async () => {
      const rules = `both: [{ filter: "#" }, { filter: "room/#" }]
    out: [{ filter: "room/+" }]
    in: [{ filter: "+/+" }]`
      await using world = await startGateways(2, version, ([, other = 0], at) =>
        at === 0 ? [{ name: 'other', port: other, rules }] : [],
      )
      await using watch = await Watch.start(world.ports)
      await watch.check(1)
    })

    test('a ring of three', async () => {
      await using world = await startGateways(3, version, (ports, at) => [
        { name: 'next', port: ports[(at + 1) % 3] as number },
      ])
      await using watch = await Watch.start(world.ports)
      await watch.check(3)
    })

    test('everybody with everybody, four of them', async () => {
      await using world = await startGateways(4, version, (ports, at) =>
        ports.slice(at + 1).map((port, index) => ({ name: `to-${at + 1 + index}`, port })),
      )
      await using watch = await Watch.start(world.ports)
      await watch.check(6)
    })

    test.skipIf(!needs('mosquitto'))('mosquitto and two gateways with a bridge to it (m#3011)', async () => {
      const upstream = await startMosquitto({ config: ['max_queued_messages 0'] })
      await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
      await using world = await startGateways(2, version, () => [{ name: 'cloud', port: upstream.port }])
      await using watch = await Watch.start([...world.ports, upstream.port])
      await watch.check(2)
    })

    test.skipIf(!needs('mosquitto'))('two bridges from one gateway to mosquitto', async () => {
      const upstream = await startMosquitto({ config: ['max_queued_messages 0'] })
      await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
      await using world = await startGateways(1, version, () => [
        { name: 'one', port: upstream.port },
        { name: 'two', port: upstream.port },
      ])
      await using watch = await Watch.start([...world.ports, upstream.port])
      await watch.check(2)
    })
  })
}
