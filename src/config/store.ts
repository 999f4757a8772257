/** `store`: where messages are kept and how well. What may wait there at most stands under `limits`. */
import * as v from 'valibot'
import type { DurabilityRuleConfig, StoreConfig } from './schema.ts'
import { list, map, type Report } from './structure.ts'
import { topicFilter } from './topics.ts'
import { parseDuration } from './units.ts'
import { choice, duration, flag, found, Refusal, type Schema, size, text, value } from './values.ts'

const HOUR = 3_600_000
const GIB = 2 ** 30

const REDIS_EXAMPLE = 'redis://127.0.0.1:6379'

export function store(): Schema<StoreConfig> {
  return map(
    {
      engine: v.optional(choice(['level', 'redis']), 'level'),
      url: v.exactOptional(text({ example: REDIS_EXAMPLE, fault: urlFault })),
      durability: v.optional(durability(), 'ack'),
      durability_for: v.optional(list(rule(), { example: 'filter: "/Home/+/telemetry/#"' }), []),
      commit_delay: v.optional(duration({ min: 0, max: 100, example: '5ms' }), '10ms'),
      retained_interval: v.optional(duration({ min: 100, max: 24 * HOUR, example: '5m' }), '5m'),
      min_free: v.optional(size({ min: 0, max: 1024 * GIB, example: '64MiB' }), '64MiB'),
      queue_qos0: v.optional(flag(), false),
      trust_clock: v.optional(choice(['auto', 'always', 'never']), 'auto'),
    },
    { example: 'durability: ack', check: checkEngine },
  )
}

function checkEngine(written: Record<string, unknown>, report: Report): void {
  const isRedis = written.engine === 'redis'
  if (isRedis && !('url' in written))
    report(`is required with engine: redis, such as url: ${REDIS_EXAMPLE}`, ['url'], 'missing')
  if (!isRedis && 'url' in written) report('is only for engine: redis', ['url'])
}

function rule(): Schema<DurabilityRuleConfig> {
  return v.pipe(
    map({ filter: topicFilter('/Home/+/telemetry/#'), durability: durability() }, { example: 'durability: 5s' }),
    v.transform(({ filter, durability: window }) => ({ filter, window })),
  )
}

/** `ack`, `none` or an interval; in ms that a power cut may take. */
function durability(): Schema<number> {
  const interval = duration({ min: 100, max: HOUR, example: '5s' })
  return value('ack', input => {
    if (input === 'ack') return 0
    if (input === 'none') return Number.POSITIVE_INFINITY
    const isDuration = typeof input === 'string' && parseDuration(input) !== undefined
    const result = isDuration ? v.safeParse(interval, input) : undefined
    if (result?.success === true) return result.output
    if (result !== undefined) return new Refusal(result.issues[0].message)
    return new Refusal(`must be ack, none or a duration such as 5s; found ${found(input)}`)
  })
}

function urlFault(url: string): string | undefined {
  return /^rediss?:\/\/./.test(url) && URL.canParse(url) ? undefined : `must be an address such as ${REDIS_EXAMPLE}`
}
