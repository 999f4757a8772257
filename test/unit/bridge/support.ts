import { onTestFinished } from 'vitest'
import { Bridge } from '../../../src/bridge/bridge.ts'
import type { ConnectionSettings } from '../../../src/bridge/connection.ts'
import type { BridgeSettings } from '../../../src/bridge/ports.ts'
import { type Clock, systemClock } from '../../../src/kernel/clock.ts'
import { MemoryBroker } from '../../support/bridge-broker.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { MemoryQueue } from '../../support/memory-queue.ts'
import { recordLog } from '../../support/record-log.ts'

/** Pauses in ms, short because a test waits for them. */
export const RETRY = { min: 5, max: 20 }

/** A bridge under test, on a queue in memory; it stops with the test. */
export async function startBridge(
  url: string,
  settings: Partial<BridgeSettings & ConnectionSettings> = {},
  clock: Clock = systemClock,
  broker: MemoryBroker = new MemoryBroker(new MemoryQueue('$bridge/cloud')),
) {
  const { queue } = broker
  const { log, lines } = recordLog()
  const bridge = new Bridge({
    settings: {
      name: 'cloud',
      url,
      clientId: 'larder-test',
      keepalive: 60_000,
      maxInflight: 20,
      retry: RETRY,
      out: [{ filter: '#', qos: 1 }],
      ...settings,
    },
    gateway: 'Cottage',
    broker,
    clock,
    log,
    random: Math.random,
  })
  await bridge.start(new AbortController().signal)
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= bridge.stop()
    return stopped
  }
  onTestFinished(async () => {
    const done = stop()
    if (clock instanceof ManualClock) await clock.advance(2_000)
    await done
  })
  const messages = () => lines.map(line => line.message)
  return { bridge, broker, queue, spools: broker.opened, lines, messages, stop }
}
