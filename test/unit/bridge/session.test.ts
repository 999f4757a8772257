/** What a bridge's session with its upstream is beyond sending at QoS 1: rules inward, QoS 2, refusals, circles, status. */
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import type { Bridge } from '../../../src/bridge/bridge.ts'
import type { DeadLetter } from '../../../src/bridge/dead-letters.ts'
import { MemoryBroker } from '../../support/bridge-broker.ts'
import { ManualClock } from '../../support/manual-clock.ts'
import { MemoryQueue } from '../../support/memory-queue.ts'
import { until, within } from '../../support/wait.ts'
import { answerWell, type Connection, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

const IN = [{ filter: '#', qos: 1, localPrefix: 'cloud/', remotePrefix: 'site/' }] as const

/** Also grants subscriptions and ends exchanges of QoS 2. */
function answerAll(packet: Packet, connection: Connection): void {
  if (packet.cmd === 'subscribe') {
    connection.send({
      cmd: 'suback',
      messageId: packet.messageId as number,
      granted: packet.subscriptions.map(({ qos }) => qos),
    })
  } else if (packet.cmd === 'publish' && packet.qos === 2) {
    connection.send({ cmd: 'pubrec', messageId: packet.messageId as number })
  } else if (packet.cmd === 'pubrel') connection.send({ cmd: 'pubcomp', messageId: packet.messageId as number })
  else answerWell(packet, connection)
}

function message(topic: string, fields: Partial<IPublishPacket> = {}): IPublishPacket {
  return { cmd: 'publish', topic, payload: 'x', qos: 1, messageId: 1, dup: false, retain: false, ...fields }
}

const sent = (connection: Connection, cmd: Packet['cmd']): number[] =>
  connection.packets.filter(packet => packet.cmd === cmd).map(packet => packet.messageId as number)

const subscribed = (connection: Connection) =>
  until(() => connection.packets.some(({ cmd }) => cmd === 'subscribe'), { what: 'SUBSCRIBE' })

async function lettersOf(bridge: Bridge): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = []
  for await (const letter of bridge.deadLetters()) letters.push(letter)
  return letters
}

