/** Upstreams that do what none should, for a while: the bridge finds its way, and nothing is lost or goes out of order. */
import { setTimeout as pause } from 'node:timers/promises'
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
import { ManualClock } from '../../support/manual-clock.ts'
import { until } from '../../support/wait.ts'
import { answerWell, type Connection, type ScriptedUpstream, startUpstream } from './scripted-upstream.ts'
import { startBridge } from './support.ts'

const COUNT = 40
const TOPICS = Array.from({ length: COUNT }, (_, i) => `t${i}`)

type Answer = ScriptedUpstream['answer']
/** Messages of this connection that came so far, this one included. */
type OnPublish = (packet: IPublishPacket, connection: Connection, index: number) => void

/** Answers as it should but to messages. */
const toPublish =
  (onPublish: OnPublish): Answer =>
  (packet, connection, index) => {
    if (packet.cmd === 'publish') onPublish(packet, connection, index)
    else answerWell(packet, connection)
  }

const puback = (connection: Connection, messageId: number | undefined): void =>
  connection.send({ cmd: 'puback', messageId: messageId as number })

/** ms */
const LATE = 100
const HUGE = Buffer.alloc(4 * 1024 * 1024, 'x')
/** Bad for the first five connections, good after. */
const BAD_CONNECTIONS = 5

const CASES: [what: string, answer: Answer][] = [
  [
    'cuts before the acknowledgement',
    toPublish((packet, connection, index) => {
      if (index < BAD_CONNECTIONS && connection.publishes.length % 7 === 0) connection.cut()
      else connection.acknowledge(packet)
    }),
  ],
  [
    'cuts after the acknowledgement',
    toPublish((packet, connection, index) => {
      connection.acknowledge(packet)
      if (index < BAD_CONNECTIONS) connection.cut()
    }),
  ],
  [
    'acknowledges from the last to the first',
    toPublish((_packet, connection) => {
      const { publishes } = connection
      if (publishes.length % 20 !== 0) return
      for (const each of publishes.slice(-20).reverse()) connection.acknowledge(each)
    }),
  ],
  [
    'acknowledges each message twice',
    toPublish((packet, connection) => {
      connection.acknowledge(packet)
      connection.acknowledge(packet)
    }),
  ],
  [
    'acknowledges wrong identifiers, of what was never sent',
    toPublish((packet, connection) => {
      puback(connection, 60_000 + connection.publishes.length)
      connection.acknowledge(packet)
    }),
  ],
  [
    'acknowledges late, all that waits at once',
    toPublish((_packet, connection) => {
      if (connection.publishes.length % 20 !== 0) return
      const waiting = connection.publishes.slice(-20)
      void pause(LATE).then(() => {
        for (const each of waiting) connection.acknowledge(each)
      })
    }),
  ],
  [
    'accepts TCP and says nothing, for a while',
    (packet, connection, index) => {
      if (index >= BAD_CONNECTIONS) answerWell(packet, connection)
    },
  ],
  [
    'sends huge messages that nobody asked for',
    toPublish((packet, connection) => {
      if (connection.publishes.length % 10 === 1) {
        const message = { topic: 'unasked', payload: HUGE, qos: 0, dup: false, retain: true } as const
        connection.send({ cmd: 'publish', ...message })
      }
      connection.acknowledge(packet)
    }),
  ],
  [
    'answers QoS 1 as if it were QoS 2, and cuts',
    toPublish((packet, connection, index) => {
      if (index >= BAD_CONNECTIONS) return connection.acknowledge(packet)
      connection.send({ cmd: 'pubrec', messageId: packet.messageId as number })
      connection.socket.end()
    }),
  ],
  [
    'closes at CONNECT a hundred times',
    (packet, connection, index) => {
      if (index < 100) connection.cut()
      else answerWell(packet, connection)
    },
  ],
  [
    'refuses the connection again and again',
    (packet, connection, index) => {
      if (packet.cmd === 'connect' && index < 20) connection.accept(3)
      else answerWell(packet, connection)
    },
  ],
  [
    'answers CONNECT with garbage',
    (packet, connection, index) => {
      if (index < BAD_CONNECTIONS) connection.socket.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'))
      else answerWell(packet, connection)
    },
  ],
  [
    'sends garbage after messages',
    toPublish((packet, connection, index) => {
      if (index < BAD_CONNECTIONS) connection.socket.write(Buffer.alloc(100, 0xff))
      else connection.acknowledge(packet)
    }),
  ],
  [
    'announces a packet of 256 MB and sends nothing of it',
    toPublish((packet, connection, index) => {
      if (index >= BAD_CONNECTIONS) return connection.acknowledge(packet)
      connection.socket.end(Buffer.from([0x30, 0xff, 0xff, 0xff, 0x7f, 0, 1, 0x61]))
    }),
  ],
  [
    'sends what only a client sends',
    toPublish((packet, connection, index) => {
      if (index >= BAD_CONNECTIONS) return connection.acknowledge(packet)
      connection.send({ cmd: 'pingreq' })
      connection.socket.end()
    }),
  ],
  [
    'drips its answers byte by byte',
    (packet, connection) => {
      const bytes =
        packet.cmd === 'connect'
          ? [0x20, 2, 0, 0]
          : packet.cmd === 'publish'
            ? [0x40, 2, (packet.messageId as number) >> 8, (packet.messageId as number) & 0xff]
            : []
      connection.socket.setNoDelay(true)
      for (const byte of bytes) connection.socket.write(Buffer.from([byte]))
    },
  ],
]

