/** Upstreams that do what none should, for a while: the bridge finds its way, and nothing is lost or goes out of order. */
import type { IPublishPacket } from 'mqtt-packet'
import { describe, expect, test } from 'vitest'
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
    'acknowledges what was never sent',
    toPublish((packet, connection) => {
      puback(connection, 60_000 + connection.publishes.length)
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

describe('an upstream that', () => {
  test.each(CASES)('%s', async (_, answer) => {
    const upstream = await startUpstream(answer)
    const { queue } = await startBridge(upstream.url, { retry: { min: 1, max: 3 } })
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

  test('allows one message at a time gets one at a time', async () => {
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
    const { queue } = await startBridge(upstream.url, { version: '5' } as never)
    for (const topic of TOPICS) queue.push({ topic })
    await until(() => queue.count === 0, { what: () => `an empty queue, ${queue.count} left` })
    expect(most).toBe(1)
    expect(upstream.publishes.map(packet => packet.topic)).toEqual(TOPICS)
  })
})
