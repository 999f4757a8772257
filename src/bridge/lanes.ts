/**
 * The spools of a bridge, one for each class of its rules: by priority, and those of which an outage leaves everything
 * apart from those of which it leaves the newest. A topic has one rule, and so one spool, and keeps its order. The rules
 * decide where a message waits when it comes; a spool leaves to the others what a rule of theirs takes first.
 *
 * When rules change, a topic may come to another spool. So the spools then begin a new generation, and the older ones
 * are emptied first: `$bridge/cloud`, `$bridge/cloud/high`, …, then `$bridge/cloud/1`, `$bridge/cloud/1/high`, ….
 */
import type { BridgeRule, SpoolFilter } from './ports.ts'
import { filterOf, isRemapping } from './remap.ts'

/** Packet identifiers between those of one generation and the next: more than usual windows. */
const GENERATION_OFFSET = 1_301
/** In the order in which they are emptied. */
export const PRIORITIES = ['high', 'normal', 'low'] as const
export type Priority = (typeof PRIORITIES)[number]

/** Which of a bridge's spools it is. */
export interface Lane {
  readonly generation: number
  readonly priority: Priority
  /** An outage leaves the newest of its messages. */
  readonly isThin: boolean
}

/** [MQTT-2.3.1-1] */
export const PACKET_IDS = 65_535

export interface LaneFilters {
  readonly lane: Omit<Lane, 'generation'>
  readonly filters: readonly SpoolFilter[]
}

/** What is behind the bridge's own identifier in that of a spool. */
export function suffixOf({ generation, priority, isThin }: Lane): string {
  const parts = [generation > 0 ? `${generation}` : '', priority === 'normal' ? '' : priority, isThin ? 'latest' : '']
  return parts.map(part => (part === '' ? '' : `/${part}`)).join('')
}

/** The other way; undefined when it is no spool. */
export function laneOf(suffix: string): Lane | undefined {
  const match = /^(?:\/([1-9]\d*))?(?:\/(high|low))?(\/latest)?$/.exec(suffix)
  if (match === null) return undefined
  const [, generation = '0', priority = 'normal', thin] = match
  return { generation: Number(generation), priority: priority as Priority, isThin: thin !== undefined }
}

/**
 * Where the packet identifiers of a lane begin: each counts its messages from 0, and those of several are in flight
 * together. The one that was there before there were others begins with the first.
 */
export function offsetOf({ generation, priority, isThin }: Lane): number {
  const lane = ['normal', 'high', 'low'].indexOf(priority) * 2 + Number(isThin)
  return (lane * Math.floor(PACKET_IDS / 6) + generation * GENERATION_OFFSET) % PACKET_IDS
}

/** The lane that messages of a rule wait in. */
export function laneOfRule({ priority = 'normal', onBacklog = 0 }: BridgeRule): Omit<Lane, 'generation'> {
  return { priority, isThin: onBacklog > 0 }
}

/** What each spool of these rules subscribes to. There is always one of normal priority that keeps everything. */
export function laneFilters(rules: readonly BridgeRule[]): LaneFilters[] {
  const usual = { priority: 'normal', isThin: false } as const
  const lanes = new Map([
    [keyOf(usual), { lane: usual as LaneFilters['lane'], filters: new Map<string, SpoolFilter>() }],
  ])
  // In the order in which they are asked for a topic: see `routeOf`.
  const inOrder = [...rules.filter(isRemapping), ...rules.filter(rule => !isRemapping(rule))]
  for (const [at, rule] of inOrder.entries()) {
    const lane = laneOfRule(rule)
    const entry = lanes.get(keyOf(lane)) ?? { lane, filters: new Map<string, SpoolFilter>() }
    lanes.set(keyOf(lane), entry)
    const filter = filterOf(rule, 'localPrefix')
    const before = entry.filters.get(filter)
    const others = inOrder.slice(0, at).filter(other => keyOf(laneOfRule(other)) !== keyOf(lane))
    const except = before === undefined ? others.map(other => filterOf(other, 'localPrefix')) : (before.except ?? [])
    const qos = rule.qos === 2 || before?.qos === 2 ? 2 : 1
    entry.filters.set(filter, { filter, qos, ...(except.length === 0 ? {} : { except: [...new Set(except)] }) })
  }
  return Array.from(lanes.values(), ({ lane, filters }) => ({ lane, filters: [...filters.values()] }))
}

/** Whether a topic may be in another lane by the one than by the other. */
export function mayMove(before: readonly LaneFilters[], after: readonly LaneFilters[]): boolean {
  const filled = (lanes: readonly LaneFilters[]) => lanes.filter(({ filters }) => filters.length > 0)
  const all = new Set([...filled(before), ...filled(after)].map(({ lane }) => keyOf(lane)))
  return all.size > 1 && layoutOf(filled(before)) !== layoutOf(filled(after))
}

function layoutOf(lanes: readonly LaneFilters[]): string {
  const texts = lanes.flatMap(({ lane, filters }) =>
    filters.map(({ filter, except = [] }) => JSON.stringify([keyOf(lane), filter, ...except.toSorted()])),
  )
  return texts.sort().join('\n')
}

function keyOf({ priority, isThin }: Omit<Lane, 'generation'>): string {
  return `${priority} ${isThin}`
}
