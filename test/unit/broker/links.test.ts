/** What comes by links to other brokers and leaves by them, through a real hub on a real store. */
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Receipt, ReceivedMessage, SpoolWay } from '../../../src/bridge/ports.ts'
import { Hub } from '../../../src/broker/hub.ts'
import { LocalAccess } from '../../../src/broker/local.ts'
import type { SessionQueue } from '../../../src/broker/ports.ts'
import { systemClock } from '../../../src/kernel/clock.ts'
import { silentLog } from '../../../src/kernel/log.ts'
import { forwardedProperties } from '../../../src/mqtt/publish-properties.ts'
import { testLimits } from '../../support/limits.ts'
import { RawClient } from '../../support/mqtt-client.ts'
import { NO_LIMITS, testStore } from '../../support/store.ts'
import { until } from '../../support/wait.ts'

const LIMITS = testLimits({
  maxPacketSize: 1024 * 1024,
  receiveMaximum: 100,
  maxQueuedMessages: 1_000,
  maxQueuedBytes: 1024 * 1024,
  maxUnsent: 1024 * 1024,
  maxTopicLevels: 100,
})

interface Stage {
  readonly hub: Hub
  readonly local: LocalAccess
  /** Batches wait from `hold` until `open`. */
  hold(): void
  open(): void
  spool(name: string, way?: SpoolWay): Promise<SessionQueue>
  /** What a bridge brings; `settled` tells how often it was told. */
  bring(name: string, message: Partial<ReceivedMessage>, packetId?: number): { receipt: Receipt; settled: string[] }
  connect(): Promise<RawClient>
  /** Everything that was delivered here. */
  readonly heard: string[]
}

async function stage(scene: (stage: Stage) => Promise<void>, limits = NO_LIMITS): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'larder-links-'))
  let gate: Promise<void> | undefined
  let open = () => {}
  const writer: NonNullable<Parameters<typeof testStore>[2]>['writer'] = disk => ({
    async write(operations, sync) {
      await gate
      await disk.write(operations, sync)
    },
  })
  const store = testStore(dataDir, { limits }, { writer })
  const hub = new Hub({ persistence: store, limits: LIMITS, clock: systemClock, log: silentLog })
  await hub.listen()
  const server = createServer(socket => void hub.accept(socket, {})).listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const local = new LocalAccess({ hub })
  const heard: string[] = []
  local.subscribe('#', (topic, payload) => {
    if (!topic.startsWith('$')) heard.push(`${topic} ${payload}`)
  })
  try {
    await scene({
      hub,
      local,
      heard,
      hold: () => {
        gate = new Promise(resolve => {
          open = resolve
        })
      },
      open: () => open(),
      spool: async (name, way) => {
        const filters = [{ filter: '#', qos: 2 } as const]
        const [queue] = await local.openSpools([{ clientId: `$bridge/${name}`, filters }], way)
        return queue as SessionQueue
      },
      bring: (name, message, packetId) => {
        const settled: string[] = []
        const whole = { topic: 't', payload: Buffer.from('x'), qos: 1, retain: false, ...message } as const
        const settlement = { settled: () => void settled.push('settled'), refused: () => void settled.push('refused') }
        return { receipt: local.receive(`$bridge/${name}`, whole, settlement, packetId), settled }
      },
      connect: () => RawClient.connect({ port, protocolVersion: 5 }),
    })
  } finally {
    open()
    await hub.shut()
    server.close()
    await store.destroy()
    await rm(dataDir, { recursive: true, force: true })
  }
}

const named = (value: string) => ({ properties: { userProperties: [['larder-id', value]] as [string, string][] } })
const ID = named('AAAAAAAAAAA.1')

/** What waits in a queue, as topics with the first user property. */
async function waiting(queue: SessionQueue): Promise<string[]> {
  const all: string[] = []
  for await (const { message } of queue.all()) {
    const properties = message.forwarded === undefined ? {} : forwardedProperties(message.forwarded)
    all.push([message.topic, ...(properties.userProperties?.[0] ?? [])].join(' '))
  }
  return all
}

