/** What the gateway holds for topic aliases is bounded, also where somebody else chooses the topics. */
import { expect, test } from 'vitest'
import { AssignedAliases } from '../../../src/broker/aliases.ts'
import { topicBytesOf } from '../../../src/mqtt/publish.ts'

const find = (aliases: AssignedAliases, topic: string): number => aliases.find(topic, topicBytesOf(topic))
const sentWith = (topicAlias: number) => ({
  properties: undefined,
  messageExpiryInterval: undefined,
  topicAlias,
  subscriptionIdentifiers: undefined,
  withoutTopic: false,
})

test('a client that takes many has 1,024 of ordinary length', () => {
  const aliases = new AssignedAliases(65_535)
  const topics = Array.from({ length: 1_025 }, (_, i) => `home/${String(i).padStart(58, '0')}`)
  expect(topics.map(topic => find(aliases, topic))).toEqual([...Array.from({ length: 1_024 }, (_, i) => -i - 1), 0])
  expect(topics.map(topic => find(aliases, topic))).toEqual([...Array.from({ length: 1_024 }, (_, i) => i + 1), 0])
})

test('topics that are as long as can be have few, and leave room for short ones', () => {
  const aliases = new AssignedAliases(1_024)
  const long = Array.from({ length: 10 }, (_, i) => `${i}/${'x'.repeat(60_000)}`)
  expect(long.map(topic => find(aliases, topic))).toEqual([-1, ...new Array(9).fill(0)])
  expect(find(aliases, 'home/kitchen')).toBe(-2)
})

test('one that was not sent after all takes no room', () => {
  const aliases = new AssignedAliases(1_024)
  for (let i = 0; i < 10; i++) {
    const topic = `${i}/${'x'.repeat(60_000)}`
    expect(find(aliases, topic)).toBe(-1)
    aliases.forget(topic, sentWith(1))
  }
})
