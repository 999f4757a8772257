/** A gateway's broker as a bridge sees it, in memory: a queue for its spool, one for dead letters, and a list of what it published. */
import {
  type BridgeBroker,
  DEAD_LETTERS_SUFFIX,
  type FoundSpool,
  type Receipt,
  type ReceivedMessage,
  SPOOL_CLIENT_PREFIX,
  type SpoolFilter,
  type SpoolRequest,
} from '../../src/bridge/ports.ts'
import type { SessionQueue, Settlement } from '../../src/broker/ports.ts'
import { encodeForwarded } from '../../src/mqtt/publish-properties.ts'
import { MemoryQueue } from './memory-queue.ts'

export class MemoryBroker implements BridgeBroker {
  /** What was opened, but for dead letters. */
  readonly opened: [string, readonly SpoolFilter[]][] = []
  /** The spools by their client identifiers. */
  readonly queues = new Map<string, MemoryQueue>()
  /** In the time that messages come and expire in. */
  time = 0
  readonly maxPacketSize = 2 * 1024 * 1024
  readonly dead = new MemoryQueue()
  /** What came from the upstream. */
  readonly arrived: ReceivedMessage[] = []
  /** What the gateway said itself, the last of each topic. */
  readonly told = new Map<string, string>()
  /** Packet identifiers of QoS 2. */
  readonly ids = new Set<number>()
  /** Replaced by tests that settle later. */
  settle: (settlement: Settlement) => void = settlement => settlement.settled()
  readonly #filters = new Map<string, readonly SpoolFilter[]>()
  /** The spool that every bridge has. */
  readonly queue: MemoryQueue

  constructor(queue: MemoryQueue) {
    this.queue = queue
  }

  async spools(clientId: string): Promise<FoundSpool[]> {
    return Array.from(this.queues, ([each, { count }]) => ({
      clientId: each,
      filters: this.#filters.get(each) ?? [],
      count,
    })).filter(found => found.clientId === clientId || found.clientId.startsWith(`${clientId}/`))
  }

  async openSpools(requests: readonly SpoolRequest[]): Promise<SessionQueue[]> {
    return requests.map(({ clientId, filters }) => {
      if (clientId.endsWith(DEAD_LETTERS_SUFFIX)) return this.dead
      this.opened.push([clientId, filters])
      this.#filters.set(clientId, filters)
      const isFirst = !clientId.slice(SPOOL_CLIENT_PREFIX.length).includes('/')
      const queue = this.queues.get(clientId) ?? (isFirst ? this.queue : new MemoryQueue(clientId))
      this.queues.set(clientId, queue)
      return queue
    })
  }

  async discardSpool(clientId: string): Promise<void> {
    this.queues.delete(clientId)
  }

  now(): number {
    return this.time
  }

  oldest(): undefined {
    return undefined
  }

  receive(_clientId: string, message: ReceivedMessage, settlement: Settlement | null, packetId?: number): Receipt {
    this.arrived.push(message)
    if (packetId !== undefined) this.ids.add(packetId)
    if (settlement !== null) this.settle(settlement)
    return 'taken'
  }

  left(): void {}

  received(): ReadonlySet<number> {
    return this.ids
  }

  repeated(_clientId: string, _packetId: number, settlement: Settlement): void {
    settlement.settled()
  }

  forget(_clientId: string, packetId: number, done: () => void): void {
    this.ids.delete(packetId)
    done()
  }

  async append(queue: SessionQueue, { topic, payload, properties = {} }: ReceivedMessage): Promise<void> {
    ;(queue as MemoryQueue).push({ topic, payload, forwarded: encodeForwarded(properties) })
  }

  async publish(topic: string, payload: Buffer): Promise<void> {
    this.told.set(topic, String(payload))
  }
}
