/** What the queue of a session asks of the store that it is part of. */
import type { Entry, Ref } from './entry.ts'
import type { LevelQueue } from './queue.ts'

export interface QueueStore {
  /** Reads references with `from <= index < until` in order, as many as fit a page, with their messages. */
  readPage(queue: LevelQueue, from: number, until: number): Promise<Page>
  /** Deletes a durable reference, and its message's body when it was the last. */
  erase(ref: Ref): void
  /** Writes a reference again: it was released or given a packet identifier. `done` when that is durable. */
  rewrite(ref: Ref, done: () => void): void
  /** A number for a PUBREC, larger than those of all before it. */
  nextRelease(): number
  /** A durable message is being sent: that it may have been should be on record. */
  sent(queue: LevelQueue): void
  /** A session has gone: what it has not acknowledged should be on disk soon. */
  sessionLeft(queue: LevelQueue): void
  /** Reading failed; the queue tries again later. */
  readFailed(queue: LevelQueue, error: unknown): void
  /** Called for each message that a limit pushed out. */
  dropped(queue: LevelQueue): void
  /** Called for each message whose time was over before it was sent. */
  expired(): void
  /** When a message may be sent no more, in the time of the store; Infinity for never. */
  deadlineOf(entry: Entry): number
  /** The time of the store. */
  now(): number
}

export interface Page {
  refs: Ref[]
  /** Everything below this index was looked at. */
  readUntil: number
}
