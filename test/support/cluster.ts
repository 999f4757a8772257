/**
 * Gateways on one Redis, in this process: composed of the parts that `src/main.ts` joins. What a test starts is ended by
 * `endCluster`, which also says what was rejected and seen by nobody.
 */
import { Redis } from 'ioredis'
import { LocalEmitter } from '../../src/broker/emitter.ts'
import { Hub } from '../../src/broker/hub.ts'
import { RedisCluster } from '../../src/cluster/cluster.ts'
import { type Clock, systemClock } from '../../src/kernel/clock.ts'
import { Gate } from '../../src/listen/gate.ts'
import { openListener } from '../../src/listen/open.ts'
import type { Broker } from './broker.ts'
import { testLimits } from './limits.ts'
import { type LogLine, recordLog } from './record-log.ts'
import { type RedisServer, startRedis } from './redis.ts'
import { until } from './wait.ts'

const LIMITS = testLimits({
  maxPacketSize: 1024 * 1024,
  maxQueuedBytes: 64 * 1024 * 1024,
  maxUnsent: 1024 * 1024,
  maxTopicLevels: 100,
})

export interface Node extends Broker {
  readonly hub: Hub
  readonly lines: LogLine[]
  stop(): Promise<void>
}

const rejections: unknown[] = []
const onRejection = (reason: unknown) => void rejections.push(reason)
const nodes: Node[] = []
const redises: RedisServer[] = []

export async function startNode(redis: { url: string }, clock: Clock = systemClock): Promise<Node> {
  const { log, lines } = recordLog()
  const cluster = new RedisCluster({ url: redis.url, local: new LocalEmitter(), clock, log })
  const hub = new Hub({ persistence: cluster.persistence, mq: cluster.mq, limits: LIMITS, clock, log })
  cluster.persistence.watcher = hub.shared
  const listener = await openListener(
    { protocol: 'mqtt', host: '127.0.0.1', port: 0 },
    {
      clock,
      log,
      gate: new Gate({ limits: LIMITS, clock, log }),
      maxPacketSize: LIMITS.maxPacketSize,
      onConnection: (stream, details) => void hub.accept(stream, details),
    },
  )
  await hub.listen()
  await listener.start(new AbortController().signal)
  const node: Node = {
    port: Number(new URL(listener.address()).port),
    wsPort: 0,
    pid: undefined,
    hub,
    lines,
    log: () => lines.map(({ level, message }) => `${level} ${message}`).join('\n'),
    [Symbol.asyncDispose]: () => node.stop(),
    async stop() {
      nodes.splice(nodes.indexOf(node), 1)
      listener.stopAccepting()
      await hub.shut()
      await listener.stop()
      await cluster.persistence.destroy()
    },
  }
  nodes.push(node)
  return node
}

/** One that keeps its data over a kill. */
export async function beginCluster(): Promise<RedisServer> {
  process.on('unhandledRejection', onRejection)
  const redis = await startRedis({ appendonly: true })
  redises.push(redis)
  return redis
}

/** A connection of the test's own. */
export async function admin(redis: RedisServer): Promise<{ redis: Redis } & AsyncDisposable> {
  const connection = new Redis(redis.url, { lazyConnect: true })
  await connection.connect()
  return { redis: connection, [Symbol.asyncDispose]: async () => connection.disconnect() }
}

/** Ends everything. Resolves to the rejections that nobody handled. */
export async function endCluster(): Promise<unknown[]> {
  for (const node of [...nodes]) await node.stop()
  for (const server of redises.splice(0)) await server.remove()
  process.off('unhandledRejection', onRejection)
  return rejections.splice(0)
}

/** The numbers from `from` up to but not `to`, as payloads. */
export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, i) => String(from + i))
}

/** Resolves when every gateway knows that the queues of so many sessions want `topic`, at least at `qos`: the others hear of a subscription a moment after its SUBACK. */
export async function isKnownEverywhere(topic: string, { sessions = 1, qos = 1 } = {}): Promise<void> {
  const knows = ({ hub }: Node) =>
    hub.persistence.queues.targets(topic).filter(({ grants }) => grants.others.qos >= qos).length >= sessions
  await until(() => nodes.every(knows), { what: `all gateways to know the subscription to ${topic}` })
}
