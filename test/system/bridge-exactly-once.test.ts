/**
 * QoS 2 through a bridge to Debian's mosquitto, while the gateway is killed at moments that nobody chose: every message
 * is upstream once, in order. `BRIDGE_MESSAGES=50000` for the long form.
 */
import { expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const COUNT = Number(process.env.BRIDGE_MESSAGES ?? 2_000)
const KILLS = 5

const config = (upstream: number): string => `
name: Cottage
bridges:
  - name: cloud
    url: mqtt://127.0.0.1:${upstream}
    retry: { min: 100ms, max: 500ms }
    out:
      - filter: room/#
        qos: 2
`

/** Publishes the numbers on one topic with QoS 2, several exchanges at a time, in order. */
async function publishAll(port: number): Promise<void> {
  await using client = await RawClient.connect({ port, clientId: 'sensor' })
  for (let number = 0; number < COUNT; number += 50) {
    const some = Array.from({ length: Math.min(50, COUNT - number) }, (_, i) => number + i)
    await Promise.all(some.map(each => client.publish('room/t', String(each), { qos: 2 })))
  }
}

test.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))(
  `${COUNT} messages, ${KILLS} kills while they drain`,
  { timeout: 60_000 + COUNT * 10 },
  async () => {
    const upstream = await startMosquitto({
      config: ['persistence true', 'persistence_location {dir}/', 'max_queued_messages 0', 'max_inflight_messages 0'],
    })
    await using _removed = { [Symbol.asyncDispose]: () => upstream.remove() }
    const watcher = { port: upstream.port, topics: ['room/#'], qos: 2, clientId: 'watcher', persistent: true } as const
    await (await startSub(watcher)).stop()
    await upstream.stop()
    await using gateway = await startGateway({ config: config(upstream.port) })
    await publishAll(gateway.port)
    await upstream.restart()
    await using sub = await startSub(watcher)
    let killedEarly = 0
    for (let kill = 0; kill < KILLS; kill++) {
      const at = Math.floor((COUNT * (kill + Math.random())) / (KILLS + 1))
      await until(() => sub.messages.length >= at, {
        what: () => `${at} messages, got ${sub.messages.length}`,
        every: 1,
      })
      if (sub.messages.length < COUNT) killedEarly++
      await gateway.kill()
      await gateway.start()
    }
    expect(killedEarly).toBeGreaterThan(0)
    await until(() => sub.messages.length >= COUNT, {
      what: () => `${COUNT} messages, got ${sub.messages.length}\n${gateway.log}`,
      timeout: 30_000 + COUNT * 5,
    })
    await gateway.stop()
    expect(sub.payloads).toEqual(Array.from({ length: COUNT }, (_, i) => String(i)))
  },
)
