/** The store by itself, without a broker around it. */
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { LevelPersistence } from '../../src/store/persistence.ts'
import type { QueueLimits } from '../../src/store/quota.ts'
import type { StoreDependencies, StoreOptions } from '../../src/store/store.ts'

export const NO_LIMITS: QueueLimits = {
  maxMessages: 1_000_000,
  maxBytes: 1_000_000_000,
  maxAge: Number.POSITIVE_INFINITY,
  maxTotalMessages: 10_000_000,
  maxTotalBytes: 10_000_000_000,
  overflow: 'drop-oldest',
}

/** A store in `dataDir` with `ack` durability and no limits that a test would meet, unless `options` says otherwise. */
export function testStore(
  dataDir: string,
  options: Partial<Omit<StoreOptions, 'dataDir'>> = {},
  deps: Partial<StoreDependencies> = {},
): LevelPersistence {
  return new LevelPersistence(
    {
      dataDir,
      commitDelay: 5,
      retainedInterval: 300_000,
      limits: NO_LIMITS,
      durability: { window: 0, rules: [] },
      queueQos0: false,
      minFree: 0,
      ...options,
    },
    { clock: systemClock, sync: { isSynced: () => false }, log: silentLog, ...deps },
  )
}
