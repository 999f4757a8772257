/** A bridge that carries both ways with Debian's mosquitto: each message on both sides once; and what both have retained. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { freePort } from '../support/free-port.ts'
import { startGateway } from '../support/gateway.ts'
import { startMosquitto } from '../support/mosquitto.ts'
import { RawClient } from '../support/mqtt-client.ts'
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

describe.skipIf(!needs('mosquitto') || !needs('mosquitto_sub'))('both ways, each message once everywhere', () => {
  for (const version of ['3.1.1', '5']) {
    for (const qos of [1, 2] as const) {
      test(`with mosquitto, MQTT ${version}, QoS ${qos}`, { timeout: 60_000 }, async () => {
        await using upstream = await mosquitto()
        await using gateway = await startGateway({ config: config('Cottage', upstream.port, version, qos) })
        await exchange(gateway.port, upstream.port, qos)
      })
    }
  }
})

describe('retained messages of both sides, MQTT 5', { timeout: 60_000 }, () => {
  test('another gateway: what waits here is newer, and what only one has the other gets', async () => {
    await using upstream = await startGateway()
    await settle(upstream.port, () => upstream.log)
  })

  test.skipIf(!needs('mosquitto'))('mosquitto: the same', async () => {
    await using upstream = await mosquitto()
    await settle(upstream.port, () => '')
  })
})

/** Both sides have values before they ever meet; afterwards both have the same, and say nothing any more. */
async function settle(upstream: number, log: () => string): Promise<void> {
  const nobody = await freePort()
  await using gateway = await startGateway({ config: config('Cottage', nobody, '5', 1) })
  await using here = await RawClient.connect({ port: gateway.port })
  await using there = await RawClient.connect({ port: upstream })
  await there.publish('room/both', 'old', { qos: 1, retain: true })
  await there.publish('room/theirs', 'theirs', { qos: 1, retain: true })
  await there.publish('room/same', 'same', { qos: 1, retain: true })
  await here.publish('room/both', 'new', { qos: 1, retain: true })
  await here.publish('room/ours', 'ours', { qos: 1, retain: true })
  await here.publish('room/same', 'same', { qos: 1, retain: true })
  await here.subscribe({ topic: 'room/#', qos: 1 })
  await there.subscribe({ topic: 'room/#', qos: 1 })
  await until(() => here.publishes.length === 3 && there.publishes.length === 3, { what: 'what each has' })
  await gateway.stop()
  const text = config('Cottage', upstream, '5', 1)
  const listeners = gateway.listeners.map(each => `"${each}"`).join(', ')
  await writeFile(
    join(gateway.folder, 'larder.yaml'),
    `listeners: [${listeners}]\ndata_dir: "${gateway.dataDir}"\n${text}`,
  )
  await gateway.start()
  await using again = await RawClient.connect({ port: gateway.port })
  await again.subscribe({ topic: 'room/#', qos: 1 })
  const last = (client: RawClient, topic: string) =>
    client.publishes.findLast(each => each.topic === topic)?.payload.toString()
  const state = (client: RawClient) =>
    ['both', 'ours', 'theirs', 'same'].map(each => last(client, `room/${each}`)).join(' ')
  const all = 'new ours theirs same'
  await until(() => state(again) === all && state(there) === all, {
    what: () => `${all} on both sides, got ${state(again)}, ${state(there)}\n${gateway.log}\n${log()}`,
  })
  // What went to and fro would overtake this.
  await again.publish('room/end', 'here', { qos: 1 })
  await until(() => last(there, 'room/end') === 'here', { what: 'a last message there' })
  await there.publish('room/end', 'there', { qos: 1 })
  await until(() => last(again, 'room/end') === 'there', { what: 'a last message here' })
  expect([state(again), state(there)]).toEqual([all, all])
  expect(again.payloads.filter(each => each === 'old')).toEqual([])
  expect(again.payloads.filter(each => each === 'same')).toHaveLength(1)
}
