/** One connection of a bridge under test, with what became of it. */
import type { IClientOptions } from 'mqtt'
import mqtt from 'mqtt'
import { onTestFinished } from 'vitest'
import type { ConnectionSettings, LinkMemory } from '../../../src/bridge/connection.ts'
import { type Fault, faultOf } from '../../../src/bridge/faults.ts'
import { Upstream } from '../../../src/bridge/upstream.ts'
import { type Clock, systemClock } from '../../../src/kernel/clock.ts'
import { until } from '../../support/wait.ts'

export interface Link {
  readonly upstream: Upstream
  /** What happened, in order: `up`, `down`. */
  readonly events: string[]
  /** Resolves when it is up; rejects with the reason when it went down. */
  up(): Promise<void>
  /** Why it went down, once it has. */
  down(): Promise<Fault>
}

interface LinkOptions {
  readonly clock?: Clock
  readonly memory?: LinkMemory
  readonly options?: Partial<IClientOptions>
}

export function startLink(
  settings: ConnectionSettings & { username?: string; password?: string },
  more: LinkOptions = {},
): Link {
  const events: string[] = []
  let fault: Fault | undefined
  const upstream = new Upstream({
    settings: {
      name: 'cloud',
      clientId: 'larder-test',
      keepalive: 60_000,
      maxInflight: 20,
      retry: { min: 1, max: 1 },
      out: [],
      ...settings,
    },
    connect: mqtt.connect,
    clock: systemClock,
    ...more,
    onUp: () => void events.push('up'),
    onDown: error => {
      events.push('down')
      fault = faultOf(error, 'nowhere')
    },
  })
  onTestFinished(async () => {
    upstream.cut(undefined)
    await until(() => events.includes('down'), { what: 'the connection to end' })
  })
  return {
    upstream,
    events,
    up: async () => {
      await until(() => events.length > 0, { what: 'a connection' })
      if (events[0] !== 'up') throw new Error(fault?.reason)
    },
    down: async () => {
      await until(() => events.includes('down'), { what: 'the connection to end' })
      return fault as Fault
    },
  }
}
