/** `bridges`: brokers elsewhere, and what is carried to them. */
import * as v from 'valibot'
import { address, formatAddress } from './addresses.ts'
import { shorten } from './fault.ts'
import type { BridgeConfig, BridgeRule } from './schema.ts'
import { list, map, type Report } from './structure.ts'
import { filterFault, prefix, topicFilter } from './topics.ts'
import { choice, duration, type Schema, text, whole } from './values.ts'

/** `client_id` is filled in once the gateway's name is known. */
export type BridgeEntry = Omit<BridgeConfig, 'clientId'> & { clientId?: string }

const HOUR = 3_600_000

export function bridgeList(): Schema<BridgeEntry[]> {
  return list(bridge(), { example: 'name: cloud' })
}

function bridge(): Schema<BridgeEntry> {
  const entries = {
    name: text({ example: 'cloud', max: 100, fault: nameFault }),
    url: address({ protocols: ['mqtt'], minPort: 1, example: 'mqtt://broker.example.org:1883' }),
    client_id: v.exactOptional(text({ example: 'larder-kitchen' })),
    username: v.exactOptional(text({ example: 'larder' })),
    password: v.exactOptional(text({ example: '"open sesame"', secret: true })),
    keepalive: v.optional(duration({ min: 1_000, max: 65_535_000, example: '60s', seconds: true }), '60s'),
    max_inflight: v.optional(whole({ min: 1, max: 65_535, example: 20 }), 20),
    retry: v.optional(retry(), {}),
    out: list(rule(), { example: 'filter: "/Home/#"', min: 1 }),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    // [MQTT-3.1.2-22]
    if ('password' in written && !('username' in written)) {
      report('is required with a password, such as username: larder', ['username'], 'missing')
    }
  }
  return v.pipe(
    map(entries, { example: 'name: cloud', check }),
    v.transform(({ url, ...rest }) => ({ ...rest, url: formatAddress(url) })),
  )
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

function rule(): Schema<BridgeRule> {
  const entries = {
    filter: topicFilter('"/Home/#"'),
    qos: v.optional(choice([0, 1]), 1),
    local_prefix: v.exactOptional(prefix('cellar/')),
    remote_prefix: v.exactOptional(prefix('house/')),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    const { filter, local_prefix: local } = written
    if (typeof filter !== 'string' || typeof local !== 'string' || filterFault(filter) !== undefined) return
    const fault = filterFault(`${local}${filter}`)
    if (fault !== undefined)
      report(`together with local_prefix it is '${shorten(`${local}${filter}`)}', but ${fault}`, ['filter'])
  }
  return map(entries, { example: 'filter: "/Home/#"', check })
}

function nameFault(name: string): string | undefined {
  return /^[A-Za-z0-9_-]+$/.test(name) ? undefined : "may have letters without accents, digits, '-' and '_' only"
}
