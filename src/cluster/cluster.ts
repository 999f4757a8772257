/**
 * Several gateways on one Redis: sessions, queues and retained messages are shared, and a message that is published on
 * one reaches the subscribers of all. The hub is given `persistence` and `mq`, and is otherwise the same.
 */
import type { Emitter } from '../broker/ports.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { ClusterEmitter } from './emitter.ts'
import { Link } from './link.ts'
import { ContractPersistence } from './persistence.ts'

export class RedisCluster {
  readonly mq: ClusterEmitter
  readonly persistence: ContractPersistence

  /**
   * @param deps.url `redis://[user:password@]host:port[/database]`, or `rediss://` for TLS
   * @param deps.local serves the listeners of this gateway
   */
  constructor(deps: { url: string; local: Emitter; clock: Clock; log: Log }) {
    const { url, local, clock, log } = deps
    const link = new Link({ url, clock, log })
    this.mq = new ClusterEmitter({ local, link, log })
    this.persistence = new ContractPersistence({ link, mq: this.mq, clock, log })
  }
}

/** What a store on Redis cannot promise, one sentence each: said at start, whatever is configured. */
export function redisLimits(): string[] {
  return [
    'A message is acknowledged when Redis has it: how much is lost when Redis dies is for Redis to say (appendonly yes and appendfsync always lose nothing; everysec a second; without appendonly, what came after the last snapshot).',
    'A message of QoS 2 may come twice when a gateway dies between writing the message and writing that it was received.',
    'A subscription counts on the other gateways a moment after its SUBACK: what is published there before that is not queued for it.',
    'Every message that a persistent session waits for is written, once for each session, also when its subscriber is connected: store.durability, its overrides and store.commit_delay do nothing.',
    'limits.max_queued_messages, max_queued_bytes and the limits on age and disk do nothing for sessions that Redis keeps: Redis must have room (maxmemory-policy noeviction), and when it has none, nothing is acknowledged.',
    'The time that a long queue takes to drain grows with its length: Redis looks through all of it for each acknowledgement.',
    'A subscriber whose session ends with its connection misses what other gateways publish while Redis is away, also at QoS 1 and 2.',
    'Shared subscriptions take turns among the members of the gateway that the publisher is connected to; persistent members elsewhere come after them, others not at all.',
    'A session ends by its expiry interval on the gateway that it was last connected to, or when a gateway starts; a bridge may be configured on one gateway only, and what waits for a bridge that is taken out stays in Redis.',
  ]
}
