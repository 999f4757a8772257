/**
 * From a local topic to the upstream's, by Mosquitto's rules for `topic FILTER out QOS LOCAL REMOTE`
 * (held against Mosquitto 2.0 itself): the first rule with a prefix whose `LOCAL + FILTER` matches loses
 * LOCAL and gains REMOTE; else a rule without prefixes that matches passes the topic as it is. An empty
 * FILTER maps the one topic LOCAL to the one topic REMOTE. A topic that several rules match goes up once
 * (Mosquitto sends it once for each).
 */
import { filterMatches, topicNameFault } from '../mqtt/topics.ts'
import type { BridgeRule, SpoolFilter } from './ports.ts'

export interface Route {
  /** Topic name for the upstream. */
  readonly topic: string
  readonly qos: 0 | 1
}

/** The topic filters that the spool of these rules subscribes to, each once. A QoS 0 rule is spooled too. */
export function spoolFilters(rules: readonly BridgeRule[]): SpoolFilter[] {
  return [...new Set(rules.map(localFilter))].map(filter => ({ filter, qos: 1 }))
}

/** Where `topic` goes, or undefined when no rule maps it to a valid topic name. */
export function routeOf(rules: readonly BridgeRule[], topic: string): Route | undefined {
  const matching = rules.filter(rule => filterMatches(localFilter(rule), topic))
  const rule = matching.find(isRemapping) ?? matching[0]
  if (rule === undefined) return undefined
  const local = rule.localPrefix ?? ''
  const rest = topic.startsWith(local) ? topic.slice(local.length) : topic
  const remote = (rule.remotePrefix ?? '') + rest
  // How many levels it may have is for the upstream to say.
  return topicNameFault(remote, Number.POSITIVE_INFINITY) === undefined ? { topic: remote, qos: rule.qos } : undefined
}

function localFilter(rule: BridgeRule): string {
  return (rule.localPrefix ?? '') + rule.filter
}

function isRemapping(rule: BridgeRule): boolean {
  return (rule.localPrefix ?? '') !== '' || (rule.remotePrefix ?? '') !== ''
}
