/**
 * The streams of events that pages listen to (Server-Sent Events). A section is made at most once a second, for all who
 * want it, and sent to whoever has not seen it as it is now; topics and log lines follow each other by numbers. A browser
 * that does not read gets nothing meanwhile and the newest afterwards, so that nothing heaps up for it; one that does not
 * read for long is closed. Nothing is made and no timer runs while nobody listens.
 */
import type { ServerResponse } from 'node:http'
import type { Clock, Timer } from '../kernel/clock.ts'
import type { LogTail } from '../kernel/log-tail.ts'
import type { Hello, Section } from './api.ts'
import type { LiveTopics } from './live-topics.ts'
import type { TopicBook } from './topics.ts'

/** Streams at once: one a page, so as many pages as anybody has open. */
export const MAX_STREAMS = 24
/** Milliseconds between two looks at topics. */
const TICK_MS = 250
/** Looks between two of the sections: a second. */
const SECTION_TICKS = 4
/** Looks between two heartbeats: 15 s, so that whatever is between does not take the connection for dead. */
const HEARTBEAT_TICKS = 60
/** Milliseconds that a browser may not read: a phone that is put away closes the connection by itself. */
const MAX_STALL_MS = 30_000
/** Milliseconds after which a browser connects again. */
const RETRY_MS = 2_000

/** What streams are made of. */
export interface Scene {
  hello(): Hello
  /** All of a section, or undefined when there is none. */
  look(section: Exclude<Section, 'topics' | 'log'>): unknown
  readonly log: LogTail
  /** Undefined: no gateway runs. */
  readonly topics: LiveTopics | undefined
}

interface Stream {
  readonly response: ServerResponse
  readonly sections: readonly Section[]
  /** What it has seen of each section, as JSON. */
  readonly seen: Map<string, string>
  readonly book: TopicBook | undefined
  topicsAt: number
  logAt: number
  /** Monotonic; undefined while it reads. */
  stalledAt: number | undefined
}

export class Streams {
  readonly #scene: Scene
  readonly #clock: Clock
  readonly #streams = new Set<Stream>()
  #timer: Timer | undefined
  #ticks = 0

  constructor(deps: { scene: Scene; clock: Clock }) {
    this.#scene = deps.scene
    this.#clock = deps.clock
  }

  /** Begins a stream on a response whose head has not been sent. Gives what ends it; undefined when there are too many. */
  open(response: ServerResponse, sections: readonly Section[]): (() => void) | undefined {
    if (this.#streams.size >= MAX_STREAMS) return undefined
    response.writeHead(200, {
      'Content-Type': 'text/event-stream',
      'Cache-Control': 'no-store',
      // Whoever stands between must not gather it.
      'X-Accel-Buffering': 'no',
    })
    const { topics, log } = this.#scene
    const book = sections.includes('topics') ? topics?.open() : undefined
    const logAt = Math.max(0, log.count - log.since(0).length)
    const stream: Stream = { response, sections, seen: new Map(), book, topicsAt: 0, logAt, stalledAt: undefined }
    this.#streams.add(stream)
    response.on('error', () => response.destroy())
    response.once('close', () => this.#closed(stream))
    response.on('drain', () => {
      stream.stalledAt = undefined
      this.#tellTopics(stream)
    })
    this.#write(stream, `retry: ${RETRY_MS}\n\n`)
    this.#tell(stream, this.#make([stream]))
    book?.settle()
    this.#tellTopics(stream)
    this.#timer ??= this.#clock.every(TICK_MS, () => this.#tick())
    return () => response.destroy()
  }

  /** Ends all streams. */
  stop(): void {
    for (const { response } of this.#streams) response.destroy()
  }

  #closed(stream: Stream): void {
    this.#streams.delete(stream)
    if (stream.book !== undefined) this.#scene.topics?.leave()
    if (this.#streams.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
  }

  #tick(): void {
    this.#ticks++
    const now = this.#clock.monotonic()
    const books = new Set([...this.#streams].map(({ book }) => book))
    for (const book of books) book?.settle()
    const made = this.#ticks % SECTION_TICKS === 0 ? this.#make([...this.#streams]) : undefined
    for (const stream of [...this.#streams]) {
      if (stream.stalledAt !== undefined) {
        if (now - stream.stalledAt > MAX_STALL_MS) stream.response.destroy()
        continue
      }
      if (made !== undefined) this.#tell(stream, made)
      this.#tellTopics(stream)
      if (this.#ticks % HEARTBEAT_TICKS === 0) this.#write(stream, ': still here\n\n')
    }
  }

  /** The sections that these streams want, each as JSON; and `hello`, behind its back without the time. */
  #make(streams: readonly Stream[]): Map<string, string> {
    const made = new Map<string, string>()
    const { now: _, ...lasting } = this.#scene.hello()
    made.set('hello', JSON.stringify(lasting))
    for (const section of new Set(streams.flatMap(({ sections }) => sections))) {
      if (section === 'topics' || section === 'log') continue
      const all = this.#scene.look(section)
      if (all !== undefined) made.set(section, JSON.stringify(all))
    }
    return made
  }

  #tell(stream: Stream, made: ReadonlyMap<string, string>): void {
    for (const [name, json] of made) {
      const isWanted = name === 'hello' || stream.sections.includes(name as Section)
      if (!isWanted || stream.seen.get(name) === json || stream.stalledAt !== undefined) continue
      stream.seen.set(name, json)
      this.#event(stream, name, name === 'hello' ? JSON.stringify(this.#scene.hello()) : json)
    }
    if (!stream.sections.includes('log') || stream.stalledAt !== undefined) return
    const { log } = this.#scene
    if (log.count === stream.logAt) return
    const lines = log.since(stream.logAt)
    stream.logAt = log.count
    this.#event(stream, 'log', JSON.stringify(lines))
  }

  #tellTopics(stream: Stream): void {
    const { book } = stream
    while (book !== undefined && stream.stalledAt === undefined && !stream.response.destroyed) {
      const changes = book.changes(stream.topicsAt)
      if (changes === undefined) {
        // What is gone since is not known any more: it begins anew.
        stream.response.destroy()
        return
      }
      const { topics, removed, revision, isPart } = changes
      stream.topicsAt = revision
      if (removed.length > 0) this.#event(stream, 'removed', JSON.stringify(removed))
      if (topics.length > 0) this.#event(stream, 'topics', JSON.stringify(topics))
      if (!isPart) return
    }
  }

  #event(stream: Stream, name: string, json: string): void {
    this.#write(stream, `event: ${name}\ndata: ${json}\n\n`)
  }

  #write(stream: Stream, text: string): void {
    if (!stream.response.write(text)) stream.stalledAt ??= this.#clock.monotonic()
  }
}
