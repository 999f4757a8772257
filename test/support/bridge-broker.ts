/** A gateway's broker as a bridge sees it, in memory: a queue for its spool, one for dead letters, and a list of what it published. */
import {
  type BridgeBroker,
  DEAD_LETTERS_SUFFIX,
  type ReceivedMessage,
  type SpoolFilter,
} from '../../src/bridge/ports.ts'
import type { SessionQueue, Settlement } from '../../src/broker/ports.ts'
import { encodeForwarded } from '../../src/mqtt/publish-properties.ts'
import { MemoryQueue } from './memory-queue.ts'

export class MemoryBroker implements BridgeBroker {
  readonly gatewayId: string = 'gateway-under-test'
  readonly spools: [string, readonly SpoolFilter[]][] = []
  readonly dead = new MemoryQueue()
  /** What came from the upstream. */
  readonly arrived: ReceivedMessage[] = []
  /** What the gateway said itself, the last of each topic. */
  readonly told = new Map<string, string>()
  /** Packet identifiers of QoS 2. */
  readonly ids = new Set<number>()
  /** Replaced by tests that settle later. */
  settle: (settlement: Settlement) => void = settlement => settlement.settled()
  readonly #queue: SessionQueue

  constructor(queue: SessionQueue) {
    this.#queue = queue
  }

  async openSpool(clientId: string, filters: readonly SpoolFilter[]): Promise<SessionQueue> {
    if (clientId.endsWith(DEAD_LETTERS_SUFFIX)) return this.dead
    this.spools.push([clientId, filters])
    return this.#queue
  }

  receive(
    _clientId: string,
    message: ReceivedMessage,
    settlement: Settlement | null,
    packetId?: number,
  ): string | undefined {
    this.arrived.push(message)
    if (packetId !== undefined) this.ids.add(packetId)
    if (settlement !== null) this.settle(settlement)
    return undefined
  }

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
