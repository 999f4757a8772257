/** What a bridge carries, and how: the entries of `out`, `in` and `both`. */
import * as v from 'valibot'
import { shorten } from './fault.ts'
import type { BridgeRule } from './schema.ts'
import { list, map, type Report } from './structure.ts'
import { filterFault, prefix, topicName } from './topics.ts'
import { formatDuration, parseDuration } from './units.ts'
import { choice, duration, found, Refusal, type Schema, size, text, value } from './values.ts'

const DAY = 86_400_000
const KIB = 2 ** 10
const MIB = 2 ** 20
/** ms of which a sample leaves one message. */
const MIN_SAMPLE = 1_000
const MAX_SAMPLE = 30 * DAY

/** Rules that carry from the upstream only. */
export function inRules(): Schema<BridgeRule[]> {
  return list(map(usualEntries(), { example: 'filter: "/Home/#"', check: checkFilter }), {
    example: 'filter: "/Home/#"',
  })
}

/** Rules that carry to the upstream, or both ways. */
export function outRules(): Schema<BridgeRule[]> {
  const entries = {
    ...usualEntries(),
    on_backlog: v.exactOptional(onBacklog()),
    priority: v.exactOptional(choice(['high', 'normal', 'low'])),
    wrap: v.exactOptional(choice(['json'])),
    batch: v.exactOptional(batch()),
    compress: v.exactOptional(choice(['gzip'])),
  }
  const check = (written: Record<string, unknown>, report: Report) => {
    checkFilter(written, report)
    if ('batch' in written && written.qos === 2) {
      report('must be 0 or 1: a batch is acknowledged as a whole, and its messages may come again', ['qos'])
    }
  }
  return list(map(entries, { example: 'filter: "/Home/#"', check }), { example: 'filter: "/Home/#"' })
}

function usualEntries() {
  return {
    filter: wholeOrFilter(),
    qos: v.optional(choice([0, 1, 2]), 1),
    retain: v.exactOptional(choice(['keep', 'clear'])),
    local_prefix: v.exactOptional(prefix('cellar/')),
    remote_prefix: v.exactOptional(prefix('house/')),
  }
}

function batch() {
  return map(
    {
      every: v.optional(duration({ min: 10, max: DAY, example: '1s' }), '1s'),
      max_bytes: v.optional(size({ min: KIB, max: MIB, example: '64KiB' }), '64KiB'),
      topic: topicName('house/readings'),
    },
    { example: 'topic: house/readings' },
  )
}

/** Of how many ms an outage leaves the newest message of a topic: 0 for `keep`, Infinity for `latest`. */
function onBacklog(): Schema<number> {
  return value('latest', input => {
    if (input === 'keep') return 0
    if (input === 'latest') return Number.POSITIVE_INFINITY
    const [word, span = '', more] = typeof input === 'string' ? input.split(/ +/) : []
    const ms = word === 'sample' && more === undefined ? parseDuration(span) : undefined
    if (ms === undefined)
      return new Refusal(`must be keep, latest or sample with a duration, such as sample 1m; found ${found(input)}`)
    if (ms >= MIN_SAMPLE && ms <= MAX_SAMPLE) return ms
    return new Refusal(
      `must be a sample of ${formatDuration(MIN_SAMPLE)} to ${formatDuration(MAX_SAMPLE)}; found ${span}`,
    )
  })
}

function checkFilter(written: Record<string, unknown>, report: Report): void {
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

/** Empty, as Mosquitto's `""`: the one topic that is the local prefix becomes the one that is the remote prefix. */
function wholeOrFilter(): Schema<string> {
  const fault = (filter: string) =>
    filter === '' ? undefined : filterFault(filter)?.replace(/^a topic filter must/, 'must')
  return text({ example: '"/Home/#"', mayBeEmpty: true, fault })
}
