/** An offline client that fills the disk: what waits for a session is bounded in bytes, on disk and in memory. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { RawClient } from '../../support/mqtt-client.ts'
import { folderBytes } from '../../support/procfs.ts'
import { until } from '../../support/wait.ts'
import { Siege } from './siege.ts'

const MIB = 1024 * 1024
/** `limits.max_queued_bytes`. */
const MAX_QUEUED = 4 * MIB
const PAYLOAD = 16 * 1024
/** 128 MiB in all: many times what may wait. */
const COUNT = (128 * MIB) / PAYLOAD
/** Messages of the publisher in flight at most. */
const WINDOW = 100
/**
 * Bytes that the store may have on disk: what waits, its log, and what LevelDB has not yet compacted away of what was
 * dropped.
 */
const ON_DISK = 64 * MIB

let siege: Siege
beforeAll(async () => {
  siege = await Siege.lay([`max_queued_bytes: ${MAX_QUEUED}`, 'max_queued_messages: 1000000'])
})
afterAll(() => siege?.[Symbol.asyncDispose]())

test.each([1, 2] as const)(
  'a queue at QoS %i: the oldest go, the newest are there when it comes back',
  { timeout: 180_000 },
  async qos => {
    const session = { port: siege.port, clientId: `away-${qos}`, clean: false, keepalive: 60 }
    const first = await RawClient.connect(session)
    await first.subscribe({ topic: `fill/${qos}`, qos })
    await first.disconnect()
    let onDisk = 0
    await siege.withstand(
      async () => {
        await using pub = await RawClient.connect({ port: siege.port, keepalive: 60 })
        for (let number = 0; number < COUNT; number += WINDOW) {
          const publishing = Array.from({ length: Math.min(WINDOW, COUNT - number) }, (_, index) =>
            pub.publish(`fill/${qos}`, payloadOf(number + index), { qos }),
          )
          await Promise.all(publishing)
          onDisk = Math.max(onDisk, await folderBytes(siege.gateway.dataDir))
        }
      },
      // LevelDB's own memory comes on top: its buffers, its cache, and the blocks that a compaction holds.
      { flat: 160 },
    )
    expect(onDisk / MIB, 'MiB on disk').toBeLessThan(ON_DISK / MIB)
    await using second = await RawClient.connect(session)
    const numberOf = (payload: string): number => Number(payload.slice(0, payload.indexOf(' ')))
    await until(() => second.publishes.length > 0 && numberOf(second.payloads.at(-1) as string) === COUNT - 1, {
      what: () => `the last message; ${second.publishes.length} have come`,
      timeout: 30_000,
    })
    const numbers = second.payloads.map(numberOf)
    // As many as fit into the limit, without a gap, up to the last.
    const fit = Math.floor(MAX_QUEUED / (PAYLOAD + `fill/${qos}`.length))
    expect(numbers.length).toBeGreaterThan(0.9 * fit)
    expect(numbers.length).toBeLessThanOrEqual(fit)
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, index) => COUNT - numbers.length + index))
  },
)

function payloadOf(number: number): string {
  return `${number} `.padEnd(PAYLOAD, 'x')
}