describe('rules inward', () => {
  test('subscribe upstream, and publish here under the local name', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker, bridge } = await startBridge(upstream.url, { out: [], in: IN })
    const connection = await upstream.connection(0)
    await subscribed(connection)
    expect(connection.packets.find(packet => packet.cmd === 'subscribe')).toMatchObject({
      subscriptions: [{ topic: 'site/#', qos: 1 }],
    })
    expect(connection.connect?.clean).toBe(false)
    connection.send(message('site/lamp/set', { payload: 'on', retain: true }))
    await until(() => sent(connection, 'puback').length === 1, { what: 'PUBACK' })
    expect(broker.arrived).toMatchObject([{ topic: 'cloud/lamp/set', qos: 1, retain: true }])
    expect(String(broker.arrived[0]?.payload)).toBe('on')
    expect(bridge.state).toMatchObject({ received: 1, ignored: 0 })
  })

  test('that the upstream does not allow are told, and what goes out goes on', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd !== 'subscribe') return answerAll(packet, connection)
      connection.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [128, 1] })
    })
    const { lines, queue } = await startBridge(upstream.url, { in: [...IN, { filter: 'b/#', qos: 1 }] })
    queue.push({ topic: 'a' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections).toHaveLength(1)
    expect(lines.filter(line => line.level === 'warn').map(line => line.fields.filters)).toEqual([['site/#']])
  })

  test('a rule may take RETAIN away, both ways', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker, queue } = await startBridge(upstream.url, { out: [], both: [{ ...IN[0], retain: 'clear' }] })
    const connection = await upstream.connection(0)
    await subscribed(connection)
    connection.send(message('site/a', { retain: true }))
    queue.push({ topic: 'cloud/b', retain: true })
    await until(() => queue.count === 0 && broker.arrived.length === 1, { what: 'both messages' })
    expect([connection.publishes[0]?.retain, broker.arrived[0]?.retain]).toEqual([false, false])
  })

  test('acknowledge when settled, in order, and hold up nothing meanwhile', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker, queue } = await startBridge(upstream.url, { in: IN })
    const settle: (() => void)[] = []
    broker.settle = settlement => settle.push(() => settlement.settled())
    const connection = await upstream.connection(0)
    await subscribed(connection)
    for (const messageId of [1, 2, 3]) connection.send(message('site/a', { messageId }))
    await until(() => settle.length === 3, { what: 'three messages' })
    queue.push({ topic: 'out' })
    await until(() => queue.count === 0, { what: 'a message the other way' })
    settle[1]?.()
    settle[2]?.()
    queue.push({ topic: 'out' })
    await until(() => queue.count === 0, { what: 'another message the other way' })
    expect(sent(connection, 'puback')).toEqual([])
    settle[0]?.()
    await until(() => sent(connection, 'puback').length === 3, { what: 'three PUBACKs' })
    expect(sent(connection, 'puback')).toEqual([1, 2, 3])
  })

  test('QoS 2 is published once, however often it comes', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker } = await startBridge(upstream.url, { out: [], in: IN })
    const connection = await upstream.connection(0)
    await subscribed(connection)
    connection.send(message('site/a', { qos: 2, messageId: 7 }))
    connection.send(message('site/a', { qos: 2, messageId: 7, dup: true }))
    await until(() => sent(connection, 'pubrec').length === 2, { what: 'two PUBRECs' })
    expect([...broker.ids]).toEqual([7])
    connection.send({ cmd: 'pubrel', messageId: 7 })
    await until(() => sent(connection, 'pubcomp').length === 1, { what: 'PUBCOMP' })
    expect([broker.arrived.length, broker.ids.size]).toEqual([1, 0])
  })

  test('what waited upstream comes right behind CONNACK and is not lost', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd !== 'connect') return answerAll(packet, connection)
      connection.socket.cork()
      connection.send({ cmd: 'connack', returnCode: 0, sessionPresent: true })
      for (const messageId of [1, 2, 3]) connection.send(message(`site/${messageId}`, { messageId }))
      connection.socket.uncork()
    })
    const { broker } = await startBridge(upstream.url, { out: [], in: IN })
    const connection = await upstream.connection(0)
    await until(() => sent(connection, 'puback').length === 3, { what: 'three PUBACKs' })
    expect(broker.arrived.map(({ topic }) => topic)).toEqual(['cloud/1', 'cloud/2', 'cloud/3'])
  })

  test('a topic that a rule makes none of is acknowledged and goes nowhere (CVE-2024-3935)', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker, bridge, lines } = await startBridge(upstream.url, {
      out: [],
      in: [{ filter: '/#', qos: 1, remotePrefix: 'site' }],
    })
    const connection = await upstream.connection(0)
    await subscribed(connection)
    connection.send(message('site', { messageId: 1 }))
    connection.send(message('elsewhere', { messageId: 2 }))
    connection.send(message('site/a', { messageId: 3 }))
    await until(() => sent(connection, 'puback').length === 3, { what: 'three PUBACKs' })
    expect(broker.arrived.map(({ topic }) => topic)).toEqual(['/a'])
    expect(bridge.state.ignored).toBe(2)
    expect(lines.filter(line => line.level === 'warn')).toHaveLength(1)
  })

  test('without room in the store the upstream is not acknowledged, and sends again', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker } = await startBridge(upstream.url, { out: [], in: IN })
    let isFull = true
    broker.settle = settlement => (isFull ? settlement.refused() : settlement.settled())
    const first = await upstream.connection(0)
    await subscribed(first)
    first.send(message('site/a'))
    await until(() => first.closed, { what: 'the connection to end' })
    expect(sent(first, 'puback')).toEqual([])
    isFull = false
    const second = await upstream.connection(1)
    await subscribed(second)
    second.send(message('site/a', { dup: true }))
    await until(() => sent(second, 'puback').length === 1, { what: 'PUBACK' })
  })
})

