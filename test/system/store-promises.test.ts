/** What the store says of itself and how it lies on the disk. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { startGateway } from '../support/gateway.ts'
import { RawClient } from '../support/mqtt-client.ts'

/** What a new subscriber is told of the store. */
async function told(port: number): Promise<Record<string, string>> {
  await using client = await RawClient.connect({ port })
  await client.subscribe({ topic: '$SYS/broker/store/+', qos: 0 })
  await client.received(2)
  return Object.fromEntries(client.publishes.map(({ topic, payload }) => [topic.slice(18), payload.toString()]))
}

test.each([
  ['ack', /what was acknowledged is on the disk/, '0'],
  ['5s', /a power cut may take the acknowledged messages of the last 5 s/, '5'],
  ['none', /a power cut may take acknowledged messages/, 'unlimited'],
])('durability %s: the loss window is said at the start and below $SYS', async (durability, sentence, seconds) => {
  await using gateway = await startGateway({ config: `store: {durability: ${durability}}` })
  expect(gateway.stderr).toMatch(sentence)
  expect(await told(gateway.port)).toEqual({ loss_window: seconds, state: 'whole' })
})

test('one topic with a longer window: that is the loss window', async () => {
  const config = 'store: {durability_for: [{filter: "/Home/+/telemetry", durability: 30s}]}'
  await using gateway = await startGateway({ config })
  expect(await told(gateway.port)).toMatchObject({ loss_window: '30' })
})

test('folder and files are for the gateway alone', async () => {
  await using gateway = await startGateway({ config: 'name: Test' })
  await using client = await RawClient.connect({ port: gateway.port, clientId: 'kept', clean: false })
  await client.subscribe({ topic: 'bread', qos: 1 })
  await client.publish('bread', 'secret', { qos: 1, retain: true })
  const mode = async (path: string) => ((await stat(path)).mode & 0o777).toString(8)
  const store = join(gateway.dataDir, 'store')
  expect(await mode(gateway.dataDir)).toBe('700')
  expect(await mode(store)).toBe('700')
  const names = await readdir(store)
  expect(names.length).toBeGreaterThan(3)
  for (const name of names) expect([name, await mode(join(store, name))]).toEqual([name, '600'])
})
