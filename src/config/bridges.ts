/** `bridges`: brokers elsewhere, and what is carried to them. */
import * as v from 'valibot'
import { checkConnection, connectionEntries, finishConnection, withPreset } from './connections.ts'
import { shorten } from './fault.ts'
import type { BridgeConfig, BridgeRule } from './schema.ts'
import { list, map, type Report } from './structure.ts'
import { filterFault, prefix } from './topics.ts'
import { choice, duration, flag, type Schema, text, whole } from './values.ts'

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
    out: v.optional(rules(), []),
    in: v.exactOptional(rules()),
    both: v.exactOptional(rules()),
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

function rules(): Schema<BridgeRule[]> {
  return list(rule(), { example: 'filter: "/Home/#"' })
}

function rule(): Schema<BridgeRule> {
  const entries = {
    filter: wholeOrFilter(),
    qos: v.optional(choice([0, 1, 2]), 1),
    retain: v.exactOptional(choice(['keep', 'clear'])),
    local_prefix: v.exactOptional(prefix('cellar/')),
    remote_prefix: v.exactOptional(prefix('house/')),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    const { filter } = written
    if (typeof filter !== 'string' || (filter !== '' && filterFault(filter) !== undefined)) return
    for (const key of ['local_prefix', 'remote_prefix'] as const) {
      const before = written[key] ?? ''
      if (typeof before !== 'string') continue
      if (filter === '' && before === '') {
        report(`is '', which maps one topic to one topic: then local_prefix and remote_prefix are needed`, ['filter'])
        return
      }
      const fault = filterFault(`${before}${filter}`)
      if (fault !== undefined) {
        report(`together with ${key} it is '${shorten(`${before}${filter}`)}', but ${fault}`, ['filter'])
        return
      }
    }
  }
  return map(entries, { example: 'filter: "/Home/#"', check })
}

/** Empty, as Mosquitto's `""`: the one topic that is the local prefix becomes the one that is the remote prefix. */
function wholeOrFilter(): Schema<string> {
  const fault = (filter: string) =>
    filter === '' ? undefined : filterFault(filter)?.replace(/^a topic filter must/, 'must')
  return text({ example: '"/Home/#"', mayBeEmpty: true, fault })
}

function nameFault(name: string): string | undefined {
  return /^[A-Za-z0-9_-]+$/.test(name) ? undefined : "may have letters without accents, digits, '-' and '_' only"
}