describe('QoS 2 outward', () => {
  const both = { out: [{ filter: '#', qos: 2 }] } as const

  test('PUBREL waits until PUBREC is on record, and the message goes at PUBCOMP', async () => {
    const upstream = await startUpstream(answerAll)
    const { queue } = await startBridge(upstream.url, both)
    let recorded: (() => void) | undefined
    queue.onRelease = done => {
      recorded = done
    }
    queue.push({ topic: 'a', qos: 2 })
    queue.push({ topic: 'b', qos: 1 })
    await until(() => recorded !== undefined && queue.removed.length === 1, { what: 'PUBREC, and the other message' })
    const connection = await upstream.connection(0)
    expect(connection.publishes.map(({ qos }) => qos)).toEqual([2, 1])
    expect(sent(connection, 'pubrel')).toEqual([])
    expect(queue.count).toBe(1)
    recorded?.()
    await until(() => queue.count === 0, { what: 'PUBCOMP' })
    expect(sent(connection, 'pubrel')).toEqual([1])
  })

  test('goes on where it was on the next connection: PUBREL, not PUBLISH (m#3275)', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') connection.send({ cmd: 'connack', returnCode: 0, sessionPresent: index > 0 })
      else if (packet.cmd === 'pubrel' && index === 0) connection.cut()
      else answerAll(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, both)
    queue.push({ topic: 'a', qos: 2 })
    await until(() => queue.count === 0, { what: 'PUBCOMP' })
    const second = await upstream.connection(1)
    expect([second.publishes.length, sent(second, 'pubrel')]).toEqual([0, [1]])
  })

  test('an upstream that has forgotten us gets the message anew', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'pubrel' && index === 0) connection.cut()
      else answerAll(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, both)
    queue.push({ topic: 'a', qos: 2 })
    await until(() => queue.count === 0, { what: 'PUBCOMP' })
    expect((await upstream.connection(1)).publishes).toHaveLength(1)
  })
})