test('a copy goes no further, and is acknowledged when the first is', async () => {
  await stage(async ({ spool, bring, hold, open, heard }) => {
    await spool('C')
    hold()
    const first = bring('A', ID)
    const copy = bring('B', ID)
    expect([first.receipt, copy.receipt]).toEqual(['taken', 'known'])
    await new Promise(resolve => setImmediate(resolve))
    expect([first.settled, copy.settled]).toEqual([[], []])
    open()
    await until(() => copy.settled.length === 1, { what: 'the second acknowledgement' })
    expect([first.settled, copy.settled]).toEqual([['settled'], ['settled']])
    expect(bring('B', ID).settled).toEqual(['settled'])
    expect(heard).toEqual(['t x'])
  })
})

test('a copy of QoS 2 has its packet identifier on record', async () => {
  await stage(async ({ bring, hub, heard }) => {
    const first = bring('A', { ...ID, qos: 2 }, 7)
    const copy = bring('B', { ...ID, qos: 2 }, 9)
    expect([first.receipt, copy.receipt]).toEqual(['taken', 'known'])
    await until(() => copy.settled.length === 1 && first.settled.length === 1, { what: 'both acknowledgements' })
    expect(hub.persistence.queues.received('$bridge/B').has(9)).toBe(true)
    expect(heard).toEqual(['t x'])
  })
})

test.each([ID, {}])('what the store had no room for is new when it comes again: %j', async message => {
  const limits = { ...NO_LIMITS, maxMessages: 1, overflow: 'reject' } as const
  await stage(async ({ spool, bring, heard, local }) => {
    const queue = await spool('C')
    await local.publish('full', Buffer.from(''), { qos: 1, retain: false })
    expect(bring('A', message).settled).toEqual(['refused'])
    queue.attach(() => {})
    queue.remove(await until(() => queue.take(), { what: 'the message that fills it' }))
    const again = bring('A', message)
    await until(() => again.settled.length === 1, { what: 'an acknowledgement' })
    expect(again).toEqual({ receipt: 'taken', settled: ['settled'] })
    expect(heard).toEqual(['full ', 't x'])
  }, limits)
})

test('without an identity, the same from another link is a copy, from the same link it is not', async () => {
  await stage(async ({ bring, heard }) => {
    const receipts = ['A', 'A', 'B', 'B', 'B'].map(name => bring(name, {}).receipt)
    expect(receipts).toEqual(['taken', 'taken', 'known', 'known', 'taken'])
    expect(heard).toHaveLength(3)
  })
})

test('what circles without an identity ends after sixteen gateways', async () => {
  await stage(async ({ bring }) => {
    expect(bring('A', { ...named('*15'), topic: 'a' }).receipt).toBe('taken')
    expect(bring('A', { ...named('*16'), topic: 'b' }).receipt).toBe('known')
  })
})

test('a message that begins here has an identity where a link wants it, and clients are not shown it', async () => {
  await stage(async ({ spool, connect, local }) => {
    const alone = await connect()
    await alone.subscribe({ topic: '#', qos: 1 })
    await local.publish('before', Buffer.from(''), { qos: 1, retain: false })
    const queue = await spool('A')
    await local.publish('behind', Buffer.from(''), { qos: 0, retain: false })
    await alone.received(2)
    expect(alone.publishes.map(({ properties }) => properties?.userProperties)).toEqual([undefined, undefined])
    expect(await waiting(queue)).toEqual([expect.stringMatching(/^behind larder-id [\w-]{11}\.0$/)])
    await alone.disconnect()
  })
})

test('a client that says it comes from here, or was here, is right; with any other identity it gets one of ours', async () => {
  await stage(async ({ spool, connect, bring, heard }) => {
    const queue = await spool('A')
    const client = await connect()
    const publish = async (topic: string, id: string) => {
      const messageId = client.nextPacketId()
      const properties = { userProperties: { 'larder-id': id } }
      client.send({ cmd: 'publish', topic, payload: '', qos: 1, retain: false, dup: false, messageId, properties })
      await client.next('puback', messageId)
    }
    await publish('one', 'AAAAAAAAAAA.5')
    // It has not made anybody believe that this one was here.
    expect(bring('B', { ...named('AAAAAAAAAAA.5'), topic: 'theirs' }).receipt).toBe('taken')
    await publish('two', 'AAAAAAAAAAA.5')
    const [, , ours = ''] = ((await waiting(queue))[0] ?? '').split(' ')
    await publish('three', ours)
    expect(heard).toEqual(['one ', 'theirs x'])
    await client.disconnect()
  })
})