const CONNACK = { cmd: 'connack', reasonCode: 0, sessionPresent: false } as const

describe('an upstream that', () => {
  test.each(CASES)('%s', async (_, answer) => {
    const upstream = await startUpstream(answer)
    const { queue } = await startBridge(upstream.url, { retry: { min: 1, max: 3 }, connectTimeout: 300 })
    for (const topic of TOPICS) queue.push({ topic })
    await until(() => queue.count === 0, {
      what: () => `an empty queue, ${queue.count} left after ${upstream.connections.length} connections`,
      timeout: 20_000,
    })
    // Order is that of first acknowledgement upstream: repeats aside, what came came in order.
    const came = [...new Set(upstream.publishes.map(packet => packet.topic))]
    expect(came).toEqual(TOPICS)
    expect(queue.removed.map(message => message.topic).sort()).toEqual([...TOPICS].sort())
  })

  test('may send no more than any client here', async () => {
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.send(CONNACK as never, 5)
    })
    const { broker } = await startBridge(upstream.url, { version: '5', in: [{ filter: '#', qos: 1 }] })
    const { connect } = await upstream.connection(0)
    expect(connect?.properties?.maximumPacketSize).toBe(broker.maxPacketSize)
  })

  test.each([false, true])(
    'allows one message at a time gets one at a time; told of the bridge: %s',
    async notifyUpstream => {
      const upstream = await startUpstream((packet, connection) => {
        if (packet.cmd === 'connect') {
          connection.send(
            { cmd: 'connack', reasonCode: 0, sessionPresent: false, properties: { receiveMaximum: 1 } } as never,
            5,
          )
        }
        if (packet.cmd === 'publish') {
          waiting++
          most = Math.max(most, waiting)
          setImmediate(() => {
            waiting--
            connection.send({ cmd: 'puback', messageId: packet.messageId as number }, 5)
          })
        }
      })
      let waiting = 0
      let most = 0
      const { queue } = await startBridge(upstream.url, { version: '5', notifyUpstream })
      for (const topic of TOPICS) queue.push({ topic })
      await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
      expect(most).toBe(1)
      const state = notifyUpstream ? ['$SYS/broker/connection/larder-test/state'] : []
      expect(upstream.publishes.map(packet => packet.topic)).toEqual([...state, ...TOPICS])
    },
  )

  test('takes no more for a while (0x97), and rejects every tenth (0x87), gets all the others in order', async () => {
    let refusals = 0
    const upstream = await startUpstream((packet, connection) => {
      if (packet.cmd === 'connect') connection.send(CONNACK, 5)
      if (packet.cmd !== 'publish') return
      const isBusy = packet.topic === 't5' && refusals < 5
      if (isBusy) refusals++
      const isTenth = TOPICS.indexOf(packet.topic) % 10 === 9
      const reasonCode = isBusy ? 0x97 : isTenth ? 0x87 : 0
      connection.send({ cmd: 'puback', messageId: packet.messageId as number, reasonCode }, 5)
    })
    const { queue, broker, bridge } = await startBridge(upstream.url, {
      version: '5',
      maxInflight: 1,
      maxTopicAlias: 0,
      retry: { min: 1, max: 3 },
    })
    for (const topic of TOPICS) queue.push({ topic })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    // A busy upstream is gone from, and asked again after the pause.
    expect(upstream.connections).toHaveLength(1 + refusals)
    expect([...new Set(upstream.publishes.map(packet => packet.topic))]).toEqual(TOPICS)
    const dead: string[] = []
    for await (const { topic } of bridge.deadLetters()) dead.push(topic)
    expect(dead).toEqual(TOPICS.filter((_, index) => index % 10 === 9))
    expect(broker.dead.count).toBe(4)
    expect(bridge.state).toMatchObject({ sent: COUNT - 4, dead: 4 })
  })

  test('answers PUBREC and never PUBCOMP is given up, and asked for it again, not sent the message', async () => {
    const clock = new ManualClock()
    const upstream = await startUpstream((packet, connection, index) => {
      if (packet.cmd === 'connect') connection.send({ cmd: 'connack', returnCode: 0, sessionPresent: index > 0 })
      else if (packet.cmd === 'publish') connection.send({ cmd: 'pubrec', messageId: packet.messageId as number })
      else if (packet.cmd === 'pubrel' && index === 2) {
        connection.send({ cmd: 'pubcomp', messageId: packet.messageId as number })
      } else if (packet.cmd !== 'pubrel') answerWell(packet, connection)
    })
    const { queue } = await startBridge(upstream.url, { out: [{ filter: '#', qos: 2 }] }, clock)
    queue.push({ topic: 'a', qos: 2 })
    const released = (index: number) => upstream.connections[index]?.packets.filter(({ cmd }) => cmd === 'pubrel')
    for (let index = 0; index < 2; index++) {
      await until(() => released(index)?.length === 1, { what: `PUBREL on connection ${index}` })
      for (let second = 0; second < 200 && !upstream.connections[index]?.closed; second++) await clock.advance(1_000)
      await until(() => upstream.connections[index]?.closed, { what: `connection ${index} to be given up` })
      for (let second = 0; second < 60 && upstream.connections.length === index + 1; second++)
        await clock.advance(1_000)
    }
    await until(() => queue.count === 0, { what: 'PUBCOMP' })
    expect(upstream.publishes).toHaveLength(1)
  })
})
