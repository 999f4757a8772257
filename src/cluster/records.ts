/**
 * What the gateway keeps in Redis of its own, beside the keys of the package:
 *
 *   larder:sessions             hash: client identifier -> session record (JSON)
 *   larder:places               hash: client identifier -> places given in its queue
 *   larder:received:<client>    set:  QoS 2 identifiers between PUBLISH and PUBREL
 *   larder:released:<client>    hash: packet -> the so-manieth PUBREC
 *   larder:wills                hash: client identifier -> broker under which the package keeps its will
 *   larder:will-taken:<will>    which gateway publishes a will that a crash left behind; goes by itself
 */
import type { SessionExpiry } from '../broker/ports.ts'
import type { Link } from './link.ts'
import type { Remembered } from './queue.ts'

const SESSIONS = 'larder:sessions'
const PLACES = 'larder:places'
const WILLS = 'larder:wills'
const receivedKey = (clientId: string) => `larder:received:${clientId}`
const releasedKey = (clientId: string) => `larder:released:${clientId}`

/** Seconds that a taken will stays taken: longer than the gateway that took it needs to publish and remove it. */
const WILL_TAKEN_SECONDS = 60

/** A session as Redis has it. */
export interface SessionRecord {
  /** Seconds; absent for never. */
  readonly interval?: number | undefined
  /** Wall time in ms; absent while it is connected, or when a crash ended the connection. */
  readonly leftAt?: number | undefined
  /** Broker whose connection it is, or was last. */
  readonly at?: string | undefined
  /** Places below this may have been sent; absent while it is connected. */
  readonly sentUpTo?: number | undefined
}

export class Records {
  readonly #link: Link

  constructor(deps: { link: Link }) {
    this.#link = deps.link
  }

  clientIds(): Promise<string[]> {
    return this.#link.insist(() => this.#link.db.hkeys(SESSIONS))
  }

  /** Makes the session when there is none. True when there was none. */
  async makeSession(clientId: string, record: SessionRecord): Promise<boolean> {
    return (await this.#link.insist(() => this.#link.db.hsetnx(SESSIONS, clientId, JSON.stringify(record)))) === 1
  }

  async session(clientId: string): Promise<SessionRecord | undefined> {
    const text = await this.#link.insist(() => this.#link.db.hget(SESSIONS, clientId))
    return text === null ? undefined : parsed(text)
  }

  async setSession(clientId: string, record: SessionRecord): Promise<void> {
    await this.#link.insist(() => this.#link.db.hset(SESSIONS, clientId, JSON.stringify(record)))
  }

  async endSession(clientId: string): Promise<void> {
    const { db } = this.#link
    await this.#link.insist(() => db.del(receivedKey(clientId), releasedKey(clientId)))
    await this.#link.insist(() => db.hdel(PLACES, clientId))
    await this.#link.insist(() => db.hdel(SESSIONS, clientId))
  }

  /** Gives `count` places in the queue of a session; resolves to the first. */
  async givePlaces(clientId: string, count: number): Promise<number> {
    return (await this.#link.insist(() => this.#link.db.hincrby(PLACES, clientId, count))) - count
  }

  /** What an opened session must know. When no gateway noted what was sent, all of it may have been. */
  async remembered(clientId: string): Promise<Remembered> {
    const { db } = this.#link
    const [record, places, released] = await Promise.all([
      this.session(clientId),
      this.#link.insist(() => db.hget(PLACES, clientId)),
      this.#link.insist(() => db.hgetall(releasedKey(clientId))),
    ])
    return {
      sentBefore: record?.sentUpTo ?? Number(places ?? 0),
      released: new Map(Object.entries(released).map(([key, number]) => [key, Number(number)])),
    }
  }

  async release(clientId: string, key: string, number: number): Promise<void> {
    await this.#link.insist(() => this.#link.db.hset(releasedKey(clientId), key, number))
  }

  async forgetRelease(clientId: string, key: string): Promise<void> {
    await this.#link.insist(() => this.#link.db.hdel(releasedKey(clientId), key))
  }

  async received(clientId: string): Promise<Set<number>> {
    const ids = await this.#link.insist(() => this.#link.db.smembers(receivedKey(clientId)))
    return new Set(ids.map(Number))
  }

  async addReceived(clientId: string, packetId: number): Promise<void> {
    await this.#link.insist(() => this.#link.db.sadd(receivedKey(clientId), packetId))
  }

  async removeReceived(clientId: string, packetId: number): Promise<void> {
    await this.#link.insist(() => this.#link.db.srem(receivedKey(clientId), packetId))
  }

  /** The broker under which a client's will is. */
  async willAt(clientId: string): Promise<string | undefined> {
    return (await this.#link.insist(() => this.#link.db.hget(WILLS, clientId))) ?? undefined
  }

  async setWillAt(clientId: string, brokerId: string): Promise<void> {
    await this.#link.insist(() => this.#link.db.hset(WILLS, clientId, brokerId))
  }

  async forgetWillAt(clientId: string): Promise<void> {
    await this.#link.insist(() => this.#link.db.hdel(WILLS, clientId))
  }

  /** True for the one gateway that may publish this will. */
  async takeWill(brokerId: string, clientId: string): Promise<boolean> {
    const key = `larder:will-taken:${brokerId}:${clientId}`
    return (await this.#link.insist(() => this.#link.db.set(key, '1', 'EX', WILL_TAKEN_SECONDS, 'NX'))) === 'OK'
  }
}

/** A record that cannot be read is that of a session that never ends. */
function parsed(text: string): SessionRecord {
  try {
    return { ...(JSON.parse(text) as SessionRecord) }
  } catch {
    return {}
  }
}

/** As the broker asks for it. */
export function expiryOf(record: SessionRecord | undefined): SessionExpiry {
  return { interval: record?.interval, leftAt: record?.leftAt }
}
