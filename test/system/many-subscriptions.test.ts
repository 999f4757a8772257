/**
 * One client with thousands of subscriptions, some of which overlap: each message comes once, at the highest QoS, and is
 * found at a cost that does not grow with the subscriptions (10,000 topics by turns were once a matter of minutes).
 */
import type { ISubscription, QoS } from 'mqtt-packet'
import { expect, onTestFinished, test } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { RawClient } from '../support/mqtt-client.ts'

/** More than the answers that a session remembers, so that each is looked for. */
const TOPICS = 10_000
/** Filters in one SUBSCRIBE. */
const TOGETHER = 500

async function startPair(): Promise<{ subscriber: RawClient; publisher: RawClient }> {
  const { port, ...broker } = await startBroker()
  onTestFinished(() => broker[Symbol.asyncDispose]())
  const [subscriber, publisher] = await Promise.all([RawClient.connect({ port }), RawClient.connect({ port })])
  onTestFinished(() => subscriber[Symbol.asyncDispose]())
  onTestFinished(() => publisher[Symbol.asyncDispose]())
  return { subscriber, publisher }
}

async function subscribe(client: RawClient, subscriptions: readonly ISubscription[]): Promise<void> {
  for (let at = 0; at < subscriptions.length; at += TOGETHER) {
    const part = subscriptions.slice(at, at + TOGETHER)
    expect(await client.subscribe(...part)).toEqual(part.map(({ qos }) => qos))
  }
}

test(`each of ${TOPICS} subscriptions gets its message, twice by turns`, { timeout: 60_000 }, async () => {
  const { subscriber, publisher } = await startPair()
  const topics = Array.from({ length: TOPICS }, (_, i) => `shelf/${i}/jar`)
  await subscribe(
    subscriber,
    topics.map(topic => ({ topic, qos: 0 })),
  )
  const rounds = [...topics, ...topics]
  for (const topic of rounds)
    publisher.send({ cmd: 'publish', topic, payload: 'full', qos: 0, retain: false, dup: false })
  await subscriber.received(rounds.length, 50_000)
  expect(subscriber.publishes.map(({ topic }) => topic)).toEqual(rounds)
})

test('what overlaps counts once and at the highest QoS, as subscriptions come, change and go', async () => {
  const { subscriber, publisher } = await startPair()
  const others = Array.from({ length: 60 }, (_, i): ISubscription => ({ topic: `other/${i}`, qos: 0 }))
  await subscribe(subscriber, [...others, { topic: 'shelf/+', qos: 0 }, { topic: 'shelf/1', qos: 1 }])
  const expected: [string, QoS][] = []
  const publish = async (topic: string, qos: QoS) => {
    await publisher.publish(topic, 'full', { qos: 1 })
    expected.push([topic, qos])
    await subscriber.received(expected.length)
    expect(subscriber.publishes.map(({ topic, qos }) => [topic, qos])).toEqual(expected)
  }
  await publish('shelf/1', 1)
  await publish('shelf/2', 0)
  await publish('other/59', 0)
  await subscribe(subscriber, [
    { topic: 'shelf/1', qos: 0 },
    { topic: 'other/59', qos: 1 },
    { topic: '#', qos: 0 },
  ])
  await publish('shelf/1', 0)
  await publish('other/59', 1)
  await subscribe(subscriber, [{ topic: 'shelf/#', qos: 1 }])
  await publish('shelf/1', 1)
  subscriber.send({ cmd: 'unsubscribe', messageId: 999, unsubscriptions: ['shelf/#', 'other/59'] })
  await subscriber.next('unsuback', 999)
  await publish('shelf/1', 0)
  await publish('other/59', 0)
})
