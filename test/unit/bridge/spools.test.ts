/** The spools of a bridge in the gateway's own store: where a message waits, and what is told when there is no room for it. */
import { describe, expect, test } from 'vitest'
import { SPOOL_CLIENT_PREFIX } from '../../../src/bridge/ports.ts'
import { loadConfig } from '../../../src/config/load.ts'
import type { Gateway } from '../../../src/index.ts'
import { freePort } from '../../support/free-port.ts'
import { startLimited } from '../../support/limited.ts'
import { until } from '../../support/wait.ts'

type Rule = Record<string, unknown>

/** A gateway with a bridge whose upstream is away. */
async function startAway(rules: Record<string, Rule[]>, limits: Record<string, unknown> = {}) {
  const url = `mqtt://127.0.0.1:${await freePort()}`
  const bridge = { name: 'cloud', url, retry: { min: '1h', max: '1h' }, ...rules }
  return await startLimited(limits, { settings: { bridges: [bridge], dashboard: { listen: 'off' } } })
}

async function waiting({ hub: { persistence } }: Gateway): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {}
  for (const clientId of persistence.queues.clientIds()) {
    if (!clientId.startsWith(SPOOL_CLIENT_PREFIX)) continue
    const topics: string[] = []
    for await (const { message } of persistence.queues.find(clientId)?.all() ?? []) topics.push(message.topic)
    found[clientId.slice(SPOOL_CLIENT_PREFIX.length)] = topics
  }
  return found
}

test('a message waits in one spool, of whatever QoS, and so do retained ones that were there before', async () => {
  const { gateway } = await startAway({
    out: [
      { filter: 'alarm/#', priority: 'high' },
      { filter: '+/log', priority: 'low', on_backlog: 'sample 1m' },
      { filter: '#' },
    ],
  })
  for (const [at, topic] of ['alarm/log', 'room/log', 'room'].entries()) {
    await gateway.publish(topic, 'x', { qos: at as 0 | 1 | 2, retain: true })
  }
  expect(await waiting(gateway)).toEqual({
    cloud: ['room'],
    'cloud/dead': [],
    'cloud/high': ['alarm/log'],
    'cloud/low/latest': ['room/log'],
  })
})

test('what a bridge brings in is for none of its own spools', async () => {
  const { gateway } = await startAway({
    in: [{ filter: '#' }],
    // It is another topic there: nobody else would see to it.
    out: [
      { filter: 'a/#', priority: 'high', remote_prefix: 'up/' },
      { filter: 'b/#', remote_prefix: 'up/' },
      { filter: 'c/#', on_backlog: 'latest', remote_prefix: 'up/' },
    ],
  })
  const { LocalAccess } = await import('../../../src/broker/local.ts')
  const access = new LocalAccess({ hub: gateway.hub })
  for (const topic of ['a/1', 'b/1', 'c/1']) {
    const message = { topic, payload: Buffer.from('x'), qos: 1, retain: false } as const
    expect(access.receive('$bridge/cloud', message, null)).toBe('taken')
  }
  expect(Object.values(await waiting(gateway)).flat()).toEqual([])
  await gateway.publish('a/1', 'x', { qos: 1 })
  expect((await waiting(gateway))['cloud/high']).toEqual(['a/1'])
})

