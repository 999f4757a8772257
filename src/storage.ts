/**
 * The store that is configured: LevelDB on this machine's card, or a Redis that several gateways share. Part of the
 * composition root, with `main.ts`.
 */
import { LocalEmitter } from './broker/emitter.ts'
import type { Hub } from './broker/hub.ts'
import { RedisCluster, redisLimits } from './cluster/cluster.ts'
import { ContractPersistence } from './cluster/persistence.ts'
import type { Config } from './config/schema.ts'
import type { Clock, ClockSync } from './kernel/clock.ts'
import type { Log } from './kernel/log.ts'
import { lossSentence } from './store/durability.ts'
import { LevelPersistence } from './store/persistence.ts'
import type { QueueLimits } from './store/quota.ts'

export interface StorageDependencies {
  readonly config: Config
  /** One object for as long as the gateway is there: the store looks at it, and a reload changes what it says. */
  readonly limits: QueueLimits
  readonly clock: Clock
  readonly log: Log
  readonly sync: ClockSync
}

export class Storage {
  readonly persistence: LevelPersistence | ContractPersistence
  /** How messages reach the other gateways of a cluster; undefined of one that is alone. */
  readonly mq: RedisCluster['mq'] | undefined
  readonly #log: Log
  #hub: Hub | undefined

  constructor(deps: StorageDependencies) {
    const { url } = deps.config.store
    const cluster =
      url === undefined
        ? undefined
        : new RedisCluster({ url, local: new LocalEmitter(), clock: deps.clock, log: deps.log })
    this.persistence = cluster?.persistence ?? levelStore(deps)
    this.mq = cluster?.mq
    this.#log = deps.log
  }

  /** `ok`, or what became of a damaged store; only after it was opened. */
  get state(): string {
    return this.persistence instanceof ContractPersistence ? 'redis' : this.persistence.opening.state
  }

  /** To be called before the hub listens. */
  watch(hub: Hub): void {
    this.#hub = hub
    if (this.persistence instanceof ContractPersistence) this.persistence.watcher = hub.shared
  }

  /** Says what the store promises, and how it came up: in the log, and to whoever looks below `$SYS`. */
  tell(): void {
    if (this.persistence instanceof ContractPersistence) {
      for (const limit of redisLimits()) this.#log.warn({}, limit)
      this.#tell('loss_window', 'redis')
      return
    }
    const { lossWindow, opening } = this.persistence
    const seconds = lossWindow === Number.POSITIVE_INFINITY ? 'unlimited' : `${lossWindow / 1000}`
    this.#log.info({ lossWindow: seconds }, lossSentence(lossWindow))
    this.#tell('loss_window', seconds)
    this.#tell('state', opening.state)
  }

  #tell(name: string, payload: string): void {
    this.#hub?.publish({ topic: `$SYS/broker/store/${name}`, payload, retain: true })
  }
}

function levelStore({ config, limits, clock, log, sync }: StorageDependencies): LevelPersistence {
  const { dataDir, store } = config
  const { commitDelay, retainedInterval, queueQos0, minFree } = store
  return new LevelPersistence(
    {
      dataDir,
      commitDelay,
      retainedInterval,
      queueQos0,
      minFree,
      durability: { window: store.durability, rules: store.durabilityFor },
      limits,
    },
    { clock, log, sync },
  )
}

export function queueLimitsOf(limits: Config['limits']): QueueLimits {
  return {
    maxMessages: limits.maxQueuedMessages,
    maxBytes: limits.maxQueuedBytes,
    maxAge: limits.maxQueuedAge,
    maxTotalMessages: limits.maxTotalMessages,
    maxTotalBytes: limits.maxTotalBytes,
    overflow: limits.overflow,
  }
}
