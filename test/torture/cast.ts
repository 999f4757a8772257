/**
 * Who takes part in a torture scenario. Topics 0 to 3 are asked for by sessions that are away at times, so their
 * messages are written at once; the quiet topics only by those who are online, so that most are never written.
 */
import type { Habit } from './subscribers.ts'

/** Messages a second of one publisher. */
export const RATE = 500
/** …and of a publisher of retained values. */
export const RETAINED_RATE = 50
/** ms that it rests after a start at most: what the gateway kept is to be seen before it is overwritten. */
export const RETAINED_REST = 400
export const TOPICS = 4
/** Topics that only those ask for who are online. */
export const QUIET_TOPICS = { firstTopic: 8, topics: 2 }

export const PUBLISHERS = [
  { name: 'p1', qos: 1, version: 4 },
  { name: 'p2', qos: 1, version: 4 },
  { name: 'p3', qos: 1, version: 5 },
  { name: 'p4', qos: 2, version: 4 },
  { name: 'p5', qos: 2, version: 4 },
  { name: 'p6', qos: 2, version: 5 },
] as const

export const QUIET_PUBLISHERS = [
  { name: 'q1', qos: 1, version: 4 },
  { name: 'q2', qos: 1, version: 5 },
] as const

export const RETAINERS = [
  { name: 'r1', qos: 1, version: 4 },
  { name: 'r2', qos: 2, version: 5 },
] as const

export interface Part {
  name: string
  habit: Habit
  qos: 1 | 2
  version: 4 | 5
  /** The one topic of each publisher; absent, all. */
  topic?: number
  /** Milliseconds until it answers. */
  hesitation?: number
  /** It subscribes when this share of the kills is over. */
  late?: number
}

export const SUBSCRIBERS: readonly Part[] = [
  { name: 'online-1', habit: 'online', qos: 1, version: 4 },
  { name: 'online-2', habit: 'online', qos: 2, version: 4 },
  { name: 'online-5', habit: 'online', qos: 2, version: 5, topic: 1 },
  { name: 'hesitant-1', habit: 'online', qos: 1, version: 4, topic: 8, hesitation: 40 },
  { name: 'away-1', habit: 'away', qos: 1, version: 4, topic: 0 },
  { name: 'away-2', habit: 'away', qos: 2, version: 4, topic: 0 },
  { name: 'away-5', habit: 'away', qos: 2, version: 5, topic: 2 },
  { name: 'passing-1', habit: 'passing', qos: 1, version: 4, topic: 1 },
  { name: 'passing-2', habit: 'passing', qos: 2, version: 4, topic: 2 },
  { name: 'passing-5', habit: 'passing', qos: 1, version: 5, topic: 3 },
  { name: 'late-1', habit: 'passing', qos: 1, version: 4, topic: 1, late: 0.3 },
  { name: 'late-2', habit: 'online', qos: 2, version: 4, topic: 3, late: 0.6 },
]
