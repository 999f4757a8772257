/** `limits.max_subscriptions`, and what one SUBSCRIBE may cost the others. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { QoS } from 'mqtt-packet'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startLimited } from '../support/limited.ts'
import { RawClient, type RawClientOptions } from '../support/mqtt-client.ts'
import { until } from '../support/wait.ts'
import { Attacker } from './attacks/attacker.ts'

const QUOTA_EXCEEDED = 0x97
const FAILURE = 0x80

async function connect(options: RawClientOptions): Promise<RawClient> {
  const client = await RawClient.connect(options)
  onTestFinished(() => client[Symbol.asyncDispose]())
  return client
}

const filters = (...topics: string[]) => topics.map(topic => ({ topic, qos: 1 as QoS }))
const numbered = (count: number) => filters(...Array.from({ length: count }, (_, i) => `shelf/${i}/+`))

describe.each([
  [4, FAILURE],
  [5, QUOTA_EXCEEDED],
] as const)('in MQTT version %i', (protocolVersion, refusal) => {
  test('what is too much is refused, what is there may be renewed, and what has gone makes room', async () => {
    const { port } = await startLimited({ max_subscriptions: 3 })
    const client = await connect({ port, protocolVersion })
    expect(await client.subscribe(...filters('a', 'b', 'a', 'c', 'd'))).toEqual([1, 1, 1, 1, refusal])
    expect(await client.subscribe({ topic: 'a', qos: 0 }, { topic: 'e', qos: 0 })).toEqual([0, refusal])
    await client.publish('d', 'not wanted')
    await client.publish('b', 'wanted')
    await client.received(1)
    expect(client.payloads).toEqual(['wanted'])
    client.send({ cmd: 'unsubscribe', messageId: 99, unsubscriptions: ['b'] })
    await client.next('unsuback', 99)
    expect(await client.subscribe(...filters('e', 'f'))).toEqual([1, refusal])
  })
})

test('a session that comes back with more keeps them, and may renew them', async () => {
  const { port, reload } = await startLimited({})
  const before = await connect({ port, clientId: 'hall', clean: false })
  await before.subscribe(...filters('a', 'b', 'c'))
  await before.disconnect()
  await reload({ max_subscriptions: 2 })
  const after = await connect({ port, clientId: 'hall', clean: false })
  expect(await after.subscribe(...filters('c', 'd'))).toEqual([1, FAILURE])
  for (const topic of ['a', 'b', 'c']) await after.publish(topic, topic)
  await after.received(3)
  expect(after.payloads).toEqual(['a', 'b', 'c'])
})

describe('one packet', () => {
  /** As `src/mqtt/subscribe.ts` has it. */
  const MAX_FILTERS = 5_000

  /** Access rules of which thousands of filters have to be compared with many each. */
  async function rules(): Promise<string> {
    const folder = await mkdtemp(join(tmpdir(), 'larder-rules-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const path = join(folder, 'acl')
    const forms = (i: number) => [`a/+/x${i}/#`, `+/b${i}/c`, `f/${i}/+`][i % 3]
    const lines = Array.from({ length: 1_000 }, (_, i) => `topic readwrite ${forms(i)}`)
    await writeFile(path, [...lines, 'topic readwrite shelf/#', 'topic readwrite other/#'].join('\n'))
    return path
  }

  test.each([true, false])('of thousands of filters lets others have their turns (clean session: %s)', async clean => {
    const access = { acl_file: await rules(), allow_anonymous: true }
    const { port } = await startLimited({}, { settings: { access } })
    const client = await connect({ port, clean })
    const bystander = await connect({ port })
    let turns = 0
    let isOver = false
    const watching = (async () => {
      for (; !isOver; turns++) await bystander.ping()
    })()
    const granted = await client.subscribe(...numbered(MAX_FILTERS))
    const meanwhile = turns
    isOver = true
    await watching
    expect(granted).toEqual(Array(MAX_FILTERS).fill(1))
    // Done in one go, one ping would be answered before and one after.
    expect(meanwhile).toBeGreaterThan(5)
  })

  test('what follows it waits for it', async () => {
    const access = { acl_file: await rules(), allow_anonymous: true }
    const { port } = await startLimited({}, { settings: { access } })
    const client = await connect({ port })
    const seen: string[] = []
    client.onPacket = ({ cmd }) => seen.push(cmd)
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: numbered(MAX_FILTERS) })
    client.send({
      cmd: 'publish',
      topic: `shelf/${MAX_FILTERS - 1}/x`,
      payload: 'x',
      qos: 0,
      retain: false,
      dup: false,
    })
    const unsubscriptions = numbered(MAX_FILTERS).map(({ topic }) => topic)
    client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions })
    client.send({ cmd: 'subscribe', messageId: 3, subscriptions: filters('shelf/1/+') })
    client.send({ cmd: 'publish', topic: 'shelf/1/x', payload: 'y', qos: 0, retain: false, dup: false })
    client.send({ cmd: 'publish', topic: 'shelf/2/x', payload: 'z', qos: 0, retain: false, dup: false })
    client.send({ cmd: 'pingreq' })
    await client.next('pingresp')
    expect(seen).toEqual(['suback', 'publish', 'unsuback', 'suback', 'publish', 'pingresp'])
    expect(client.payloads).toEqual(['x', 'y'])
  })

  test('what follows it waits for it in a session that is kept, too', async () => {
    const access = { acl_file: await rules(), allow_anonymous: true }
    const { port } = await startLimited({}, { settings: { access } })
    const client = await connect({ port, clean: false })
    const say = (topic: string, payload: string) => void client.publish(topic, payload)
    const last = MAX_FILTERS - 1
    // Answered when it is durable, which is in the middle of what follows.
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: filters('other/1') })
    client.send({ cmd: 'subscribe', messageId: 2, subscriptions: numbered(MAX_FILTERS) })
    say(`shelf/${last}/x`, 'x')
    client.send({ cmd: 'unsubscribe', messageId: 3, unsubscriptions: numbered(MAX_FILTERS).map(({ topic }) => topic) })
    say(`shelf/${last}/x`, 'y')
    say('other/1', 'z')
    client.send({ cmd: 'pingreq' })
    await client.next('pingresp')
    expect(client.payloads).toEqual(['x', 'z'])
  })

  test.each(['subscribe', 'unsubscribe'] as const)('%s of more than that ends the connection', async cmd => {
    const { port } = await startLimited({})
    const attacker = await Attacker.connect(port, 5)
    onTestFinished(() => attacker[Symbol.asyncDispose]())
    const many = numbered(MAX_FILTERS + 1)
    if (cmd === 'subscribe') attacker.send({ cmd, messageId: 1, subscriptions: many })
    else attacker.send({ cmd, messageId: 1, unsubscriptions: many.map(({ topic }) => topic) })
    await attacker.thrownOut(QUOTA_EXCEEDED)
  })

  test('a client that goes while its SUBSCRIBE is dealt with leaves nothing behind', async () => {
    const access = { acl_file: await rules(), allow_anonymous: true }
    const { port, gateway } = await startLimited({}, { settings: { access } })
    const client = await connect({ port, clientId: 'gone' })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: numbered(MAX_FILTERS) })
    client.socket.end()
    await client.closed
    await until(() => gateway.hub.clients.gone === undefined, { what: 'the end of the session' })
    const bystander = await connect({ port })
    for (let i = 0; i < 100; i++) await bystander.publish(`shelf/${i}/x`, 'x', { qos: 1 })
    expect(gateway.hub.stats.sent).toBe(0)
  })
})
