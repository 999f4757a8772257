/** `bridges`: brokers elsewhere, and what is carried to them. */
import * as v from 'valibot'
import { inRules, outRules } from './bridge-rules.ts'
import { checkConnection, connectionEntries, finishConnection, withPreset } from './connections.ts'
import type { BridgeConfig } from './schema.ts'
import { list, map, type Report } from './structure.ts'
import { duration, flag, type Schema, text, whole } from './values.ts'

/** `client_id` is filled in once the gateway's name is known. */
export type BridgeEntry = Omit<BridgeConfig, 'clientId'> & { clientId?: string }

const HOUR = 3_600_000

export function bridgeList(): Schema<BridgeEntry[]> {
  return list(bridge(), { example: 'name: cloud' })
}

function bridge(): Schema<BridgeEntry> {
  const entries = {
    name: text({ example: 'cloud', max: 100, fault: nameFault }),
    ...connectionEntries(),
    client_id: v.exactOptional(text({ example: 'larder-kitchen' })),
    username: v.exactOptional(text({ example: 'larder' })),
    password: v.exactOptional(text({ example: '"open sesame"', secret: true })),
    keepalive: v.optional(duration({ min: 1_000, max: 65_535_000, example: '60s', seconds: true }), '60s'),
    max_inflight: v.optional(whole({ min: 1, max: 65_535, example: 20 }), 20),
    retry: v.optional(retry(), {}),
    drain_share: v.exactOptional(whole({ min: 0, max: 100, example: 50 })),
    max_rate: v.exactOptional(whole({ min: 1, max: 1_000_000, example: 100 })),
    out: v.optional(outRules(), []),
    in: v.exactOptional(inRules()),
    both: v.exactOptional(outRules()),
    notify_upstream: v.exactOptional(flag()),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    checkConnection(written, report)
    const hasRules = (['out', 'in', 'both'] as const).some(way => !isEmptyList(written[way]))
    if (!hasRules) report('needs at least one entry, such as - filter: "/Home/#"', ['out'])
    // [MQTT-3.1.2-22]
    if ('password' in written && !('username' in written)) {
      report('is required with a password, such as username: larder', ['username'], 'missing')
    }
  }
  return withPreset(v.pipe(map(entries, { example: 'name: cloud', check }), v.transform(finishConnection)))
}

/** Something that is no list is another's to complain about. */
function isEmptyList(written: unknown): boolean {
  return written === undefined || (Array.isArray(written) && written.length === 0)
}

function retry() {
  return map(
    {
      min: v.optional(duration({ min: 100, max: HOUR, example: '1s' }), '1s'),
      max: v.optional(duration({ min: 100, max: 24 * HOUR, example: '1m' }), '1m'),
    },
    {
      example: 'max: 5m',
      check: ({ min, max }, report) => {
        if (typeof min === 'number' && typeof max === 'number' && min > max)
          report('must not be shorter than min', ['max'])
      },
    },
  )
}

function nameFault(name: string): string | undefined {
  return /^[A-Za-z0-9_-]+$/.test(name) ? undefined : "may have letters without accents, digits, '-' and '_' only"
}
