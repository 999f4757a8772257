/**
 * The queue engine over aedes' contract. The contract knows "enqueued", with a promise each; here a message is
 * settled when all those promises have resolved: in the queue of each session, the retained message stored, the publisher's
 * packet identifier on record.
 *
 * Each session has a packet of its own of a message: the engine writes a session's packet identifier into the packet, and two
 * sessions with one packet would overwrite each other's.
 */
import type {
  Message,
  QueueEngine,
  QueueTarget,
  ReceivedIds,
  SessionExpiry,
  SessionQueue,
  Settlement,
} from '../broker/ports.ts'
import { Deque } from '../kernel/deque.ts'
import type { Log } from '../kernel/log.ts'
import type { Grant } from '../mqtt/subscription.ts'
import type { ContractQueue } from './queue.ts'
import type { Records } from './records.ts'
import type { RetainedCopy } from './retained.ts'
import type { Sessions } from './sessions.ts'
import type { SubscriptionsCopy } from './subscriptions.ts'
import { placeOf } from './wire.ts'

/**
 * Messages that wait for Redis, in all. Beyond, publishers are refused (MQTT 5) or wait (3.x): while Redis is away, ten
 * publishers may fill their windows.
 */
const MAX_WAITING = 20_000
/** Bytes of those messages, in all. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024

const NO_IDS: ReceivedIds = new Set<number>()

export interface ContractEngineStats {
  /** Messages of QoS 1 and 2 that wait for Redis. */
  waiting: number
  /** Messages that were not taken because so many wait. */
  refused: number
}

/** A message that was accepted and is not settled. */
class Acceptance {
  readonly message: Message
  readonly settlement: Settlement | null
  /** What must still be done. */
  left = 1
  isDone = false

  constructor(message: Message, settlement: Settlement | null) {
    this.message = message
    this.settlement = settlement
  }
}

export class ContractEngine implements QueueEngine {
  readonly stats: ContractEngineStats = { waiting: 0, refused: 0 }
  readonly #sessions: Sessions
  readonly #subscriptions: SubscriptionsCopy
  readonly #retained: RetainedCopy
  readonly #records: Records
  readonly #log: Log
  /** QoS 2 is settled in the order in which it came: subscribers without a queue get it then. */
  readonly #turn = new Deque<Acceptance>()
  #waitingBytes = 0
  #isRefusing = false

  constructor(deps: {
    sessions: Sessions
    subscriptions: SubscriptionsCopy
    retained: RetainedCopy
    records: Records
    log: Log
  }) {
    this.#sessions = deps.sessions
    this.#subscriptions = deps.subscriptions
    this.#retained = deps.retained
    this.#records = deps.records
    this.#log = deps.log
  }

  targets(topic: string): readonly QueueTarget[] {
    return this.#subscriptions.targets(topic)
  }

  spools(topic: string): readonly QueueTarget[] {
    return this.#subscriptions.targets(topic).filter(({ isSpool }) => isSpool)
  }

  accept(
    message: Message,
    targets: readonly QueueTarget[],
    settlement: Settlement | null,
    received?: { clientId: string; packetId: number },
  ): boolean {
    if (this.stats.waiting >= MAX_WAITING || this.#waitingBytes >= MAX_WAITING_BYTES) {
      this.#refuse()
      settlement?.refused()
      return false
    }
    this.#isRefusing = false
    const acceptance = new Acceptance(message, settlement)
    this.stats.waiting++
    this.#waitingBytes += message.size
    if (message.qos === 2) this.#turn.push(acceptance)
    if (received !== undefined) this.#sessions.noteReceived(received.clientId, received.packetId)
    const step = () => this.#step(acceptance, received)
    for (const { queue, grants, isShared, owner = queue.clientId } of targets) {
      const grant = message.clientId === owner ? grants.own : grants.others
      // [MQTT-3.8.3-3] No local.
      if (grant === null) continue
      const place = placeOf(message, grant, { retain: grant.rap && message.retain, isShared })
      if (place === undefined) continue
      acceptance.left++
      ;(queue as ContractQueue).enter(place, step)
    }
    if (message.retain && message.qos > 0) {
      acceptance.left++
      this.#retained.store(message, step)
    }
    step()
    return true
  }

  retain(message: Message): void {
    this.#retained.store(message)
  }

  acceptRetained(message: Message, queue: SessionQueue, grant: Grant): void {
    const place = placeOf(message, grant, { retain: true, isShared: false })
    if (place === undefined) return
    this.stats.waiting++
    this.#waitingBytes += message.size
    const done = () => {
      this.stats.waiting--
      this.#waitingBytes -= message.size
    }
    ;(queue as ContractQueue).enter(place, done)
  }

  received(clientId: string): ReceivedIds {
    return this.#sessions.receivedOf(clientId) ?? NO_IDS
  }

  /** Recording an identifier twice is recording it once. */
  repeated(clientId: string, packetId: number, settlement: Settlement): void {
    this.#sessions.recordReceived(clientId, packetId).then(() => settlement.settled(), ignore)
  }

  forget(clientId: string, packetId: number, done: () => void): void {
    if (this.#sessions.receivedOf(clientId)?.delete(packetId) !== true) {
      done()
      return
    }
    this.#records.removeReceived(clientId, packetId).then(done, ignore)
  }

  retained(filter: string): Iterable<Message> {
    return this.#retained.matching(filter)
  }

  find(clientId: string): SessionQueue | undefined {
    return this.#subscriptions.find(clientId)
  }

  clientIds(): Iterable<string> {
    return this.#subscriptions.clientIds
  }

  expiryOf(clientId: string): SessionExpiry {
    return this.#sessions.expiryOf(clientId)
  }

  setExpiry(clientId: string, expiry: SessionExpiry): void {
    this.#sessions.setExpiry(clientId, expiry)
  }

  open(clientId: string): Promise<SessionQueue> {
    return this.#sessions.open(clientId)
  }

  discard(clientId: string): Promise<void> {
    return this.#sessions.discard(clientId)
  }

  /** One thing is done. The publisher's identifier comes last: a message that is not kept must not look like one that came before. */
  #step(acceptance: Acceptance, received: { clientId: string; packetId: number } | undefined): void {
    acceptance.left--
    if (acceptance.left > 0) return
    if (received === undefined) this.#done(acceptance)
    else {
      const { clientId, packetId } = received
      this.#sessions.recordReceived(clientId, packetId).then(() => this.#done(acceptance), ignore)
    }
  }

  #done(acceptance: Acceptance): void {
    const { message, settlement } = acceptance
    this.stats.waiting--
    this.#waitingBytes -= message.size
    acceptance.isDone = true
    if (message.qos !== 2) {
      settlement?.settled()
      return
    }
    for (let next = this.#turn.at(0); next?.isDone; next = this.#turn.at(0)) {
      this.#turn.shift()
      next.settlement?.settled()
    }
  }

  #refuse(): void {
    this.stats.refused++
    if (this.#isRefusing) return
    this.#isRefusing = true
    const { waiting } = this.stats
    this.#log.warn({ waiting, bytes: this.#waitingBytes }, 'too much waits for Redis: no more is taken until it does')
  }
}

function ignore(): void {}
