/**
 * The suite that aedes-persistence publishes for everybody who implements its contract, on what the gateway uses of
 * Redis: our adapter over `aedes-persistence-redis`, with our emitter over `mqemitter-redis`. The suite is that of the
 * version which the package was made for.
 */
import { createRequire } from 'node:module'
import { after, before, test } from 'node:test'
import { LocalEmitter } from '../../src/broker/emitter.ts'
import { RedisCluster } from '../../src/cluster/cluster.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { silentLog } from '../../src/kernel/log.ts'
import { needs } from '../support/needs.ts'
import { type RedisServer, startRedis } from '../support/redis.ts'

const require = createRequire(import.meta.url)

if (needs('redis-server') && has('aedes-persistence-redis')) {
  const ofPackage = createRequire(require.resolve('aedes-persistence-redis'))
  const abstractPersistence = ofPackage('aedes-persistence/abstract.js')
  let redis: RedisServer
  before(async () => {
    redis = await startRedis()
  })
  after(() => redis.remove())
  /** The suite asks for the emitter first. */
  let cluster: RedisCluster
  abstractPersistence({
    test,
    testAsync: true,
    buildEmitter: () => {
      cluster = new RedisCluster({ url: redis.url, local: new LocalEmitter(), clock: systemClock, log: silentLog })
      return cluster.mq
    },
    persistence: async () => {
      const { persistence, mq } = cluster
      const { Redis } = ofPackage('ioredis')
      const db = new Redis(redis.url)
      await db.flushall()
      await db.quit()
      const destroy = persistence.destroy.bind(persistence)
      persistence.destroy = async () => {
        await new Promise<void>(resolve => mq.close(resolve))
        await destroy()
      }
      return persistence
    },
  })
}

/** Optional dependencies may be absent. */
function has(name: string): boolean {
  try {
    require.resolve(name)
    return true
  } catch {
    process.stderr.write(`skipped: tests that need ${name}, because it is not installed (npm install ${name})\n`)
    return false
  }
}
