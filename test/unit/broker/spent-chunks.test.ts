import { setImmediate as turn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { SpentChunks } from '../../../src/broker/spent-chunks.ts'

const MIB = 1024 * 1024

/** Bytes of buffers at their most, over those at the beginning, while 200 MiB are read in large chunks. */
async function pileOf(read: (bytes: number) => void): Promise<number> {
  const before = process.memoryUsage().arrayBuffers
  let most = 0
  for (let i = 0; i < 800; i++) {
    read(Buffer.allocUnsafe(MIB / 4).length)
    await turn()
    most = Math.max(most, process.memoryUsage().arrayBuffers - before)
  }
  return most
}

test('buffers of what was read do not pile up until V8 minds', async () => {
  const chunks = new SpentChunks()
  const alone = await pileOf(() => {})
  const looked = await pileOf(bytes => chunks.read(bytes))
  expect(alone).toBeGreaterThan(20 * MIB)
  expect(looked).toBeLessThan(14 * MIB)
})
