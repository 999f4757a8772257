/** Gateways on a Redis that goes away, has no room, is cut off from one of them, or was never there. */
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { LocalEmitter } from '../../src/broker/emitter.ts'
import { RedisCluster } from '../../src/cluster/cluster.ts'
import { systemClock } from '../../src/kernel/clock.ts'
import { admin, beginCluster, endCluster, type Node, numbers, startNode } from '../support/cluster.ts'
import { freePort } from '../support/free-port.ts'
import { ROOT } from '../support/gateway.ts'
import { faultsOfDelivery, Ledger } from '../support/ledger.ts'
import { RawClient } from '../support/mqtt-client.ts'
import { needs } from '../support/needs.ts'
import { run } from '../support/process.ts'
import { recordLog } from '../support/record-log.ts'
import { openPath, type RedisServer } from '../support/redis.ts'
import { until } from '../support/wait.ts'

describe.skipIf(!needs('redis-server'))('two gateways and a Redis that fails them', () => {
  let redis: RedisServer
  let a: Node
  let b: Node

  beforeEach(async () => {
    redis = await beginCluster()
    a = await startNode(redis)
    b = await startNode(redis)
  })

  afterEach(async () => {
    expect(await endCluster()).toEqual([])
  })

  test('a Redis without room: nothing is acknowledged, and nothing lost', async () => {
    await using subscriber = await RawClient.connect({ port: b.port, clientId: 'room', clean: false })
    await subscriber.subscribe({ topic: 'room', qos: 1 })
    await using publisher = await RawClient.connect({ port: a.port, clientId: 'filler' })
    await using db = await admin(redis)
    await db.redis.config('SET', 'maxmemory', '1')
    for (const messageId of [1, 2, 3]) {
      publisher.send({
        cmd: 'publish',
        topic: 'room',
        payload: `${messageId}`,
        qos: 1,
        retain: false,
        dup: false,
        messageId,
      })
    }
    await until(() => a.lines.some(({ message }) => message.startsWith('Redis refuses')), { what: 'a word about it' })
    await publisher.ping()
    expect(publisher.others.some(({ cmd }) => cmd === 'puback')).toBe(false)
    await db.redis.config('SET', 'maxmemory', '0')
    for (const messageId of [1, 2, 3]) await publisher.next('puback', messageId)
    await subscriber.received(3)
    expect(subscriber.payloads).toEqual(['1', '2', '3'])
    expect(a.lines.filter(({ message }) => message.startsWith('Redis refuses'))).toHaveLength(1)
  })

  test('a gateway stops, also when Redis is away and messages wait', async () => {
    const session = await RawClient.connect({ port: a.port, clientId: 'waits', clean: false })
    await session.subscribe({ topic: 'wait', qos: 1 })
    await redis.kill()
    await until(() => a.lines.some(({ message }) => message.startsWith('Redis is away')), { what: 'a word about it' })
    session.send({ cmd: 'publish', topic: 'wait', payload: 'x', qos: 1, retain: true, dup: false, messageId: 5 })
    await session.ping()
    expect(session.others.some(({ cmd }) => cmd === 'puback')).toBe(false)
    await a.stop()
    await session.closed
    await b.stop()
  })

  test('nothing acknowledged is lost while Redis is killed and comes back', { timeout: 120_000 }, async () => {
    const count = 3_000
    const topicOf = (number: number) => `ledger/${number % 3}`
    for (const clientId of ['offline', 'online']) {
      const client = await RawClient.connect({ port: b.port, clientId, clean: false })
      await client.subscribe({ topic: 'ledger/#', qos: 1 })
      await client.disconnect()
    }
    const online = await RawClient.connect({ port: b.port, clientId: 'online', clean: false })
    const ledger = new Ledger({ clientId: 'ledger', count, window: 50, topicOf })
    let kills = 0
    const killed: Promise<void>[] = []
    ledger.onAcknowledged = acknowledged => {
      if (acknowledged < (kills + 1) * 700 || kills === 3) return
      kills++
      killed.push(redis.kill().then(() => redis.start()))
    }
    await until(() => ledger.run(a.port), { what: 'all acknowledgements', timeout: 60_000 })
    await Promise.all(killed)
    expect(kills).toBe(3)
    expect(ledger.acknowledged.size).toBe(count)
    await using offline = await RawClient.connect({ port: a.port, clientId: 'offline', clean: false })
    for (const client of [online, offline]) {
      const numbered = () => client.publishes.map(({ topic, payload }) => ({ topic, number: Number(payload) }))
      await until(() => new Set(client.payloads).size === count, {
        what: () => `all messages at ${client.clientId}: ${faultsOfDelivery(numbered(), ledger.acknowledged, topicOf)}`,
        timeout: 60_000,
      })
      expect(faultsOfDelivery(numbered(), ledger.acknowledged, topicOf)).toEqual([])
    }
    for (const { lines } of [a, b]) {
      expect(lines.filter(({ message }) => message.startsWith('Redis is away')).length).toBeLessThanOrEqual(3)
      expect(lines.filter(({ message }) => message.startsWith('Redis is back')).length).toBeGreaterThanOrEqual(1)
      expect(lines.filter(({ level }) => level === 'error')).toEqual([])
    }
    await online.disconnect()
  })

  test('what may wait for Redis is bounded; beyond, publishers are told', async () => {
    const session = await RawClient.connect({ port: a.port, clientId: 'waits', clean: false })
    await session.subscribe({ topic: 'flood', qos: 1 })
    await session.disconnect()
    redis.pause()
    const outcomes = { settled: 0, refused: 0 }
    for (let i = 0; i < 21_000; i++) {
      a.hub.publish({ topic: 'flood', payload: String(i), qos: 1 }, null, error => {
        if (error) outcomes.refused++
        else outcomes.settled++
      })
    }
    expect(outcomes).toEqual({ settled: 0, refused: 1_000 })
    redis.resume()
    await until(() => outcomes.settled === 20_000, { what: () => `the rest; ${outcomes.settled} are settled` })
    expect(a.lines.filter(({ message }) => message.startsWith('too much waits for Redis'))).toHaveLength(1)
  })

  test('a gateway that was cut off catches up with what the other did', async () => {
    await using path = await openPath(redis)
    const cut = await startNode(path)
    const online = await RawClient.connect({ port: cut.port, clientId: 'online', clean: false })
    await online.subscribe({ topic: 'news/#', qos: 1 })
    await using publisher = await RawClient.connect({ port: a.port })
    await publisher.publish('old', 'x', { qos: 1, retain: true })
    await until(() => [...cut.hub.persistence.queues.retained('old')].length === 1, { what: 'the retained message' })
    path.cut()
    await until(() => cut.lines.some(({ message }) => message.startsWith('Redis is away')), { what: 'a word about it' })
    for (const number of numbers(0, 5)) await publisher.publish('news/x', number, { qos: 1 })
    await publisher.publish('old', '', { qos: 1, retain: true })
    await publisher.publish('new', 'y', { qos: 1, retain: true })
    const later = await RawClient.connect({ port: b.port, clientId: 'later', clean: false })
    await later.subscribe({ topic: 'from/cut', qos: 1 })
    await later.disconnect()
    await online.ping()
    expect(online.publishes).toEqual([])
    path.mend()
    await online.received(5)
    expect(online.payloads).toEqual(numbers(0, 5))
    const { queues } = cut.hub.persistence
    await until(() => Array.from(queues.retained('+'), ({ topic }) => topic).join() === 'new', {
      what: 'what is retained',
    })
    await until(() => queues.find('later') !== undefined, { what: 'the news of a session' })
    await online.publish('from/cut', 'hello', { qos: 1 })
    await using back = await RawClient.connect({ port: b.port, clientId: 'later', clean: false })
    await back.received(1)
    expect(cut.lines.filter(({ message }) => message.startsWith('Redis is away'))).toHaveLength(1)
    expect(cut.lines.filter(({ message }) => message.startsWith('Redis is back'))).toHaveLength(1)
    await online.disconnect()
    await cut.stop()
  })
})

