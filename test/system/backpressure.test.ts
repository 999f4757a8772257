/**
 * A subscriber that never reads: it harms nobody else, and what waits for it is bounded in memory. With
 * QoS 0 the rest is dropped for it, with QoS 1 it waits in its queue, as far as its limits go.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Broker, startBroker } from '../support/broker.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { residentMemory } from '../support/procfs.ts'
import { until } from '../support/wait.ts'

const KIB = 1024
const MIB = 1024 * KIB
const PAYLOAD = Buffer.alloc(4 * KIB, 'x')
/** 256 MiB in all: far more than a broker may hold for one subscriber. */
const COUNT = (256 * MIB) / PAYLOAD.length
/** Messages the publisher is ahead of the subscriber that reads, at most. */
const AHEAD = 250
/**
 * What the memory may grow by while 256 MiB pass: limits of the session, plus what the collector has not yet
 * taken (V8 lets buffers pile up to some 64 MiB before it looks) and what malloc keeps for LevelDB's threads.
 */
const GROWTH = 160 * MIB
/** The same when every message is queued on disk and later dropped from it: LevelDB's own memory comes on top. */
const GROWTH_ON_DISK = 192 * MIB
const LONG = 60_000

let broker: Broker
beforeEach(async () => {
  broker = await startBroker({ maxQueuedBytes: 16 * MIB, maxQueuedMessages: 100_000 })
})
afterEach(() => broker?.[Symbol.asyncDispose]())

/** Highest resident memory of the broker while `work` runs, in bytes. */
async function peakMemory(work: Promise<unknown>): Promise<number> {
  let peak = 0
  let done = false
  const finished = work.finally(() => {
    done = true
  })
  while (!done && broker.pid !== undefined) {
    peak = Math.max(peak, await residentMemory(broker.pid))
    await Promise.race([finished.catch(() => {}), new Promise(resolve => setTimeout(resolve, 20))])
  }
  await finished
  return peak
}

async function publishAll(pub: RawClient, reader: RawClient, qos: 0 | 1, count: number): Promise<void> {
  const messageId = (number: number): number => (number % 60_000) + 1
  for (let sent = 0; sent < count; ) {
    await until(() => sent - reader.publishes.length < AHEAD, {
      what: 'the subscriber that reads',
      every: 1,
      timeout: LONG,
    })
    for (let batch = 0; batch < 50 && sent < count; batch++, sent++) {
      const packet = { cmd: 'publish', topic: 'flood', payload: PAYLOAD, retain: false, dup: false } as const
      pub.send(qos === 0 ? { ...packet, qos } : { ...packet, qos, messageId: messageId(sent) })
    }
  }
  await reader.received(count, LONG)
}

describe.each([0, 1] as const)('with QoS %i', qos => {
  test.each([true, false])(
    'a subscriber that never reads (clean session: %s) slows nobody, and the memory stays bounded',
    { timeout: 3 * LONG },
    async clean => {
      await using frozen = await RawClient.connect({ port: broker.port, clientId: 'frozen', clean })
      await frozen.subscribe({ topic: 'flood', qos })
      frozen.socket.pause()
      await using reader = await RawClient.connect({ port: broker.port, clientId: 'reader' })
      await reader.subscribe({ topic: 'flood', qos })
      await using pub = await RawClient.connect({ port: broker.port })
      // Warm: what the first few cost is not what the flood costs.
      await publishAll(pub, reader, qos, AHEAD)
      reader.publishes.length = 0
      const before = broker.pid === undefined ? 0 : await residentMemory(broker.pid)
      const peak = await peakMemory(publishAll(pub, reader, qos, COUNT))
      expect(reader.publishes).toHaveLength(COUNT)
      if (broker.pid === undefined) return
      const growth = (peak - before) / MIB
      console.log(
        `QoS ${qos}, clean ${clean}: ${growth.toFixed(0)} MiB more while ${(COUNT * PAYLOAD.length) / MIB} MiB passed`,
      )
      expect(growth).toBeLessThan((qos === 1 && !clean ? GROWTH_ON_DISK : GROWTH) / MIB)

      // The frozen one thaws: it gets what was kept for it and is served on.
      frozen.socket.resume()
      const thawed = async (): Promise<boolean> => {
        // With QoS 0 the first ones may still be dropped, until its socket has drained.
        await pub.publish('flood', 'fence', { qos: 1 })
        return frozen.publishes.some(packet => packet.payload.length === 'fence'.length)
      }
      await until(thawed, { what: 'a fence at the subscriber that thawed', timeout: LONG, every: 50 })
    },
  )
})

test('a publisher is not read from without end while nobody can take its messages', { timeout: 3 * LONG }, async () => {
  // Only a frozen subscriber: QoS 0 is dropped for it, so the publisher's bytes must not pile up either.
  await using frozen = await RawClient.connect({ port: broker.port })
  await frozen.subscribe({ topic: 'flood', qos: 0 })
  frozen.socket.pause()
  await using pub = await RawClient.connect({ port: broker.port })
  const before = broker.pid === undefined ? 0 : await residentMemory(broker.pid)
  const peak = await peakMemory(
    (async () => {
      for (let sent = 0; sent < COUNT; sent += 50) {
        for (let batch = 0; batch < 50; batch++) pub.publish('flood', PAYLOAD)
        await pub.ping()
      }
    })(),
  )
  if (broker.pid !== undefined) expect((peak - before) / MIB).toBeLessThan(GROWTH / MIB)
})
