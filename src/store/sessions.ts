/**
 * Which persistent sessions there are, and the two numbers that the store hands out: one for each
 * session, never used again, and one for each message. Message numbers are reserved on disk a million at
 * a time, so that a number is never given out twice, whatever a crash took with it.
 */

import type { SessionExpiry } from '../broker/ports.ts'
import type { Operation } from './committer.ts'
import { nameKey, sessionKey } from './keys.ts'
import { LevelQueue, NEVER } from './queue.ts'
import type { QueueStore } from './queue-store.ts'
import type { Quota } from './quota.ts'
import type { Position } from './records.ts'

/** One write for so many messages. */
const RESERVED_MESSAGES = 1_000_000

/** The position of a new queue. */
export const EMPTY: Position = { tail: 0, sent: 0, count: 0, bytes: 0, soonest: Number.POSITIVE_INFINITY }

export class Sessions {
  readonly #byClientId = new Map<string, LevelQueue>()
  readonly #byNumber = new Map<number, LevelQueue>()
  readonly #quota: Quota
  #nextSession = 0
  #nextMessage = 0
  #reserved = 0

  constructor(deps: { quota: Quota }) {
    this.#quota = deps.quota
  }

  /** The numbers that are to be handed out next. */
  begin(next: { nextSession: number; nextMessage: number }): void {
    this.#nextSession = next.nextSession
    this.#nextMessage = next.nextMessage
    this.#reserved = next.nextMessage
  }

  get count(): number {
    return this.#byClientId.size
  }

  [Symbol.iterator](): Iterator<LevelQueue> {
    return this.#byClientId.values()
  }

  find(clientId: string): LevelQueue | undefined {
    return this.#byClientId.get(clientId)
  }

  byNumber(session: number): LevelQueue | undefined {
    return this.#byNumber.get(session)
  }

  /** Takes up a session that is on disk. */
  load(record: {
    clientId: string
    session: number
    expiry: SessionExpiry
    head: number
    position: Position
    store: QueueStore
  }): void {
    this.#add(new LevelQueue({ ...record, quota: this.#quota }))
  }

  /** Makes a session; `operations` put it on disk. */
  create(clientId: string, store: QueueStore): { queue: LevelQueue; operations: Operation[] } {
    const session = this.#nextSession++
    const queue = new LevelQueue({ clientId, session, head: 0, position: EMPTY, store, quota: this.#quota })
    this.#add(queue)
    return {
      queue,
      operations: [
        sessionRecord(queue),
        { type: 'put', key: nameKey('m', 'nextSession'), value: numberValue(this.#nextSession) },
      ],
    }
  }

  /** Forgets a session; `operations` replace it on disk by a mark that its queue is to be removed. */
  delete(queue: LevelQueue): Operation[] {
    this.#byClientId.delete(queue.clientId)
    this.#byNumber.delete(queue.session)
    return [
      { type: 'del', key: nameKey('s', queue.clientId) },
      { type: 'del', key: sessionKey('p', queue.session) },
      { type: 'put', key: sessionKey('d', queue.session), value: Buffer.alloc(0) },
    ]
  }

  /** A number for a message. `reserve` is given the write that must be made no later than the message's, when one is due. */
  nextMessage(reserve: (operation: Operation) => void): number {
    const id = this.#nextMessage++
    if (id >= this.#reserved) {
      this.#reserved = id + RESERVED_MESSAGES
      reserve({ type: 'put', key: nameKey('m', 'nextMessage'), value: numberValue(this.#reserved) })
    }
    return id
  }

  #add(queue: LevelQueue): void {
    this.#byClientId.set(queue.clientId, queue)
    this.#byNumber.set(queue.session, queue)
  }
}

/** The write that says which session a client identifier has, and when it ends. */
export function sessionRecord(queue: LevelQueue): Operation {
  const { session, expiry } = queue
  const { interval, leftAt = 0 } = expiry
  const value = Buffer.allocUnsafe(interval === undefined ? 6 : 16)
  value.writeUIntBE(session, 0, 6)
  if (interval !== undefined) {
    value.writeUInt32BE(interval, 6)
    value.writeUIntBE(Math.max(0, Math.round(leftAt)), 10, 6)
  }
  return { type: 'put', key: nameKey('s', queue.clientId), value }
}

/** Reads what `sessionRecord` wrote. */
export function decodeSession(value: Buffer): { session: number; expiry: SessionExpiry } {
  const session = value.readUIntBE(0, 6)
  if (value.length === 6) return { session, expiry: NEVER }
  const leftAt = value.readUIntBE(10, 6)
  return { session, expiry: { interval: value.readUInt32BE(6), leftAt: leftAt === 0 ? undefined : leftAt } }
}

export function numberValue(number: number): Buffer {
  const value = Buffer.allocUnsafe(6)
  value.writeUIntBE(number, 0, 6)
  return value
}

export function valueNumber(value: Buffer): number {
  return value.readUIntBE(0, 6)
}