describe('a store on Redis', () => {
  test('that cannot be reached is a clear error at start, and leaves nothing behind', async () => {
    const port = await freePort()
    const { log } = recordLog()
    const url = `redis://user:${randomUUID()}@127.0.0.1:${port}/3`
    const cluster = new RedisCluster({ url, local: new LocalEmitter(), clock: systemClock, log })
    const setup = cluster.persistence.setup({ id: randomUUID(), counter: 0 })
    await expect(setup).rejects.toThrow(`redis://127.0.0.1:${port}/3 cannot be used: connect ECONNREFUSED`)
    await expect(setup).rejects.toMatchObject({ code: 'STORE_FAILED' })
  })

  test('without the packages is a clear error too', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'larder-cluster-'))
    const program = `
      import { RedisCluster } from './src/cluster/cluster.ts'
      import { systemClock } from './src/kernel/clock.ts'
      const cluster = new RedisCluster({ url: 'redis://127.0.0.1:1', clock: systemClock })
      cluster.persistence.setup({ id: 'x', counter: 0 }).catch(error => console.log(error.toLine()))`
    try {
      const outfile = join(folder, 'program.mjs')
      const stdin = { contents: program, resolveDir: ROOT, loader: 'ts' } as const
      await build({ stdin, outfile, bundle: true, format: 'esm', platform: 'node', packages: 'external' })
      const { lines, code } = await run(process.execPath, [outfile], { cwd: folder })
      expect(code).toBe(0)
      expect(lines.join('\n')).toMatch(/^DRIVER_MISSING: .*aedes-persistence-redis.*npm install/)
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})
