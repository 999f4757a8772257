/** Bridges that carry both ways: each message everywhere exactly once, between gateways and with Debian's mosquitto. */
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { needs } from '../support/needs.ts'
import { pub } from '../support/pub.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const COUNT = 20

const config = (name: string, upstream: number, version: string, qos: number): string => `
name: ${name}
bridges:
  - name: other
    url: mqtt://127.0.0.1:${upstream}
    version: "${version}"
    retry: { min: 100ms, max: 500ms }
    both:
      - filter: "#"
        qos: ${qos}
`

async function mosquitto() {
  const upstream = await startMosquitto()
  return Object.assign(upstream, { [Symbol.asyncDispose]: () => upstream.remove() })
}

/** Publishes on both sides by turns; each side must get all of it once, and then a last one, behind which nothing comes. */
async function exchange(left: number, right: number, qos: 1 | 2): Promise<void> {
  const watch = (port: number) => startSub({ port, topics: ['room/#'], qos: 2 })
  await using atLeft = await watch(left)
  await using atRight = await watch(right)
  // The bridge may still be connecting: what it carries first shows that it has subscribed.
  await pub('ready', { port: left, topic: 'room/left', qos })
  await atRight.received(1)
  const expected = ['room/left ready']
  for (let i = 0; i < COUNT; i++) {
    await pub(`${i}`, { port: left, topic: 'room/left', qos })
    await pub(`${i}`, { port: right, topic: 'room/right', qos })
    expected.push(`room/left ${i}`, `room/right ${i}`)
  }
  await atLeft.received(expected.length)
  await atRight.received(expected.length)
  // A message that went round would have to be here before these have gone to and fro.
  await pub('end', { port: left, topic: 'room/left', qos })
  await atRight.received(expected.length + 1)
  await pub('end', { port: right, topic: 'room/right', qos })
  await atLeft.received(expected.length + 2)
  await atRight.received(expected.length + 2)
  const all = [...expected, 'room/left end', 'room/right end'].sort()
  for (const sub of [atLeft, atRight]) {
    expect(sub.messages.map(({ topic, payload }) => `${topic} ${payload}`).sort()).toEqual(all)
  }
}

/** Three gateways, each with a bridge to the next that carries everything both ways. */
async function startRing(): Promise<AsyncDisposable & { ports: number[] }> {
  const ports = [await freePort(), await freePort(), await freePort()]
  const gateways = await Promise.all(
    ports.map((port, i) => {
      const listeners = `listeners: ["mqtt://127.0.0.1:${port}"]`
      return startGateway({ config: `${listeners}${config(`G${i}`, ports[(i + 1) % 3] as number, '5', 1)}` })
    }),
  )
  return {
    ports,
    [Symbol.asyncDispose]: async () => {
      await Promise.all(gateways.map(gateway => gateway[Symbol.asyncDispose]()))
    },
  }
}

async function bridgeIsUp(port: number): Promise<void> {
  await using sub = await startSub({ port, topics: ['$SYS/broker/connection/+/state'], qos: 1 })
  await until(() => sub.payloads.includes('1'), { what: () => `a bridge that is up, got ${sub.payloads}` })
}

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('both ways, each message once everywhere', () => {
  for (const version of ['3.1.1', '5']) {
    for (const qos of [1, 2] as const) {
      test(`with mosquitto, MQTT ${version}, QoS ${qos}`, { timeout: 60_000 }, async () => {
        await using upstream = await mosquitto()
        await using gateway = await startGateway({ config: config('Cottage', upstream.port, version, qos) })
        await exchange(gateway.port, upstream.port, qos)
      })
    }
    test(`between two gateways, MQTT ${version}`, { timeout: 60_000 }, async () => {
      await using upstream = await startGateway()
      await using gateway = await startGateway({ config: config('Cottage', upstream.port, version, 1) })
      await exchange(gateway.port, upstream.port, 1)
    })
  }

  test('in a ring of three everybody hears everything, and nothing circles', { timeout: 60_000 }, async () => {
    await using ring = await startRing()
    await Promise.all(ring.ports.map(bridgeIsUp))
    const subs = await Promise.all(ring.ports.map(port => startSub({ port, topics: ['room/#'], qos: 1 })))
    try {
      const expected = ring.ports.flatMap((_, i) => Array.from({ length: COUNT }, (_, n) => `${i}-${n}`))
      for (let n = 0; n < COUNT; n++) {
        await Promise.all(ring.ports.map((port, i) => pub(`${i}-${n}`, { port, topic: `room/${i}`, qos: 1 })))
      }
      const hasAll = () => subs.every(sub => new Set(sub.payloads).size === expected.length)
      await until(hasAll, { what: () => `all messages, got ${subs.map(sub => new Set(sub.payloads).size)}` })
      // Two laps of the ring: what circles would come a third time.
      for (const lap of ['first', 'second']) {
        await Promise.all(ring.ports.map((port, i) => pub(`${lap}-${i}`, { port, topic: 'room/lap', qos: 1 })))
        const isRound = () => subs.every(sub => ring.ports.every((_, i) => sub.payloads.includes(`${lap}-${i}`)))
        await until(isRound, { what: () => `the ${lap} lap` })
      }
      for (const sub of subs) {
        const counts = new Map<string, number>()
        for (const payload of sub.payloads) counts.set(payload, (counts.get(payload) ?? 0) + 1)
        // By both ways round, and from where it began once more by each: there the circles end.
        expect([...counts].filter(([, times]) => times > 4)).toEqual([])
      }
    } finally {
      await Promise.all(subs.map(sub => sub.stop()))
    }
  })
})
