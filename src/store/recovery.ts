/**
 * What the store reads when it opens: everything but the queues, of which it only finds where each begins, so that a
 * million waiting messages cost no time. Where a record is damaged, what can be told from the others takes its place.
 */
import type { Subscription } from '../broker/ports.ts'
import { reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Disk, Range } from './disk.ts'
import type { Engine } from './engine.ts'
import type { Incoming } from './incoming.ts'
import {
  familyRange,
  filterOfKey,
  indexOfKey,
  messageOfKey,
  nameKey,
  nameOfKey,
  queueRange,
  sessionKey,
  sessionOfKey,
} from './keys.ts'
import type { QueueReader } from './reader.ts'
import { decodePosition, type Position } from './records.ts'
import type { RetainedMessages } from './retained.ts'
import { decodeSession, EMPTY, type Sessions, valueNumber } from './sessions.ts'
import type { Subscriptions } from './subscriptions.ts'
import { decodeTime, type StoreTime } from './time.ts'
import type { Wills } from './wills.ts'

/** Bytes that a message is taken to have whose queue has lost its record of them. */
const ASSUMED_BYTES = 256

export interface Parts {
  engine: Engine
  reader: QueueReader
  sessions: Sessions
  subscriptions: Subscriptions
  retained: RetainedMessages
  incoming: Incoming
  wills: Wills
  time: StoreTime
  log: Log
}

/** Reads an opened store of today's schema into its parts. */
export async function load(disk: Disk, parts: Parts): Promise<void> {
  const { engine, reader, sessions, subscriptions, retained, incoming, wills, time, log } = parts
  const each = async (family: string, take: (key: Buffer, value: Buffer) => void) => {
    for await (const [key, value] of disk.records(familyRange(family))) {
      try {
        take(key, value)
      } catch (error) {
        log.error({ record: key.toString('latin1'), reason: reasonOf(error) }, 'a record of the store cannot be read')
      }
    }
  }
  const timeRecord = await disk.get(nameKey('m', 'time'))
  if (timeRecord !== undefined) time.load(decodeTime(timeRecord))
  const next = await nextNumbers(disk)
  for await (const [key, value] of disk.records(familyRange('s'))) {
    const { session, expiry } = decodeSession(value)
    next.nextSession = Math.max(next.nextSession, session + 1)
    const { head, position } = await readPosition(disk, session)
    sessions.load({ clientId: nameOfKey(key), session, expiry, head, position, store: engine })
  }
  sessions.begin(next)
  await each('u', (key, value) => {
    const queue = sessions.byNumber(sessionOfKey(key))
    const options = JSON.parse(value.toString()) as Omit<Subscription, 'topic'>
    if (queue !== undefined) subscriptions.set(queue, { topic: filterOfKey(key), ...options })
  })
  await each('i', key => incoming.load(key))
  await each('r', (key, value) => retained.load(key, value))
  await each('w', (key, value) => wills.load(key, value))
  await each('d', key => void reader.purge(sessionOfKey(key)))
}

/** The next numbers of a session and of a message: never one that is on disk, even if the records that say so are damaged. */
async function nextNumbers(disk: Disk): Promise<{ nextSession: number; nextMessage: number }> {
  const known = async (name: string) => {
    const value = await disk.get(nameKey('m', name))
    return value === undefined ? 0 : valueNumber(value)
  }
  let nextSession = await known('nextSession')
  for (const family of ['d', 'p', 'q', 'u']) {
    const last = await disk.edge(familyRange(family), 'last')
    if (last !== undefined) nextSession = Math.max(nextSession, sessionOfKey(last) + 1)
  }
  const lastBody = await disk.edge(familyRange('b'), 'last')
  const nextMessage = Math.max(await known('nextMessage'), lastBody === undefined ? 0 : messageOfKey(lastBody) + 1)
  return { nextSession, nextMessage }
}

/** Where a session's queue begins, and what was noted of it. */
async function readPosition(disk: Disk, session: number): Promise<{ head: number; position: Position }> {
  const range = queueRange(session)
  const first = await indexAt(disk, range, 'first')
  const last = await indexAt(disk, range, 'last')
  const value = await disk.get(sessionKey('p', session))
  const position = value === undefined ? guessedPosition(first, last) : decodePosition(value)
  position.tail = Math.max(position.tail, (last ?? -1) + 1)
  return { head: first ?? position.tail, position }
}

/** A new queue has no position yet. One that was damaged is told from what waits: it may all have been sent, and some of it may be due. */
function guessedPosition(first: number | undefined, last: number | undefined): Position {
  if (first === undefined || last === undefined) return { ...EMPTY }
  const count = last + 1 - first
  return { tail: last + 1, sent: last + 1, count, bytes: count * ASSUMED_BYTES, soonest: 0 }
}

async function indexAt(disk: Disk, range: Range, side: 'first' | 'last'): Promise<number | undefined> {
  const key = await disk.edge(range, side)
  return key === undefined ? undefined : indexOfKey(key)
}
