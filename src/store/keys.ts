/**
 * The key families of the store. Keys are binary, numbers big endian, so that LevelDB's order is the
 * order of arrival.
 *
 *   m name                       what the store knows of itself: schema version, next numbers, its time,
 *                                how often it was opened
 *   s clientId                   a persistent session: its number
 *   d session                    a discarded session whose queue is still being removed
 *   u session filter             a subscription of a session
 *   p session                    position of a session's queue: next index, sent so far, count, bytes, soonest expiry
 *   q session index              one message waiting for a session: a reference to its body
 *   b message                    body of a message that at least one session waits for
 *   i clientId 00 packetId       incoming QoS 2: a packet identifier between PUBLISH and PUBREL
 *   r topic                      a retained message
 *   w clientId                   the will of a session
 *
 * Every value ends with a seal (seal.ts). session: 4 bytes. index and message: 6 bytes, enough for 2,800 years at 3,000 messages a second.
 */

/**
 * Written at creation. A store with a lower number is migrated (migrations.ts), one with a higher number refused.
 *   1   the first
 *   2   checksums; times in the time of the store instead of wall time; when a message was accepted
 */
export const SCHEMA_VERSION = 2

const family = (letter: string) => letter.charCodeAt(0)

const INCOMING = family('i')
const BODY = family('b')
const QUEUE = family('q')

/** First key of all, and the first key behind all. */
export const EVERYTHING = { gte: Buffer.from([0]), lt: Buffer.from([0xff]) }

/** First key of a family, and the first key behind it. */
export function familyRange(letter: string): { gte: Buffer; lt: Buffer } {
  return { gte: Buffer.from([family(letter)]), lt: Buffer.from([family(letter) + 1]) }
}

/** A key of the families m, s, r, w: a letter and a string. */
export function nameKey(letter: 'm' | 's' | 'r' | 'w', name: string): Buffer {
  return Buffer.from(letter + name, 'utf8')
}

export function nameOfKey(key: Buffer): string {
  return key.toString('utf8', 1)
}

/** A key of the families d and p. */
export function sessionKey(letter: 'd' | 'p', session: number): Buffer {
  const key = Buffer.allocUnsafe(5)
  key[0] = family(letter)
  key.writeUInt32BE(session, 1)
  return key
}

/** Session number of a key of the families d, p, q and u. */
export function sessionOfKey(key: Buffer): number {
  return key.readUInt32BE(1)
}

export function subscriptionKey(session: number, filter: string): Buffer {
  const key = Buffer.allocUnsafe(5 + Buffer.byteLength(filter))
  key[0] = family('u')
  key.writeUInt32BE(session, 1)
  key.write(filter, 5)
  return key
}

export function filterOfKey(key: Buffer): string {
  return key.toString('utf8', 5)
}

export function queueKey(session: number, index: number): Buffer {
  const key = Buffer.allocUnsafe(11)
  key[0] = QUEUE
  key.writeUInt32BE(session, 1)
  key.writeUIntBE(index, 5, 6)
  return key
}

export function indexOfKey(key: Buffer): number {
  return key.readUIntBE(5, 6)
}

/** All keys of one session's queue. */
export function queueRange(session: number): { gte: Buffer; lt: Buffer } {
  return { gte: queueKey(session, 0), lt: queueKey(session + 1, 0) }
}

export function bodyKey(message: number): Buffer {
  const key = Buffer.allocUnsafe(7)
  key[0] = BODY
  key.writeUIntBE(message, 1, 6)
  return key
}

export function messageOfKey(key: Buffer): number {
  return key.readUIntBE(1, 6)
}

export function incomingKey(clientId: string, packetId: number): Buffer {
  const length = Buffer.byteLength(clientId)
  const key = Buffer.allocUnsafe(length + 4)
  key[0] = INCOMING
  key.write(clientId, 1)
  // NUL cannot stand in a client identifier, so no identifier is the beginning of another's key.
  key[length + 1] = 0
  key.writeUInt16BE(packetId, length + 2)
  return key
}

export function incomingOfKey(key: Buffer): { clientId: string; packetId: number } {
  return { clientId: key.toString('utf8', 1, key.length - 3), packetId: key.readUInt16BE(key.length - 2) }
}
