/**
 * The live tree of topics, for as long as somebody looks: what is retained, and what has come since. Each message costs
 * the broker one look into a map; only the newest of a topic is copied, when its time has come (four times a second).
 * Each change has a number, and the topics stand in the order of their changes: so who has seen everything up to a
 * number is given what is behind it, and a browser that reads slowly misses what has been replaced meanwhile.
 */
import { isUtf8 } from 'node:buffer'
import type { TopicState } from './api.ts'
import type { TopicMessage } from './ports.ts'

/** Topics that are kept; of more, those that were seen longest ago go. */
export const MAX_TOPICS = 10_000
/** Bytes of payload and characters of names that are kept of all topics together. */
export const MAX_BYTES = 8 * 1024 * 1024
/** Bytes of one payload that are shown. */
export const MAX_PAYLOAD = 4 * 1024
/** Topics that are gone and are still told of; who has not heard by then begins anew. */
export const MAX_REMOVED = 10_000
/** Characters of their names: all of them may be told at once. */
export const MAX_REMOVED_LENGTH = 1024 * 1024
/** Topics in one part of what is told: some 100 KB, which a phone paints at once. */
const PART = 500
/** Characters of names and payload in one part. */
const PART_LENGTH = 256 * 1024

interface Entry {
  readonly state: TopicState
  readonly revision: number
}

interface Pending {
  /** The newest. */
  message: TopicMessage
  count: number
  /** What the last retained one has made of the topic; undefined: none came. */
  retained: boolean | undefined
}

/** What has changed behind a number. */
export interface TopicChanges {
  readonly topics: readonly TopicState[]
  readonly removed: readonly string[]
  /** The number to ask with next. */
  readonly revision: number
  /** There is more. */
  readonly isPart: boolean
}

export class TopicBook {
  readonly #now: () => number
  /** In the order of their revisions. */
  readonly #entries = new Map<string, Entry>()
  readonly #removed = new Map<string, number>()
  readonly #pending = new Map<string, Pending>()
  #revision = 0
  /** Of the last settling: who has seen everything up to here needs only what is behind it. */
  #settledAt = 0
  #fresh: Entry[] = []
  #bytes = 0
  /** Characters of the names of what was removed. */
  #removedLength = 0
  /** What was removed up to here is not known any more. */
  #forgotten = 0

  /** `now` is wall time. */
  constructor(deps: { now: () => number }) {
    this.#now = deps.now
  }

  /** A message came. The payload may be a view of something larger: it is looked at once more, at the next `settle`. */
  add(message: TopicMessage): void {
    const { topic, retain, payload } = message
    const pending = this.#pending.get(topic)
    if (pending !== undefined) {
      pending.message = message
      pending.count++
      if (retain) pending.retained = payload.length > 0
    } else if (this.#pending.size < MAX_TOPICS) {
      this.#pending.set(topic, { message, count: 1, retained: retain ? payload.length > 0 : undefined })
    }
  }

  /** Takes up what has come. To be called before `changes`, a few times a second. */
  settle(): void {
    this.#settledAt = this.#revision
    this.#fresh = []
    if (this.#pending.size === 0) return
    const at = this.#now()
    for (const [topic, { message, count, retained }] of this.#pending) {
      const before = this.#entries.get(topic)?.state
      if (message.retain && message.payload.length === 0) this.#remove(topic)
      else this.#put(stateOf(message, at, (before?.count ?? 0) + count, retained ?? before?.retained ?? false))
    }
    this.#pending.clear()
    this.#bound()
  }

  /** What was changed behind `revision` (0: everything), or a part of it; undefined when that is not known any more. */
  changes(revision: number): TopicChanges | undefined {
    if (revision > 0 && revision < this.#forgotten) return undefined
    const removed = [...this.#removed].filter(([, at]) => revision > 0 && at > revision).map(([topic]) => topic)
    const source = revision >= this.#settledAt ? this.#fresh : this.#entries.values()
    const topics: TopicState[] = []
    let length = 0
    let last = revision
    for (const { state, revision: at } of source) {
      if (at <= revision) continue
      length += sizeOf(state)
      if (topics.length === PART || length > PART_LENGTH) return { topics, removed, revision: last, isPart: true }
      topics.push(state)
      last = at
    }
    return { topics, removed, revision: this.#revision, isPart: false }
  }

  #put(state: TopicState): void {
    const { topic } = state
    const before = this.#entries.get(topic)
    if (before !== undefined) {
      this.#bytes -= sizeOf(before.state)
      this.#entries.delete(topic)
    }
    if (this.#removed.delete(topic)) this.#removedLength -= topic.length
    const entry = { state, revision: ++this.#revision }
    this.#entries.set(topic, entry)
    this.#fresh.push(entry)
    this.#bytes += sizeOf(state)
  }

  #remove(topic: string): void {
    const entry = this.#entries.get(topic)
    if (entry === undefined) return
    this.#entries.delete(topic)
    this.#bytes -= sizeOf(entry.state)
    this.#removed.set(topic, ++this.#revision)
    this.#removedLength += topic.length
    for (const [name, revision] of this.#removed) {
      if (this.#removed.size <= MAX_REMOVED && this.#removedLength <= MAX_REMOVED_LENGTH) break
      this.#removed.delete(name)
      this.#removedLength -= name.length
      this.#forgotten = revision
    }
  }

  #bound(): void {
    for (const topic of this.#entries.keys()) {
      if (this.#entries.size <= MAX_TOPICS && this.#bytes <= MAX_BYTES) break
      this.#remove(topic)
    }
    // What came last may have been too much.
    this.#fresh = this.#fresh.filter(entry => this.#entries.get(entry.state.topic) === entry)
  }
}

/** As `MAX_BYTES` counts: a name may be longer than what is said there. */
function sizeOf({ topic, payload }: TopicState): number {
  return topic.length + payload.length
}

function stateOf({ topic, payload, qos }: TopicMessage, at: number, count: number, retained: boolean): TopicState {
  return { topic, ...shownPayload(payload), size: payload.length, qos, retained, at, count }
}

/** A payload as the page gets it: text, or what is none in base64; at most `MAX_PAYLOAD` bytes of it. */
export function shownPayload(payload: Buffer): { payload: string; base64?: true } {
  const shown = payload.length <= MAX_PAYLOAD ? payload : withoutHalf(payload.subarray(0, MAX_PAYLOAD))
  return isUtf8(shown) ? { payload: shown.toString() } : { payload: shown.toString('base64'), base64: true }
}

/** Without the begun character at the end. */
function withoutHalf(cut: Buffer): Buffer {
  let end = cut.length
  while (end > cut.length - 4 && ((cut[end - 1] ?? 0) & 0xc0) === 0x80) end--
  return ((cut[end - 1] ?? 0) & 0x80) === 0 ? cut : isUtf8(cut) ? cut : cut.subarray(0, end - 1)
}
