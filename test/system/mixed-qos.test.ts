/**
 * QoS 0 and QoS 1 mixed from one publisher to a persistent subscriber that is there: QoS 0 passes by the
 * store and QoS 1 goes through it, and neither may make the other one lost or late.
 */
import { describe, expect, test } from 'vitest'
import { startBroker } from '../support/broker.ts'
import { Ledger } from '../support/ledger.ts'
import { needs } from '../support/needs.ts'
import { startSub } from '../support/sub.ts'

const COUNT = 20_000
const WINDOW = 100

describe.skipIf(!needs('mosquitto_sub')).each([
  ['alternating', (number: number): 0 | 1 => (number % 2 === 0 ? 0 : 1)],
  // A multiplicative hash: irregular, and the same in every run.
  ['irregularly', (number: number): 0 | 1 => ((Math.imul(number, 0x9e3779b1) >>> 30) % 2 === 0 ? 0 : 1)],
])('QoS 0 and 1 %s mixed', (_, qosOf) => {
  test(`${COUNT} messages to a persistent subscriber: none lost, each QoS in order`, { timeout: 120_000 }, async () => {
    await using broker = await startBroker()
    const { port } = broker
    await using sub = await startSub({ port, topics: ['mixed'], qos: 1, clientId: 'persistent', persistent: true })
    const published = new Ledger({ clientId: 'publisher', count: COUNT, window: WINDOW, topicOf: () => 'mixed', qosOf })
    expect(await published.run(port)).toBe(true)
    await sub.received(COUNT, 60_000)
    for (const qos of [0, 1]) {
      const expected = Array.from({ length: COUNT }, (_, number) => number).filter(number => qosOf(number) === qos)
      const got = sub.messages.filter(message => message.qos === qos).map(message => Number(message.payload))
      expect(got).toEqual(expected)
    }
  })
})