test('a change of classes begins new spools; old ones go when they are empty, and nothing is in two', async () => {
  const { gateway } = await startAway({ out: [{ filter: 'a', priority: 'high' }, { filter: 'b' }] })
  const reload = async (out: Rule[]) => {
    const bridges = [{ name: 'cloud', url: 'mqtt://127.0.0.1:1', retry: { min: '1h', max: '1h' }, out }]
    const text = JSON.stringify({ listeners: ['mqtt://127.0.0.1:0'], dashboard: { listen: 'off' }, bridges })
    const result = loadConfig({ text, env: {}, cwd: '/', checks: { cron: () => undefined } })
    if ('faults' in result) throw new Error(JSON.stringify(result.faults))
    await gateway.reload(result.config)
  }
  const say = async () => {
    for (const topic of ['a', 'b']) await gateway.publish(topic, 'x', { qos: 1, retain: true })
  }
  await say()
  await reload([{ filter: 'a', priority: 'low' }, { filter: 'b' }, { filter: 'c' }])
  await say()
  await reload([{ filter: 'a' }, { filter: 'b' }])
  await say()
  expect(await waiting(gateway)).toEqual({
    cloud: ['b'],
    'cloud/high': ['a'],
    'cloud/1': ['b'],
    'cloud/1/low': ['a'],
    'cloud/2': ['a', 'b'],
    'cloud/dead': [],
  })
  const { queues } = gateway.hub.persistence
  for (const name of ['high', '1', '1/low']) {
    const queue = queues.find(`$bridge/cloud/${name}`)
    for await (const delivery of queue?.all() ?? []) queue?.remove(delivery)
  }
  await until(async () => Object.keys(await waiting(gateway)).length === 3, { what: 'the end of what is empty' })
  expect(Object.keys(await waiting(gateway)).sort()).toEqual(['cloud', 'cloud/2', 'cloud/dead'])
  expect(gateway.bridgeStates()[0]?.waiting).toBe(3)
})

describe('a spool that is full (m#1729, m#1593, m#2202)', () => {
  test.each(['drop-oldest', 'drop-newest'])('says so once, and counts what is lost: %s', async overflow => {
    const limited = await startAway({ out: [{ filter: '#' }] }, { max_queued_messages: 100, overflow })
    const { gateway } = limited
    for (let i = 0; i < 250; i++) await gateway.publish('t', String(i), { qos: 1 })
    await until(() => gateway.bridgeStates()[0]?.waiting === 100, { what: 'a full spool' })
    expect(gateway.bridgeStates()).toMatchObject([{ name: 'cloud', waiting: 100, dropped: 150 }])
    expect(limited.warnings('the queue of a session is full').map(({ fields }) => fields.client)).toEqual([
      '$bridge/cloud',
    ])
  })

  test('refuses, and so loses nothing: reject', async () => {
    const limited = await startAway({ out: [{ filter: '#' }] }, { max_queued_messages: 3, overflow: 'reject' })
    const { gateway } = limited
    for (let i = 0; i < 3; i++) await gateway.publish('t', String(i), { qos: 1 })
    await expect(gateway.publish('t', '3', { qos: 1 })).rejects.toThrow('the store has no room')
    expect(gateway.bridgeStates()).toMatchObject([{ waiting: 3, dropped: 0 }])
  })
})

test('what expires in a spool is counted', async () => {
  const { gateway } = await startAway({ out: [{ filter: '#' }] })
  await gateway.publish('t', 'x', { qos: 1, properties: { messageExpiryInterval: 1 } })
  await gateway.publish('t', 'y', { qos: 1 })
  await until(() => gateway.bridgeStates()[0]?.expired === 1, { what: 'an expired message', timeout: 8_000 })
  expect(gateway.bridgeStates()).toMatchObject([{ waiting: 1, expired: 1, dropped: 0 }])
})

test('bridges are asked by their names', async () => {
  const { gateway } = await startAway({ out: [{ filter: '#' }] })
  expect(() => gateway.deadLetters('clod')).toThrow('there is no bridge called "clod"; there is cloud')
  for (const what of ['retryDeadLetters', 'pauseBridge', 'resumeBridge'] as const) {
    await expect(gateway[what]('clod')).rejects.toThrow('there is no bridge called "clod"')
  }
  expect(await gateway.retryDeadLetters('cloud')).toBe(0)
  await gateway.pauseBridge('cloud')
  expect(gateway.bridgeStates()).toMatchObject([{ name: 'cloud', paused: true, connected: false }])
})
