/**
 * What the store reads when it opens: everything but the queues, of which it only finds where each
 * begins, so that a million waiting messages cost no time. A new store is marked and synced at once: an
 * empty LevelDB that was never synced may not open again after a pulled plug.
 */
import type { KeyIteratorOptions } from 'level'
import type { Subscription } from '../broker/ports.ts'
import { LarderError, reasonOf } from '../kernel/errors.ts'
import type { Log } from '../kernel/log.ts'
import type { Committer } from './committer.ts'
import type { Database } from './database.ts'
import { Engine } from './engine.ts'
import {
  familyRange,
  filterOfKey,
  incomingOfKey,
  indexOfKey,
  nameKey,
  nameOfKey,
  queueRange,
  SCHEMA_VERSION,
  sessionKey,
  sessionOfKey,
} from './keys.ts'
import type { QueueLimits } from './queue.ts'
import { decodePosition, type Position } from './records.ts'
import type { RetainedMessages } from './retained.ts'
import { decodeSession, numberValue, Sessions, valueNumber } from './sessions.ts'
import type { Subscriptions } from './subscriptions.ts'
import type { Wills } from './wills.ts'

interface Parts {
  database: Database
  committer: Committer
  subscriptions: Subscriptions
  retained: RetainedMessages
  incoming: Map<string, Set<number>>
  wills: Wills
  limits: QueueLimits
  log: Log
}

/** Reads an opened database into its parts and returns the engine over them. */
export async function load(parts: Parts): Promise<Engine> {
  const { database, committer, subscriptions, retained, incoming, wills, limits, log } = parts
  const version = await readNumber(database, 'schema')
  if (version === undefined) await committer.durable(schemaRecord())
  else if (version !== SCHEMA_VERSION) {
    throw new LarderError('STORE_FAILED', `the store was written by another version (schema ${version}).`, {
      hint: `This version reads schema ${SCHEMA_VERSION}.`,
    })
  }
  const sessions = new Sessions({
    limits,
    nextSession: (await readNumber(database, 'nextSession')) ?? 0,
    nextMessage: (await readNumber(database, 'nextMessage')) ?? 0,
  })
  const engine = new Engine({ database, committer, sessions, subscriptions, retained, incoming, log })
  for await (const [key, value] of database.iterator(familyRange('s'))) {
    const { session, expiry } = decodeSession(value)
    const range = queueRange(session)
    const head = await indexAt(database, { ...range, limit: 1 })
    const last = await indexAt(database, { ...range, limit: 1, reverse: true })
    const position = await readPosition(database, session)
    position.tail = Math.max(position.tail, (last ?? -1) + 1)
    const clientId = nameOfKey(key)
    sessions.load({ clientId, session, expiry, head: head ?? position.tail, position, store: engine })
  }
  await each(database, 'u', log, (key, value) => {
    const queue = sessions.byNumber(sessionOfKey(key))
    const options = JSON.parse(value.toString()) as Omit<Subscription, 'topic'>
    if (queue !== undefined) subscriptions.set(queue, { topic: filterOfKey(key), ...options })
  })
  await each(database, 'i', log, key => {
    const { clientId, packetId } = incomingOfKey(key)
    const ids = incoming.get(clientId)
    if (ids === undefined) incoming.set(clientId, new Set([packetId]))
    else ids.add(packetId)
  })
  await each(database, 'r', log, (key, value) => retained.load(key, value))
  await each(database, 'w', log, (key, value) => wills.load(key, value))
  await each(database, 'd', log, key => void engine.purge(sessionOfKey(key)))
  return engine
}

/** Calls `take` for each record of a family. A record that does not read is left out, and said. */
async function each(
  database: Database,
  family: string,
  log: Log,
  take: (key: Buffer, value: Buffer) => void,
): Promise<void> {
  for await (const [key, value] of database.iterator(familyRange(family))) {
    try {
      take(key, value)
    } catch (error) {
      log.error(
        { key: key.toString('latin1'), reason: reasonOf(error) },
        'a record of the store is damaged and left out',
      )
    }
  }
}

async function readNumber(database: Database, name: string): Promise<number | undefined> {
  const value = await database.get(nameKey('m', name))
  return value === undefined ? undefined : valueNumber(value)
}

async function indexAt(database: Database, range: KeyIteratorOptions<Buffer>): Promise<number | undefined> {
  const [key] = await database.keys(range).all()
  return key === undefined ? undefined : indexOfKey(key)
}

async function readPosition(database: Database, session: number): Promise<Position> {
  const value = await database.get(sessionKey('p', session))
  return value === undefined ? { tail: 0, sent: 0, count: 0, bytes: 0 } : decodePosition(value)
}

function schemaRecord() {
  return { type: 'put', key: nameKey('m', 'schema'), value: numberValue(SCHEMA_VERSION) } as const
}
