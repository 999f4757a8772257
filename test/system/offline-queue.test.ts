/**
 * The larder's promise: a message that was acknowledged is there when its subscriber comes back, in order
 * per topic, though the gateway was killed in between. Repeats are what QoS 1 allows.
 */
import { describe, expect, test } from 'vitest'
import { REFERENCE, startBroker } from '../support/broker.ts'
import { startGateway } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { needs } from '../support/needs.ts'
import { type Sub, startSub } from '../support/sub.ts'
import { until } from '../support/wait.ts'

const COUNT = 10_000
/** Messages in flight at the publisher. */
const WINDOW = 50
const TOPICS = 5
/** Deadline in ms for draining or publishing everything on a loaded machine. */
const LONG = 60_000

const topicOf = (number: number): string => `readings/${number % TOPICS}`
const session = (port: number) =>
  ({ port, topics: ['readings/#'], qos: 1, clientId: 'comes-back', persistent: true }) as const
const ledger = (): Ledger => new Ledger({ clientId: 'publisher', count: COUNT, window: WINDOW, topicOf })
const numbered = (sub: Sub): { topic: string; number: number }[] =>
  sub.messages.map(({ topic, payload }) => ({ topic, number: Number(payload) }))

/** A number between the two, and the same in the title of the test, so that a failure says where it happened. */
const between = (low: number, high: number): number => Math.floor(low + Math.random() * (high - low))

async function everything(...subs: Sub[]): Promise<void> {
  const distinct = (): number => new Set(subs.flatMap(sub => sub.payloads)).size
  await until(() => distinct() >= COUNT, {
    what: () => `${COUNT} messages; got ${distinct()}`,
    timeout: LONG,
    every: 50,
  })
}

describe.skipIf(!needs('mosquitto_sub'))('a persistent subscriber goes away', () => {
  test(`and ${COUNT} messages wait for it, each once and in order`, { timeout: 3 * LONG }, async () => {
    await using broker = await startBroker()
    await (await startSub(session(broker.port))).stop()
    const published = ledger()
    expect(await published.run(broker.port)).toBe(true)
    await using sub = await startSub(session(broker.port))
    await everything(sub)
    expect(faultsOfDelivery(numbered(sub), published.acknowledged, topicOf)).toEqual([])
    expect(sub.messages).toHaveLength(COUNT)
  })

  describe.skipIf(REFERENCE)('and the gateway is killed', () => {
    test.each([between(500, 3_500), between(3_500, 6_500), between(6_500, 9_500)])(
      'after %i acknowledgements: every acknowledged message arrives, in order',
      { timeout: 3 * LONG },
      async moment => {
        await using gateway = await startGateway({ config: 'name: Test' })
        await (await startSub(session(gateway.port))).stop()

        const published = ledger()
        published.onAcknowledged = count => {
          if (count === moment) process.kill(gateway.pid, 'SIGKILL')
        }
        expect(await published.run(gateway.port)).toBe(false)
        expect(published.acknowledged.size).toBeGreaterThanOrEqual(moment)
        await gateway.exit
        await gateway.start()
        expect(await published.run(gateway.port)).toBe(true)
        expect(published.acknowledged.size).toBe(COUNT)

        await using sub = await startSub(session(gateway.port))
        await everything(sub)
        expect(faultsOfDelivery(numbered(sub), published.acknowledged, topicOf)).toEqual([])
        // Only what was in flight at the kill may come twice.
        expect(sub.messages.length).toBeLessThanOrEqual(COUNT + WINDOW)
      },
    )

    test('while the subscriber drains its queue: every message arrives, in order', { timeout: 3 * LONG }, async () => {
      await using gateway = await startGateway({ config: 'name: Test' })
      await (await startSub(session(gateway.port))).stop()
      const published = ledger()
      expect(await published.run(gateway.port)).toBe(true)

      await using first = await startSub(session(gateway.port))
      await first.received(between(100, 5_000), LONG)
      await gateway.kill()
      await first.kill()
      await gateway.start()
      await using second = await startSub(session(gateway.port))
      await everything(first, second)
      expect(faultsOfDelivery([...numbered(first), ...numbered(second)], published.acknowledged, topicOf)).toEqual([])
    })

    test('again and again: nothing is lost over many kills', { timeout: 3 * LONG }, async () => {
      await using gateway = await startGateway({ config: 'name: Test' })
      await (await startSub(session(gateway.port))).stop()
      const published = ledger()
      let next = between(100, 1_500)
      let isKilled = false
      published.onAcknowledged = count => {
        if (count < next || isKilled) return
        next = count + between(500, 2_000)
        isKilled = true
        process.kill(gateway.pid, 'SIGKILL')
      }
      for (let isDone = false; !isDone; ) {
        isDone = await published.run(gateway.port)
        // Also when the kill came with the very last acknowledgements.
        if (!isKilled) continue
        await gateway.exit
        await gateway.start()
        isKilled = false
      }
      await using sub = await startSub(session(gateway.port))
      await everything(sub)
      expect(faultsOfDelivery(numbered(sub), published.acknowledged, topicOf)).toEqual([])
    })
  })
})
