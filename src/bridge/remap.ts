/**
 * From a local topic to the upstream's and back, by Mosquitto's rules for `topic FILTER out|in|both QOS LOCAL REMOTE`
 * (held against Mosquitto 2.0 itself): the first rule with a prefix whose own side, `LOCAL + FILTER` or
 * `REMOTE + FILTER`, matches loses that prefix and gains the other; else a rule without prefixes that matches passes
 * the topic as it is. An empty FILTER maps the one topic LOCAL to the one topic REMOTE. A topic that several rules
 * match is carried once (Mosquitto sends it once for each).
 */
import type { QoS } from '../mqtt/packets.ts'
import { filterMatches, topicNameFault } from '../mqtt/topics.ts'
import type { BridgeRule, BridgeSettings } from './ports.ts'

export interface Route {
  /** Topic name on the other side. */
  readonly topic: string
  readonly qos: QoS
  /** RETAIN may go along. */
  readonly keepsRetain: boolean
  readonly rule: BridgeRule
}

/** The topic filters that these rules subscribe to upstream, each once with its highest QoS. */
export function upstreamFilters(rules: readonly BridgeRule[]): Map<string, QoS> {
  const filters = new Map<string, QoS>()
  for (const rule of rules) {
    const filter = filterOf(rule, 'remotePrefix')
    filters.set(filter, Math.max(rule.qos, filters.get(filter) ?? 0) as QoS)
  }
  return filters
}

/**
 * Topic filters that the upstream would still send for if these rules had been for the other direction before: those of
 * `out` that `from` does not ask for.
 */
export function leftOverFilters({
  out,
  in: from,
}: {
  out: readonly BridgeRule[]
  in: readonly BridgeRule[]
}): string[] {
  const wanted = upstreamFilters(from)
  return [...upstreamFilters(out).keys()].filter(filter => !wanted.has(filter))
}

/** Where a local `topic` goes, or undefined when no rule maps it to a valid topic name. */
export function routeOf(rules: readonly BridgeRule[], topic: string): Route | undefined {
  return route(rules, topic, 'localPrefix', 'remotePrefix')
}

/** The local topic of what the upstream sends, or undefined when no rule maps it to a valid topic name. */
export function localRouteOf(rules: readonly BridgeRule[], topic: string): Route | undefined {
  return route(rules, topic, 'remotePrefix', 'localPrefix')
}

/** The rules that carry to the upstream, and those that carry from it. */
export function rulesOf({ out, in: from = [], both = [] }: BridgeSettings): { out: BridgeRule[]; in: BridgeRule[] } {
  return { out: [...out, ...both], in: [...from, ...both] }
}

type Side = 'localPrefix' | 'remotePrefix'

function route(rules: readonly BridgeRule[], topic: string, from: Side, to: Side): Route | undefined {
  const matching = rules.filter(rule => filterMatches(filterOf(rule, from), topic))
  const rule = matching.find(isRemapping) ?? matching[0]
  if (rule === undefined) return undefined
  const prefix = rule[from] ?? ''
  const mapped = (rule[to] ?? '') + (topic.startsWith(prefix) ? topic.slice(prefix.length) : topic)
  // How many levels it may have is for the other side to say.
  if (topicNameFault(mapped, Number.POSITIVE_INFINITY) !== undefined) return undefined
  return { topic: mapped, qos: rule.qos, keepsRetain: rule.retain !== 'clear', rule }
}

/** The topic filter of a rule on one side. */
export function filterOf(rule: BridgeRule, side: Side): string {
  return (rule[side] ?? '') + rule.filter
}

/** Such rules come before the others. */
export function isRemapping(rule: BridgeRule): boolean {
  return (rule.localPrefix ?? '') !== '' || (rule.remotePrefix ?? '') !== ''
}