describe('what an upstream does not take', () => {
  test('a refused message is set aside, and what is behind it goes on', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false }, 5)
      else if (packet.cmd === 'publish' && packet.topic === 'forbidden') {
        connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0x87 }, 5)
      } else answerAll(packet, connection)
    })
    const { bridge, queue, broker } = await startBridge(upstream.url, { version: '5' })
    for (const topic of ['a', 'forbidden', 'b']) queue.push({ topic, payload: Buffer.from(topic) })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect((await upstream.connection(0)).topics).toEqual(['a', 'forbidden', 'b'])
    expect(upstream.connections).toHaveLength(1)
    const letters = await lettersOf(bridge)
    expect(letters).toEqual([
      {
        topic: 'forbidden',
        payload: Buffer.from('forbidden'),
        retain: false,
        reason: 'the upstream refuses it with reason code 0x87',
      },
    ])
    expect(bridge.state).toMatchObject({ dead: 1, sent: 2 })
    upstream.answer = answerAll
    expect(await bridge.retryDeadLetters()).toBe(1)
    await until(() => queue.count === 0 && broker.dead.count === 0, { what: 'the second attempt' })
    expect(bridge.state).toMatchObject({ dead: 0, sent: 3 })
  })

  test('a message that is larger than it says it takes is set aside unsent', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd !== 'connect') return answerAll(packet, connection)
      connection.send(
        { cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { maximumPacketSize: 1_000 } },
        5,
      )
    })
    const { bridge, queue } = await startBridge(upstream.url, { version: '5' })
    queue.push({ topic: 'photo', payload: Buffer.alloc(1_000) })
    queue.push({ topic: 'reading' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect((await upstream.connection(0)).topics).toEqual(['reading'])
    expect(bridge.state.dead).toBe(1)
    for (let i = 0; i < 20; i++) queue.push({ topic: `photo/${i}`, payload: Buffer.alloc(1_000) })
    await until(() => bridge.state.dead === 21, { what: 'the others' })
    // They come back at once: nobody asked for more than one attempt.
    const asked = [bridge.retryDeadLetters(), bridge.retryDeadLetters()]
    expect(await within(Promise.all(asked), { what: 'the end of it' })).toEqual([21, 21])
    await until(() => queue.count === 0 && bridge.state.dead === 21, { what: 'them back' })
  })

  test('a message at which a 3.1.1 upstream always closes is found out, and is the only one', {
    timeout: 30_000,
  }, async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'publish' && packet.topic === 'poison') connection.cut()
      else answerAll(packet, connection)
    })
    const { bridge, queue } = await startBridge(upstream.url)
    for (const topic of ['poison', 'b', 'c']) queue.push({ topic })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left`, timeout: 20_000 })
    expect((await lettersOf(bridge)).map(({ topic }) => topic)).toEqual(['poison'])
    expect(bridge.state.sent).toBe(2)
  })

  test('0x97 is no refusal: it comes again later', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') connection.send({ cmd: 'connack', reasonCode: 0, sessionPresent: false }, 5)
      else if (packet.cmd === 'publish' && index < 8) {
        connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode: 0x97 }, 5)
      } else answerAll(packet, connection)
    })
    const { bridge, queue } = await startBridge(upstream.url, { version: '5' })
    queue.push({ topic: 'a' })
    await until(() => queue.count === 0, { what: 'an empty queue' })
    expect(upstream.connections).toHaveLength(9)
    expect(bridge.state).toMatchObject({ dead: 0, sent: 1 })
  })
})

describe('messages that come round', () => {
  test('MQTT 3.1.1: what the upstream sends back is swallowed once; the same from somebody else is not', async () => {
    const upstream = await startUpstream(answerAll)
    const settings = { out: [], both: [{ filter: '#', qos: 1 }], tryPrivate: false } as const
    const { broker, bridge, queue } = await startBridge(upstream.url, settings)
    const connection = await upstream.connection(0)
    await subscribed(connection)
    queue.push({ topic: 'a', payload: Buffer.from('x') })
    await until(() => queue.count === 0, { what: 'the message upstream' })
    connection.send(message('a', { messageId: 1 }))
    connection.send(message('a', { messageId: 2 }))
    await until(() => sent(connection, 'puback').length === 2, { what: 'two PUBACKs' })
    expect(broker.arrived).toHaveLength(1)
    expect(bridge.state.ignored).toBe(1)
  })
})

describe('the state', () => {
  test('is told here, retained by its topics, and to the upstream with a will', async () => {
    const upstream = await startUpstream(answerAll)
    const { broker, stop } = await startBridge(upstream.url, { notifyUpstream: true })
    const topic = '$SYS/broker/connection/larder-test/state'
    await until(() => broker.told.get(topic) === '1', { what: 'a 1' })
    const connection = await upstream.connection(0)
    expect(connection.connect?.will).toMatchObject({ topic, retain: true, qos: 1 })
    expect(String(connection.connect?.will?.payload)).toBe('0')
    await until(() => connection.publishes.length === 1, { what: 'a 1 upstream' })
    expect(JSON.parse(broker.told.get('$SYS/broker/bridges/cloud') ?? '')).toMatchObject({ connected: true })
    await stop()
    expect(broker.told.get(topic)).toBe('0')
    expect(connection.publishes.map(({ payload }) => String(payload))).toEqual(['1', '0'])
  })
})

describe('subscriptions', () => {
  const welcome = (connection: Connection, sessionPresent: boolean) =>
    connection.send({ cmd: 'connack', reasonCode: 0, returnCode: 0, sessionPresent } as Packet, 5)
  const subscribes = ({ packets }: Connection) => packets.flatMap(each => (each.cmd === 'subscribe' ? [each] : []))
  const granted = (packet: Packet, connection: Connection) => {
    if (packet.cmd === 'subscribe') {
      connection.send({ cmd: 'suback', messageId: packet.messageId as number, granted: [1] } as Packet, 5)
    }
  }

  test('are made again when the connection ends before they are answered', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') welcome(connection, index > 0)
      else if (packet.cmd === 'subscribe' && index === 0) connection.cut()
      else granted(packet, connection)
    })
    await startBridge(upstream.url, { version: '5', out: [], in: IN })
    await subscribed(await upstream.connection(1))
  })

  test('bring what is retained also when the connection ends before what waits here has gone', async () => {
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') welcome(connection, index > 0)
      else if (packet.cmd === 'publish' && index === 0) connection.cut()
      else if (packet.cmd === 'publish') connection.send({ cmd: 'puback', messageId: packet.messageId as number }, 5)
      else granted(packet, connection)
    })
    const broker = new MemoryBroker(new MemoryQueue('$bridge/cloud'))
    broker.queue.push({ topic: 'a' })
    await startBridge(upstream.url, { version: '5', in: IN }, undefined, broker)
    const first = await upstream.connection(0)
    await subscribed(first)
    expect(subscribes(first)).toMatchObject([{ subscriptions: [{ rh: 2 }] }])
    const next = await upstream.connection(1)
    await until(() => subscribes(next).length > 0, { what: 'SUBSCRIBE' })
    expect(subscribes(next)).toMatchObject([{ subscriptions: [{ topic: 'site/#', rh: 0 }] }])
  })

  test('that are never answered end the connection, and what waits goes by the next', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd !== 'subscribe' || index > 0) answerAll(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, { in: IN }, clock)
    queue.push({ topic: 'a' })
    const connection = await upstream.connection(0)
    await subscribed(connection)
    await clock.advance(119_000)
    expect(connection.closed).toBe(false)
    await clock.advance(1_000)
    await until(() => connection.closed, { what: 'the end of the connection' })
    await until(
      async () => {
        await clock.advance(1_000)
        return queue.count === 0
      },
      { what: 'an empty queue' },
    )
  })
})