test('of bridges to one upstream, the first carries what goes to one topic, and nothing goes back where it came from', async () => {
  await stage(async ({ spool, bring, local }) => {
    const to = (...places: string[]) => ({ places, topicOf: (topic: string) => topic })
    const first = await spool('A', to('host:1', 'host:2'))
    const second = await spool('B', to('host:2', 'host:3'))
    const other = await spool('C', to('elsewhere:1'))
    const renaming = await spool('D', { places: ['host:3'], topicOf: topic => `d/${topic}` })
    await local.publish('ours', Buffer.from(''), { qos: 1, retain: false })
    bring('B', { topic: 'theirs', upstreamTopic: 'theirs' })
    bring('B', { topic: 'renamed', upstreamTopic: 'd/renamed' })
    const topics = async (queue: SessionQueue) => (await waiting(queue)).map(line => line.split(' ')[0])
    expect(await topics(first)).toEqual(['ours', 'renamed'])
    expect(await topics(second)).toEqual([])
    expect(await topics(other)).toEqual(['ours', 'theirs', 'renamed'])
    expect(await topics(renaming)).toEqual(['ours', 'theirs'])
  })
})

test('a bridge of another may say how it is doing, but not in the place of ours, and nobody else may', async () => {
  await stage(async ({ connect, local, hub }) => {
    const state = (name: string) => `$SYS/broker/connection/${name}/state`
    await local.publish(state('ours'), Buffer.from('1'), { qos: 0, retain: true })
    const client = await connect()
    const publish = async (topic: string) => {
      const messageId = client.nextPacketId()
      client.send({ cmd: 'publish', topic, payload: '0', qos: 1, retain: true, dup: false, messageId })
      await client.next('puback', messageId)
    }
    await publish(state('theirs'))
    const session = hub.clients[client.clientId]
    if (session !== undefined) session.isLink = true
    for (const topic of [state('ours'), state('others'), state('others'), '$SYS/broker/uptime', state('a/b')]) {
      await publish(topic)
    }
    const retained = [...hub.persistence.queues.retained('$SYS/#')].map(({ topic, payload }) => `${topic} ${payload}`)
    expect(retained.sort()).toEqual([`${state('others')} 0`, `${state('ours')} 1`])
    await client.disconnect()
  })
})

test('what an upstream has retained and we have too is no news', async () => {
  await stage(async ({ bring, local, heard }) => {
    await local.publish('t', Buffer.from('x'), { qos: 1, retain: true })
    const replay = { retain: true, isReplay: true } as const
    expect(bring('A', replay)).toEqual({ receipt: 'known', settled: ['settled'] })
    expect(bring('A', { ...replay, payload: Buffer.from('y') }).receipt).toBe('taken')
    expect(bring('A', { retain: true }).receipt).toBe('taken')
    expect(heard).toEqual(['t x', 't y', 't x'])
  })
})

test('under another name it is another message, but under eight at most', async () => {
  await stage(async ({ bring, heard }) => {
    const under = (bridge: string, topic: string) => bring(bridge, { ...ID, upstreamTopic: 'lamp', topic }).receipt
    expect(under('A', 'lamp')).toBe('taken')
    expect(under('B', 'villa/lamp')).toBe('taken')
    expect(under('C', 'villa/lamp')).toBe('known')
    // What says how it was called first was renamed before it came.
    const before = { ...named('AAAAAAAAAAA.1/lamp'), topic: 'villa/lamp' }
    expect(bring('D', before).receipt).toBe('known')
    expect(bring('D', { ...before, topic: 'lamp' }).receipt).toBe('known')
    const receipts = Array.from({ length: 8 }, (_, i) => under('B', `house-${i}/lamp`))
    expect(receipts).toEqual([...Array(7).fill('taken'), 'known'])
    expect(heard).toHaveLength(9)
  })
})

test('what began here does not come back, whatever it is called', async () => {
  await stage(async ({ spool, bring, local, heard }) => {
    const queue = await spool('A')
    await local.publish('lamp', Buffer.from('x'), { qos: 1, retain: false })
    const [, , id = ''] = ((await waiting(queue))[0] ?? '').split(' ')
    expect(bring('B', { ...named(id), upstreamTopic: 'lamp', topic: 'villa/lamp' }).receipt).toBe('known')
    expect(bring('B', { ...named(`${id}/lamp`), topic: 'villa/lamp' }).receipt).toBe('known')
    expect(heard).toEqual(['lamp x'])
  })
})
